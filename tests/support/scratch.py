"""Scratch folders of a test process, and looking at what lies in them."""
import atexit
import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


def _place():
    """Where scratch folders lie: in memory if there is room, because every command waits for its disk."""
    memory, wanted_bytes = "/dev/shm", 2 << 30
    with contextlib.suppress(OSError):
        status = os.statvfs(memory)
        if os.access(memory, os.W_OK) and status.f_bavail * status.f_frsize > wanted_bytes:
            return memory
    return None


ROOT = Path(tempfile.mkdtemp(prefix="trainseal-test-", dir=os.environ.get("TRAINSEAL_TEST_SCRATCH") or _place()))


def remove(folder):
    """Removes a tree, whatever its modes."""
    for at, folders, _ in os.walk(folder):
        for name in folders:
            inner = os.path.join(at, name)
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


atexit.register(remove, ROOT)


def fresh(name):
    """A new folder of this process whose name begins with `name`."""
    return Path(tempfile.mkdtemp(prefix=name + "-", dir=ROOT))


def copy(source, target):
    """Copies a tree as it is: links, modes, times and names of any bytes."""
    subprocess.run(["cp", "-a", "--", source, target], check=True)
    return Path(target)


@dataclass(frozen=True)
class Entry:
    kind: str
    mode: int
    content: str
    mtime_ns: int
    inode: int


def entries(folder):
    """What lies below `folder`: relative name in bytes → Entry. Links are not followed."""
    found = {}
    top = os.fsencode(folder)

    def look(path, name):
        status = os.lstat(path)
        content = ""
        if stat.S_ISLNK(status.st_mode):
            kind, content = "link", os.fsdecode(os.readlink(path))
        elif stat.S_ISDIR(status.st_mode):
            kind = "folder"
            for inner in os.listdir(path):
                look(os.path.join(path, inner), os.path.join(name, inner))
        elif stat.S_ISREG(status.st_mode):
            kind = "file"
            with open(path, "rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        else:
            kind = "special"
        found[name] = Entry(kind, stat.S_IMODE(status.st_mode), content, status.st_mtime_ns, status.st_ino)

    look(top, b"")
    return found


def snapshot(folder):
    """All that a refused command must not change. The times of the top folder and of a train's own folder are left out:
    staging comes and goes in them."""
    found = entries(folder)
    trains = {b"", *(os.path.dirname(name) for name in found if os.path.basename(name) == b"train_config.json")}
    return {name: (entry.kind, entry.mode, entry.inode) if name in trains else entry for name, entry in found.items()}


def contents(folder):
    """Names and bytes of a tree, folders and links included, modes and times left out."""
    return {name: (entry.kind, entry.content) for name, entry in entries(folder).items()}


def modes(folder):
    """Names and modes of files and folders; a symlink has no mode of its own."""
    return {name: entry.mode for name, entry in entries(folder).items() if entry.kind != "link"}


def plain_modes(folder):
    """What PROTOCOL §5.8 makes of the modes in `folder`."""
    return {name: 0o755 if entry.kind == "folder" or entry.mode & 0o100 else 0o644
            for name, entry in entries(folder).items() if entry.kind != "link"}


def find_pieces(folder, pieces, leave_out=None):
    """The files below `folder`, but not below `leave_out`, that hold one of `pieces` (bytes)."""
    found = []
    for at, folders, names in os.walk(os.fsencode(folder)):
        folders[:] = [name for name in folders if leave_out is None or os.path.join(at, name) != os.fsencode(leave_out)]
        for name in names:
            path = os.path.join(at, name)
            if not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            with open(path, "rb") as file:
                content = file.read()
            if any(piece in content for piece in pieces):
                found.append(os.fsdecode(path))
    return found


def pieces_of(*folders):
    """Bytes that give away that the plaintext in `folders` is somewhere: what each file of 16 bytes and more begins with,
    has in its middle and ends with."""
    pieces = set()
    for folder in folders:
        for at, _, names in os.walk(os.fsencode(folder)):
            for name in names:
                path = os.path.join(at, name)
                if not stat.S_ISREG(os.lstat(path).st_mode):
                    continue
                with open(path, "rb") as file:
                    content = file.read()
                if len(content) >= 16:
                    middle = len(content) // 2 - 8
                    pieces |= {content[:16], content[middle:middle + 16], content[-16:]}
    return pieces

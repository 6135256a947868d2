"""The benchmark: pre-run and post-run in MB/s, against the slower of SHA-512 and AES-256-CBC on two free cores.

Content is results: post-run at the first station hashes and seals them, pre-run at the second decrypts and hashes them.
Times are those of the whole process, from its start to its end, log-in to the token included. Of several rounds the
fastest counts, on both sides. Two figures are set against it: the limit, which only hash and cipher have, and what this
machine's cores could do with all the work that was done, reading, writing and the token's included.
"""
import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from party import ROOT, Failed, Party, need_program

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
TMPFS = Path("/dev/shm")
DISK = ROOT / "build/bench"
KEY_BITS = 3072
BLOCK = 16 * KIB  # of openssl speed
PATTERN = os.urandom(MIB)

# name, number of files, size of each
FULL = [("1 x 1 GiB", 1, GIB), ("100 x 10 MiB", 100, 10 * MIB), ("10,000 x 1 KiB", 10_000, KIB)]
SMALL = [("1 x 64 MiB", 1, 64 * MIB), ("10 x 1 MiB", 10, MIB), ("500 x 1 KiB", 500, KIB)]


@dataclass
class Run:
    """One run of a command."""

    seconds: float
    cpu_seconds: float  # user and system, of the command and its worker
    max_rss_bytes: int


@dataclass
class Measured:
    """The best of some runs of one command."""

    command: str
    content: str
    staging: str
    seconds: float
    mb_per_s: float
    cpu_seconds: float
    ratio: float  # to the limit
    ratio_to_cores: float
    max_rss_mib: float


@dataclass
class Limits:
    """What `openssl speed` says, in MB/s."""

    sha512: float = 0
    encrypt: float = 0
    decrypt: float = 0

    def measure(self, seconds):
        """Takes another sample of each; the highest is kept, since other work can only make it lower."""
        self.sha512 = max(self.sha512, openssl_speed(seconds, "sha512"))
        self.encrypt = max(self.encrypt, openssl_speed(seconds, "aes-256-cbc"))
        self.decrypt = max(self.decrypt, openssl_speed(seconds, "aes-256-cbc", "-decrypt"))

    def of(self, command):
        """The bare two-thread limit: hash and cipher side by side, so the slower one."""
        return min(self.sha512, self.encrypt if command == "post-run" else self.decrypt)


def main():
    options = parse_options()
    need_program()
    cases = SMALL if options.small else FULL
    seconds = 1 if options.small else 3
    limits = Limits()
    limits.measure(seconds)
    raw = {}  # (staging, content, command) → [Run, …]
    DISK.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as used:
        for staging, parent in (("tmpfs", TMPFS), ("disk", DISK)):
            for content, count, size in cases:
                if shutil.disk_usage(parent).free < 3 * count * size + 64 * MIB:
                    print(f"skipped: {content} on {staging}: too little space on {parent}", file=sys.stderr)
                    continue
                for number in range(options.repeat):
                    print(f"measuring {content} on {staging}, {number + 1} of {options.repeat}", file=sys.stderr)
                    folder = Path(used.enter_context(tempfile.TemporaryDirectory(prefix="trainseal-bench-", dir=parent)))
                    for command, run in measure_round(folder, count, size, on_tmpfs=staging == "tmpfs"):
                        raw.setdefault((staging, content, command), []).append(run)
                    empty(folder)
                    limits.measure(seconds)

    sizes = {content: count * size for content, count, size in cases}
    measured = [judge(*key, runs, sizes[key[1]], limits) for key, runs in raw.items()]
    disk = disk_write_speed(min(cases[0][2], 512 * MIB))
    print_report(limits, disk, measured)
    if options.json:
        report = {"limits_mb_per_s": asdict(limits), "disk_write_mb_per_s": disk, "runs": [asdict(m) for m in measured]}
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")


def parse_options():
    parser = argparse.ArgumentParser(prog="bench", description="pre-run and post-run against the processor's limit")
    parser.add_argument("--small", action="store_true", help="small content, for a quick trial; the ratios mean little")
    parser.add_argument("--repeat", type=int, metavar="N", help="rounds of each case, the fastest counts (3; small: 1)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE as well")
    options = parser.parse_args()
    options.repeat = options.repeat or (1 if options.small else 3)
    return options


def openssl_speed(seconds, algorithm, *options):
    command = ["openssl", "speed", "-mr", "-seconds", str(seconds), "-bytes", str(BLOCK), *options, "-evp", algorithm]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    last = next(line for line in output.splitlines() if line.startswith("+F:"))
    return float(last.split(":")[-1]) / 1e6


def measure_round(folder, count, size, on_tmpfs):
    """One train's way through two stations. Yields (command, Run) for post-run and pre-run."""
    train, first_out, second_out = folder / "train", folder / "out-1", folder / "out-2"
    first, second = make_train(folder, train)
    first.trainseal("pre-run", f"folder:{train}", "--out", first_out)
    make_content(first_out / "pht_results", count, size)
    settle(folder, count * size if on_tmpfs else 0)
    yield "post-run", measure(first.command("post-run", f"folder:{train}", "--results", first_out), first)
    empty(first_out)
    settle(folder, count * size if on_tmpfs else 0)
    yield "pre-run", measure(second.command("pre-run", f"folder:{train}", "--out", second_out), second)
    check_content(second_out / "pht_results", count, size)


def make_train(folder, train):
    """A built train for two stations; returns them."""
    stations = [Party(f"station-{id}", folder / f"station-{id}", station=id) for id in ("1", "2")]
    creator, builder = Party("creator", folder / "creator"), Party("builder", folder / "builder")
    route = []
    for party in (creator, builder, *stations):
        party.make_token()
        pem = party.make_key(KEY_BITS)
        (folder / f"{party.name}.pem").write_text(pem)
        if party.station:
            route.append({"station": party.station, "eco_system": "tue", "public_key": f"{party.name}.pem"})
    files = folder / "files"
    files.mkdir()
    (files / "entrypoint.py").write_text("print('nothing')\n")
    spec = {
        "version": 1,
        "id": "bench",
        "proposal_id": 1,
        "source": {"type": "docker_repository", "address": "registry.example/bench"},
        "creator": {"id": 1},
        "route": route,
        "files": ["entrypoint.py"],
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    creator.trainseal("propose", folder / "spec.json", "--files", files, "--out", folder / "proposal.json")
    builder.trainseal("build", folder / "proposal.json", "--files", files, "--to", f"folder:{train}")
    return stations


def make_content(folder, count, size):
    """`count` files of `size` bytes, in folders of a hundred."""
    for number in range(count):
        path = folder / f"{number // 100:03}" / f"{number:05}.bin"
        path.parent.mkdir(exist_ok=True)
        with open(path, "wb", buffering=0) as file:
            for offset in range(0, size, MIB):
                file.write(memoryview(PATTERN)[: min(MIB, size - offset)])


def settle(folder, memory):
    """What was done before is not to slow down what is measured: waits until it is written, and touches as much memory
    as the command is going to fill. A hypervisor provides memory when it is first touched, page by page, which takes
    longer than filling it, and would be counted to whoever comes first."""
    os.sync()
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(0, memory, MIB):
            file.write(PATTERN)


def empty(folder):
    """Frees the space that files below `folder` take, and leaves them there until everything is measured: after many
    files were deleted, ext4 steps around their inodes for a minute and is slow to make others."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)


def check_content(folder, count, size):
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) != count or any(path.stat().st_size != size for path in files):
        raise Failed(f"{folder} does not hold the {count} files of {size} bytes that were sealed")


def measure(command, party):
    """Runs a command. Its max RSS is never below this program's own, some 20 MiB."""
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, env=party.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            raise Failed(f"exit {process.returncode} of: {' '.join(command)}\n{errors.read().decode(errors='replace')}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * KIB)


def judge(staging, content, command, runs, size, limits):
    best = min(runs, key=lambda run: run.seconds)
    speed = size / best.seconds / 1e6
    limit = limits.of(command)
    # No machine is faster than the limit, nor than all its cores at work from the start to the end.
    least_seconds = max(size / limit / 1e6, best.cpu_seconds / len(os.sched_getaffinity(0)))
    rss = max(run.max_rss_bytes for run in runs) / MIB
    return Measured(
        command, content, staging, best.seconds, speed, best.cpu_seconds, speed / limit, least_seconds / best.seconds, rss
    )


def disk_write_speed(size):
    """MB/s of a plain sequential write with fsync below build/, to judge the figures for disk by."""
    with tempfile.NamedTemporaryFile(dir=DISK) as file:
        start = time.perf_counter()
        for _ in range(0, size, MIB):
            file.write(PATTERN)
        file.flush()
        os.fsync(file.fileno())
        return size / (time.perf_counter() - start) / 1e6


def print_report(limits, disk, measured):
    print(f"openssl speed, {BLOCK // KIB} KiB blocks, one thread (MB/s, 1 MB = 1,000,000 bytes)")
    print(f"  sha512 {limits.sha512:,.0f}   aes-256-cbc encrypt {limits.encrypt:,.0f}   decrypt {limits.decrypt:,.0f}")
    print("limit of two threads (the slower of hash and cipher)")
    print(f"  post-run {limits.of('post-run'):,.0f}   pre-run {limits.of('pre-run'):,.0f}")
    print(f"plain write to disk with fsync\n  {disk:,.0f}\n")
    heads = f"{'seconds':>8} {'CPU s':>6} {'MB/s':>7} {'of limit':>9} {'of cores':>9} {'max RSS':>9}"
    print(f"{'command':9} {'content':15} {'staging':8} {heads}")
    for m in measured:
        ratios = f"{m.ratio:9.2f} {m.ratio_to_cores:9.2f}"
        cells = f"{m.seconds:8.2f} {m.cpu_seconds:6.2f} {m.mb_per_s:7,.0f} {ratios} {m.max_rss_mib:5.0f} MiB"
        print(f"{m.command:9} {m.content:15} {m.staging:8} {cells}")


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        print(f"\nbench: {failure}", file=sys.stderr)
        sys.exit(1)

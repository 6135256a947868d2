"""Trains in images, in each form that lies in files, as skopeo and umoci make and read them."""
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile

from support import scratch

# Both need HOME and a folder for their own temporary files, and nothing else of ours.
def tool(home, *command):
    temporary = home / "tool-tmp"
    temporary.mkdir(exist_ok=True)
    done = subprocess.run([os.fsencode(word) for word in command], capture_output=True, timeout=240,
                          env={"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(temporary)})
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit {done.returncode}\n{done.stdout!r}\n{done.stderr!r}")
    return done.stdout


def skopeo_copy(home, source, target):
    tool(home, "skopeo", "copy", "--insecure-policy", source, target)


def unpack_opt(layer, folder):
    folder.mkdir()
    subprocess.run(["tar", "-xzf", layer, "-C", folder, "--exclude=.wh.*", "--warning=no-timestamp"], check=True)
    return folder / "opt"


class Images:
    """An image layout and the trains in it."""
    FORM = "oci"

    def __init__(self, home, name="layout"):
        self.home = home
        self.path = home / name

    @property
    def place(self):
        """The folder that the images are in, and nothing else."""
        return self.path

    def name(self, tag="latest"):
        return f"oci:{self.path}:{tag}"

    def as_layout(self):
        """A layout with the same images."""
        return self

    def make_base(self):
        """An image with a file outside of /opt and one in it, and stale results."""
        tree = self.home / "base-tree"
        for name, content in {"etc/os-release": "ID=test\n", "opt/tool": "kept", "opt/pht_results/stale": "old results"}.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(content)
        tool(self.home, "umoci", "init", "--layout", self.path)
        tool(self.home, "umoci", "new", "--image", f"{self.path}:base")
        tool(self.home, "umoci", "insert", "--rootless", "--image", f"{self.path}:base", tree, "/")
        return self

    def put(self, folder, tag="latest"):
        """A train's folder as the layer of umoci on the base."""
        tool(self.home, "umoci", "tag", "--image", f"{self.path}:base", tag)
        tool(self.home, "umoci", "insert", "--rootless", "--opaque", "--image", f"{self.path}:{tag}", folder, "/opt")
        return self

    def unpack(self, name, tag="latest"):
        """The root file system as umoci sees it; returns its /opt."""
        bundle = self.home / name
        tool(self.home, "umoci", "unpack", "--rootless", "--image", f"{self.as_layout().path}:{tag}", bundle)
        return bundle / "rootfs" / "opt"

    def carry(self, name):
        """Base and train as skopeo takes them to another place of this form."""
        other = Images(self.home, name)
        for tag in ("base", "latest"):
            skopeo_copy(self.home, self.name(tag), other.name(tag))
        return other

    def config_of(self, tag):
        """The image's manifest and config."""
        index = json.loads((self.path / "index.json").read_text())
        entry, = [entry for entry in index["manifests"]
                  if entry.get("annotations", {}).get("org.opencontainers.image.ref.name") == tag]
        manifest = json.loads(self.blob(entry).read_text())
        return manifest, json.loads(self.blob(manifest["config"]).read_text())

    def blob(self, descriptor):
        return self.path / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")

    def top_layer(self, folder):
        """What is under /opt in the topmost layer of the train, without an image's tools; returns it."""
        manifest, _ = self.config_of("latest")
        return unpack_opt(self.blob(manifest["layers"][-1]), folder)

    def pieces_in_layers(self, pieces):
        """Which plaintexts are in any blob, unpacked or as it lies there."""
        unpacked = scratch.fresh("layers")
        for blob in (self.path / "blobs" / "sha256").iterdir():
            layer = subprocess.run(["gzip", "-dc", blob], capture_output=True)
            (unpacked / blob.name).write_bytes(layer.stdout if layer.returncode == 0 else b"")
        found = scratch.find_pieces(unpacked, pieces) + scratch.find_pieces(self.path, pieces)
        scratch.remove(unpacked)
        return found


class Archive:
    """An archive of images: a file in a folder of its own."""
    TAGS = ("base", "latest")

    def __init__(self, home, name="archive"):
        self.home = home
        self.place = home / name
        self.place.mkdir()
        self.path = self.place / "images.tar"
        self.layouts = 0

    def as_layout(self, tags=TAGS):
        """A layout with the images that skopeo finds."""
        self.layouts += 1
        layout = Images(self.home, f"{self.place.name}-layout-{self.layouts}")
        for tag in tags:
            skopeo_copy(self.home, self.name(tag), layout.name(tag))
        return layout

    def make_base(self):
        layout = Images(self.home, f"{self.place.name}-made").make_base()
        self.take(layout, ("base",))
        return self

    def put(self, folder):
        """The base and a train on it, as umoci made them."""
        layout = Images(self.home, f"{self.place.name}-made").put(folder)
        self.path.unlink()
        self.take(layout, self.TAGS)
        return self

    def unpack(self, name, tag="latest"):
        return self.as_layout().unpack(name, tag)

    def carry(self, name):
        other = type(self)(self.home, name)
        other.take(self.as_layout(), self.TAGS)
        return other

    def config_of(self, tag):
        return self.as_layout((tag,)).config_of(tag)

    def inside(self, home, name):
        """The layout that is in the archive, as it lies there: skopeo makes configs anew on the way out of docker-archive."""
        whole = Images(home, name)
        whole.path.mkdir(parents=True)
        subprocess.run(["tar", "-xf", self.path, "-C", whole.path], check=True)
        return whole

    def top_layer(self, folder):
        return self.inside(folder, "whole").top_layer(folder / "opt-of-it")

    def pieces_in_layers(self, pieces):
        whole = self.inside(self.home, f"{self.place.name}-whole")
        found = whole.pieces_in_layers(pieces) + scratch.find_pieces(self.place, pieces)
        scratch.remove(whole.path)
        return found


class OciArchive(Archive):
    """The tar of a layout."""
    FORM = "oci-archive"

    def name(self, tag="latest"):
        return f"oci-archive:{self.path}:{tag}"

    def take(self, layout, tags):
        subprocess.run(["tar", "-cf", self.path, "-C", layout.path, "."], check=True)


class DockerArchive(Archive):
    """What `docker save` writes, in the form of Docker 25 and later: skopeo writes one image a file only."""
    FORM = "docker-archive"
    NAME = "registry.example/3/t-17"

    def name(self, tag="latest"):
        return f"docker-archive:{self.path}:{self.NAME}:{tag}"

    def take(self, layout, tags):
        whole = self.home / f"{self.place.name}-tar"
        scratch.remove(whole)
        scratch.copy(layout.path, whole)
        entries = []
        for tag in tags:
            manifest, _ = layout.config_of(tag)
            member = lambda blob: "blobs/sha256/" + blob["digest"].removeprefix("sha256:")
            entries.append({"Config": member(manifest["config"]), "RepoTags": [f"{self.NAME}:{tag}"],
                            "Layers": [member(layer) for layer in manifest["layers"]]})
        (whole / "manifest.json").write_text(json.dumps(entries))
        # umoci keeps containerd's name of what it tags anew; an archive whose two lists disagree is refused.
        index = json.loads((whole / "index.json").read_text())
        for entry in index["manifests"]:
            entry["annotations"]["io.containerd.image.name"] = f"{self.NAME}:{entry['annotations']['org.opencontainers.image.ref.name']}"
        (whole / "index.json").write_text(json.dumps(index))
        subprocess.run(["tar", "-cf", self.path, "-C", whole, *os.listdir(whole)], check=True)


class _Save:
    """A tar as `docker save` writes it, from images of a layout: layers unpacked, each member in a place of its own."""

    def __init__(self, path):
        self.tar = tarfile.open(path, "w", format=tarfile.GNU_FORMAT)
        self.entries = []
        self.known = set()

    def file(self, name, content):
        if name in self.known:
            return
        self.known.add(name)
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self.tar.addfile(member, io.BytesIO(content))

    def link(self, name, target):
        member = tarfile.TarInfo(name)
        member.type, member.linkname = tarfile.SYMTYPE, target
        self.tar.addfile(member)

    def config(self, layout, tag):
        """The image's config as a member; its name, and diff_id and tar of each layer."""
        manifest, config = layout.config_of(tag)
        name = manifest["config"]["digest"].removeprefix("sha256:") + ".json"
        self.file(name, layout.blob(manifest["config"]).read_bytes())
        layers = []
        for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"]):
            layers.append((diff_id.removeprefix("sha256:"), gzip.decompress(layout.blob(layer).read_bytes())))
        return name, layers

    def entry(self, config, name, layers):
        self.entries.append({"Config": config, "RepoTags": [name], "Layers": layers})

    def finish(self):
        self.file("manifest.json", json.dumps(self.entries).encode())
        self.tar.close()


def save_as_docker(layout, path, names):
    """As Docker before 25: `<id>/layer.tar`. `names`: tag → NAME:TAG."""
    save = _Save(path)
    for tag, name in names.items():
        config, layers = save.config(layout, tag)
        members = []
        for diff_id, tar in layers:
            identity = hashlib.sha256(diff_id.encode()).hexdigest()
            save.file(f"{identity}/VERSION", b"1.0")
            save.file(f"{identity}/json", b"{}")
            save.file(f"{identity}/layer.tar", tar)
            members.append(f"{identity}/layer.tar")
        save.entry(config, name, members)
    save.finish()


def save_as_podman(layout, path, names):
    """As podman: `<diff_id>.tar`, and links to them from folders of the old form."""
    save = _Save(path)
    for tag, name in names.items():
        config, layers = save.config(layout, tag)
        for diff_id, tar in layers:
            save.file(f"{diff_id}.tar", tar)
            save.link(f"{tag}-{diff_id}/layer.tar", f"../{diff_id}.tar")
        # Through the links, which somebody may name, too.
        save.entry(config, name, [f"{tag}-{diff_id}/layer.tar" for diff_id, _ in layers])
    save.finish()


FORMS = {images.FORM: images for images in (Images, OciArchive, DockerArchive)}

"""Trains in OCI image layouts, as skopeo and umoci make and read them."""
import json
import os
import subprocess

from support import scratch

# Both need HOME and a folder for their own temporary files, and nothing else of ours.
def tool(home, *command):
    temporary = home / "tool-tmp"
    temporary.mkdir(exist_ok=True)
    done = subprocess.run([os.fsencode(word) for word in command], capture_output=True, timeout=120,
                          env={"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(temporary)})
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit {done.returncode}\n{done.stdout!r}\n{done.stderr!r}")
    return done.stdout


class Images:
    """An image layout and the trains in it."""

    def __init__(self, home, name="layout"):
        self.home = home
        self.path = home / name

    def name(self, tag="latest"):
        return f"oci:{self.path}:{tag}"

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
        tool(self.home, "umoci", "unpack", "--rootless", "--image", f"{self.path}:{tag}", bundle)
        return bundle / "rootfs" / "opt"

    def carry(self, name):
        """Base and train as skopeo takes them to another layout."""
        other = Images(self.home, name)
        for tag in ("base", "latest"):
            tool(self.home, "skopeo", "copy", "--insecure-policy", self.name(tag), other.name(tag))
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

    def pieces_in_layers(self, pieces):
        """Which plaintexts are in any blob, unpacked or as it lies there."""
        unpacked = scratch.fresh("layers")
        for blob in (self.path / "blobs" / "sha256").iterdir():
            layer = subprocess.run(["gzip", "-dc", blob], capture_output=True)
            (unpacked / blob.name).write_bytes(layer.stdout if layer.returncode == 0 else b"")
        found = scratch.find_pieces(unpacked, pieces) + scratch.find_pieces(self.path, pieces)
        scratch.remove(unpacked)
        return found

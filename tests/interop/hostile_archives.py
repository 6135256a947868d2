"""Archives and indices that lead one program to the train and another one to something else: `verify --master` refuses them."""
import hashlib
import json
import os
import tarfile
import unittest

from image_masters import CONFIG, ROOT, TrainOnMaster
from support.images import tool
from support.tars import member, tar_of

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
REF, CONTAINERD = "org.opencontainers.image.ref.name", "io.containerd.image.name"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def link(name, target, kind=tarfile.SYMTYPE):
    return member(name, type=kind, linkname=target)


class TwoImages(TrainOnMaster):
    """The train and, in the same layout, one with another interpreter."""

    def setUp(self):
        super().setUp()
        self.put()
        self.layout.write("evil", [tar_of(ROOT), tar_of([member("usr/bin/python3", b"another interpreter", mode=0o755)]), self.sealed], CONFIG)
        index = json.loads((self.layout.path / "index.json").read_text())["manifests"]
        self.entries = {entry["annotations"][REF]: {key: entry[key] for key in ("mediaType", "digest", "size")} for entry in index}
        self.configs = {image: self.layout.config_of(image)[0]["config"]["digest"].removeprefix("sha256:") for image in self.entries}
        self.files = {f"blobs/sha256/{blob.name}": blob.read_bytes() for blob in (self.layout.path / "blobs" / "sha256").iterdir()}
        self.files["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'

    def entry(self, image, **annotations):
        return {**self.entries[image], "annotations": annotations}

    @staticmethod
    def index(*entries):
        return json.dumps({"schemaVersion": 2, "manifests": list(entries)}).encode()

    def docker(self, image, *names):
        manifest, _ = self.layout.config_of(image)
        blob = lambda descriptor: "blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")
        return {"Config": blob(manifest["config"]), "RepoTags": names, "Layers": [blob(layer) for layer in manifest["layers"]]}

    def skopeo_config(self, name):
        """The digest of the config that skopeo, and podman with it, finds there."""
        return hashlib.sha256(tool(self.train.home, "skopeo", "inspect", "--insecure-policy", "--raw", "--config", name)).hexdigest()

    def verify_name(self, name):
        return self.station.run("verify", name, "--master", self.layout.name("base"))


class Archives(TwoImages):
    NAME = "train:latest"

    def write(self, *members, **files):
        archive = self.train.home / "hostile.tar"
        content = {**self.files, **{name.replace("_", "."): value for name, value in files.items()}}
        archive.write_bytes(tar_of([*(member(name, value) for name, value in content.items()), *members]))
        return archive

    def test_what_is_unpacked_over_a_list(self):
        """skopeo and podman unpack oci-archive:, Docker unpacks everything that it loads."""
        good, evil = (self.index(self.entry(image, **{REF: "latest"})) for image in ("latest", "evil"))
        archive = self.write(link("a", "."), member("a/index.json", evil), index_json=good)
        self.assertEqual(self.skopeo_config(f"oci-archive:{archive}:latest"), self.configs["evil"])
        self.assert_refused(self.verify_name(f"oci-archive:{archive}:latest"), "hostile_path")
        good, evil = (json.dumps([self.docker(image, self.NAME)]).encode() for image in ("latest", "evil"))
        for members in ([link("a", "."), member("a/manifest.json", evil)], [link("a", "b"), link("b", "."), member("a/manifest.json", evil)],
                        [member("blobs/x/manifest.json", evil), link("blobs/x", "../..")], [member("a/b", b""), link("a", ".", tarfile.LNKTYPE)]):
            with self.subTest(members=[info.name for info, _ in members]):
                archive = self.write(*members, manifest_json=good)
                self.assert_refused(self.verify_name(f"docker-archive:{archive}:{self.NAME}"), "hostile_path")

    def test_names_that_programs_complete(self):
        for other in ("index.docker.io/library/train:latest", "index.docker.io/train:latest", "library/train:latest", "train",
                      "localhost/train:latest", "docker.io/train:latest"):
            with self.subTest(other=other):
                archive = self.write(manifest_json=json.dumps([self.docker("latest", self.NAME), self.docker("evil", other)]).encode())
                self.assert_refused(self.verify_name(f"docker-archive:{archive}:{self.NAME}"), "store_failed")

    def test_two_lists(self):
        """podman loads by the one, Docker by the other."""
        listed = json.dumps([self.docker("latest", self.NAME)]).encode()
        cases = {"as another name in full": {CONTAINERD: "localhost/train:latest"}, "by the name of the layout": {REF: "localhost/train:latest"},
                 "without a tag": {REF: "train"}, "without a name": {}, "by another name": {REF: "other"},
                 "by two names": {CONTAINERD: "other:latest", REF: "train:latest"}}
        for name, annotations in cases.items():
            with self.subTest(evil=name):
                archive = self.write(index_json=self.index(self.entry("evil", **annotations)), manifest_json=listed)
                self.assert_refused(self.verify_name(f"docker-archive:{archive}:{self.NAME}"), "store_failed")
        for names in ((self.NAME,), ("registry.example/3/t-17:latest",)):
            both = json.dumps([self.docker("evil", *names), self.docker("latest", "other:x")]).encode()
            archive = self.write(index_json=self.index(self.entry("latest", **{REF: "latest"}), self.entry("evil", **{REF: "evil"})), manifest_json=both)
            self.assert_refused(self.verify_name(f"oci-archive:{archive}:latest"), "store_failed")
        for annotations in ({REF: "latest"}, {CONTAINERD: "docker.io/library/train:latest", REF: "latest"}, {REF: "localhost/train:latest"}):
            with self.subTest(same=annotations):
                archive = self.write(index_json=self.index(self.entry("latest", **annotations)), manifest_json=listed)
                self.assert_done(self.verify_name(f"docker-archive:{archive}:{self.NAME}"))

    def test_what_passes_is_what_skopeo_and_podman_find(self):
        archive = self.write(index_json=self.index(self.entry("latest", **{CONTAINERD: "docker.io/library/train:latest", REF: "latest"})),
                             manifest_json=json.dumps([self.docker("latest", self.NAME)]).encode())
        for name in (f"docker-archive:{archive}:{self.NAME}", f"oci-archive:{archive}:latest"):
            self.assert_done(self.verify_name(name))
        self.assertEqual(self.skopeo_config(f"oci-archive:{archive}:latest"), self.configs["latest"])


class Platforms(TwoImages):
    def nested(self, *entries):
        content = self.index(*entries)
        digest = hashlib.sha256(content).hexdigest()
        (self.layout.path / "blobs" / "sha256" / digest).write_bytes(content)
        (self.layout.path / "index.json").write_bytes(self.index(
            {"mediaType": INDEX, "digest": f"sha256:{digest}", "size": len(content), "annotations": {REF: "latest"}}, self.entry("base", **{REF: "base"})))

    def test_programs_choose_differently(self):
        platform = {"os": "linux", "architecture": MACHINE}
        others = {"without a platform": None, "a variant": {**platform, "variant": "v9"}, "spelt otherwise": {"os": "Linux", "architecture": MACHINE.upper()},
                  "no system": {"architecture": MACHINE}, "no architecture": {"os": "linux"},
                  "as the kernel calls it": {"os": "linux", "architecture": os.uname().machine}, "of no kind": {}}
        for name, other in others.items():
            for train in (platform, {**platform, "variant": "v2"}):
                with self.subTest(other=name, train=train):
                    self.nested({**self.entries["latest"], "platform": train}, {**self.entries["evil"], **({"platform": other} if other is not None else {})})
                    self.assert_refused(self.verify(), "store_failed")
        self.nested({**self.entries["latest"], "platform": {**platform, "variant": "v2"}}, self.entries["evil"])
        self.assertEqual(self.skopeo_config(self.layout.name()), self.configs["evil"])

    def test_what_is_for_another_machine_is_passed_over(self):
        self.nested({**self.entries["latest"], "platform": {"os": "linux", "architecture": MACHINE}},
                    {**self.entries["evil"], "platform": {"os": "linux", "architecture": "s390x"}},
                    {**self.entries["evil"], "platform": {"os": "windows", "architecture": MACHINE}},
                    {**self.entries["evil"], "platform": {"os": "unknown", "architecture": "unknown"}})
        self.assert_done(self.verify())
        self.assertEqual(self.skopeo_config(self.layout.name()), self.configs["latest"])


if __name__ == "__main__":
    unittest.main()

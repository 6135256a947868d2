"""What is around a train's files in its image: `verify --master`, and the masters in trust."""
import hashlib
import json
import tarfile
import unittest

from support import journey, liars, scratch
from support.case import TrainsealTest
from support.images import FORMS, Images
from support.tars import member, tar_of

CODE = {b"entrypoint.py": b"print('a train')\n", b"lib/tool.py": b"pass\n"}
LISTED = "/opt/pht_train/entrypoint.py"


ROOT = [member("usr", type=tarfile.DIRTYPE, mode=0o755), member("usr/bin", type=tarfile.DIRTYPE, mode=0o755),
        member("usr/bin/python3", b"an interpreter", mode=0o755),
        member("usr/bin/python", type=tarfile.SYMTYPE, linkname="python3"),
        member("usr/bin/run", type=tarfile.SYMTYPE, linkname="/opt/pht_results/run"),
        member("usr/bin/deep", type=tarfile.SYMTYPE, linkname="../results/run"), member("usr/results", type=tarfile.SYMTYPE, linkname="../opt/pht_results"),
        member("usr/bin/circle", type=tarfile.SYMTYPE, linkname="circle"),
        member("usr/bin/tool", type=tarfile.SYMTYPE, linkname="../../usr/./bin/python"),
        member("usr/bin/same", type=tarfile.LNKTYPE, linkname="usr/bin/python3", mode=0o755),
        member("srv/private", type=tarfile.DIRTYPE, mode=0o700), member("srv/private/key", b"a key"),
        member("etc/passwd", b"root:x:0:0\n"), member("dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("opt", type=tarfile.DIRTYPE, mode=0o755), member("opt/tool", b"kept"),
        member("opt/pht_train/stale", b"of the master's own train")]
CONFIG = {"Env": ["PATH=/usr/bin"], "Entrypoint": None, "Cmd": ["python3", LISTED], "WorkingDir": "/opt", "User": "",
          "Volumes": {"/data": {}}}

# Each change, and a piece of what is said of it.
CHANGED_FILES = {
    "content": (member("usr/bin/python3", b"another interpreter", mode=0o755), "/usr/bin/python3 has another content"),
    "mode": (member("usr/bin/python3", b"an interpreter", mode=0o4755), "/usr/bin/python3 has mode 4755 instead of 0755"),
    "owner": (member("etc/passwd", b"root:x:0:0\n", uid=1000), "/etc/passwd belongs to 1000:0 instead of 0:0"),
    "link": (member("usr/bin/python", type=tarfile.SYMTYPE, linkname="/tmp/python"), "/usr/bin/python leads to /tmp/python"),
    "kind": (member("usr/bin/python", b"an interpreter", mode=0o755), "/usr/bin/python is a file instead of a link"),
    "new": (member("usr/lib/python3/sitecustomize.py", b"import os"), "/usr/lib/python3/sitecustomize.py is not in the master"),
    "gone": (member("etc/.wh.passwd"), "/etc/passwd is missing"),
    "emptied": (member("usr/bin/.wh..wh..opq"), "/usr/bin/python is missing"),
    "beside the train": (member("opt/tool", b"changed"), "/opt/tool has another content"),
    "like the train": (member("opt/pht_train.py", b"import os"), "/opt/pht_train.py is not in the master"),
    "folder": (member("usr/bin", type=tarfile.DIRTYPE, mode=0o777), "/usr/bin has mode 0777 instead of 0755"),
    "capability": (member("usr/bin/python3", b"an interpreter", mode=0o755,
                          pax_headers={"SCHILY.xattr.security.capability": "\x01\x02"}), "other extended attributes"),
    "device": (member("dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=1), "/dev/null is another device"),
    "control characters": (member("usr/bin/\x1b[2J", b""), "\\x1b[2J is not in the master"),
}
SAME_FILES = {
    "nothing": member("usr/bin/.wh.never-there"),
    "written again": member("usr/bin/python3", b"an interpreter", mode=0o755, mtime=12345),
    "a link written as a file": member("usr/bin/same", b"an interpreter", mode=0o755),
    "twice": member("etc/passwd", b"root:x:0:0\n"),
    "the train's": member("opt/pht_train/more.py", b"of the train"),
}
CHANGED_SETTINGS = {
    "Env": {"Env": ["PATH=/usr/bin", "PYTHONSTARTUP=/tmp/x"]}, "Entrypoint": {"Entrypoint": ["/bin/sh", "-c"]}, "User": {"User": "1000"},
    "WorkingDir": {"WorkingDir": "/tmp"}, "Volumes": {"Volumes": {"/data": {}, "/opt/pht_results": {}}},
    "Healthcheck": {"Healthcheck": {"Test": ["CMD", "x"]}}, "Cmd": {"Cmd": ["sh", "-c", LISTED]},
}
# Commands that run more than listed files.
CHANGED_COMMANDS = [["python3", "/opt/pht_train/unlisted.py"], ["/opt/tool", LISTED], ["//opt/tool", LISTED], ["/usr/../opt/tool", LISTED], ["/opt", LISTED],
                    ["/usr/bin/", LISTED], ["pht_results/run.sh", LISTED], ["./tool", LISTED], [".", LISTED], ["", LISTED], ["-cimport os; os.system('evil')", LISTED],
                    ["sh -c evil", LISTED], ["/proc/self/root/opt/pht_results/run", LISTED],
                    ["/proc/self/cwd/pht_results/run", LISTED], ["/dev/fd/3", LISTED], ["/usr/bin/never-there", LISTED], ["/usr/bin", LISTED],
                    ["/usr/bin/run", LISTED], ["/usr/bin/deep", LISTED], ["/usr/bin/circle", LISTED], ["python3", "-i", LISTED], ["python3"], [LISTED, ""], ["python3", LISTED + "/"], ["python3", None], [], "python3 " + LISTED]
SAME_SETTINGS = [{"Cmd": ["/usr/bin/python3", LISTED]}, {"Cmd": ["python", LISTED]}, {"Cmd": ["/usr/bin/python", LISTED]}, {"Cmd": ["/usr/bin/tool", LISTED]}, {"Cmd": ["/usr/bin/same", LISTED]}, {"Cmd": [LISTED, "/opt/pht_train/lib/tool.py"]}, {"Entrypoint": []}, {"Healthcheck": None}]


class Layout(Images):
    """A layout whose images are written by hand."""

    def write(self, tag, layers, config, edit_config=None, edit_manifest=None, edit_index=None):
        """`layers`: tars. What edits is given the text of JSON, and returns another one."""
        blobs = self.path / "blobs" / "sha256"
        if not blobs.exists():
            blobs.mkdir(parents=True)
            (self.path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
            (self.path / "index.json").write_text('{"schemaVersion":2,"manifests":[]}')

        def blob(content, kind):
            digest = hashlib.sha256(content).hexdigest()
            (blobs / digest).write_bytes(content)
            return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

        described = [blob(layer, "layer.v1.tar") for layer in layers]
        whole = {"architecture": "amd64", "os": "linux", "config": config,
                 "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in described]}}
        same = lambda text: text
        manifest = {"schemaVersion": 2, "config": blob((edit_config or same)(json.dumps(whole)).encode(), "config.v1+json"), "layers": described}
        entry = blob((edit_manifest or same)(json.dumps(manifest)).encode(), "manifest.v1+json")
        entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
        index = json.loads((self.path / "index.json").read_text())
        index["manifests"] = [old for old in index["manifests"]
                              if old["annotations"]["org.opencontainers.image.ref.name"] != tag] + [entry]
        (self.path / "index.json").write_text((edit_index or same)(json.dumps(index)))
        return manifest["config"]["digest"]


class TrainOnMaster(TrainsealTest):
    """A train as a layer, and its master as the image below."""

    def setUp(self):
        self.train = journey.OwnTrain(self, journey.keys_of_sizes([2048, 2048]), CODE)
        self.train.build()
        self.layout = Layout(self.train.home, "layout")
        self.digest = self.layout.write("base", [tar_of(ROOT)], CONFIG)
        files = [path for path in sorted(self.train.train.rglob("*")) if path.is_file()]
        self.sealed = tar_of([member("opt/pht_train/.wh..wh..opq"),
                              *(member(f"opt/{path.relative_to(self.train.train)}", path.read_bytes()) for path in files)])
        self.station = self.train.station(0)

    def put(self, layers=(), config=None):
        self.layout.write("latest", [tar_of(ROOT), self.sealed, *layers], {**CONFIG, **(config or {})})

    def verify(self, master=None):
        return self.station.run("verify", self.layout.name(), "--master", (master or self.layout).name("base"))


class Masters(TrainOnMaster):
    def test_a_train_on_its_master(self):
        self.put()
        done = self.assert_done(self.verify())
        self.assertIn("with a train on it", " ".join(done.report["checked"]))
        self.assertNotIn("--master", " ".join(done.report["not_checked"]))
        alone = self.assert_done(self.station.run("verify", self.layout.name()))
        self.assertIn("--master", " ".join(alone.report["not_checked"]))

    def test_each_change_is_found_and_named(self):
        for name, (changed, said) in CHANGED_FILES.items():
            with self.subTest(changed=name):
                self.put([tar_of([changed], tarfile.PAX_FORMAT)])
                error = self.assert_refused(self.verify(), "base_mismatch")
                self.assertIn(said, error["message"])

    def test_each_setting_is_compared(self):
        for name, config in CHANGED_SETTINGS.items():
            with self.subTest(setting=name):
                self.put(config=config)
                self.assertIn(name.strip() + " is ", self.assert_refused(self.verify(), "base_mismatch")["message"])

    def test_commands_run_listed_files_only(self):
        for command in CHANGED_COMMANDS:
            with self.subTest(command=command):
                self.put(config={"Cmd": command})
                self.assertIn("Cmd is ", self.assert_refused(self.verify(), "base_mismatch")["message"])
        # An entry point gets every word, and could take the first for a program, or for code.
        entered = {**CONFIG, "Entrypoint": ["python3"], "Cmd": ["-V"]}
        self.layout.write("base", [tar_of(ROOT)], entered)
        for command, passes in {(LISTED,): True, (LISTED, "/opt/pht_train/lib/tool.py"): True, ("-V",): True, ("-V", LISTED): False, ("sh", LISTED): False}.items():
            with self.subTest(command=command):
                self.put(config={**entered, "Cmd": list(command)})
                self.assert_done(self.verify()) if passes else self.assert_refused(self.verify(), "base_mismatch")

    def test_what_means_the_same_passes(self):
        for name, same in SAME_FILES.items():
            with self.subTest(layer=name):
                self.put([tar_of([same, same] if name == "twice" else [same])])
                self.assert_done(self.verify())
        for config in SAME_SETTINGS:
            with self.subTest(config=config):
                self.put(config=config)
                self.assert_done(self.verify())

    def test_what_is_compared_is_what_was_verified(self):
        """A registry that moves the tag as soon as it was asked for."""
        liar = liars.LyingRegistry()
        self.addCleanup(liar.close)
        self.station.configure(**liar.settings)
        liar.put(self.layout, "base")
        layers, digests = {"clean": [], "changed": [tar_of([CHANGED_FILES["content"][0]])]}, {}
        for name, more in layers.items():
            self.put(more)
            liar.put(self.layout, "latest")
            digests[name] = liar.tags["latest"]

        for first, then in (("clean", "changed"), ("changed", "clean")):
            def move(handler, then=then):
                liar.answer(handler)
                liar.tags["latest"] = digests[then]
            with self.subTest(first=first):
                liar.tags["latest"] = digests[first]
                liar.lies = {"GET /v2/st/train/manifests/latest": move}
                outcome = self.station.run("verify", liar.name(), "--master", liar.name("base"))
                if first == "changed":
                    self.assert_refused(outcome, "base_mismatch")
                else:
                    self.assertEqual(self.assert_done(outcome).report["image"]["fixed_name"],
                                     f"{liar.address}/{liar.repository}@{digests[first]}")

    def test_many_changes_are_counted(self):
        self.put([tar_of(member(f"usr/lib/{number:03}", b"x") for number in range(200))])
        error = self.assert_refused(self.verify(), "base_mismatch")
        self.assertIn("200 things", error["message"])
        self.assertIn("and 188 more", error["message"])
        self.assertLess(len(error["message"]), 4000)

    def test_all_forms(self):
        self.put()
        for form, images in FORMS.items():
            for changed in (False, True):
                with self.subTest(form=form, changed=changed):
                    self.put([tar_of([CHANGED_FILES["content"][0]])] if changed else [])
                    archive = self.layout
                    if form != "oci":
                        archive = images(self.train.home, f"{form}-{changed}")
                        archive.take(self.layout, ("base", "latest"))
                    outcome = self.station.run("verify", archive.name(), "--master", archive.name("base"))
                    self.assert_refused(outcome, "base_mismatch") if changed else self.assert_done(outcome)

    def test_a_folder_has_no_master(self):
        self.assert_refused(self.station.run("verify", self.train.train, "--master", self.layout.name("base")), "usage")
        self.put()
        self.assert_refused(self.station.run("verify", self.layout.name(), "--master", self.train.train), "usage")

    def pre_run(self, name):
        return self.station.run("pre-run", self.layout.name(), "--out", self.train.home / name)

    def test_pre_run_says_that_nobody_has_looked(self):
        self.put([tar_of([CHANGED_FILES["content"][0]])])
        self.assertIn("not verified", " ".join(self.assert_done(self.pre_run("out")).report["warnings"]))

    def test_masters_in_trust_are_enforced_at_pre_run(self):
        self.put()
        self.station.trust({"masters": ["sha256:" + "0" * 64]})
        self.assertIn(self.digest, self.assert_refused(self.pre_run("none"), "base_mismatch")["message"])
        self.station.trust({"masters": ["sha256:" + "0" * 64, self.digest]})
        self.put([tar_of([CHANGED_FILES["new"][0]])])
        self.assertIn("sitecustomize.py", self.assert_refused(self.pre_run("changed"), "base_mismatch")["message"])
        self.assertEqual([path.name for path in self.train.home.glob("none*")] + [path.name for path in self.train.home.glob("changed*")], [])
        self.put()
        done = self.assert_done(self.pre_run("out"))
        self.assertNotIn("not verified", " ".join(done.report["warnings"]))
        self.assertIn("master", [step["name"] for step in done.report["steps"]])

    def test_masters_in_trust_are_enforced_where_the_record_is_lost(self):
        self.put()
        out = self.train.home / "out"
        self.assert_done(self.pre_run("out"))
        scratch.remove(self.station.state)
        post_run = ["post-run", self.layout.name(), "--results", out, "--without-record"]
        self.station.trust({"masters": ["sha256:" + "0" * 64]})
        before = scratch.snapshot(self.layout.path)
        self.assertIn(self.digest, self.assert_refused(self.station.run(*post_run), "base_mismatch")["message"])
        self.assertEqual(scratch.snapshot(self.layout.path), before)
        self.station.trust({})
        self.assertIn("not verified", " ".join(self.assert_done(self.station.run(*post_run)).report["warnings"]))


if __name__ == "__main__":
    unittest.main()

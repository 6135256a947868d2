"""Images that are decrypted in place, where the settings allow it: what the station runs, and what must not be left of it."""
import json
import os
import stat
import subprocess
import unittest

from support import journey, scratch
from support.case import TrainsealTest
from support.images import FORMS, tool

CODE = {b"entrypoint.py": b"#!/usr/bin/env python3\nprint('the train in plain text')\n"}
RESULT = b"results of the run, in plain text"
PLAIN = [CODE[b"entrypoint.py"], RESULT]


class InPlace:
    """What holds in each form; `FORM` says in which."""

    def setUp(self):
        self.train = journey.OwnTrain(self, journey.keys_of_sizes([2048, 2048]), CODE)
        self.assert_done(self.train.propose())
        self.images = FORMS[self.FORM](self.train.home).make_base()
        self.assert_done(self.train.builder().run("build", self.train.home / "proposal.json", "--files", self.train.files,
                                                  "--to", self.images.name()))
        self.station = self.train.station(0, in_place="warn")

    def release(self):
        done = self.assert_done(self.station.run("pre-run", self.images.name()))
        self.assertIsNone(done.report["out"])
        self.assertIn("plaintext", " ".join(done.report["warnings"]))
        opt = self.images.unpack(f"released-{self.fresh('n').name}")
        self.assert_same_contents(opt / "pht_train", self.train.files)
        self.assertEqual((opt / "tool").read_text(), "kept")
        return opt

    def run_and_rebuild(self, opt):
        """As the stations' workflow: what the run left is copied onto the base and becomes `latest`."""
        (opt / "pht_results").mkdir(exist_ok=True)
        (opt / "pht_results" / "out.txt").write_bytes(RESULT)
        (opt / "tool").unlink()
        if self.FORM == "oci":
            self.images.put(opt)
        else:
            self.images.take(self.images.inside(self.train.home, "rebuilt").put(opt), ("base", "latest"))

    def plain_diff_ids(self):
        lines = (self.station.state / "layers.jsonl").read_text().splitlines()[1:]
        return {"sha256:" + json.loads(line)["diff_id"] for line in lines if "diff_id" in json.loads(line)}

    def plaintext_warnings(self, command):
        warnings = self.assert_done(self.station.run(command, self.images.name())).report["warnings"]
        return " ".join(warning for warning in warnings if "plaintext" in warning)

    def check_clean(self):
        self.assertEqual(self.images.pieces_in_layers(PLAIN), [])
        for place in (self.station.state, self.station.home / "tmp"):
            self.assertEqual(scratch.find_pieces(place, PLAIN), [])
        diff_ids = set(self.images.config_of("latest")[1]["rootfs"]["diff_ids"])
        self.assertEqual(diff_ids & self.plain_diff_ids(), set())

    def check_sealed(self):
        opt = self.images.unpack("sealed")
        (opt / "tool").unlink()
        self.train.train = opt
        expected = self.train.home / "expected"
        expected.mkdir()
        (expected / "out.txt").write_bytes(RESULT)
        self.train.judge(1, expected)
        self.check_clean()

    def test_a_run_whose_image_the_station_rebuilds(self):
        self.run_and_rebuild(self.release())
        self.assertNotEqual(self.images.pieces_in_layers(PLAIN), [])
        done = self.assert_done(self.station.run("post-run", self.images.name()))
        self.assertEqual([warning for warning in done.report["warnings"] if "plaintext" in warning], [])
        self.check_sealed()

    @property
    def replaced(self):
        """The file that a command replaces as a whole."""
        return self.images.path / "index.json" if self.FORM == "oci" else self.images.path

    def owner_and_mode(self, path):
        status = os.stat(path)
        return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)

    def test_plaintext_is_for_the_owner_alone(self):
        owner = (1000, 1001) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
        for path in (self.images.path, self.replaced):
            os.chown(path, *owner)
        before = scratch.contents(self.images.place)
        self.assert_done(self.station.run("pre-run", self.images.name(), umask=0o077))
        plain = scratch.find_pieces(self.images.place, PLAIN)
        self.assertEqual({self.owner_and_mode(path) for path in plain}, {(*owner, 0o600)})
        self.assertEqual(self.owner_and_mode(self.replaced)[:2], owner)
        self.assert_done(self.station.run("discard", self.images.name(), umask=0o077))
        self.check_clean()
        if self.FORM == "oci":
            made = [name for name in scratch.contents(self.images.place) if name not in before]
            self.assertEqual({self.owner_and_mode(self.images.place / os.fsdecode(name)) for name in made}, {(*owner, 0o644)})
        self.assertEqual(self.owner_and_mode(self.replaced)[:2], owner)

    def test_what_is_replaced_keeps_its_mode(self):
        self.replaced.chmod(0o640)
        out = self.train.home / "out"
        self.assert_done(self.station.run("pre-run", self.images.name(), "--out", out))
        self.assert_done(self.station.run("post-run", self.images.name(), "--results", out, "--wipe"))
        self.assertEqual(self.owner_and_mode(self.replaced)[2], 0o640)

    def test_a_run_without_results(self):
        self.release()
        self.assert_done(self.station.run("post-run", self.images.name()))
        self.check_clean()

    def test_discarding(self):
        self.release()
        self.assertNotEqual(self.images.pieces_in_layers(PLAIN), [])
        self.assertTrue(self.assert_done(self.station.run("discard", self.images.name())).report["in_place"])
        self.check_clean()
        self.assert_refused(self.station.run("post-run", self.images.name()), "no_record")

    def test_a_train_that_was_fetched_again_stays(self):
        before = scratch.contents(self.images.place)
        copy = scratch.copy(self.images.place, self.train.home / "copy")
        self.release()
        for name in (["index.json", *(f"blobs/sha256/{blob.name}" for blob in (copy / "blobs" / "sha256").iterdir())]
                     if self.FORM == "oci" else [self.images.path.name]):
            scratch.copy(copy / name, self.images.place / name)
        done = self.assert_done(self.station.run("discard", self.images.name()))
        self.assertFalse(done.report["in_place"])
        self.assertIn("stays as it is", " ".join(done.report["warnings"]))
        self.assertEqual(scratch.contents(self.images.place), before)
        self.check_clean()
        self.assert_refused(self.station.run("discard", self.images.name()), "no_record")

    def test_a_run_that_is_sealed_elsewhere(self):
        """What lies at the origin is removed by `discard`, although the record is closed."""
        self.run_and_rebuild(self.release())
        self.assert_done(self.station.run("post-run", self.images.name(), "--to", f"oci:{self.train.home}/elsewhere"))
        self.assertNotEqual(self.images.pieces_in_layers(PLAIN), [])
        self.assertTrue(self.assert_done(self.station.run("discard", self.images.name())).report["in_place"])
        self.check_clean()
        self.assert_refused(self.station.run("discard", self.images.name()), "no_record")

    def test_releasing_twice_does_it_once(self):
        self.release()
        before = scratch.snapshot(self.images.place)
        self.assertTrue(self.assert_done(self.station.run("pre-run", self.images.name())).report["already_released"])
        self.assertEqual(scratch.snapshot(self.images.place), before)

    def test_a_config_that_the_run_changed(self):
        opt = self.release()
        (opt / "train_config.json").write_text((opt / "train_config.json").read_text() + " ")
        self.run_and_rebuild(opt)
        self.assert_refused(self.station.run("post-run", self.images.name()), "config_changed")


class Layouts(InPlace, TrainsealTest):
    FORM = "oci"

    def test_what_another_image_still_needs_is_reported(self):
        opt = self.release()
        tool(self.train.home, "umoci", "tag", "--image", f"{self.images.path}:latest", "mine")
        self.run_and_rebuild(opt)
        done = self.assert_done(self.station.run("post-run", self.images.name()))
        self.assertIn("holds the train's plaintext", " ".join(done.report["warnings"]))

    def test_a_base_with_a_layer_that_was_released(self):
        opt = self.release()
        tool(self.train.home, "umoci", "tag", "--image", f"{self.images.path}:latest", "base")
        self.run_and_rebuild(opt)
        before = self.images.config_of("latest")
        self.assert_refused(self.station.run("post-run", self.images.name()), "base_mismatch")
        self.assertEqual(self.images.config_of("latest"), before)


    def test_a_run_that_is_tagged_twice(self):
        self.run_and_rebuild(self.release())
        tool(self.train.home, "umoci", "tag", "--image", f"{self.images.path}:latest", "mine")
        told = self.plaintext_warnings("post-run")
        self.assertIn("stays in", told)
        tool(self.train.home, "umoci", "rm", "--image", f"{self.images.path}:mine")
        self.assertEqual(self.plaintext_warnings("post-run"), "")
        self.check_clean()


class Archives(InPlace):
    def put_beside(self, opt, rebuild):
        """The image, or what the run made of it, once more in the archive, under another name or without one."""
        raise NotImplementedError

    def test_another_image_with_plaintext_is_told_until_it_is_gone(self):
        for rebuild in (False, True):
            with self.subTest(rebuild=rebuild):
                self.setUp()
                opt = self.release()
                self.put_beside(opt, rebuild)
                for _ in range(2):
                    told = self.plaintext_warnings("post-run")
                    self.assertIn("take it out of the archive", told)
                self.assertNotEqual(self.images.pieces_in_layers(PLAIN), [])
                self.take_out()
                self.assertEqual(self.plaintext_warnings("post-run"), "")
                self.check_clean()
                self.assert_refused(self.station.run("discard", self.images.name()), "no_record")


class OciArchives(Archives, TrainsealTest):
    FORM = "oci-archive"

    def put_beside(self, opt, rebuild):
        if rebuild:
            self.run_and_rebuild(opt)
        whole = self.images.inside(self.train.home, f"whole-{self.fresh('n').name}")
        tool(self.train.home, "umoci", "tag", "--image", f"{whole.path}:latest", "mine")
        self.images.take(whole, ())

    def take_out(self):
        whole = self.images.inside(self.train.home, f"whole-{self.fresh('n').name}")
        tool(self.train.home, "umoci", "rm", "--image", f"{whole.path}:mine")
        tool(self.train.home, "umoci", "gc", "--layout", whole.path)
        self.images.take(whole, ())


class DockerArchives(Archives, TrainsealTest):
    FORM = "docker-archive"

    def change_entries(self, change):
        whole = self.images.inside(self.train.home, f"whole-{self.fresh('n').name}")
        manifest = whole.path / "manifest.json"
        entries = json.loads(manifest.read_text())
        change(entries)
        manifest.write_text(json.dumps(entries))
        (whole.path / "index.json").unlink(missing_ok=True)
        subprocess.run(["tar", "-cf", self.images.path, "-C", whole.path, *os.listdir(whole.path)], check=True)

    def put_beside(self, opt, rebuild):
        if rebuild:
            self.run_and_rebuild(opt)
        self.change_entries(lambda entries: entries.append(
            {**next(entry for entry in entries if entry["RepoTags"][0].endswith(":latest")), "RepoTags": None}))

    def take_out(self):
        def only_named(entries):
            entries[:] = [entry for entry in entries if entry["RepoTags"]]
        self.change_entries(only_named)
        layout = self.images.as_layout()
        self.images.take(layout, ("base", "latest"))


if __name__ == "__main__":
    unittest.main()

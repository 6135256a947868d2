"""Images that are decrypted in place, where the settings allow it: what the station runs, and what must not be left of it."""
import json
import os
import stat
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


class OciArchives(InPlace, TrainsealTest):
    FORM = "oci-archive"


class DockerArchives(InPlace, TrainsealTest):
    FORM = "docker-archive"


if __name__ == "__main__":
    unittest.main()

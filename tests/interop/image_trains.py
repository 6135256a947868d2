"""Trains in OCI image layouts: made and read back by skopeo and umoci, driven by trainseal, judged by the referee."""
import os
import subprocess
import unittest

from support import journey, scratch, vectors
from support.case import TrainsealTest
from support.images import Images
from support.party import PROGRAM

CODE = {b"entrypoint.py": b"#!/usr/bin/env python3\nprint('the train as it is')\n", b"lib/model.bin": bytes(range(256)) * 5}
QUERY = b'{"select": ["age of patients"]}'


class Journeys(TrainsealTest):
    def setUp(self):
        self.train = journey.OwnTrain(self, journey.keys_of_sizes([2048, 3072, 2048]), CODE, query=QUERY)
        self.images = Images(self.train.home).make_base()
        self.assert_done(self.train.propose())
        self.assert_done(self.train.builder().run("build", self.train.home / "proposal.json", "--files", self.train.files,
                                                  "--to", self.images.name()))
        self.check_image(0)

    def check_image(self, completed, results=None):
        """The image holds what the referee passes, on the base as it was, and is the base and one layer."""
        opt = self.images.unpack(f"unpacked-{completed}")
        self.assertEqual((opt / "tool").read_text(), "kept")
        self.assertFalse((opt / "pht_results" / "stale").exists())
        self.train.train = scratch.copy(opt, self.train.home / f"stage-{completed}")
        (self.train.train / "tool").unlink()
        self.train.judge(completed, results)
        self.train.earlier.append(self.train.train)
        manifest, config = self.images.config_of("latest")
        base_manifest, base_config = self.images.config_of("base")
        self.assertEqual(config["rootfs"]["diff_ids"][:-1], base_config["rootfs"]["diff_ids"])
        self.assertEqual(config["history"][:-1], base_config["history"])
        self.assertEqual(config["config"], base_config["config"])
        self.assertEqual([layer["digest"] for layer in manifest["layers"][:-1]], [layer["digest"] for layer in base_manifest["layers"]])

    def visit(self, index, results):
        """A turn with `--out`; returns the folder with the plaintext and how the results looked."""
        station, out = self.train.station(index), self.train.home / f"out-{index}"
        before = scratch.snapshot(self.images.path)
        self.assert_done(station.run("pre-run", self.images.name(), "--out", out))
        self.assertEqual(scratch.snapshot(self.images.path), before)
        self.assert_same_contents(out / "pht_train", self.train.files)
        scratch.remove(out / "pht_results")
        (out / "pht_results").mkdir()
        journey.write_files(out / "pht_results", results)
        expected = scratch.copy(out / "pht_results", self.train.home / f"results-{index}")
        outcome = self.assert_done(station.run("post-run", self.images.name(), "--results", out, "--wipe"))
        self.assertEqual(outcome.report["train"]["form"], "oci")
        self.assertFalse(out.exists())
        self.check_image(index + 1, expected)
        self.assertEqual(os.listdir(station.home / "tmp"), [])
        return station, expected

    def test_three_stations_and_skopeo_between_them(self):
        marked = []
        for index in range(3):
            text = b"results of stop %d, in plaintext" % index
            station, _ = self.visit(index, {b"b-1": b"1", b"b/10": text, b"run.sh": b"#!/bin/sh\n", b"empty": b""})
            marked += [text, CODE[b"entrypoint.py"], QUERY]
            self.assertEqual(self.images.pieces_in_layers(marked), [])
            self.assertEqual(scratch.find_pieces(station.state, marked), [])
            self.assertEqual([name for name in os.listdir(self.images.path) if name.startswith(".trainseal")], [])
            self.images = self.images.carry(f"carried-{index}")
        self.assertNotEqual(scratch.find_pieces(self.train.home / "results-2", marked), [])  # the search finds them where they are
        out = self.train.home / "opened"
        self.assert_done(self.train.creator().run("open", self.images.name(), "--out", out))
        self.assert_same_contents(out / "pht_results", self.train.home / "results-2")
        self.assert_same_contents(out / "pht_train", self.train.files)

    def test_looking_at_an_image(self):
        self.assert_done(self.train.station(0).run("verify", self.images.name()))
        self.assert_done(self.train.station(0).run("inspect", self.images.name()))

    def test_discarding(self):
        station, out = self.train.station(0), self.train.home / "out"
        before = scratch.snapshot(self.images.path)
        self.assert_done(station.run("pre-run", self.images.name(), "--out", out))
        self.assert_done(station.run("discard", self.images.name()))
        self.assertFalse(out.exists())
        self.assertEqual(scratch.snapshot(self.images.path), before)

    def test_not_in_place(self):
        before = scratch.snapshot(self.images.path)
        self.assert_hint(self.train.station(0).run("pre-run", self.images.name()), "denied", "--out")
        self.assertEqual(scratch.snapshot(self.images.path), before)

    def test_no_plaintext_into_a_layout(self):
        self.assert_refused(self.train.station(0).run("pre-run", self.images.name(), "--out", self.images.path / "out"), "usage")

    def test_the_base_is_pinned_at_pre_run(self):
        station, out = self.train.station(0), self.train.home / "out"
        self.assert_done(station.run("pre-run", self.images.name(), "--out", out))
        other = Images(self.train.home, "other")
        other.make_base()
        self.images.put(self.train.files, "base")
        before = scratch.snapshot(self.images.path)
        self.assert_refused(station.run("post-run", self.images.name(), "--results", out), "base_mismatch")
        self.assertEqual(scratch.snapshot(self.images.path), before)

    def test_the_base_is_no_train(self):
        self.assert_refused(self.train.station(0).run("pre-run", self.images.name("base"), "--out", self.train.home / "out"), "usage")

    def test_what_is_damaged_is_refused_and_left_alone(self):
        manifest, _ = self.images.config_of("latest")
        layer = self.images.blob(manifest["layers"][-1])
        whole = layer.read_bytes()
        damages = {"digest_mismatch": [whole[:-1], whole + b"x", whole[:700] + bytes([whole[700] ^ 1]) + whole[701:]],
                   "store_failed": [None]}
        for code, contents in damages.items():
            for content in contents:
                layer.unlink(missing_ok=True)
                if content is not None:
                    layer.write_bytes(content)
                before = scratch.snapshot(self.images.path)
                station = self.train.station(0)
                outcome = station.run("pre-run", self.images.name(), "--out", self.train.home / "out")
                self.assertIn(outcome.exit, (3, 6), str(outcome))
                self.assertEqual(scratch.snapshot(self.images.path), before)
                self.assertFalse((self.train.home / "out").exists())
                self.assertEqual(os.listdir(station.home / "tmp"), [])


class Memory(TrainsealTest):
    """A train streams through: a result that is larger than the memory that a command may have."""

    def test_of_large_results(self):
        size = int(os.environ.get("TRAINSEAL_RESULT_MIB", "200"))
        train = journey.OwnTrain(self, journey.keys_of_sizes([2048, 2048]), CODE)
        images = Images(train.home).make_base()
        self.assert_done(train.propose())
        self.assert_done(train.builder().run("build", train.home / "proposal.json", "--files", train.files, "--to", images.name()))
        first = train.station(0)
        self.peak(first, "pre-run", images.name(), "--out", train.home / "out")
        with open(train.home / "out" / "pht_results" / "large", "wb") as file:
            for _ in range(size):
                file.write(os.urandom(1 << 20))
        peaks = [self.peak(first, "post-run", images.name(), "--results", train.home / "out", "--wipe"),
                 self.peak(train.station(1), "pre-run", images.name(), "--out", train.home / "next")]
        print(f"{size} MiB of results: post-run and pre-run took {peaks} KiB at most")
        self.assertLess(max(peaks), 96 << 10)

    def peak(self, party, *arguments):
        """Runs the command; its largest resident set in KiB."""
        command = [PROGRAM, *map(str, arguments)]
        process = subprocess.Popen(command, env=party.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = process.stderr.read()
        process.stderr.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0, said)
        return usage.ru_maxrss


class ReferenceTrains(TrainsealTest):
    def test_every_stage_in_layers_of_umoci(self):
        for name in vectors.TRAIN_NAMES:
            train = vectors.train(name)
            for stop in train.stops:
                with self.subTest(train=name, stop=stop.index):
                    home = self.fresh("image")
                    images = Images(home).make_base().put(stop.received.opt)
                    self.assert_done(train.station(stop.station).run("pre-run", images.name(), "--out", home / "out"))
                    for part in ("pht_train", "pht_results"):
                        self.assert_same_contents(home / "out" / part, stop.released.opt / part)


if __name__ == "__main__":
    unittest.main()

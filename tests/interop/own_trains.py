"""Trains that we propose, build and drive ourselves, judged by the referee at each stage."""
import json
import os
import unittest

from support import journey, scratch
from support.case import TrainsealTest

CODE = {b"entrypoint.py": b"#!/usr/bin/env python3\nprint('train')\n", b"lib/model.bin": bytes(range(256)) * 5}
QUERY = b'{"select": ["age"]}'

ODD_NAMES = [
    "new\nline", "tab\tand\x01control", "emoji 🚂.bin", "\u202eright-to-left", "é.txt", "e\u0301.txt", "-rf", "--out", " ", "'\"$(x)`;&|*?",
    "back\\slash", "\x7f", "..x", "...", ".hidden", "n" * 255, "/".join(["deep"] * 40) + "/file", "A", "a/B", "a-b", "a.txt", "a0",
    "日本/語.bin", "train_config.json", "pht_results/x", "~/x", "C:\\x", "%00", "\u2028",
]


class Routes(TrainsealTest):
    def test_one_to_ten_stations_with_keys_of_every_size(self):
        sizes = [2048, 4096, 3072, 2048, 2048, 3072, 2048, 4096, 2048, 2048]
        for stops in range(1, 11):
            with self.subTest(stops=stops):
                train = journey.OwnTrain(self, journey.keys_of_sizes(sizes[:stops]), CODE, query=QUERY)
                train.build()
                for index in range(stops):
                    train.visit(index, {b"result.json": json.dumps({"n": index}).encode()}, out=index % 2 == 1)
                train.open()

    def test_each_size_of_key_alone(self):
        for bits in (2048, 3072, 4096):
            with self.subTest(bits=bits):
                train = journey.OwnTrain(self, journey.keys_of_sizes([bits, bits]), CODE)
                train.build()
                for index in range(2):
                    train.visit(index, {b"r": os.urandom(100 + index)})
                train.open()

    def test_stations_and_creators_of_any_id(self):
        ids = ["Tübingen", "北京 🚂", "007", str(10**30), "a\"b\\c\n", "1e5"]
        train = journey.OwnTrain(self, journey.keys_of_sizes([2048] * len(ids)), CODE, stations=ids, creator_id="0042")
        train.stations = ["Tübingen", "北京 🚂", "7", str(10**30), "a\"b\\c\n", "1e5"]
        train.build()
        for index in range(len(ids)):
            train.visit(index, {b"r": b"%d" % index})
        train.open()
        config = json.loads((train.train / "train_config.json").read_text())
        self.assertEqual([stop["station"] for stop in config["route"]], ["Tübingen", "北京 🚂", 7, 10**30, "a\"b\\c\n", "1e5"])
        self.assertEqual(config["creator"]["id"], 42)


class Contents(TrainsealTest):
    def travel(self, files, results, **options):
        """Two stops, the one in place, the other with `--out`."""
        train = journey.OwnTrain(self, journey.keys_of_sizes([2048, 2048]), files, **options)
        train.build()
        train.visit(0, results)
        train.visit(1, results, out=True)
        train.open()
        return train

    def test_without_query(self):
        train = self.travel(CODE, {b"r": b"x"})
        self.assertFalse((train.train / "pht_train" / "query.json").exists())

    def test_with_an_empty_query(self):
        self.travel(CODE, {b"r": b"x"}, query=b"")

    def test_without_results(self):
        self.travel(CODE, {})

    def test_results_that_vanish_and_come_back(self):
        train = journey.OwnTrain(self, journey.keys_of_sizes([2048] * 3), CODE)
        train.build()
        train.visit(0, {b"a": b"1", b"b/c": b"2"})
        train.visit(1, {})
        train.visit(2, {b"b": b"3"})
        train.open()

    def test_empty_files_and_folders(self):
        self.travel({b"a": b"", b"b": b"", b"c/d": b""}, {b"x": b"", b"y/z": b"", b"empty/deeper": None}, query=b"")

    def test_sizes_around_blocks_and_buffers(self):
        sizes = [0, 1, 15, 16, 17, 31, 32, 33, 4095, 4096, 4097, 65535, 65536, 65537, (1 << 20) - 1, 1 << 20, (1 << 20) + 1]
        files = {b"f%07d" % size: os.urandom(size) for size in sizes}
        self.travel(files, files)

    def test_names_of_any_text_among_the_listed_files(self):
        files = {name.encode(): os.urandom(20 + index) for index, name in enumerate(ODD_NAMES)}
        self.travel(files, {b"r": b"x"})

    def test_names_of_any_bytes_among_the_results(self):
        names = [name.encode() for name in ODD_NAMES]
        names += [b"\xff\xfe", b"\xc3", b"half \xf0\x9f", b"\xed\xa0\x80", b"folder\xff/in\xfeside", b"\x80" * 255]
        self.travel(CODE, {name: os.urandom(20 + index) for index, name in enumerate(names)})

    def test_the_order_of_the_list_is_the_creators(self):
        listed = ["z", "a", "m/n", "b"]
        files = {name.encode(): name.encode() * 30 for name in listed}
        self.travel(files, {b"r": b"x"}, listed=listed)
        self.travel(files, {b"r": b"x"}, listed=["./" + name for name in listed])

    def test_ten_thousand_small_files(self):
        files = {b"%02d/%04d" % (index % 20, index): b"%d" % index for index in range(10_000)}
        results = {b"%03d/r%d" % (index % 100, index): os.urandom(index % 50) for index in range(10_000)}
        train = journey.OwnTrain(self, journey.keys_of_sizes([2048, 2048]), files)
        train.build()
        train.visit(0, results, out=True)
        train.visit(1, results)
        train.open()

    def test_executable_files_stay_executable(self):
        train = journey.OwnTrain(self, journey.keys_of_sizes([2048]), {b"run.sh": b"#!/bin/sh\n", b"data": b"x" * 20})
        (train.files / "run.sh").chmod(0o6755)
        train.build()
        out = train.home / "out"
        self.assert_done(train.station(0).run("pre-run", train.train, "--out", out))
        self.assertEqual(scratch.modes(out / "pht_train"), {b"": 0o755, b"run.sh": 0o755, b"data": 0o644})


class Authoring(TrainsealTest):
    """What creator and builder are told when they err."""

    def proposal(self, **options):
        return journey.OwnTrain(self, journey.keys_of_sizes([2048]), dict(CODE), **options)

    def test_a_spec_that_does_not_fit_the_files(self):
        train = self.proposal(listed=["entrypoint.py"])
        self.assert_refused(train.propose(), "unlisted_file")
        self.assertFalse((train.home / "proposal.json").exists())

    def test_files_that_changed_between_proposal_and_building(self):
        train = self.proposal()
        self.assert_done(train.propose())
        (train.files / "entrypoint.py").write_bytes(b"evil")
        outcome = train.builder().run("build", train.home / "proposal.json", "--files", train.files, "--to", train.train)
        self.assert_refused(outcome, "digest_mismatch")
        self.assertFalse(train.train.exists())

    def test_a_proposal_that_somebody_changed(self):
        train = self.proposal()
        self.assert_done(train.propose())
        path = train.home / "proposal.json"
        proposal = json.loads(path.read_text())
        proposal["hash"] = "00" * 64
        path.write_text(json.dumps(proposal))
        outcome = train.builder().run("build", path, "--files", train.files, "--to", train.train)
        self.assert_refused(outcome, "signature_invalid")
        self.assertFalse(train.train.exists())

    def test_a_spec_with_what_nobody_knows(self):
        train = self.proposal()
        for change in ({"versoin": 1}, {"version": 2}, {"route": []}, {"files": "entrypoint.py"}):
            with self.subTest(change=change):
                original = dict(train.spec)
                train.spec |= change
                outcome = train.propose()
                self.assertIn(outcome.code, ("usage", "config_invalid"), str(outcome))
                train.spec = original
        self.assertFalse((train.home / "proposal.json").exists())

    def test_a_proposal_is_never_overwritten(self):
        train = self.proposal()
        (train.home / "proposal.json").write_text("mine")
        self.assert_refused(train.propose(), "store_failed")
        self.assertEqual((train.home / "proposal.json").read_text(), "mine")


if __name__ == "__main__":
    unittest.main()

"""A train's journey as an image, from place to place, judged by the referee at each stop."""
import gzip
import os
import zlib

from support import journey, scratch
from support.images import Images

CODE = {b"entrypoint.py": b"#!/usr/bin/env python3\nprint('the train as it is')\n", b"lib/model.bin": bytes(range(256)) * 5}
QUERY = b'{"select": ["age of patients"]}'


def results_of(index):
    """What the run at a stop leaves, and the piece of it that must not be seen afterwards."""
    text = b"results of stop %d, in plaintext" % index
    return {b"b-1": b"1", b"b/10": text, b"run.sh": b"#!/bin/sh\n", b"empty": b""}, text


def pieces_anywhere(folder, pieces):
    """The files below `folder` that hold a piece, as they are or unpacked."""
    found = scratch.find_pieces(folder, pieces)
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                if file.read(2) != b"\x1f\x8b":
                    continue
            try:
                with gzip.open(path) as file:
                    content = file.read()
            except (OSError, EOFError, zlib.error):
                continue
            if any(piece in content for piece in pieces):
                found.append(path)
    return found


class ImageJourney:
    """`test`: who asserts. A place (tests/support/servers.py) has `name(tag)`, `put(images, tag)`, `take(home, name)`,
    `environment`, `settings` and `home`, in which everything lies that it keeps."""

    def __init__(self, test, sizes):
        self.test = test
        self.train = journey.OwnTrain(test, journey.keys_of_sizes(sizes), CODE, query=QUERY)
        self.home = self.train.home
        self.marked = [CODE[b"entrypoint.py"], QUERY]
        self.stations = {}

    def party(self, party, place):
        party.env |= place.environment
        party.configure(**place.settings)
        return party

    def station(self, index, place):
        """The station of a stop, the same one at each call."""
        if index not in self.stations:
            self.stations[index] = self.train.station(index)
        return self.party(self.stations[index], place)

    def begin(self, place):
        """Base and train are made in `place`."""
        self.base = Images(self.home, "made").make_base()
        place.put(self.base, "base")
        self.test.assert_done(self.train.propose())
        self.test.assert_done(self.party(self.train.builder(), place).run(
            "build", self.home / "proposal.json", "--files", self.train.files, "--to", place.name()))
        self.check(place, 0)
        return self

    def look(self, place, completed, results, label):
        """The image there holds what the referee passes, on the base as it was, and is the base and one layer."""
        images = place.take(self.home, f"taken-{label}")
        opt = images.unpack(f"unpacked-{label}")
        self.test.assertEqual((opt / "tool").read_text(), "kept")
        self.test.assertEqual((opt / "pht_results" / "stale").exists(), (results or opt / "none").joinpath("stale").exists())
        self.train.train = scratch.copy(opt, self.home / f"stage-{label}")
        (self.train.train / "tool").unlink()
        self.train.judge(completed, results)
        config, base = images.config_of("latest")[1], self.base.config_of("base")[1]
        self.test.assertEqual(config["rootfs"]["diff_ids"][:-1], base["rootfs"]["diff_ids"])
        self.test.assertEqual(len(config["history"]), len(base["history"]) + 1)
        return self.train.train

    def check(self, place, completed, results=None):
        self.train.earlier.append(self.look(place, completed, results, completed))

    def release(self, place, index):
        """Pre-run; returns the folder with the plaintext."""
        out = self.home / f"out-{index}"
        self.test.assert_done(self.station(index, place).run("pre-run", place.name(), "--out", out))
        self.test.assert_same_contents(out / "pht_train", self.train.files)
        return out

    def run(self, index, out):
        """What the train's run leaves in `out`; returns a copy of it."""
        results, text = results_of(index)
        scratch.remove(out / "pht_results")
        (out / "pht_results").mkdir()
        journey.write_files(out / "pht_results", results)
        self.marked.append(text)
        return scratch.copy(out / "pht_results", self.home / f"results-{index}")

    def visit(self, place, index, to=None):
        """A stop's turn, sealed into `to` (else into `place`), with nothing left behind."""
        out = self.release(place, index)
        expected = self.run(index, out)
        station = self.station(index, place)
        if to is not None:
            self.party(station, to)
        outcome = self.test.assert_done(station.run("post-run", place.name(), "--results", out, "--wipe",
                                                    *(["--to", to.name()] if to is not None else [])))
        self.test.assertFalse(out.exists())
        self.check(to or place, index + 1, expected)
        for left in (station.state, (to or place).home, station.home / "tmp"):
            self.test.assertEqual(pieces_anywhere(left, self.marked), [])
        return outcome

    def open(self, place):
        last = len(self.train.keys) - 1
        out = self.home / "opened"
        self.test.assert_done(self.party(self.train.creator(), place).run("open", place.name(), "--out", out))
        self.test.assert_same_contents(out / "pht_results", self.home / f"results-{last}")
        self.test.assert_same_contents(out / "pht_train", self.train.files)

"""`trust add|remove|list`: the file that comes of it vouches for what it names, and for nothing else."""
import unittest

from support import vectors
from support.case import TrainsealTest


class TrustFile(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        cls.train = vectors.train("basic")
        cls.stop = cls.train.stops[1]

    def setUp(self):
        self.station = self.train.station(self.stop.station)
        self.station.configure(trust=str(self.station.home / "trust.json"))

    def trust(self, *arguments):
        return self.assert_done(self.station.run("trust", *arguments)).report

    def add_everybody(self):
        """What the train's own config says, word by word, each key from a file with its hex."""
        genuine = self.train.trust()
        for role in ("creator", "station"):
            for owner, key in genuine[role + "s"].items():
                self.trust("add", role, owner, self.key_file(key))
        self.trust("add", "builder", self.key_file(genuine["builders"][0]))
        for train, route in genuine["routes"].items():
            self.trust("add", "route", train, *route)

    def key_file(self, key):
        file = self.fresh("key") / "key"
        file.write_text(key + "\n")
        return file

    def entries(self, kind):
        return [(entry["who"], entry["value"]) for entry in self.trust("list")["entries"] if entry["kind"] == kind]

    def pre_run(self):
        return self.station.run("pre-run", self.stop.received.opt, "--out", self.fresh() / "out")

    def test_what_was_added_is_trusted_and_nothing_else(self):
        self.add_everybody()
        self.assertEqual([owner for owner, _ in self.entries("station")], sorted(self.train.trust()["stations"]))
        self.assertEqual(self.trust("list")["open"], [])
        self.assertEqual([warning for warning in self.assert_done(self.pre_run()).report["warnings"] if "trust" in warning], [])

    def test_what_was_removed_is_refused(self):
        genuine = self.train.trust()
        for removed in (("station", next(iter(genuine["stations"]))), ("creator", next(iter(genuine["creators"]))),
                        ("builder", self.key_file(genuine["builders"][0])), ("route", next(iter(genuine["routes"])))):
            with self.subTest(removed=removed[0]):
                self.setUp()
                self.add_everybody()
                self.trust("remove", *removed)
                self.assertEqual(self.entries(removed[0]), [] if removed[0] != "station" else self.entries("station"))
                self.assert_refused(self.pre_run(), "untrusted_key")

    def test_masters(self):
        digest = "sha256:" + "1b" * 32
        self.trust("add", "master", digest)
        self.trust("add", "master", digest)
        self.assertEqual(self.entries("master"), [("", digest)])
        self.trust("remove", "master", digest)
        self.assertEqual(self.entries("master"), [])
        self.assert_refused(self.station.run("trust", "remove", "master", digest), "usage")
        for wrong in ("sha256:12", "1b" * 32, "sha512:" + "1b" * 32, "sha256:" + "1B" * 32):
            self.assert_refused(self.station.run("trust", "add", "master", wrong), "usage")

    def test_a_key_that_is_none(self):
        self.assert_hint(self.station.run("trust", "add", "station", "5", "nowhere.pem"), "usage", "nowhere.pem", "its owner")
        self.assert_refused(self.station.run("trust", "add", "station", "5", self.key_file("no key")), "usage")
        self.assertFalse((self.station.home / "trust.json").exists())


if __name__ == "__main__":
    unittest.main()

"""Folders and files that an operator mixes up: nothing is signed that was not meant, and no plaintext lies where it could travel on."""
import unittest

from support import scratch, vectors
from support.case import TrainsealTest


class WrongFolders(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        cls.train = vectors.train("basic")
        cls.stop = cls.train.stops[1]

    def copy_of_train(self):
        return scratch.copy(self.stop.received.opt, self.fresh("train") / "opt")

    def released(self, station):
        """A train and the folder of its plaintext beside it."""
        folder = self.copy_of_train()
        self.assert_done(station.run("pre-run", folder, "--out", folder.parent / "out"))
        return folder, folder.parent / "out"

    def assert_not_sealed(self, station, folder, code, *options):
        before = scratch.snapshot(folder.parent)
        error = self.assert_refused(station.run("post-run", folder, *options), code)
        self.assertEqual(scratch.snapshot(folder.parent), before)
        self.assertNotIn("intent", (station.state / "replay.jsonl").read_text())
        return error

    def test_results_from_a_folder_that_holds_none(self):
        station = self.train.station(self.stop.station)
        folder, out = self.released(station)
        empty = folder.parent / "empty"
        empty.mkdir()
        for wrong in (out / "pht_results", out / "pht_train", empty, folder.parent):
            for options in ([], ["--wipe"]):
                with self.subTest(wrong=wrong.name, options=options):
                    error = self.assert_not_sealed(station, folder, "store_failed", "--results", wrong, *options)
                    self.assertIn("pht_results", error["message"])
        self.assert_done(station.run("post-run", folder, "--results", out, "--wipe"))

    def test_results_from_the_sealed_train_itself(self):
        station = self.train.station(self.stop.station)
        folder, _ = self.released(station)
        error = self.assert_not_sealed(station, folder, "store_failed", "--results", folder, "--wipe")
        self.assertIn("a train", error["message"])

    def test_results_whose_own_folder_the_run_removed(self):
        station = self.train.station(self.stop.station)
        folder, out = self.released(station)
        scratch.remove(out / "pht_results")
        self.assert_not_sealed(station, folder, "store_failed")

    def test_results_from_a_train_within_the_folder(self):
        station = self.train.station(self.stop.station)
        folder, out = self.released(station)
        scratch.remove(out / "pht_results")
        scratch.copy(self.stop.ran.opt, out / "opt")
        self.assert_not_sealed(station, folder, "store_failed", "--results", out)

    def test_the_results_of_another_train(self):
        station = self.train.station(self.stop.station)
        folder, out = self.released(station)
        _, other = self.released(station)
        error = self.assert_not_sealed(station, folder, "usage", "--results", other, "--wipe")
        self.assertIn(str(out), error["hint"])
        self.assertTrue(other.exists())

    def test_results_that_were_moved(self):
        station = self.train.station(self.stop.station)
        folder, out = self.released(station)
        moved = out.rename(folder.parent / "moved")
        outcome = self.assert_done(station.run("post-run", folder, "--results", moved, "--wipe"))
        self.assertIn(str(moved), " ".join(outcome.report["warnings"]))
        self.assertFalse(moved.exists())

    def test_a_wipe_that_is_refused_says_that_the_train_is_sealed(self):
        station = self.train.station(self.stop.station)
        folder, out = self.released(station)
        (out / "notes.txt").write_text("mine")
        error = self.assert_refused(station.run("post-run", folder, "--results", out, "--wipe"), "store_failed")
        self.assertIn("is signed and sealed", error["message"])
        self.assertIn("notes.txt", error["message"])
        self.assertTrue((out / "pht_train").exists())
        self.assert_passes(folder, completed=2, previous=[self.stop.received.opt], **self.train.judge_keys())

    def test_a_picture_replaces_nothing(self):
        station = self.train.station(self.stop.station)
        folder = self.copy_of_train()
        before = scratch.snapshot(folder.parent)
        self.assert_refused(station.run("inspect", folder, "--html", folder / "train_config.json"), "store_failed")
        self.assertEqual(scratch.snapshot(folder.parent), before)
        self.assert_done(station.run("inspect", folder, "--html", folder.parent / "journey.html"))
        self.assertIn("station_2", (folder.parent / "journey.html").read_text())

    def test_plaintext_inside_of_a_train(self):
        station = self.train.station(self.stop.station)
        folder = self.copy_of_train()
        link = folder.parent / "link"
        link.symlink_to(folder / "pht_results")
        before = scratch.snapshot(folder.parent)
        for inside in (folder / "out", folder / "pht_train" / "out", folder / "pht_results" / "out", link / "out"):
            with self.subTest(inside=inside):
                self.assert_refused(station.run("pre-run", folder, "--out", inside), "usage")
                self.assertEqual(scratch.snapshot(folder.parent), before)


if __name__ == "__main__":
    unittest.main()

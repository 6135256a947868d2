"""Commands that come twice, too early, or for another place than before: what was done is said, and nothing is done that was not meant."""
import unittest

from support import scratch, vectors
from support.case import TrainsealTest


class RerunTest(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        cls.train = vectors.train("basic")
        cls.stop = cls.train.stops[1]

    def setUp(self):
        self.station = self.train.station(self.stop.station)
        self.folder = scratch.copy(self.stop.received.opt, self.fresh("train") / "opt")
        self.out = self.folder.parent / "out"

    def pre_run(self, *options):
        return self.station.run("pre-run", self.folder, *options)

    def post_run(self, *options):
        return self.station.run("post-run", self.folder, *options)

    def run_train(self, plain):
        scratch.remove(plain / "pht_results")
        scratch.copy(self.stop.ran.pht_results, plain / "pht_results")

    def seal_elsewhere(self):
        """The train is sealed, and lies here as it came."""
        self.assert_done(self.pre_run("--out", self.out))
        self.run_train(self.out)
        self.assert_done(self.post_run("--results", self.out, "--wipe", "--to", self.folder.parent / "sealed"))

    @staticmethod
    def warnings(outcome):
        return " ".join(outcome.report["warnings"])


class PreRuns(RerunTest):
    def test_another_folder_than_before(self):
        self.assert_done(self.pre_run("--out", self.out))
        other = self.folder.parent / "other"
        for options in (["--out", other], []):
            with self.subTest(options=options):
                error = self.assert_refused(self.pre_run(*options), "usage")
                self.assertIn(str(self.out), error["message"])
                self.assertIn(f"trainseal discard {self.out}", error["hint"])
                self.assertFalse(other.exists())
        self.assertTrue(self.assert_done(self.pre_run("--out", self.out)).report["already_released"])

    def test_in_place_and_then_into_a_folder(self):
        self.assert_done(self.pre_run())
        self.assertIn("in place", self.assert_refused(self.pre_run("--out", self.out), "usage")["message"])
        self.assertFalse(self.out.exists())

    def test_a_record_is_replaced_only_by_a_release(self):
        self.assert_done(self.pre_run("--out", self.out))
        other = vectors.train("walkorder")
        stop = other.stop_of(self.stop.station)
        scratch.remove(self.folder)
        scratch.copy(stop.received.opt, self.folder)
        code = self.folder / "pht_train" / other.config()["file_list"][0]
        honest = code.read_bytes()
        code.write_bytes(bytes(len(honest)))
        station = other.station(stop.station, home=self.station.home)
        there = self.folder.parent / "there"
        self.assertNotIn("is replaced", self.warnings(station.run("pre-run", self.folder, "--out", there)))
        code.write_bytes(honest)
        self.assertIn("its record is replaced", self.warnings(self.assert_done(station.run("pre-run", self.folder, "--out", there))))

    def test_a_stop_that_has_signed_already(self):
        self.seal_elsewhere()
        sealed = self.assert_done(self.station.run("ledger", "list")).report["ledger"][-1]
        self.assertEqual(sealed["kind"], "committed")
        self.assertIn(sealed["time"], self.warnings(self.assert_done(self.pre_run("--out", self.out))))

    def test_a_train_that_was_discarded_in_place(self):
        self.assert_done(self.pre_run())
        self.assert_done(self.station.run("discard", self.folder))
        error = self.assert_refused(self.pre_run(), "decrypt_failed")
        self.assertIn("pht_train is empty", error["message"])
        self.assertIn("Fetch the train again", error["hint"])


class PostRuns(RerunTest):
    def test_results_that_nobody_has_changed(self):
        self.assert_done(self.pre_run("--out", self.out))
        outcome = self.assert_done(self.post_run("--results", self.out))
        self.assertIn("exactly those that the train came with", self.warnings(outcome))
        self.assertIs(outcome.report["results"]["unchanged"], True)

    def test_a_first_stop_without_results(self):
        self.stop = self.train.stops[0]
        self.setUp()
        self.assert_done(self.pre_run("--out", self.out))
        outcome = self.assert_done(self.post_run("--results", self.out))
        self.assertIn("there are no results", self.warnings(outcome))
        self.assertIs(outcome.report["results"]["unchanged"], True)

    def test_results_of_a_run(self):
        self.assert_done(self.pre_run("--out", self.out))
        self.run_train(self.out)
        outcome = self.assert_done(self.post_run("--results", self.out))
        self.assertNotIn("has not run", self.warnings(outcome))
        self.assertIs(outcome.report["results"]["unchanged"], False)

    def test_each_sealing_is_finished_in_the_ledger(self):
        self.seal_elsewhere()
        self.seal_elsewhere_again()
        kinds = [line["kind"] for line in self.assert_done(self.station.run("ledger", "list")).report["ledger"]]
        self.assertEqual(kinds, ["seen", "intent", "committed", "intent", "committed"])

    def seal_elsewhere_again(self):
        scratch.remove(self.folder.parent / "sealed")
        self.seal_elsewhere()


class Plaintext(RerunTest):
    """What says where plaintext lies, and deletes it."""

    def open_here(self):
        return [(train["state"], train["out"], train["command"]) for train in self.assert_done(self.station.run("state", "check")).report["open"]]

    def seal(self, *options):
        self.assert_done(self.pre_run("--out", self.out))
        self.run_train(self.out)
        return self.assert_done(self.post_run("--results", self.out, *options))

    def test_a_wrong_folder_to_wipe(self):
        self.seal()
        wrong = self.folder.parent / "wrong"
        outcome = self.assert_done(self.post_run("--results", wrong, "--wipe"))
        self.assertIs(outcome.report["wiped"], False)
        self.assertIn(f"deleted nothing: {wrong}", self.warnings(outcome))
        self.assertIn(f"trainseal discard {self.out}", self.warnings(outcome))

    def test_a_folder_outlives_its_record(self):
        self.assertIn(f"trainseal discard {self.out}", self.warnings(self.seal()))
        self.assertEqual(self.open_here(), [("plaintext", str(self.out), f"trainseal discard {self.out}")])
        self.assertEqual(self.assert_done(self.station.run("discard", self.out)).report["removed"], str(self.out))
        self.assertFalse(self.out.exists())
        self.assertEqual(self.open_here(), [])
        self.assert_refused(self.station.run("discard", self.out), "no_record")

    def test_the_folders_of_two_runs(self):
        other = self.folder.parent / "other"
        self.seal("--to", self.folder.parent / "sealed")
        self.assert_done(self.pre_run("--out", other))
        self.assertEqual([state for state, _, _ in self.open_here()], ["released", "plaintext"])
        outcome = self.assert_done(self.post_run("--results", self.out, "--wipe", "--to", self.folder.parent / "again"))
        self.assertFalse(self.out.exists())
        self.assertIn(f"trainseal discard {other}", self.warnings(outcome))
        self.assert_done(self.station.run("discard", other))
        self.assertFalse(other.exists())

    def test_a_folder_that_is_out_of_reach(self):
        self.seal()
        away = self.out.rename(self.folder.parent / "away")
        self.assertEqual(self.open_here(), [])
        away.rename(self.out)
        self.assertEqual([state for state, _, _ in self.open_here()], ["plaintext"])

    def test_a_folder_is_known_after_a_restore(self):
        self.seal()
        backup = self.station.home / "backup"
        self.assert_done(self.station.run("state", "export", backup))
        scratch.remove(self.station.state)
        self.assert_done(self.station.run("state", "import", backup))
        self.assert_done(self.station.run("discard", self.out))
        self.assertFalse(self.out.exists())

    def test_what_is_open_is_shown(self):
        self.assert_done(self.pre_run("--out", self.out))
        command = f"trainseal post-run folder:{self.folder} --results {self.out} --wipe"
        self.assertEqual(self.open_here(), [("released", str(self.out), command)])
        checks = self.station.run("doctor").report["checks"]
        self.assertIn(("train", f"`{command}`"), [(check["name"], check["hint"]) for check in checks])

    def test_looking_at_plaintext(self):
        for released in (False, True):
            with self.subTest(released=released):
                self.assertIs(self.assert_done(self.station.run("inspect", self.folder)).report["plaintext"], released)
                self.assertEqual("in plaintext" in self.warnings(self.assert_done(self.station.run("verify", self.folder))), released)
                self.assert_done(self.pre_run())


if __name__ == "__main__":
    unittest.main()

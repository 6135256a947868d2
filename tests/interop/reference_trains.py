"""Trains that the reference made, at every stage: what it sealed we release, what we seal the referee accepts."""
import json
import unittest

from support import scratch, vectors
from support.case import TrainsealTest
from support.party import Party


def every_stop():
    for name in vectors.TRAIN_NAMES:
        train = vectors.train(name)
        for stop in train.stops:
            yield train, stop


class ReferenceTrainTest(TrainsealTest):
    def copy_of(self, stage):
        """A copy of the stage's train, in a folder of its own."""
        return scratch.copy(stage.opt, self.fresh("train") / "opt")

    def assert_released(self, folder, stop, received=None):
        """The recorded plaintext, name for name and byte for byte, with the plain modes of what was sealed."""
        for part in ("pht_train", "pht_results"):
            self.assert_same_contents(folder / part, stop.released.opt / part)
            self.assertEqual(scratch.modes(folder / part), scratch.plain_modes((received or stop.received.opt) / part), part)

    def run_train(self, stop, results):
        """What the train's run did at the stop, as the reference recorded it."""
        scratch.remove(results)
        scratch.copy(stop.ran.pht_results, results)

    def assert_sealed(self, folder, train, stop):
        """All of the referee's checks, and symlinks as they were."""
        details = {**train.judge_keys(), "completed": stop.index + 1, "previous": [s.sealed.opt for s in train.stops[:stop.index]],
                   "plain_train": stop.released.pht_train, "plain_results": stop.ran.pht_results}
        if train.name == "links":
            said = self.assert_passes(folder, options=("--fresh-iv", "--allow-unlisted"), **details)
            self.assertIn("[warnings: pht_results/sym is not a regular file; file_list names tool.sh twice; pht_train has files"
                          " that file_list does not name: not_in_list.txt]", said)
        else:
            self.assert_passes(folder, **details)
        self.assertEqual({name: kind for name, (kind, _) in scratch.contents(folder / "pht_results").items()},
                         {name: kind for name, (kind, _) in scratch.contents(stop.ran.pht_results).items()})


class PreRun(ReferenceTrainTest):
    def test_out_releases_the_recorded_plaintext_and_leaves_the_train(self):
        for train, stop in every_stop():
            with self.subTest(train=train.name, stop=stop.index):
                folder = self.copy_of(stop.received)
                before = scratch.snapshot(folder)
                out = folder.parent / "out"
                outcome = self.assert_done(train.station(stop.station).run("pre-run", folder, "--out", out))
                self.assert_released(out, stop)
                self.assertEqual(out.stat().st_mode & 0o777, 0o700)
                self.assertEqual(scratch.snapshot(folder), before)
                self.assertEqual(outcome.report["stop"], {"index": stop.index, "of": len(train.stops)})
                self.assertEqual(outcome.report["out"], str(out))

    def test_in_place_puts_the_recorded_plaintext_where_the_train_is(self):
        for train, stop in every_stop():
            with self.subTest(train=train.name, stop=stop.index):
                folder = self.copy_of(stop.received)
                config = (folder / "train_config.json").read_bytes()
                self.assert_done(train.station(stop.station).run("pre-run", folder))
                self.assert_released(folder, stop)
                self.assertEqual((folder / "train_config.json").read_bytes(), config)
                self.assertEqual([path.name for path in folder.parent.iterdir()], ["opt"])

    def test_a_root_file_system_with_the_train_under_opt(self):
        stop = vectors.train("basic").stops[1]
        folder = self.copy_of(stop.received)
        out = folder.parent / "out"
        self.assert_done(vectors.train("basic").station(stop.station).run("pre-run", folder.parent, "--out", out))
        self.assert_released(out, stop)

    def test_every_earlier_stage_fits(self):
        for train, stop in every_stop():
            with self.subTest(train=train.name, stop=stop.index):
                earlier = [earlier.received.opt for earlier in train.stops[:stop.index]]
                options = [option for stage in earlier for option in ("--previous", stage)]
                station = train.station(stop.station)
                self.assert_done(station.run("pre-run", stop.received.opt, "--out", self.fresh() / "out", *options))

    def test_the_genuine_keys_as_trust_leave_nothing_to_warn_of(self):
        for train, stop in every_stop():
            with self.subTest(train=train.name, stop=stop.index):
                station = train.station(stop.station)
                station.trust(train.trust())
                outcome = self.assert_done(station.run("pre-run", stop.received.opt, "--out", self.fresh() / "out"))
                self.assertEqual([warning for warning in outcome.report["warnings"] if "trust" in warning], [])

    def test_a_second_time_says_so_and_changes_nothing(self):
        train = vectors.train("basic")
        stop = train.stops[1]
        for options in ([], ["--out", self.fresh() / "out"]):
            with self.subTest(options=options):
                folder = self.copy_of(stop.received)
                station = train.station(stop.station)
                self.assert_done(station.run("pre-run", folder, *options))
                before = scratch.snapshot(folder)
                again = self.assert_done(station.run("pre-run", folder, *options))
                self.assertIn("released already", " ".join(again.report["warnings"]))
                self.assertEqual(scratch.snapshot(folder), before)


class Settings(ReferenceTrainTest):
    """What the reference's trains do that ours refuses unless the operator allows it."""

    def assert_needs(self, name, code, **rules):
        """`rules`: the settings `train`, with which the train is refused."""
        train = vectors.train(name)
        stop = train.stops[1]
        folder = self.copy_of(stop.received)
        before = scratch.snapshot(folder)
        station = train.station(stop.station, train=rules)
        self.assert_refused(station.run("pre-run", folder), code)
        self.assertEqual(scratch.snapshot(folder), before)

    def test_a_session_id_that_is_not_64_bytes_long(self):
        self.assert_needs("five-mixed-rsa", "config_invalid")

    def test_a_file_listed_twice(self):
        self.assert_needs("links", "config_invalid", unlisted="keep", symlinks="keep")

    def test_an_unlisted_file(self):
        self.assert_needs("links", "unlisted_file", duplicate_listing="allow", symlinks="keep")

    def test_a_symlink_in_the_results(self):
        self.assert_needs("links", "symlink_refused", duplicate_listing="allow", unlisted="keep")

    def test_unlisted_files_are_dropped_where_the_settings_say_so(self):
        train = vectors.train("links")
        stop = train.stops[0]
        out = self.fresh() / "out"
        station = train.station(stop.station, train={**train.settings, "unlisted": "drop"})
        outcome = self.assert_done(station.run("pre-run", stop.received.opt, "--out", out))
        self.assertFalse((out / "pht_train" / "not_in_list.txt").exists())
        self.assertTrue((out / "pht_train" / "entrypoint.py").exists())
        self.assertIn("not_in_list.txt", " ".join(outcome.report["warnings"]))

    def test_a_station_id_is_compared_as_a_number_where_it_is_one(self):
        train = vectors.train("int-station")
        stop = train.stops[0]
        station = train.station(stop.station)
        station.configure(station=None)
        for id_text in ("7", "007", "+7", " 7 "):
            with self.subTest(id=id_text):
                self.assert_done(station.run("pre-run", self.copy_of(stop.received), "--out", self.fresh() / "out",
                                             "--station", id_text))


class PostRun(ReferenceTrainTest):
    def test_in_place_seals_the_recorded_run(self):
        for train, stop in every_stop():
            with self.subTest(train=train.name, stop=stop.index):
                folder = self.copy_of(stop.received)
                station = train.station(stop.station)
                self.assert_done(station.run("pre-run", folder))
                self.run_train(stop, folder / "pht_results")
                self.assert_done(station.run("post-run", folder))
                self.assert_sealed(folder, train, stop)
                self.assert_no_plaintext([folder.parent, station.home],
                                         scratch.pieces_of(stop.ran.pht_results, stop.released.pht_train))

    def test_results_from_the_folder_of_out(self):
        for train, stop in every_stop():
            with self.subTest(train=train.name, stop=stop.index):
                folder = self.copy_of(stop.received)
                out = folder.parent / "out"
                station = train.station(stop.station)
                self.assert_done(station.run("pre-run", folder, "--out", out))
                self.run_train(stop, out / "pht_results")
                self.assert_done(station.run("post-run", folder, "--results", out, "--wipe"))
                self.assertFalse(out.exists())
                self.assert_sealed(folder, train, stop)
                self.assert_no_plaintext([folder.parent, station.home],
                                         scratch.pieces_of(stop.ran.pht_results, stop.released.pht_train))

    def test_into_another_folder(self):
        for train, stop in every_stop():
            with self.subTest(train=train.name, stop=stop.index):
                folder = self.copy_of(stop.received)
                before = scratch.snapshot(folder)
                out, to = folder.parent / "out", folder.parent / "sealed"
                station = train.station(stop.station)
                self.assert_done(station.run("pre-run", folder, "--out", out))
                self.run_train(stop, out / "pht_results")
                outcome = self.assert_done(station.run("post-run", folder, "--results", out, "--to", to))
                self.assert_sealed(to, train, stop)
                self.assertEqual(scratch.snapshot(folder), before)
                self.assertIn(str(out), " ".join(outcome.report["warnings"]))
                self.assert_same_contents(out / "pht_results", stop.ran.pht_results)

    def test_without_a_record(self):
        for train, stop in every_stop():
            with self.subTest(train=train.name, stop=stop.index):
                folder = self.copy_of(stop.ran)
                station = train.station(stop.station)
                self.assert_refused(station.run("post-run", folder), "no_record")
                self.assert_same_contents(folder, stop.ran.opt)
                self.assert_done(station.run("post-run", folder, "--without-record"))
                self.assert_sealed(folder, train, stop)


class Journey(ReferenceTrainTest):
    def test_from_the_first_stop_to_the_creator(self):
        for name in vectors.TRAIN_NAMES:
            train = vectors.train(name)
            with self.subTest(train=name):
                folder = self.copy_of(train.stops[0].received)
                earlier = [train.stops[0].received.opt]
                for stop in train.stops:
                    station = train.station(stop.station)
                    self.assert_done(station.run("pre-run", folder))
                    self.assert_released(folder, stop, earlier[-1])
                    self.run_train(stop, folder / "pht_results")
                    self.assert_done(station.run("post-run", folder))
                    options = () if name != "links" else ("--fresh-iv", "--allow-unlisted")
                    self.assert_passes(folder, previous=earlier, plain_results=stop.ran.pht_results,
                                       plain_train=stop.released.pht_train, **train.judge_keys(),
                                       **({"options": options} if options else {}))
                    self.assert_done(station.run("verify", folder, *(o for stage in earlier for o in ("--previous", stage))))
                    earlier.append(scratch.copy(folder, self.fresh("earlier") / "opt"))
                opened = folder.parent / "opened"
                self.assert_done(train.creator().run("open", folder, "--out", opened))
                self.assert_same_contents(opened / "pht_results", train.stops[-1].ran.pht_results)
                self.assert_same_contents(opened / "pht_train", train.stops[-1].released.pht_train)


class Verify(ReferenceTrainTest):
    def test_every_stage_of_every_train(self):
        for name in vectors.TRAIN_NAMES:
            train = vectors.train(name)
            anybody = Party("anybody", train=train.settings)
            for stage in train.stages:
                with self.subTest(train=name, stage=stage.name):
                    before = scratch.snapshot(stage.opt)
                    outcome = self.assert_done(anybody.run("verify", stage.opt))
                    self.assertTrue(outcome.report["checked"])
                    self.assertTrue(outcome.report["not_checked"])
                    self.assertEqual(scratch.snapshot(stage.opt), before)


class Open(ReferenceTrainTest):
    def test_every_stage_that_a_stop_has_sealed(self):
        for train, stop in every_stop():
            with self.subTest(train=train.name, stop=stop.index):
                out = self.fresh() / "out"
                before = scratch.snapshot(stop.sealed.opt)
                self.assert_done(train.creator().run("open", stop.sealed.opt, "--out", out))
                self.assert_same_contents(out / "pht_results", stop.ran.pht_results)
                self.assert_same_contents(out / "pht_train", stop.released.pht_train)
                self.assertEqual(scratch.snapshot(stop.sealed.opt), before)

    def test_a_train_that_nobody_has_run(self):
        train = vectors.train("basic")
        out = self.fresh() / "out"
        self.assert_refused(train.creator().run("open", train.stage("stage-0-built").opt, "--out", out), "not_my_turn")
        self.assertFalse(out.exists())

    def test_somebody_else_than_the_creator(self):
        train = vectors.train("basic")
        out = self.fresh() / "out"
        builder = Party("builder", train.token("builder"))
        outcome = builder.run("open", train.stage("stage-3b-postrun").opt, "--out", out)
        self.assert_refused(outcome, "wrong_station_key")
        self.assertFalse(out.exists())


class WrittenForm(ReferenceTrainTest):
    def test_a_config_read_and_written_again_keeps_all_it_knew(self):
        """What post-run writes differs from what it read only where a stop's turn changes it."""
        for train, stop in every_stop():
            with self.subTest(train=train.name, stop=stop.index):
                folder = self.copy_of(stop.ran)
                before = json.loads((folder / "train_config.json").read_text())
                self.assert_done(train.station(stop.station).run("post-run", folder, "--without-record"))
                after = json.loads((folder / "train_config.json").read_text())
                theirs = json.loads((stop.sealed.opt / "train_config.json").read_text())
                for config in (after, theirs):
                    config["creator"].pop("encrypted_key")
                    for key in ("result_hash", "result_signature"):
                        config.pop(key)
                    for entry in config["route"]:
                        entry.pop("encrypted_key")
                        if entry["index"] == stop.index:
                            entry["signature"].pop("signature")
                self.assertEqual(after, theirs)
                self.assertEqual([entry.get("signature") for entry in before["route"] if entry["index"] < stop.index],
                                 [entry.get("signature") for entry in after["route"] if entry["index"] < stop.index])


if __name__ == "__main__":
    unittest.main()

"""Every tampered variant of a train: refused with the code that the order of checks gives, and nothing else happens."""
import json
import unittest

from support import forge, scratch, vectors
from support.case import TrainsealTest
from support.tampered_cases import ACCEPTED, REFUSED, REFUSED_WITH_PREVIOUS, REFUSED_WITH_TRUST, VERIFY


class TamperedTest(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        cls.cases = vectors.tampered()
        cls.basic = vectors.train("basic")
        cls.pieces = scratch.pieces_of(*(getattr(stop.ran, part) for stop in cls.basic.stops
                                         for part in ("pht_train", "pht_results")))

    def pre_run(self, case, *options, station=None, in_place=False):
        """Pre-run of a copy; whatever it says, a refusal must have changed nothing and shown nothing."""
        station = station or self.basic.station(case.verifier)
        folder = scratch.copy(case.opt, self.fresh("train") / "opt")
        before = scratch.snapshot(folder.parent)
        out = [] if in_place else ["--out", folder.parent / "out"]
        outcome = station.run("pre-run", folder, *out, *options)
        if outcome.exit != 0:
            self.assertEqual(scratch.snapshot(folder.parent), before)
            own = scratch.pieces_of(folder)  # what a case itself holds in plaintext
            self.assert_no_plaintext([folder.parent, station.home], self.pieces - own)
            for said in (outcome.stdout, outcome.stderr):
                self.assertFalse([piece for piece in self.pieces if piece in said])
        return outcome


class Refused(TamperedTest):
    def test_every_case_is_in_one_table(self):
        tables = [set(REFUSED), set(REFUSED_WITH_TRUST), set(REFUSED_WITH_PREVIOUS), set(ACCEPTED)]
        self.assertEqual(sum(map(len, tables)), len(self.cases))
        self.assertEqual(set.union(*tables), set(self.cases))

    def test_with_out(self):
        for name, code in REFUSED.items():
            with self.subTest(case=name):
                self.assert_refused(self.pre_run(self.cases[name]), code)

    def test_in_place(self):
        for name, code in REFUSED.items():
            with self.subTest(case=name):
                self.assert_refused(self.pre_run(self.cases[name], in_place=True), code)

    def test_verify_finds_what_needs_no_private_key(self):
        for name in REFUSED:
            with self.subTest(case=name):
                outcome = self.basic.station("station_3").run("verify", self.cases[name].opt)
                if VERIFY.get(name):
                    self.assert_refused(outcome, VERIFY[name])
                else:
                    self.assert_done(outcome)

    def test_the_message_of_a_failed_decryption_is_the_same_for_all_of_them(self):
        said = set()
        for name, code in REFUSED.items():
            if code == "decrypt_failed":
                outcome = self.pre_run(self.cases[name])
                report = json.loads(outcome.stdout)
                for step in report["steps"]:
                    if not step["ok"]:
                        self.assertNotIn("bytes", {key for key, value in step.items() if value is not None}, name)
                        self.assertNotIn("ms", {key for key, value in step.items() if value is not None}, name)
                steps = [(step["name"], step["ok"]) for step in report["steps"]]
                said.add(json.dumps([report["error"], steps], sort_keys=True))
        self.assertEqual(len(said), 1, said)

    def test_the_genuine_train_passes(self):
        """So that it is the tampering that is refused."""
        for case in self.cases.values():
            with self.subTest(case=case.name):
                out = self.fresh() / "out"
                self.assert_done(self.basic.station(case.verifier).run("pre-run", case.base.opt, "--out", out))
                self.assertTrue(scratch.find_pieces(out, self.pieces), "the search for plaintext finds none where it is")


class RefusedWithTrust(TamperedTest):
    def with_trust(self, name, sections=None):
        station = self.basic.station(self.cases[name].verifier)
        trust = self.basic.trust()
        station.trust({key: trust[key] for key in sections or trust})
        return station

    def test_a_forged_train_by_its_keys(self):
        for name, code in REFUSED_WITH_TRUST.items():
            with self.subTest(case=name):
                case = self.cases[name]
                self.assert_done(self.pre_run(case))
                for sections in (None, ["creators"], ["builders"]):
                    self.assert_refused(self.pre_run(case, station=self.with_trust(name, sections)), code)

    def test_statements_that_trust_demands_and_nobody_can_check(self):
        stop = self.basic.stops[1]
        for demanded, code in ((["station_1"], "statement_invalid"), (["station_2", "station_3"], None), ([], None)):
            with self.subTest(demanded=demanded):
                station = self.basic.station(stop.station)
                station.trust({"attest": demanded, "masters": ["sha256:" + "0" * 64]})
                outcome = station.run("verify", stop.received.opt)
                self.assertEqual(outcome.code, code, str(outcome))
                self.assertIn("masters", " ".join(outcome.report["warnings"]))

    def test_trust_does_not_change_what_else_is_refused(self):
        for name, code in REFUSED.items():
            with self.subTest(case=name):
                station = self.with_trust(name)
                # A stop cut out of the route makes it another route than the one that trust names.
                expected = "untrusted_key" if name == "stop-dropped" else code
                self.assert_refused(self.pre_run(self.cases[name], station=station), expected)

    def test_a_future_stop_that_somebody_added(self):
        basic = self.basic
        folder = scratch.copy(basic.stage("stage-1b-postrun").opt, self.fresh("train") / "opt")

        def add_stop(config):
            spy = json.loads(json.dumps(config["route"][2]))
            spy |= {"station": "spy", "index": 3, "rsa_public_key": config["creator"]["rsa_public_key"]}
            config["route"].append(spy)

        forge.edit_config(folder, add_stop)
        station = basic.station("station_2")
        report = self.assert_done(station.run("pre-run", folder, "--out", folder.parent / "out")).report
        self.assertIn("spy", " ".join(reader["who"] for reader in report["readers"]))
        for section in ("routes", "stations"):
            station = basic.station("station_2")
            station.trust({section: basic.trust()[section]})
            self.assert_refused(station.run("pre-run", folder, "--out", folder.parent / "out2"), "untrusted_key")

    def test_a_future_stop_whose_key_somebody_replaced(self):
        basic = self.basic
        folder = scratch.copy(basic.stage("stage-1b-postrun").opt, self.fresh("train") / "opt")
        forge.edit_config(folder, lambda config: config["route"][2].update(
            rsa_public_key=config["creator"]["rsa_public_key"]))
        station = basic.station("station_2")
        self.assert_done(station.run("pre-run", folder, "--out", folder.parent / "out"))
        station = basic.station("station_2")
        station.trust({"stations": basic.trust()["stations"]})
        self.assert_refused(station.run("pre-run", folder, "--out", folder.parent / "out2"), "untrusted_key")


class RefusedWithEarlierStages(TamperedTest):
    def previous(self, *names):
        return [option for name in names for option in ("--previous", self.basic.stage(name).opt)]

    def test_what_only_an_earlier_stage_shows(self):
        for name, code in REFUSED_WITH_PREVIOUS.items():
            with self.subTest(case=name):
                self.assert_done(self.pre_run(self.cases[name]))
                for stages in (["stage-0-built"], ["stage-1b-postrun"], ["stage-0-built", "stage-1b-postrun"]):
                    self.assert_refused(self.pre_run(self.cases[name], *self.previous(*stages)), code)

    def test_the_creators_id_shifted_into_the_first_file(self):
        stage = self.basic.stage("stage-2b-postrun")
        folder = scratch.copy(stage.opt, self.fresh("train") / "opt")
        first = folder / "pht_train" / "entrypoint.py"
        plain = forge.decrypt(stage.symmetric_key, first.read_bytes())
        first.write_bytes(forge.encrypt(stage.symmetric_key, b"1" + plain))
        forge.edit_config(folder, lambda config: config["creator"].update(id="creator-uuid-"))
        station = self.basic.station("station_3")
        self.assert_done(station.run("pre-run", folder, "--out", folder.parent / "out"))
        before = scratch.snapshot(folder)
        outcome = self.basic.station("station_3").run("pre-run", folder, "--out", folder.parent / "out2",
                                                      *self.previous("stage-1b-postrun"))
        self.assert_refused(outcome, "chain_invalid")
        self.assertEqual(scratch.snapshot(folder), before)

    def test_another_trains_stage_is_no_earlier_stage_of_this_one(self):
        other = vectors.train("edges").stage("stage-1b-postrun").opt
        case = self.cases["result-renamed"]
        self.assert_refused(self.pre_run(case, "--previous", other), "chain_invalid")

    def test_verify_compares_them_too(self):
        for name, code in REFUSED_WITH_PREVIOUS.items():
            station = self.basic.station("station_3")
            outcome = station.run("verify", self.cases[name].opt, *self.previous("stage-1b-postrun"))
            self.assert_refused(outcome, code)


class WhatTheFormatCannotShow(TamperedTest):
    """PROTOCOL §8. These pass; the documentation says so, and so does this test."""

    def test_bytes_moved_names_changed_and_empty_files_added_by_an_insider(self):
        for name in ACCEPTED:
            with self.subTest(case=name):
                station = self.basic.station(self.cases[name].verifier)
                station.trust(self.basic.trust())
                stages = [option for stage in ("stage-0-built", "stage-1b-postrun")
                          for option in ("--previous", self.basic.stage(stage).opt)]
                self.assert_done(self.pre_run(self.cases[name], *stages, station=station))

    def test_the_session_shifted_into_the_last_file_where_its_length_is_not_checked(self):
        case = self.cases["session-shift-at-start"]
        station = self.basic.station(case.verifier, train={"session_id_bytes": "any"})
        self.assert_done(self.pre_run(case, station=station))

    def test_another_stations_wrapped_key_broken(self):
        folder = scratch.copy(self.basic.stage("stage-1b-postrun").opt, self.fresh("train") / "opt")

        def break_key(config):
            key = bytearray.fromhex(config["route"][2]["encrypted_key"])
            key[20] ^= 1
            config["route"][2]["encrypted_key"] = key.hex()

        forge.edit_config(folder, break_key)
        self.assert_done(self.basic.station("station_2").run("pre-run", folder, "--out", folder.parent / "out"))


if __name__ == "__main__":
    unittest.main()

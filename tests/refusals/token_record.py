"""What the token is asked for, as a module in between writes it down."""
import json
import os
import unittest

from support import scratch, vectors
from support.case import TrainsealTest
from support.journey import write_files
from support.party import SOFTHSM, Party, Token
from support.tampered_cases import FOUND_WITHOUT_TOKEN, REFUSED

INTERPOSER = os.environ["TRAINSEAL_INTERPOSER"]
PRIVATE_VALUES = ["CKA_VALUE", "CKA_PRIVATE_EXPONENT", "CKA_PRIME_1", "CKA_PRIME_2", "CKA_EXPONENT_1", "CKA_EXPONENT_2",
                  "CKA_COEFFICIENT"]


class Call:
    """One line of the record: PID FUNCTION KEY=VALUE…"""

    def __init__(self, line):
        words = line.split()
        self.line = line
        self.function = words[1]
        self.values = dict(word.split("=", 1) for word in words[2:])

    def list(self, key):
        """A list of attributes: name → "yes", "no" or ""."""
        return dict((*entry.split(":"), "")[:2] for entry in self.values.get(key, "").split(",") if entry)


def through_interposer(party):
    """Lets the party's token be reached through the interposer; returns the file of its record."""
    record = party.home / "token-record"
    party.configure(token={"module": INTERPOSER})
    party.env |= {"TRAINSEAL_INTERPOSE_MODULE": SOFTHSM, "TRAINSEAL_INTERPOSE_LOG": str(record)}
    return record


def read(record):
    return [Call(line) for line in record.read_text().splitlines()] if record.exists() else []


class RefusedTrains(TrainsealTest):
    def test_the_token_is_not_used_for_a_train_that_fails_a_public_check(self):
        cases = vectors.tampered()
        for name in FOUND_WITHOUT_TOKEN:
            for in_place in (False, True):
                with self.subTest(case=name, in_place=in_place):
                    case = cases[name]
                    station = vectors.train("basic").station(case.verifier)
                    record = through_interposer(station)
                    folder = scratch.copy(case.opt, self.fresh("train") / "opt")
                    options = [] if in_place else ["--out", folder.parent / "out"]
                    self.assert_refused(station.run("pre-run", folder, *options), REFUSED[name])
                    self.assertEqual([call.line for call in read(record)], [])

    def test_a_train_that_trust_refuses(self):
        case = vectors.tampered()["creator-key-replaced"]
        station = vectors.train("basic").station(case.verifier)
        station.trust(vectors.train("basic").trust())
        record = through_interposer(station)
        self.assert_refused(station.run("pre-run", case.opt, "--out", self.fresh() / "out"), "untrusted_key")
        self.assertEqual([call.line for call in read(record)], [])

    def test_contents_that_do_not_decrypt_are_tried_once(self):
        case = vectors.tampered()["result-flip-body"]
        station = vectors.train("basic").station(case.verifier)
        self.assert_done(station.run("pre-run", case.base.opt, "--out", self.fresh() / "out"))  # the key's trial is over
        record = through_interposer(station)
        self.assert_refused(station.run("pre-run", case.opt, "--out", self.fresh() / "out"), "decrypt_failed")
        calls = [call.function for call in read(record)]
        self.assertNotIn("C_Sign", calls)
        self.assertEqual(calls.count("C_Login"), 1)

    def test_verify_and_inspect_need_no_token(self):
        station = vectors.train("basic").station("station_2")
        record = through_interposer(station)
        for command in ("verify", "inspect"):
            self.assert_done(station.run(command, vectors.train("basic").stage("stage-1b-postrun").opt))
        self.assertEqual(read(record), [])


class Journey(TrainsealTest):
    """Three stations, a creator and a builder, all keys made on their tokens, everything through the interposer."""

    @classmethod
    def setUpClass(cls):
        cls.home = scratch.fresh("journey")
        cls.records = {}
        parties = {}
        for name in ("creator", "builder", "1", "2", "3"):
            token = Token()
            party = Party(name, token, station=name if name.isdigit() else None, uris=[token.key_uri("pht")])
            cls.records[name] = through_interposer(party)
            cls.done(party, "key", "generate", "--token", token.uri, "--label", "pht", "--bits", "2048")
            parties[name] = party
        cls.travel(parties)

    @classmethod
    def done(cls, party, *arguments):
        outcome = party.run(*arguments)
        if outcome.exit != 0:
            raise AssertionError(str(outcome))
        return outcome

    @classmethod
    def travel(cls, parties):
        files, train = cls.home / "files", cls.home / "train"
        files.mkdir()
        write_files(files, {b"entrypoint.py": b"print('train')\n"})
        stations = [name for name in parties if name.isdigit()]
        for name in stations:
            parties[name].export_key(cls.home / f"{name}.pem")
        spec = cls.home / "spec.json"
        spec.write_text(json.dumps({
            "version": 1, "id": "t-1", "proposal_id": 1, "creator": {"id": 1}, "files": ["entrypoint.py"],
            "source": {"type": "docker_repository", "address": "registry.example/t-1"},
            "route": [{"station": name, "eco_system": "tue", "public_key": f"{name}.pem"} for name in stations]}))
        cls.done(parties["creator"], "propose", spec, "--files", files, "--out", cls.home / "proposal.json")
        cls.done(parties["builder"], "build", cls.home / "proposal.json", "--files", files, "--to", train)
        for name in stations:
            cls.done(parties[name], "pre-run", train)
            (train / "pht_results" / f"from-{name}").write_text(name)
            cls.done(parties[name], "post-run", train)
        cls.done(parties["creator"], "open", train, "--out", cls.home / "opened")

    def calls(self, name=None):
        return [call for owner, record in self.records.items() if name in (None, owner) for call in read(record)]

    def test_it_arrived(self):
        opened = self.home / "opened" / "pht_results"
        self.assertEqual({path.name: path.read_text() for path in opened.iterdir()}, {f"from-{n}": n for n in "123"})

    def test_private_keys_are_made_on_the_token_and_stay_there(self):
        for name in self.records:
            with self.subTest(party=name):
                made = [call for call in self.calls(name) if call.function == "C_GenerateKeyPair"]
                self.assertEqual([call.values["rv"] for call in made], ["CKR_OK"])
                private = made[0].list("private")
                self.assertEqual((private["CKA_SENSITIVE"], private["CKA_EXTRACTABLE"], private["CKA_TOKEN"]), ("yes", "no", "yes"))

    def test_attributes_of_new_keys_are_read_back(self):
        for name in self.records:
            calls = self.calls(name)
            made = next(index for index, call in enumerate(calls) if call.function == "C_GenerateKeyPair")
            asked = set().union(*(call.list("attributes") for call in calls[made:] if call.function == "C_GetAttributeValue"))
            self.assertLessEqual({"CKA_SENSITIVE", "CKA_EXTRACTABLE"}, asked, name)

    def test_no_private_value_is_ever_asked_for_or_brought_in(self):
        for call in self.calls():
            self.assertNotIn(call.function, ("C_CreateObject", "C_CopyObject", "C_WrapKey", "C_UnwrapKey", "C_DeriveKey",
                                             "C_SetAttributeValue"), call.line)
            if call.function == "C_GetAttributeValue":
                self.assertFalse(set(call.list("attributes")) & set(PRIVATE_VALUES), call.line)

    def test_a_stop_signs_its_results_and_its_route_digest_and_nothing_else(self):
        for name in "123":
            signed = [call for call in self.calls(name) if call.function == "C_Sign" and call.values["rv"] == "CKR_OK"]
            decrypted = [call for call in self.calls(name) if call.function == "C_Decrypt" and call.values["rv"] == "CKR_OK"]
            trial = 1  # the key's trial at its first use
            self.assertEqual((len(signed), len(decrypted)), (2 + trial, 1 + trial), [c.line for c in self.calls(name)])


if __name__ == "__main__":
    unittest.main()

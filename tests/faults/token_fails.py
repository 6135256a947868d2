"""Pre-run and post-run while the token's module fails, answers wrongly or dies at each function that they use: the train is done
right or refused cleanly. Argument: the token, softhsm (unwraps raw) or nss (unwraps natively)."""
import contextlib
import os
import sys
import unittest

from support import scratch, vectors
from support.case import TrainsealTest
from support.party import Party, Token
from tokens.nss import Nss

INTERPOSER = os.environ["TRAINSEAL_INTERPOSER"]
KINDS = {"softhsm": Token, "nss": Nss}
KIND = None  # set by the program's argument

STARTING = ["C_Initialize", "C_GetInfo", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo", "C_OpenSession", "C_Login",
            "C_GetSessionInfo", "C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal", "C_GetAttributeValue"]
UNWRAPPING = ["C_DecryptInit", "C_Decrypt"]
SIGNING = ["C_SignInit", "C_Sign"]
FAULTS = ["rv=CKR_GENERAL_ERROR", "rv=CKR_GENERAL_ERROR when=after", "rv=CKR_DEVICE_REMOVED nth=2", "rv=CKR_OK when=before",
          "do=flip", "do=flip nth=2", "do=abort"]
# A wrongly unwrapped key shows in what is decrypted with it.
CLEAN = {"decrypt_failed", "digest_mismatch", "wrong_station_key", "token_unavailable", "key_not_found", "key_ambiguous", "mechanism_refused",
         "token_failed", "pin_missing", "pin_incorrect", "pin_locked"}


def faults_of(functions):
    return [f"{function} {fault}" for function in functions for fault in FAULTS]


class FailingToken(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        cls.basic = vectors.train("basic")
        cls.stop = cls.basic.stops[1]
        cls.token = KIND()
        cls.uri = cls.token.import_key(cls.stop.key_file, "station")
        cls.plaintext = scratch.pieces_of(cls.stop.released.pht_train, cls.stop.released.pht_results)
        cls.new_results = scratch.pieces_of(cls.stop.ran.pht_results)

    @classmethod
    def tearDownClass(cls):
        if hasattr(cls.token, "stop"):
            cls.token.stop()

    def setUp(self):
        self.place = self.fresh("place")
        self.train = scratch.copy(self.stop.received.opt, self.place / "opt")
        self.out = self.place / "out"
        # Its state, the trials in it, are not kept from one fault to the next: each is to be met anew.
        self.station = Party("station", self.token, self.stop.station, uris=[self.uri], home=self.place / "station")

    def run_under(self, fault, *arguments):
        rules = self.place / "rules"
        rules.write_text(fault + "\n")
        env = {"TRAINSEAL_INTERPOSE_MODULE": self.token.settings["module"], "TRAINSEAL_INTERPOSE_RULES": str(rules)}
        self.station.configure(token={"module": INTERPOSER})
        try:
            return self.station.run(*arguments, env=env)
        finally:
            self.station.configure(token={"module": self.token.settings["module"]})

    @contextlib.contextmanager
    def anew(self, fault):
        with self.subTest(fault=fault):
            self.doCleanups()
            self.setUp()
            yield

    def assert_refused_cleanly(self, outcome):
        self.assertIn(outcome.code, CLEAN, str(outcome))
        self.assert_refused(outcome, outcome.code)

    def test_pre_run_releases_what_was_signed_or_nothing(self):
        done = 0
        for fault in faults_of(STARTING + UNWRAPPING):
            with self.anew(fault):
                done += self.pre_run_under(fault)
        self.assertGreater(done, 10, "hardly a fault was got over: are the rules read?")

    def pre_run_under(self, fault):
        """Whether the train was released."""
        outcome = self.run_under(fault, "pre-run", self.train, "--out", self.out)
        self.assertEqual(scratch.contents(self.train), scratch.contents(self.stop.received.opt))
        self.assert_no_plaintext([self.place], self.plaintext, leave_out=self.out)
        if outcome.exit != 0:
            self.assert_refused_cleanly(outcome)
            self.assertFalse(self.out.exists())
            return False
        self.assert_same_contents(self.out / "pht_train", self.stop.released.pht_train)
        self.assert_same_contents(self.out / "pht_results", self.stop.released.pht_results)
        return True

    def test_post_run_seals_what_verifies_or_changes_nothing(self):
        for fault in faults_of(UNWRAPPING + SIGNING):
            with self.anew(fault):
                self.post_run_under(fault)

    def post_run_under(self, fault):
        self.assert_done(self.station.run("pre-run", self.train, "--out", self.out))
        scratch.remove(self.out / "pht_results")
        scratch.copy(self.stop.ran.pht_results, self.out / "pht_results")
        outcome = self.run_under(fault, "post-run", self.train, "--results", self.out)
        if outcome.exit != 0:
            self.assert_refused_cleanly(outcome)
            self.assertEqual(scratch.contents(self.train), scratch.contents(self.stop.received.opt))
            self.assert_done(self.station.run("post-run", self.train, "--results", self.out))
        self.assert_passes(self.train, completed=2, previous=[self.stop.received.opt], plain_train=self.stop.released.pht_train,
                           plain_results=self.stop.ran.pht_results, **self.basic.judge_keys())
        self.assert_no_plaintext([self.place], self.plaintext | self.new_results, leave_out=self.out)


if __name__ == "__main__":
    KIND = KINDS[sys.argv.pop(1)]
    unittest.main()

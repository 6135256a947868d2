"""A PIN is sent no more often than a token can bear: by programs that start together, and where the answer is unclear. And a worker
that hangs does not outlive its user."""
import os
import select
import signal
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.case import TrainsealTest
from support.party import PROGRAM, Party
from tokens.nss import Nss
from tokens.softhsm import SoftHsm

INTERPOSER = os.environ["TRAINSEAL_INTERPOSER"]
TOGETHER = 8
SECONDS_UNTIL_IT_IS_GONE = 20  # a bound for a machine under load; it takes two


class Recorded(TrainsealTest):
    """A token behind the interposer, which notes each call."""
    kind = Nss

    def setUp(self):
        self.token = self.kind()
        self.addCleanup(self.token.stop)
        self.folder = self.fresh("log-in")
        self.rules, self.record = self.folder / "rules", self.folder / "record"
        self.party = Party("owner", self.token, uris=[])
        self.party.configure(token={"module": INTERPOSER})
        self.party.env |= {"TRAINSEAL_INTERPOSE_MODULE": self.token.settings["module"],
                           "TRAINSEAL_INTERPOSE_LOG": str(self.record), "TRAINSEAL_INTERPOSE_RULES": str(self.rules)}

    def rule(self, text):
        fresh = self.folder / "fresh"
        fresh.write_text(text + "\n")
        fresh.rename(self.rules)

    def log_ins(self, user=""):
        return sum(" C_Login " in line and user in line for line in self.record.read_text().splitlines())


class LogIn(Recorded):
    def use(self, *options):
        return self.party.run("key", "list", "--token", self.token.uri, *options)

    def test_programs_that_start_together_send_a_wrong_pin_once(self):
        self.rule("C_Login delay=100")
        wrong = self.folder / "wrong"
        wrong.write_text("00000000")
        wrong.chmod(0o600)
        with ThreadPoolExecutor(TOGETHER) as pool:
            outcomes = list(pool.map(lambda _: self.use("--pin-file", wrong), range(TOGETHER)))
        for outcome in outcomes:
            self.assert_refused(outcome, "pin_incorrect")
        self.assertEqual(self.log_ins(), 1)

    def test_an_unclear_answer_lets_the_pin_be_sent_once_more(self):
        self.rule("C_Login rv=CKR_GENERAL_ERROR")
        self.assertEqual([self.use().code for _ in range(4)],
                         ["token_failed", "token_failed", "pin_incorrect", "pin_incorrect"])
        self.assertEqual(self.log_ins(), 2)
        self.rule("")
        self.assert_done(self.party.run("token", "forget-failed-pin"))
        self.assert_done(self.use())

    def test_a_worker_that_hangs_ends_when_its_user_is_killed(self):
        self.rule("C_GetSlotInfo do=hang")
        user = subprocess.Popen([os.fsencode(PROGRAM), "token", "list"], env=self.party.env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not (self.record.exists() and b"C_GetSlotList" in self.record.read_bytes()):
                self.assertIsNone(user.poll())
            worker = int(Path(f"/proc/{user.pid}/task/{user.pid}/children").read_text(encoding="ascii").split()[0])
            watched = os.pidfd_open(worker)
            self.addCleanup(os.close, watched)
        finally:
            user.kill()
            user.wait()
        ended = select.poll()
        ended.register(watched, select.POLLIN)
        gone = ended.poll(SECONDS_UNTIL_IT_IS_GONE * 1000)
        if not gone:
            os.kill(worker, signal.SIGKILL)
        self.assertTrue(gone, "the worker is still there")


class LogInForEachUse(Recorded):
    kind = SoftHsm  # it keeps to CKA_ALWAYS_AUTHENTICATE

    def setUp(self):
        super().setUp()
        self.rule("C_GenerateKeyPair add=CKA_ALWAYS_AUTHENTICATE")
        self.key = self.assert_done(
            self.party.run("key", "generate", "--token", self.token.uri, "--label", "pin-at-each-use")).report["key"]["uri"]

    def use(self):
        return self.party.run("token", "probe", "--key", self.key)

    def test_a_pin_that_is_refused_at_a_use_is_not_sent_by_later_programs(self):
        self.rule("C_Login user=CKU_CONTEXT_SPECIFIC rv=CKR_PIN_INCORRECT")
        self.record.unlink()
        first, second = self.use(), self.use()
        self.assert_refused(first, "pin_incorrect")
        self.assertIn("forget-failed-pin", first.report["error"]["hint"])
        self.assert_refused(second, "pin_incorrect")
        self.assertEqual(self.log_ins("CKU_CONTEXT_SPECIFIC"), 1)
        self.assertEqual(self.log_ins(), 2)
        self.rule("")
        self.assert_done(self.party.run("token", "forget-failed-pin"))
        self.assert_done(self.use())


if __name__ == "__main__":
    unittest.main()

"""Tokens that are not at hand, imitated by the interposer's rules (tests/interposer/imitations): each makes a journey or says
why it cannot. Argument: the imitation's name."""
import json
import os
import sys
import unittest
from dataclasses import dataclass
from pathlib import Path

from support.case import TrainsealTest
from support.journey import OwnTrain
from support.party import Party, Token
from tokens.nss import Nss

INTERPOSER = os.environ["TRAINSEAL_INTERPOSER"]
RULES = Path(__file__).parent.parent / "interposer" / "imitations"
CODE = {b"entrypoint.py": b"print('train')\n", b"deep/er/data.txt": bytes(range(256)) * 300}


@dataclass(frozen=True)
class Imitation:
    """What stands behind the rules, and what has to come of it: `unwrap` and `sign` by native or raw, or the refused mechanism."""
    base: type
    unwrap: str = "native"
    sign: str = "native"
    refused: str = None


IMITATIONS = {
    "no-raw": Imitation(Nss),
    "salt-of-hash-length": Imitation(Nss, sign="raw"),
    "salt-of-hash-length-no-raw": Imitation(Nss, refused="CKM_RSA_PKCS_PSS"),
    "salt-ignored": Imitation(Nss, unwrap="raw", sign="raw"),
    "no-oaep-sha2": Imitation(Nss, unwrap="raw"),
    "pin-at-each-use": Imitation(Token, unwrap="raw"),
    "pin-pad": Imitation(Token, unwrap="raw"),
    "four-sessions": Imitation(Nss),
    "locks-after-three": Imitation(Nss),
}
NAME = None  # set by the program's argument


class ImitatedKey:
    """A key of the imitated token, as `OwnTrain` takes it."""
    file = None

    def __init__(self, token, uri):
        self.token, self.uri = token, uri

    def party(self, name, station=None, **settings):
        return Party(name, self.token, station, uris=[self.uri], **settings)


class ImitationTest(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        cls.imitation = IMITATIONS[NAME]
        cls.token = cls.imitation.base()
        cls.record = cls.token.folder / "record"
        cls.token.environment = {**cls.token.environment, "TRAINSEAL_INTERPOSE_MODULE": cls.token.settings["module"],
                                 "TRAINSEAL_INTERPOSE_RULES": str(RULES / f"{NAME}.rules"),
                                 "TRAINSEAL_INTERPOSE_LOG": str(cls.record)}
        cls.token.settings = {**cls.token.settings, "module": INTERPOSER}

    def generated(self, label):
        return ImitatedKey(self.token, self.token.generate_key(label))

    def calls(self, *words):
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        return [line for line in lines if all(word in line for word in words)]


class Journey(ImitationTest):
    def test_three_stations(self):
        keys = [self.generated(f"station-{number}") for number in range(3)]
        train = OwnTrain(self, keys, CODE, creator_key=self.generated("creator"), builder_key=self.generated("builder"))
        if self.imitation.refused:
            return self.check_verdict(train)
        train.build()
        for index in range(3):
            report = train.visit(index, {b"result": f"of {index}".encode()}, out=index == 1).report
            self.assertEqual(report["token"]["sign"], self.imitation.sign)
        train.open()
        report = self.probe(keys[0])
        self.assertIs(report["can_run_trains"], True)
        self.assertEqual(report["operations"]["unwrap"]["outcome"], self.imitation.unwrap)
        self.assertEqual(report["operations"]["sign_protocol"]["outcome"], self.imitation.sign)
        return None

    def probe(self, key):
        return self.assert_done(key.party("prober").run("token", "probe")).report

    def check_verdict(self, train):
        outcome = train.keys[0].party("prober").run("token", "probe")
        self.assertEqual(outcome.code, "mechanism_refused", str(outcome))
        self.assertIn(self.imitation.refused, json.dumps(outcome.report), str(outcome))
        self.assertIn(b"CKR_MECHANISM_PARAM_INVALID", outcome.stdout, str(outcome))


class PinAtEachUse(ImitationTest):
    def test_each_use_logs_in_once(self):
        if NAME != "pin-at-each-use":
            self.skipTest("another imitation")
        key = self.generated("each-use")
        self.assert_done(key.party("prober").run("token", "probe"))
        used = self.calls(" C_Sign ", "rv=CKR_OK") + self.calls(" C_Decrypt ", "rv=CKR_OK")
        self.assertEqual(len(self.calls("user=CKU_CONTEXT_SPECIFIC", "rv=CKR_OK")), len(used))
        self.assertGreaterEqual(len(used), 4)


class PinPad(ImitationTest):
    def test_no_pin_is_looked_for(self):
        """The keys above were made and used without one; where a PIN file is configured, it is not even read."""
        if NAME != "pin-pad":
            self.skipTest("another imitation")
        owner = self.generated("at-the-pad").party("owner")
        owner.configure(token={"pin_file": str(owner.home / "not-there")})
        self.assert_done(owner.run("token", "probe"))
        self.assertEqual(len(self.calls(" C_Login ", "rv=CKR_PIN_INCORRECT")), 0)


class Lock(ImitationTest):
    """Three wrong PINs: the program uses up two, and only ever what it was given."""

    def test_it_is_never_the_program_that_locks_the_token(self):
        if NAME != "locks-after-three":
            self.skipTest("another imitation")
        key = self.generated("locked")
        owner = key.party("owner")
        wrong = owner.home / "wrong"
        for attempt, said_again in (("1111", "pin_incorrect"), ("2222", "pin_locked")):
            wrong.write_text(attempt)
            wrong.chmod(0o600)
            self.assert_refused(owner.run("token", "probe", "--pin-file", wrong), "pin_incorrect")
            self.assert_refused(owner.run("token", "probe", "--pin-file", wrong), said_again)  # without another try
        self.assertEqual(len(self.calls(" C_Login ", "rv=CKR_PIN_INCORRECT")), 2)
        sent = len(self.calls(" C_Login "))
        self.assert_refused(owner.run("token", "probe"), "pin_locked")  # the right one, but the last try
        self.assertEqual(len(self.calls(" C_Login ")), sent)
        self.fail_by_hand()
        self.assert_refused(owner.run("token", "probe"), "pin_locked")
        self.assertEqual(len(self.calls(" C_Login ", "rv=CKR_PIN_INCORRECT")), 3)
        self.assertEqual(len(self.calls(" C_Login ")), sent + 1)

    def fail_by_hand(self):
        """Somebody else's wrong log-in, as the record would have it."""
        with open(self.record, "a", encoding="ascii") as record:
            record.write("1 C_Login session=1 user=CKU_USER rv=CKR_PIN_INCORRECT\n")


if __name__ == "__main__":
    NAME = sys.argv.pop(1)
    unittest.main()

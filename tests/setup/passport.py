"""`token probe`: the verdict first, and what was measured beside what the token claims."""
import subprocess
import sys
import unittest

from support.case import TrainsealTest
from support.party import PIN, SOFTHSM, Party, Token


# Takes CKA_SIGN from the only private key, by Cryptoki itself.
TAKE_SIGN_AWAY = """
import ctypes, sys
Number = ctypes.c_ulong
class Attribute(ctypes.Structure):
    _fields_ = [("type", Number), ("value", ctypes.c_void_p), ("size", Number)]
p11 = ctypes.CDLL(sys.argv[1])
def call(function, *arguments):
    answer = getattr(p11, function)(*arguments)
    if answer != 0:
        sys.exit(f"{function}: {answer:#x}")
slots, count, session, key = (Number * 8)(), Number(8), Number(), Number()
private, no = Number(3), ctypes.c_ubyte(0)
wanted = Attribute(0, ctypes.addressof(private), 8)
change = Attribute(0x108, ctypes.addressof(no), 1)
call("C_Initialize", None)
call("C_GetSlotList", ctypes.c_ubyte(1), slots, ctypes.byref(count))
call("C_OpenSession", Number(slots[0]), Number(6), None, None, ctypes.byref(session))
call("C_Login", session, Number(1), sys.argv[2].encode(), Number(len(sys.argv[2])))
call("C_FindObjectsInit", session, ctypes.byref(wanted), Number(1))
call("C_FindObjects", session, ctypes.byref(key), Number(1), ctypes.byref(count))
call("C_FindObjectsFinal", session)
call("C_SetAttributeValue", session, key, ctypes.byref(change), Number(1))
call("C_Finalize", None)
"""


def key_that_only_decrypts(token):
    """A key that unwraps and may not sign; trainseal makes none such."""
    token.generate_key("half")
    subprocess.run([sys.executable, "-c", TAKE_SIGN_AWAY, SOFTHSM, PIN], env=token.environment, check=True)


class Passport(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        cls.token = Token()
        cls.token.generate_key("station")
        cls.outcome = Party("station", cls.token).run("token", "probe")

    def test_says_what_was_measured(self):
        report = self.assert_done(self.outcome).report
        self.assertIs(report["can_run_trains"], True)
        self.assertEqual({name: entry["outcome"] for name, entry in report["operations"].items()},
                         {"unwrap": "raw", "sign_protocol": "native", "sign_statement": "native", "sign_pkcs1": "native"})
        self.assertIn("CKM_RSA_PKCS_OAEP", report["operations"]["unwrap"]["reason"])
        self.assertEqual([(salt["bytes"], salt["outcome"]) for salt in report["salts"]], [(190, "native"), (64, "native")])
        self.assertGreater(report["rates"]["unwrap"], 0)
        self.assertGreater(report["rates"]["sign_protocol"], 0)

    def test_says_what_protects_the_key(self):
        attributes = self.outcome.report["attributes"]
        expected = {"bits": 2048, "sensitive": True, "extractable": False, "always_sensitive": True, "never_extractable": True,
                    "local": True, "always_authenticate": False, "may_decrypt": True, "may_sign": True}
        self.assertEqual({name: attributes[name] for name in expected}, expected)

    def test_says_what_the_token_is(self):
        probed = self.outcome.report["probed"]
        self.assertEqual((probed["label"], probed["module"]), ("pht", SOFTHSM))
        for version in ("hardware", "firmware", "library_version"):
            self.assertRegex(probed[version], r"^\d+\.\d+$")
        self.assertEqual((probed["pin"]["least_bytes"], probed["pin"]["most_bytes"]), (4, 255))
        self.assertIs(probed["pin"]["locked"], False)
        self.assertEqual(probed["sessions"], {"open": None, "most": 0})

    def test_shows_claims_beside_what_was_measured(self):
        mechanisms = {entry["mechanism"]: entry for entry in self.outcome.report["mechanisms"]}
        oaep = mechanisms["CKM_RSA_PKCS_OAEP"]
        self.assertIs(oaep["claimed"]["decrypts"], True)
        self.assertEqual(oaep["measured"], "with SHA-512 does not work")
        self.assertIs(mechanisms["CKM_RSA_PKCS_KEY_PAIR_GEN"]["claimed"]["generates"], True)

    def test_begins_with_the_verdict(self):
        outcome = Party("station", self.token).run("token", "probe", "--no-rates", json_report=False)
        self.assertEqual(outcome.exit, 0, str(outcome))
        lines = outcome.stdout.decode().splitlines()
        self.assertTrue(lines[0].startswith("This token and key can run PHT trains, because "), lines[0])
        self.assertIn("Rates were not measured.", lines)

    def test_of_a_key_that_cannot_run_trains(self):
        token = Token()
        key_that_only_decrypts(token)
        station = Party("station", token)
        outcome = station.run("token", "probe")
        self.assert_refused(outcome, "mechanism_refused")
        self.assertIs(outcome.report["can_run_trains"], False)
        self.assertIn("cannot sign", outcome.report["verdict"])
        self.assertIn("CKR_KEY_FUNCTION_NOT_PERMITTED", outcome.report["verdict"])
        self.assertEqual(outcome.report["operations"]["unwrap"]["outcome"], "raw")
        self.assertEqual(outcome.report["rates"], {"unwrap": None, "sign_protocol": None})
        doctor = station.run("doctor")
        self.assertEqual(doctor.code, "mechanism_refused", str(doctor))
        self.assertIn("cannot run PHT trains", doctor.report["error"]["message"])


if __name__ == "__main__":
    unittest.main()

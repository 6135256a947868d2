"""What tests of the program assert."""
import os
import unittest

from support import judge, scratch

# CONTRACT "Output": which exit status belongs to which error code, and whether to try again.
EXITS = {
    1: ["internal"],
    2: ["usage", "settings_invalid"],
    3: ["config_invalid", "not_on_route", "not_my_turn", "wrong_station_key", "untrusted_key", "signature_invalid",
        "chain_invalid", "session_reused", "decrypt_failed", "digest_mismatch", "config_changed", "unlisted_file",
        "symlink_refused", "hostile_path", "base_mismatch", "statement_invalid", "results_unstable"],
    4: ["token_unavailable", "key_not_found", "key_ambiguous", "mechanism_refused", "token_failed"],
    5: ["pin_missing", "pin_incorrect", "pin_locked"],
    6: ["store_failed", "state_failed", "engine_failed", "registry_failed", "no_space", "busy"],
    7: ["denied", "already_signed", "no_record", "not_confirmed", "restored_state"],
    8: ["service_unavailable", "timeout"],
}
EXIT_OF = {code: status for status, codes in EXITS.items() for code in codes}
RETRY_OF_EXIT = {1: "after-operator", 2: "never", 3: "never", 4: "after-operator", 5: "after-operator", 6: "later",
                 7: "after-operator", 8: "later"}
RETRY_OF = {code: RETRY_OF_EXIT[status] for code, status in EXIT_OF.items()} | {
    "results_unstable": "later", "token_unavailable": "later"}

# For what looks at the process itself: a sanitizer's runtime has memory and descriptors of its own in it.
unless_sanitized = unittest.skipIf(os.environ.get("TRAINSEAL_SANITIZE"), "the program is built with a sanitizer")


class TrainsealTest(unittest.TestCase):
    maxDiff = 4000

    def fresh(self, name="case"):
        """A scratch folder that is removed when the test ends."""
        folder = scratch.fresh(name)
        self.addCleanup(scratch.remove, folder)
        return folder

    def assert_done(self, outcome):
        self.assertEqual(outcome.exit, 0, str(outcome))
        self.assertIs(outcome.report.get("ok"), True, str(outcome))
        return outcome

    def assert_refused(self, outcome, code):
        """The error `code`, with its exit status, whether to try again, a message and a hint."""
        self.assertEqual(outcome.code, code, str(outcome))
        self.assertEqual(outcome.exit, EXIT_OF[code], str(outcome))
        self.assertIs(outcome.report["ok"], False, str(outcome))
        error = outcome.report["error"]
        self.assertEqual(error["retry"], RETRY_OF[code], str(outcome))
        self.assertTrue(error["message"], str(outcome))
        self.assertTrue(error["hint"], str(outcome))
        return error

    def assert_hint(self, outcome, code, *words):
        """The error with a hint (or message) that has all of `words`."""
        error = self.assert_refused(outcome, code)
        for word in words:
            self.assertIn(word, error["message"] + "\n" + error["hint"])
        return error

    def assert_same_contents(self, folder, expected):
        self.assertEqual(scratch.contents(folder), scratch.contents(expected))

    def assert_no_plaintext(self, folders, pieces, leave_out=None):
        for folder in folders:
            self.assertEqual(scratch.find_pieces(folder, pieces, leave_out), [], f"plaintext below {folder}")

    def assert_passes(self, train, **details):
        said = judge.verdict(train, **details)
        self.assertTrue(said.startswith("PASS"), said)
        return said

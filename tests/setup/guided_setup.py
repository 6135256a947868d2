"""`setup`: asks for what is missing, at a terminal only; by flags it asks nothing. Whoever stops it has changed nothing."""
import json
import stat
import unittest

from support import scratch
from support.case import EXIT_OF, TrainsealTest
from support.dialogue import Dialogue
from support.party import PIN, SOFTHSM, Party, Token, environment, run


class SetupTest(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        cls.token = Token()
        cls.token.generate_key("first")
        cls.token.generate_key("second")

    def setUp(self):
        self.home = self.fresh("home")
        self.settings_file = self.home / "conf" / "settings.json"
        self.trust_file = self.home / "conf" / "trust.json"
        self.env = {**environment(self.home), "TRAINSEAL_SETTINGS": str(self.settings_file),
                    "TRAINSEAL_STATE": str(self.home / "state"), **self.token.environment}

    @property
    def settings(self):
        return json.loads(self.settings_file.read_text())

    def run_setup(self, *flags, env=None):
        return run(["setup", *flags], {**self.env, **(env or {})})

    def dialogue(self, *flags):
        started = Dialogue(["setup", *flags], self.env)
        self.addCleanup(started.close)
        return started

    def assert_nothing_changed(self):
        # Modules make hidden folders of their own as soon as they are loaded.
        self.assertEqual([path.name for path in self.home.iterdir() if not path.name.startswith(".")], ["tmp"])

    def assert_works(self, *options):
        self.assert_done(run(["doctor", *options], self.env))


class Questions(SetupTest):
    def to_pin(self, *flags):
        """A dialogue up to the question for the PIN's source, everything before it taken as proposed."""
        dialogue = self.dialogue("--module", SOFTHSM, *flags)
        dialogue.answer("Which token?", "1")
        return dialogue

    def to_key(self, *flags):
        dialogue = self.to_pin(*flags)
        dialogue.answer("1 or 2", "1")
        dialogue.answer("PIN of the token", PIN)
        dialogue.answer("This station's id", "7")
        return dialogue

    def finish(self, dialogue):
        dialogue.answer("The trust file (", "")
        said = dialogue.answer("Go on")
        self.assertEqual(dialogue.end(), 0, dialogue.said)
        return said

    def test_a_whole_setup(self):
        dialogue = self.dialogue()
        said = dialogue.answer("Which module?", SOFTHSM)
        self.assertIn("1 token: pht", said)
        self.assertIn("NOT for real trains", said)
        self.assertIn('"pht"', dialogue.answer("Which token?", "1"))
        self.assertIn("whoever can read the file", dialogue.answer("1 or 2", "1"))
        dialogue.answer("PIN of the token", PIN)
        dialogue.answer("This station's id", "007")
        said = dialogue.answer("Which key?", "1")
        self.assertIn('"first"', said)
        self.assertIn('"second"', said)
        said = self.finish(dialogue)
        self.assertIn("can run PHT trains", said)
        self.assertNotIn(PIN, dialogue.said)
        self.assertIn("key export --format hex", dialogue.said)
        self.assertIn("All is well.", dialogue.said)
        self.assertEqual(self.settings["station"], "7")
        self.assertEqual(self.settings["token"]["module"], SOFTHSM)
        self.assertEqual(len(self.settings["token"]["keys"]), 1)
        self.assertNotIn("pin_file", self.settings["token"])
        self.assertEqual(self.settings["trust"], str(self.trust_file))
        self.assertEqual(stat.S_IMODE(self.settings_file.stat().st_mode), 0o644)
        self.assertEqual(stat.S_IMODE(self.trust_file.stat().st_mode), 0o644)
        self.assertNotIn(PIN, self.settings_file.read_text())
        self.assert_works("--pin-file", self.token.pin_file)

    def test_the_module_is_asked_again_until_it_has_a_token(self):
        broken = self.home / "broken.so"
        broken.write_text("not a library")
        dialogue = self.dialogue()
        dialogue.answer("Which module?", "99")
        dialogue.expect("neither one of the numbers nor a path")
        dialogue.answer("Which module?", str(broken))
        dialogue.expect("broken.so")
        dialogue.answer("Which module?", SOFTHSM)
        dialogue.answer("Which token?", "0")
        dialogue.expect("none of the numbers")
        dialogue.answer("Which token?", "1")
        dialogue.expect("1 or 2")

    def test_a_pin_file(self):
        dialogue = self.to_pin()
        dialogue.answer("1 or 2", "file")
        dialogue.expect("Please answer 1 or 2")
        dialogue.answer("1 or 2", "2")
        dialogue.answer("The PIN file", str(self.home / "nowhere"))
        dialogue.expect("Setup writes no PIN")
        dialogue.answer("The PIN file", str(self.token.pin_file))
        dialogue.answer("This station's id", "7")
        dialogue.answer("Which key?", "2")
        self.finish(dialogue)
        self.assertEqual(self.settings["token"]["pin_file"], str(self.token.pin_file))
        self.assertNotIn(PIN, self.settings_file.read_text())
        self.assert_works()

    def test_a_wrong_pin_is_asked_again(self):
        dialogue = self.to_pin()
        dialogue.answer("1 or 2", "1")
        dialogue.answer("PIN of the token", "00000000")
        dialogue.expect("the PIN is wrong")
        dialogue.answer("1 or 2", "1")
        dialogue.answer("PIN of the token", "")
        dialogue.expect("the PIN is empty")
        dialogue.answer("1 or 2", "1")
        dialogue.answer("PIN of the token", PIN)
        dialogue.expect("This station's id")
        dialogue.close()
        self.assert_nothing_changed()

    def test_a_machine_without_a_station(self):
        dialogue = self.to_pin()
        dialogue.answer("1 or 2", "1")
        dialogue.answer("PIN of the token", PIN)
        dialogue.answer("This station's id", "1_0")
        dialogue.expect("cannot be a station's id")
        dialogue.answer("This station's id", "-")
        dialogue.answer("Which key?", "1")
        self.finish(dialogue)
        self.assertNotIn("station", self.settings)

    def test_a_new_key(self):
        self.token = Token()
        self.env.update(self.token.environment)
        dialogue = self.to_key()
        dialogue.answer("Which key?", "5")
        dialogue.expect("neither one of the numbers nor new")
        dialogue.answer("Which key?", "new")
        dialogue.answer("The new key's label", "")
        dialogue.answer("Its size in bits", "1024")
        dialogue.expect("Please answer 2048, 3072 or 4096")
        dialogue.answer("Its size in bits", "2048")
        self.finish(dialogue)
        self.assertIn("object=station-7", self.settings["token"]["keys"][0])
        self.assert_works("--pin-file", self.token.pin_file)

    def test_the_trust_file(self):
        bad = self.home / "bad.json"
        bad.write_text("{")
        dialogue = self.to_key()
        dialogue.answer("Which key?", "1")
        dialogue.answer("The trust file (", str(bad))
        dialogue.expect("cannot be used")
        dialogue.answer("The trust file (", "-")
        dialogue.answer("Go on")
        self.assertEqual(dialogue.end(), 0, dialogue.said)
        self.assertNotIn("trust", self.settings)

    def test_a_settings_file_that_is_there(self):
        self.settings_file.parent.mkdir()
        before = json.dumps({"version": 1, "station": "3", "in_place": "allow", "token": {"sessions": 3}})
        self.settings_file.write_text(before)
        dialogue = self.dialogue()
        dialogue.answer("exists. Change", "perhaps")
        dialogue.expect("Please answer yes or no")
        dialogue.answer("exists. Change", "")
        self.assertEqual(dialogue.end(), EXIT_OF["not_confirmed"], dialogue.said)
        self.assertEqual(self.settings_file.read_text(), before)
        dialogue = self.dialogue("--module", SOFTHSM)
        dialogue.answer("exists. Change", "yes")
        dialogue.answer("Which token?", "1")
        dialogue.answer("1 or 2", "1")
        dialogue.answer("PIN of the token", PIN)
        dialogue.answer("This station's id", "")
        dialogue.answer("Which key?", "1")
        self.finish(dialogue)
        self.assertEqual((self.settings["station"], self.settings["in_place"], self.settings["token"]["sessions"]), ("3", "allow", 3))

    def test_to_try_it_out(self):
        dialogue = self.dialogue()
        dialogue.answer("Which module?", "s")
        dialogue.answer("A new folder", str(self.home))
        dialogue.expect("exists already")
        dialogue.answer("A new folder", "")
        dialogue.answer("This station's id", "7")
        dialogue.answer("The new key's label", "")
        dialogue.answer("Its size in bits", "2048")
        self.finish(dialogue)
        folder = self.home / "trainseal-try"
        self.assertIn("NOT FOR REAL TRAINS", dialogue.said)
        self.assertIn(f"export SOFTHSM2_CONF={folder}/softhsm2.conf", dialogue.said)
        self.env["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
        self.assert_works()

    def test_an_end_of_input_or_a_no_changes_nothing(self):
        steps = [("Which module?", SOFTHSM), ("Which token?", "1"), ("1 or 2", "1"), ("PIN of the token", PIN),
                 ("This station's id", "7"), ("Which key?", "new"), ("The new key's label", "unmade"),
                 ("Its size in bits", "2048"), ("The trust file (", ""), ("Go on", "no")]
        for ends_at in range(len(steps)):
            dialogue = self.dialogue()
            for question, line in steps[:ends_at]:
                dialogue.answer(question, line)
            question, _ = steps[ends_at]
            dialogue.expect(question)
            dialogue.expect(": ")
            dialogue.type("\x04")
            with self.subTest(question=question):
                self.assertIn(dialogue.end(), (EXIT_OF["not_confirmed"], EXIT_OF["pin_missing"]), dialogue.said)
                self.assert_nothing_changed()
        dialogue = self.dialogue()
        for question, line in steps:
            dialogue.answer(question, line)
        self.assertEqual(dialogue.end(), EXIT_OF["not_confirmed"], dialogue.said)
        self.assert_nothing_changed()
        self.assertNotIn("unmade", str(Party("keys", self.token).run("key", "list")))

    def test_ctrl_c_changes_nothing(self):
        dialogue = self.to_pin()
        dialogue.expect("1 or 2")
        dialogue.type("\x03")
        self.assertNotEqual(dialogue.end(), 0)
        self.assert_nothing_changed()


class Flags(SetupTest):
    def complete(self, **changes):
        """The flags of a run that lacks nothing; None leaves one out."""
        flags = {"--module": SOFTHSM, "--token": self.token.uri, "--pin-file": self.token.pin_file, "--station": "7",
                 "--key": self.token.keys[0], "--trust": self.trust_file, **{f"--{key.replace('_', '-')}": value
                                                                             for key, value in changes.items()}}
        return [word for flag, value in flags.items() if value is not None for word in ([flag] if value is True else [flag, value])]

    def test_a_whole_setup(self):
        report = self.assert_done(self.run_setup(*self.complete())).report
        self.assertIs(report["can_run_trains"], True)
        self.assertEqual((report["settings"], report["station"], report["trust"]),
                         (str(self.settings_file), "7", str(self.trust_file)))
        self.assertEqual({check["state"] for check in report["doctor"]}, {"ok"})
        self.assertEqual(report["environment"], self.token.environment)
        self.assertEqual(self.settings["token"]["keys"], [self.token.keys[0]])
        self.assert_works()

    def test_what_is_missing_is_named_and_nobody_is_asked(self):
        for left_out, also in (("module", ()), ("token", ("key",)), ("pin_file", ()), ("station", ()), ("key", ()), ("trust", ())):
            changes = {name: None for name in (left_out, *also)}
            with self.subTest(left_out=left_out):
                error = self.assert_refused(self.run_setup(*self.complete(**changes)), "usage")
                self.assertIn(f"--{left_out.replace('_', '-')}", error["hint"])
                self.assert_nothing_changed()

    def test_nobody_is_asked_at_a_terminal_either_if_that_is_wanted(self):
        dialogue = self.dialogue("--no-questions", *map(str, self.complete(station=None)))
        self.assertEqual(dialogue.end(), EXIT_OF["usage"], dialogue.said)
        self.assertIn("--station", dialogue.said)

    def test_a_new_key(self):
        token = Token()
        flags = self.complete(key=None, new_key="fresh", bits="2048", pin_file=token.pin_file, no_trust=True, trust=None)
        report = self.assert_done(self.run_setup(*flags, env=token.environment)).report
        self.assertEqual((report["new_key"]["label"], report["new_key"]["bits"]), ("fresh", 2048))
        self.assertEqual(report["keys"], [report["new_key"]["uri"]])
        self.assertFalse(self.trust_file.exists())
        self.assert_refused(self.run_setup(*self.complete(bits="1024", new_key="other", key=None)), "usage")

    def test_an_existing_file_is_never_overwritten_without_being_asked(self):
        self.settings_file.parent.mkdir()
        before = json.dumps({"version": 1, "policy": {"sign_again": True}})
        self.settings_file.write_text(before)
        error = self.assert_refused(self.run_setup(*self.complete()), "usage")
        self.assertIn("--replace", error["hint"])
        self.assertEqual(self.settings_file.read_text(), before)
        self.assert_done(self.run_setup("--replace", *self.complete()))
        self.assertEqual(self.settings["policy"], {"sign_again": True})
        self.assertEqual(self.settings["station"], "7")

    def test_settings_that_cannot_be_read_stay(self):
        self.settings_file.parent.mkdir()
        self.settings_file.write_text("{")
        self.assert_refused(self.run_setup("--replace", *self.complete()), "settings_invalid")
        self.assertEqual(self.settings_file.read_text(), "{")

    def test_a_wrong_pin_file_is_tried_once(self):
        pin = self.fresh() / "pin"
        pin.write_text("00000000")
        pin.chmod(0o600)
        flags = self.complete(pin_file=pin)
        self.assert_refused(self.run_setup(*flags), "pin_incorrect")
        self.assertFalse(self.settings_file.exists())
        error = self.assert_refused(self.run_setup(*flags), "pin_incorrect")
        self.assertIn("forget-failed-pin", error["hint"])

    def test_to_try_it_out(self):
        folder = self.home / "softhsm"
        flags = ["--try-softhsm", folder, "--station", "7", "--no-trust", "--bits", "2048"]
        report = self.assert_done(self.run_setup(*flags)).report
        self.assertIs(report["for_trying_out"], True)
        self.assertEqual(report["environment"], {"SOFTHSM2_CONF": str(folder / "softhsm2.conf")})
        self.assertEqual({name: mode for name, mode in scratch.modes(folder).items() if b"/" not in name},
                         {b"": 0o700, b"pin": 0o600, b"softhsm2.conf": 0o600, b"tokens": 0o700})
        self.assertNotIn((folder / "pin").read_text(), self.settings_file.read_text())
        self.env["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
        self.assert_works()
        again = self.run_setup("--replace", *flags)
        self.assert_refused(again, "usage")
        self.assertIn(str(folder), again.report["error"]["message"])

    def test_a_place_that_cannot_be_written(self):
        self.assert_refused(self.run_setup("--settings", "/proc/trainseal/settings.json", *self.complete()), "store_failed")


if __name__ == "__main__":
    unittest.main()

"""`doctor`: each thing that can be wrong with an installation is found, and comes with what to do."""
import unittest
from pathlib import Path

from support.case import TrainsealTest, unless_sanitized
from support.party import PIN, Party, Token, run


class Doctor(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        cls.token = Token()
        cls.token.generate_key("station")

    def station(self, token=None, **settings):
        station = Party("station", token or self.token, "3", **settings)
        station.trust({})
        return station

    def examine(self, station, *options, env=None):
        return station.run("doctor", *options, env=env)

    def assert_finds(self, outcome, state, name, *words):
        """A finding of that state and name that has all of `words` in its message and hint."""
        found = [check["message"] + "\n" + check["hint"] for check in outcome.report["checks"]
                 if (check["state"], check["name"]) == (state, name)]
        self.assertTrue(any(all(word in text for word in words) for text in found), f"{words}\n{outcome}")

    def test_all_is_well(self):
        outcome = self.assert_done(self.examine(self.station()))
        self.assertEqual({check["state"] for check in outcome.report["checks"]}, {"ok"}, str(outcome))
        self.assertEqual([check["name"] for check in outcome.report["checks"]],
                         ["settings", "station", "trust", "pin file", "state", "module", "token", "pin", "key", "trial"])
        self.assertIn(b"All is well.", self.examine_for_people(self.station()))

    def test_settings_that_others_can_change(self):
        station = self.station()
        station.settings_file.chmod(0o666)
        outcome = self.examine(station)
        self.assert_refused(outcome, "settings_invalid")
        self.assert_finds(outcome, "problem", "settings", "can be changed by others", "chmod go-w")

    def test_settings_in_a_folder_that_others_can_change(self):
        station = self.station()
        station.home.chmod(0o777)
        self.assert_finds(self.examine(station), "problem", "settings", "exchanged by others", str(station.home))

    def test_no_pin_file(self):
        station = self.station()
        station.configure(token={"pin_file": str(station.home / "nowhere")})
        outcome = self.examine(station)
        self.assert_refused(outcome, "pin_missing")
        self.assert_finds(outcome, "problem", "pin file", "nowhere")

    def test_a_pin_file_that_others_can_read(self):
        station = self.station()
        pin = station.home / "pin"
        pin.write_text(PIN)
        pin.chmod(0o644)
        station.configure(token={"pin_file": str(pin)})
        self.assert_finds(self.assert_done(self.examine(station)), "note", "pin file", f"chmod 600 {pin}")
        self.assertIn(b"Are the notes meant so?", self.examine_for_people(station))

    def test_a_pin_that_was_refused_before(self):
        station = self.station(Token())
        pin = station.home / "pin"
        pin.write_text("00000000")
        pin.chmod(0o600)
        station.configure(token={"pin_file": str(pin), "keys": [station.token.key_uri("any")]})
        self.assert_refused(station.run("key", "list"), "pin_incorrect")
        outcome = self.examine(station)
        self.assert_refused(outcome, "pin_incorrect")
        self.assert_finds(outcome, "note", "pin", str(pin), "token forget-failed-pin ")
        self.assert_finds(outcome, "problem", "pin", "was refused by the token", "forget-failed-pin")

    def test_a_pin_that_was_refused_and_corrected(self):
        station = self.station(Token())
        pin = station.home / "pin"
        pin.write_text("00000000")
        pin.chmod(0o600)
        station.token.generate_key("station")
        station.configure(token={"pin_file": str(pin), "keys": station.token.keys})
        self.assert_refused(station.run("key", "list"), "pin_incorrect")
        pin.write_text(PIN)
        outcome = self.assert_done(self.examine(station))
        self.assertNotIn("was refused", str(outcome))

    def examine_for_people(self, station):
        return station.run("doctor", json_report=False).stdout

    def test_trust_that_forgets_its_own_station(self):
        station = self.station()
        key = station.home / "other.pem"
        key.write_text(self.assert_done(station.run("key", "export", "--key", self.token.keys[0])).report["public_key"])
        added = station.run("trust", "add", "station", "5", key, json_report=False)
        self.assertIn(b"trainseal trust add station 3 own.pem", added.stdout)
        outcome = self.examine(station)
        self.assert_refused(outcome, "untrusted_key")
        self.assert_finds(outcome, "problem", "trust", "not this one, 3", "trust add station 3")
        self.assert_done(station.run("trust", "add", "station", "3", key))
        self.assert_done(self.examine(station))

    def test_a_module_that_does_not_load(self):
        broken = self.fresh() / "broken.so"
        broken.write_text("not a library")
        station = self.station()
        outcome = self.examine(station, "--module", broken)
        self.assert_refused(outcome, "token_unavailable")
        self.assert_finds(outcome, "problem", "module", "broken.so")
        self.assert_finds(outcome, "note", "module", "libsofthsm2.so", "1 token: pht", "trainseal setup --module")

    @unless_sanitized
    def test_a_process_for_the_module_that_cannot_be_started(self):
        station = self.station()
        limited = ("prlimit", "--nofile=4", "--")  # the three standard ones, and one for everything else
        outcome = run(["doctor"], station.env, enter=limited)
        self.assert_finds(outcome, "problem", "module", "cannot be started", "limits of this user and machine")

    def test_no_module(self):
        station = self.station()
        station.settings["token"].pop("module")
        station.configure()
        outcome = self.examine(station)
        self.assert_refused(outcome, "settings_invalid")
        self.assert_finds(outcome, "note", "module", "libsofthsm2.so", "1 token: pht")

    def test_no_trust_file(self):
        station = self.station()
        station.configure(trust=str(station.home / "nowhere.json"))
        self.assert_finds(self.examine(station), "problem", "trust", "nowhere.json")

    def test_no_such_key(self):
        station = self.station()
        station.configure(token={"keys": [self.token.key_uri("nobody")]})
        outcome = self.examine(station)
        self.assert_refused(outcome, "key_not_found")
        self.assert_finds(outcome, "problem", "key", "nobody")

    def test_a_state_folder_that_others_can_write(self):
        station = self.station()
        station.state.mkdir()
        station.state.chmod(0o777)
        outcome = self.examine(station)
        self.assert_refused(outcome, "state_failed")
        self.assert_finds(outcome, "note", "token", "not tried", "mend the state folder")

    def test_keys_of_softhsm_that_others_can_read(self):
        token = Token()
        token.generate_key("station")
        store = next((Path(token.folder) / "tokens").iterdir())
        store.chmod(0o755)
        outcome = self.examine(self.station(token))
        self.assert_refused(outcome, "settings_invalid")
        self.assert_finds(outcome, "problem", "token", "others can read the keys", str(store), "chmod o-rwx")
        store.chmod(0o700)
        self.assert_done(self.examine(self.station(token)))


if __name__ == "__main__":
    unittest.main()

"""What operators get wrong, and machines: each the code, exit status and hint of the contract, nothing changed, no plaintext."""
import json
import os
import subprocess
import unittest
from pathlib import Path

from support import scratch, vectors
from support.case import TrainsealTest
from support.party import PIN, Party, Token


class OperatorTest(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        cls.train = vectors.train("basic")
        cls.stop = cls.train.stops[1]
        cls.pieces = scratch.pieces_of(cls.stop.released.pht_train, cls.stop.released.pht_results)

    def station(self, **settings):
        return self.train.station(self.stop.station, **settings)

    def pre_run(self, station, *options, env=None, folder=None, out=True):
        """Pre-run of a copy of the train; a refusal must leave everything as it was."""
        folder = folder or scratch.copy(self.stop.received.opt, self.fresh("train") / "opt")
        before = scratch.snapshot(folder.parent)
        target = ["--out", folder.parent / "out"] if out else []
        outcome = station.run("pre-run", folder, *target, *options, env=env)
        if outcome.exit != 0:
            self.assertEqual(scratch.snapshot(folder.parent), before)
            self.assert_no_plaintext([folder.parent, station.home], self.pieces)
        return outcome


class Pins(OperatorTest):
    def own_token(self):
        """A token that nobody else's log-ins have to do with, and a station that uses it."""
        token = Token()
        token.import_key(self.stop.key_file, "station")
        return Party("station", token, self.stop.station)

    def test_a_wrong_pin_is_tried_once(self):
        station = self.own_token()
        wrong = station.home / "wrong-pin"
        wrong.write_text("00000000")
        wrong.chmod(0o600)
        station.configure(token={"pin_file": str(wrong)})
        self.assert_hint(self.pre_run(station), "pin_incorrect", "wrong-pin")
        # Now the file holds the right PIN under the same name, time and inode: only its being tried before can refuse it.
        status = wrong.stat()
        with open(wrong, "r+") as file:
            file.write(PIN)
        os.utime(wrong, ns=(status.st_atime_ns, status.st_mtime_ns))
        self.assert_hint(self.pre_run(station), "pin_incorrect", "forget-failed-pin")
        self.assert_done(station.run("token", "forget-failed-pin"))
        self.assert_done(self.pre_run(station))

    def test_a_new_pin_file_is_a_new_pin(self):
        station = self.own_token()
        wrong = station.home / "pin"
        wrong.write_text("00000000")
        wrong.chmod(0o600)
        station.configure(token={"pin_file": str(wrong)})
        self.assert_refused(self.pre_run(station), "pin_incorrect")
        right = station.home / "pin.new"
        right.write_text(PIN + "\n")
        right.chmod(0o600)
        right.rename(wrong)
        self.assert_done(self.pre_run(station))

    def test_no_pin(self):
        station = self.station()
        station.configure(token={"pin_file": None})
        self.assert_hint(self.pre_run(station), "pin_missing", "--pin-file")
        self.assert_hint(self.pre_run(station, "--pin-file", station.home / "nowhere"), "pin_missing", "nowhere")
        empty = station.home / "empty"
        empty.write_text("")
        self.assert_refused(self.pre_run(station, "--pin-file", empty), "pin_missing")

    def test_a_pin_in_the_uri(self):
        station = self.station()
        uri = station.settings["token"]["keys"][0] + "?pin-value=" + PIN
        outcome = self.pre_run(station, "--key", uri)
        self.assertIn(outcome.code, ("usage", "settings_invalid"), str(outcome))
        self.assertNotIn(PIN.encode(), outcome.stdout + outcome.stderr)

    def test_a_pin_file_named_by_the_uri(self):
        station = self.station()
        station.configure(token={"pin_file": None})
        uri = f"{station.settings['token']['keys'][0]}?pin-source=file:{station.token.pin_file}"
        self.assert_done(self.pre_run(station, "--key", uri))


class Keys(OperatorTest):
    def test_no_module(self):
        station = self.station()
        self.assert_hint(self.pre_run(station, "--module", "/nowhere/vendor.so"), "token_unavailable", "/nowhere/vendor.so")
        station.configure(token={"module": None})
        station.settings["token"].pop("module")
        station.configure()
        self.assert_hint(self.pre_run(station), "settings_invalid", "--module")

    def test_a_module_that_is_none(self):
        no_module = self.fresh() / "vendor.so"
        no_module.write_text("not a library")
        self.assert_hint(self.pre_run(self.station(), "--module", no_module), "token_unavailable", "vendor.so")
        self.assert_hint(self.pre_run(self.station(), "--module", "libcrypto.so.3"), "token_unavailable", "libcrypto")

    def test_no_token(self):
        station = self.station()
        station.configure(token={"keys": ["pkcs11:token=elsewhere;object=station;type=private"]})
        self.assert_hint(self.pre_run(station), "token_unavailable", "elsewhere")

    def test_no_key(self):
        station = self.station()
        station.configure(token={"keys": [station.token.key_uri("nobody")]})
        self.assert_hint(self.pre_run(station), "key_not_found", "nobody", "object=station")
        station.configure(token={"keys": []})
        self.assert_hint(self.pre_run(station), "key_not_found", "--key")

    def test_two_keys_of_one_name(self):
        token = Token()
        token.import_key(self.stop.key_file, "station")
        station = Party("station", token, self.stop.station)
        subprocess.run(["softhsm2-util", "--import", self.train.stops[0].key_file, "--token", token.label, "--label", "station",
                        "--id", "77", "--pin", PIN, "--force"],
                       env={"PATH": os.environ["PATH"], **token.environment}, check=True, capture_output=True)
        self.assert_hint(self.pre_run(station), "key_ambiguous", "station")

    def test_another_stations_key(self):
        other = Party("station", self.train.token("station_3"), self.stop.station)
        error = self.assert_hint(self.pre_run(other), "wrong_station_key", self.stop.station)
        self.assertEqual(error["subject"], "route[1].rsa_public_key")

    def test_the_stops_key_is_picked_among_several(self):
        """A rotation leaves trains in flight under the old key."""
        token = Token()
        for index, stop in enumerate(self.train.stops):
            token.import_key(stop.key_file, f"key-{index}")
        self.assert_done(self.pre_run(Party("station", token, self.stop.station)))
        another = Party("station", token, self.stop.station, uris=[token.keys[0], token.keys[2]])
        self.assert_refused(self.pre_run(another), "wrong_station_key")

    def test_a_station_that_is_not_on_the_route(self):
        station = self.train.station(self.stop.station)
        self.assert_hint(self.pre_run(station, "--station", "elsewhere"), "not_on_route", "elsewhere", "station_1, station_2, station_3")
        station.configure(station=None)
        self.assert_hint(self.pre_run(station), "usage", "--station")

    def test_a_stop_before_or_after_its_turn(self):
        for name in ("stage-0-built", "stage-2b-postrun"):
            folder = scratch.copy(self.train.stage(name).opt, self.fresh("train") / "opt")
            self.assert_hint(self.pre_run(self.station(), folder=folder), "not_my_turn", self.stop.station)


class SoftwareKeys(OperatorTest):
    """The environment of today's stations, which hold their key in a file."""

    def environments(self):
        password = {"PRIVATE_KEY_PASSWORD": "start123"}
        yield "PRIVATE_KEY_PATH", {"PRIVATE_KEY_PATH": str(self.stop.key_file)}
        yield "PRIVATE_KEY_PATH", {"PRIVATE_KEY_PATH": str(self.stop.key_file), **password}
        pem_hex = self.stop.key_file.read_bytes().hex()
        for name in ("RSA_STATION_PRIVATE_KEY", "RSA_STATON_PRIVATE_KEY"):
            yield name, {name: pem_hex}

    def test_without_a_key_on_a_token_is_refused_with_a_hint_to_import_it(self):
        for name, env in self.environments():
            with self.subTest(env=sorted(env)):
                station = self.station()
                station.configure(token={"keys": []})
                outcome = self.pre_run(station, env=env)
                self.assert_hint(outcome, "key_not_found", "key import", name)
                self.assertNotIn(env[name].encode() if name != "PRIVATE_KEY_PATH" else b"start123", outcome.stdout + outcome.stderr)

    def test_beside_a_key_on_a_token_is_ignored_with_one_warning(self):
        for name, env in self.environments():
            with self.subTest(env=sorted(env)):
                outcome = self.assert_done(self.pre_run(self.station(), env=env))
                self.assertEqual(len([warning for warning in outcome.report["warnings"] if name in warning]), 1)

    def test_is_no_matter_for_commands_that_need_no_key(self):
        for name, env in self.environments():
            with self.subTest(env=sorted(env)):
                station = self.station()
                station.configure(token={"keys": []})
                self.assert_done(station.run("verify", self.stop.received.opt, env=env))

    def test_a_uri_in_the_same_variable_is_a_key_on_a_token(self):
        station = self.station()
        uri = station.settings["token"]["keys"][0]
        station.configure(token={"keys": [], "pin_file": None})
        outcome = self.assert_done(self.pre_run(station, env={"PRIVATE_KEY_PATH": uri, "PRIVATE_KEY_PASSWORD": PIN}))
        self.assertIn("PRIVATE_KEY_PASSWORD", " ".join(outcome.report["warnings"]))

    def test_the_software_keys_password_is_never_tried_as_a_pin(self):
        station = self.station()
        station.configure(token={"pin_file": None})
        env = {"PRIVATE_KEY_PATH": str(self.stop.key_file), "PRIVATE_KEY_PASSWORD": "start123"}
        self.assert_refused(self.pre_run(station, env=env), "pin_missing")


@unittest.skipUnless(os.geteuid() == 0, "needs to mount")
class Disks(OperatorTest):
    def mount(self, size, name="small"):
        folder = self.fresh(name)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "trainseal-test", folder], capture_output=True, check=False)
        if done.returncode != 0:
            self.skipTest("cannot mount here")
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=True)
        return folder

    def fill(self, disk, leave):
        """Fills a disk up to `leave` bytes."""
        status = os.statvfs(disk)
        with open(disk / "filler", "wb") as file:
            file.write(bytes(max(0, status.f_bavail * status.f_frsize - leave)))

    def test_full_while_plaintext_is_staged(self):
        for out in (True, False):
            disk = self.mount("1m")
            folder = scratch.copy(self.stop.received.opt, disk / "opt")
            self.fill(disk, 8192)
            with self.subTest(out=out):
                station = self.station()
                self.assert_hint(self.pre_run(station, folder=folder, out=out), "no_space")
                self.assertEqual(sorted(path.name for path in disk.iterdir()), ["filler", "opt"])
                (disk / "filler").unlink()
                self.assert_done(self.pre_run(station, folder=folder, out=out))

    def test_full_while_the_train_is_sealed(self):
        for out in (True, False):
            disk = self.mount("4m")
            folder = scratch.copy(self.stop.received.opt, disk / "opt")
            station = self.station()
            plain = disk / "out" if out else folder
            self.assert_done(self.pre_run(station, folder=folder, out=out))
            (plain / "pht_results" / "big.bin").write_bytes(os.urandom(1 << 20))
            self.fill(disk, 1 << 18)
            before = scratch.snapshot(disk)
            post_run = ["post-run", folder, *(["--results", plain] if out else [])]
            with self.subTest(out=out):
                self.assert_hint(station.run(*post_run), "no_space")
                self.assertEqual(scratch.snapshot(disk), before)
                (disk / "filler").unlink()
                self.assert_done(station.run(*post_run))
                self.assert_passes(folder, **self.train.judge_keys())

    def test_full_where_the_state_is(self):
        disk = self.mount("64k")
        station = self.station()
        station.configure(state_dir=str(disk / "state"))
        self.fill(disk, 4096)
        outcome = self.pre_run(station)
        self.assertIn(outcome.code, ("no_space", "state_failed"), str(outcome))
        self.assert_refused(outcome, outcome.code)

    def test_a_state_folder_on_a_disk_that_is_read_only(self):
        disk = self.mount("1m")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        station = self.station()
        station.configure(state_dir=str(disk / "state"))
        self.assert_hint(self.pre_run(station), "state_failed", str(disk))

    def test_a_train_on_a_disk_that_is_read_only(self):
        disk = self.mount("1m")
        folder = scratch.copy(self.stop.received.opt, disk / "opt")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        station = self.station()
        self.assert_refused(self.pre_run(station, folder=folder, out=False), "store_failed")
        out = self.fresh() / "out"
        self.assert_done(station.run("pre-run", folder, "--out", out))
        self.assert_hint(station.run("post-run", folder, "--results", out), "store_failed")
        self.assertTrue((out / "pht_results").exists())

    def test_a_train_that_is_a_mount_point_of_its_own(self):
        folder = scratch.copy(self.stop.received.opt, self.fresh("train") / "opt")
        results = self.fresh("mounted")
        subprocess.run(["mount", "--bind", results, folder / "pht_results"], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", folder / "pht_results"], check=True)
        subprocess.run(["cp", "-a", f"{self.stop.received.pht_results}/.", folder / "pht_results"], check=True)
        station = self.station()
        self.assert_hint(self.pre_run(station, folder=folder, out=False), "store_failed", "--out")
        self.assert_done(self.pre_run(station, folder=folder))


class States(OperatorTest):
    def test_a_file_in_the_place_of_the_state_folder(self):
        station = self.station()
        station.state.write_text("not a folder")
        self.assert_hint(self.pre_run(station), "state_failed", str(station.state))
        self.assertEqual(station.state.read_text(), "not a folder")

    def test_a_state_folder_whose_parent_is_missing_or_a_link_that_leads_nowhere(self):
        station = self.station()
        station.state.symlink_to("nowhere/at/all")
        self.assert_refused(self.pre_run(station), "state_failed")

    def test_a_state_folder_that_others_may_write(self):
        station = self.station()
        station.state.mkdir()
        station.state.chmod(0o777)
        self.assert_hint(self.pre_run(station), "state_failed", str(station.state))

    def test_a_state_of_a_newer_version(self):
        station = self.station()
        self.assert_done(self.pre_run(station))
        record = next((station.state / "records").iterdir())
        content = json.loads(record.read_text())
        content["version"] = 99
        record.write_text(json.dumps(content))
        outcome = station.run("ledger", "list")
        pre_run_again = station.run("pre-run", self.stop.received.opt, "--out", self.fresh() / "out2")
        self.assertTrue(outcome.exit == 0 or outcome.code == "state_failed", str(outcome))
        self.assertTrue(pre_run_again.exit == 0 or pre_run_again.code == "state_failed", str(pre_run_again))
        self.assert_refused(station.run("state", "check"), "state_failed")

    def test_settings_that_say_too_much(self):
        station = self.station()
        station.configure(statoin="3")
        self.assert_hint(self.pre_run(station), "settings_invalid", "statoin", "station")

    def test_settings_that_are_not_there(self):
        station = self.station()
        self.assert_refused(self.pre_run(station, "--settings", "/nowhere/settings.json"), "settings_invalid")

    def test_in_place_where_the_settings_refuse_it(self):
        outcome = self.pre_run(self.station(in_place="refuse"), out=False)
        self.assert_hint(outcome, "denied", "--out")

    def test_an_out_folder_that_exists_is_never_touched(self):
        folder = scratch.copy(self.stop.received.opt, self.fresh("train") / "opt")
        out = folder.parent / "out"
        out.mkdir()
        (out / "mine").write_text("mine")
        self.assert_hint(self.pre_run(self.station(), folder=folder), "store_failed", "out")
        self.assertEqual((out / "mine").read_text(), "mine")

    def test_two_commands_at_once_on_one_train(self):
        station = self.station()
        folder = scratch.copy(self.stop.received.opt, self.fresh("train") / "opt")
        self.assert_done(station.run("pre-run", folder))
        with open(folder / "pht_results" / "big.bin", "wb") as file:
            file.truncate(512 << 20)
        first = subprocess.Popen([os.environ["TRAINSEAL_PROGRAM"], "post-run", folder], env=station.env,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not list(folder.parent.rglob(".trainseal-*")) and first.poll() is None:
                pass
            self.assertIsNone(first.poll(), "the first command was too fast for this test")
            self.assert_refused(station.run("post-run", folder), "busy")
        finally:
            first.kill()
            first.wait()


class Configs(OperatorTest):
    """Untrusted input is bounded in size and depth."""

    def with_config(self, content):
        folder = scratch.copy(self.stop.received.opt, self.fresh("train") / "opt")
        path = folder / "train_config.json"
        path.unlink()
        with open(path, "wb") as file:
            file.write(content) if isinstance(content, bytes) else file.truncate(content)
        return folder

    def genuine(self):
        return (self.stop.received.opt / "train_config.json").read_bytes()

    def test_of_a_hundred_mebibytes(self):
        station = self.station()
        folder = self.with_config(b" " * (100 << 20))
        error = self.assert_refused(self.pre_run(station, folder=folder), "config_invalid")
        self.assertIn("train_config.json", error["message"])
        self.assert_refused(station.run("verify", folder), "config_invalid")
        self.assert_refused(station.run("inspect", folder), "config_invalid")

    def test_a_sparse_one_of_a_terabyte(self):
        folder = self.with_config(1 << 40)
        for command in (["pre-run", folder, "--out", folder.parent / "out"], ["verify", folder], ["inspect", folder]):
            self.assert_refused(self.station().run(*command), "config_invalid")
        self.assertEqual([path.name for path in folder.parent.iterdir()], ["opt"])

    def test_of_ten_thousand_levels(self):
        genuine = self.genuine()
        for nested in (b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b"[" * 10_000):
            for content in (nested, b'{"@context": ' + nested + b"," + genuine.lstrip()[1:]):
                folder = self.with_config(content)
                self.assert_refused(self.pre_run(self.station(), folder=folder), "config_invalid")
                self.assert_refused(self.station().run("inspect", folder), "config_invalid")

    def test_that_are_no_config(self):
        genuine = self.genuine()
        for content in (b"", b"null", b"[]", b"\xef\xbb\xbf" + genuine, genuine + b"x", genuine + genuine, genuine[:-2],
                        genuine.replace(b'"@id"', b'"@id": "other", "@id"', 1), genuine.replace(b'"index": 0', b'"index": 0.0'),
                        genuine.replace(b'"index": 0', b'"index": true'), genuine.replace(b"train-basic", b"\xff\xfe")):
            with self.subTest(content=content[:20], end=content[-20:]):
                self.assert_refused(self.pre_run(self.station(), folder=self.with_config(content)), "config_invalid")


class Calls(OperatorTest):
    def test_that_nobody_understands(self):
        station = self.station()
        for arguments in (["prerun", "/x"], ["pre-run"], ["pre-run", "/x", "--outt", "/y"], ["pre-run", "/x", "/y"],
                          ["pre-run", self.stop.received.opt, "--owner", "me", "--out", "/nowhere/x"]):
            with self.subTest(arguments=arguments):
                self.assert_refused(station.run(*arguments), "usage")

    def test_commands_that_there_are_not(self):
        station = self.station()
        for arguments in (["frobnicate", "/x"], ["key", "frobnicate"], ["--json", "key", "frobnicate"]):
            with self.subTest(arguments=arguments):
                self.assert_hint(station.run(*arguments), "usage", '"frobnicate"', "generate" if "key" in arguments else "pre-run")

    def test_trains_that_are_not_there_or_of_another_form(self):
        station = self.station()
        self.assert_hint(station.run("pre-run", "/nowhere/train"), "store_failed", "/nowhere/train")
        error = self.assert_refused(station.run("pre-run", "dir:/x"), "usage")
        self.assertIn("folder:", error["message"] + error["hint"])
        archive = self.fresh() / "no.tar"
        for form in ("oci-archive", "docker-archive"):
            self.assert_hint(station.run("verify", f"{form}:{archive}"), "store_failed", f'there is no file "{archive}"', "docker save")

    def test_names_of_images_that_are_none(self):
        station = self.station()
        for name in (b"oci:/x:\xff", b"oci-archive:/x:\xff", b"docker-archive:/x:a:\xff", b"docker-archive:/x:\xff:a", b"oci:/x:a b", b"docker-archive:/x:UP:a"):
            with self.subTest(name=name):
                self.assert_refused(station.run("verify", name), "usage")
                self.assert_refused(station.run("post-run", self.stop.received.opt, "--to", name), "usage")

    def test_an_answer_for_a_person_without_json(self):
        station = self.station()
        outcome = station.run("pre-run", "/nowhere/train", json_report=False)
        self.assertEqual(outcome.exit, 6)
        self.assertEqual(outcome.stdout, b"")
        self.assertIn(b"error:", outcome.stderr)
        self.assertIn(b"hint:", outcome.stderr)

    def test_untrusted_text_is_made_printable(self):
        folder = scratch.copy(self.stop.received.opt, self.fresh("train") / "opt")
        path = folder / "train_config.json"
        path.write_bytes(path.read_bytes().replace(b"station_1", b"\\u001b[31mevil\\u202e\\u0007"))
        station = self.station()
        for json_report in (True, False):
            outcome = station.run("pre-run", folder, "--out", folder.parent / "out", "--station", "nobody", json_report=json_report)
            self.assertEqual(outcome.exit, 3, str(outcome))
            said = outcome.stdout + outcome.stderr
            for raw in (b"\x1b", b"\x07", "\u202e".encode()):
                self.assertNotIn(raw, said)


if __name__ == "__main__":
    unittest.main()

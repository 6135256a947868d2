"""What a train's own code may leave behind, and what a hostile train may bring along."""
import json
import os
import socket
import subprocess
import sys
import unittest

from support import forge, scratch, vectors
from support.case import TrainsealTest


class RunTest(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        cls.train = vectors.train("basic")
        cls.stop = cls.train.stops[1]

    def released(self, out=False, **settings):
        """A train released at the second station, its run done: (station, the train's folder, the folder of the plaintext)."""
        station = self.train.station(self.stop.station, **settings)
        folder = scratch.copy(self.stop.received.opt, self.fresh("train") / "opt")
        plain = folder.parent / "out" if out else folder
        self.assert_done(station.run("pre-run", folder, *(["--out", plain] if out else [])))
        scratch.remove(plain / "pht_results")
        scratch.copy(self.stop.ran.pht_results, plain / "pht_results")
        return station, folder, plain

    def post_run(self, station, folder, plain, *options):
        return station.run("post-run", folder, *(["--results", plain] if plain != folder else []), *options)

    def assert_refuses(self, station, folder, plain, code, *options):
        """The post-run is refused, and neither train nor results nor the ledger of signatures has changed."""
        before = scratch.snapshot(folder.parent)
        error = self.assert_refused(self.post_run(station, folder, plain, *options), code)
        self.assertEqual(scratch.snapshot(folder.parent), before)
        ledger = station.state / "replay.jsonl"
        self.assertNotIn("intent", ledger.read_text() if ledger.exists() else "")
        return error

    def assert_seals(self, station, folder, plain, *options, **details):
        outcome = self.assert_done(self.post_run(station, folder, plain, *options))
        self.assert_passes(folder, completed=2, previous=[self.stop.received.opt], **self.train.judge_keys(),
                           **{"plain_train": self.stop.released.pht_train, **details})
        return outcome


class Config(RunTest):
    def test_rewritten_by_the_run(self):
        for out in (False, True):
            with self.subTest(out=out):
                station, folder, plain = self.released(out)
                config = (folder / "train_config.json").read_bytes()
                forge.edit_config(folder, lambda c: c["route"][2].update(rsa_public_key=c["creator"]["rsa_public_key"]))
                self.assert_refuses(station, folder, plain, "config_changed")
                (folder / "train_config.json").write_bytes(config)
                self.assert_seals(station, folder, plain)

    def test_reformatted_removed_or_replaced_by_something_else(self):
        def reformat(path):
            path.write_text(json.dumps(json.loads(path.read_text())))

        def link(path):
            path.rename(path.parent.parent / "moved")
            path.symlink_to(path.parent.parent / "moved")

        def fifo(path):
            path.unlink()
            os.mkfifo(path)

        for change in (reformat, link, fifo, os.unlink):
            with self.subTest(change=change.__name__):
                station, folder, plain = self.released()
                change(folder / "train_config.json")
                self.assert_refuses(station, folder, plain, "config_changed")


class SealedAlready(RunTest):
    def test_the_same_results_again_are_not_signed_again(self):
        station, folder, plain = self.released(out=True)
        self.assert_seals(station, folder, plain)
        sealed = scratch.snapshot(folder)
        outcome = self.assert_done(self.post_run(station, folder, plain, "--wipe"))
        self.assertIn("sealed by an earlier call", " ".join(outcome.report["warnings"]))
        self.assertEqual(scratch.snapshot(folder), sealed)
        self.assertFalse(plain.exists())

    def test_other_results_are_not_taken_for_the_sealed_ones(self):
        station, folder, plain = self.released(out=True)
        self.assert_seals(station, folder, plain)
        (plain / "pht_results" / "more.txt").write_bytes(b"more")
        before = scratch.snapshot(folder.parent)
        outcome = self.post_run(station, folder, plain, "--wipe")
        self.assertEqual((outcome.exit, outcome.report["error"]["code"]), (7, "already_signed"), str(outcome))
        self.assertEqual(scratch.snapshot(folder.parent), before)


class ImmutableFiles(RunTest):
    def test_python_leaves_its_cache(self):
        station, folder, plain = self.released()
        cache = folder / "pht_train" / "lib" / "__pycache__"
        cache.mkdir()
        (cache / "util.cpython-311.pyc").write_bytes(b"compiled" * 10)
        outcome = self.assert_seals(station, folder, plain, plain_results=self.stop.ran.pht_results)
        self.assertIn("__pycache__/util.cpython-311.pyc", " ".join(outcome.report["warnings"]))
        self.assertFalse(cache.exists())

    def test_unlisted_files_are_sealed_where_the_settings_keep_them(self):
        station, folder, plain = self.released(train={"unlisted": "keep"})
        (folder / "pht_train" / "more.txt").write_bytes(b"more")
        self.assert_done(self.post_run(station, folder, plain))
        self.assert_passes(folder, options=("--fresh-iv", "--allow-unlisted"), **self.train.judge_keys())
        self.assertEqual((folder / "pht_train" / "more.txt").stat().st_size, 32)

    def test_links_and_pipes_that_no_list_names_are_left_out(self):
        station, folder, plain = self.released()
        (folder / "pht_train" / "link").symlink_to("/etc/passwd")
        os.mkfifo(folder / "pht_train" / "pipe")
        outcome = self.assert_seals(station, folder, plain)
        for name in ("link", "pipe"):
            self.assertIn(name, " ".join(outcome.report["warnings"]))
            self.assertFalse(os.path.lexists(folder / "pht_train" / name))

    def test_a_second_name_for_a_listed_file_is_left_out(self):
        station, folder, plain = self.released()
        os.link(folder / "pht_train" / "r_script.r", folder / "pht_train" / "again.r")
        os.link(folder / "pht_train" / "r_script.r", folder / "pht_train" / "z.r")
        outcome = self.assert_seals(station, folder, plain)
        for name in ("again.r", "z.r"):
            self.assertIn(name, " ".join(outcome.report["warnings"]))
            self.assertFalse((folder / "pht_train" / name).exists())

    def test_changed_by_the_run(self):
        def change(folder):
            with open(folder / "entrypoint.py", "ab") as file:
                file.write(b"# changed\n")

        def remove(folder):
            (folder / "r_script.r").unlink()

        def empty(folder):
            (folder / "r_script.r").write_bytes(b"")

        def query(folder):
            (folder / "query.json").write_bytes(b"{}")

        def query_gone(folder):
            (folder / "query.json").unlink()

        def link(folder):
            (folder / "r_script.r").rename(folder / "elsewhere")
            (folder / "r_script.r").symlink_to("elsewhere")

        def fifo(folder):
            (folder / "r_script.r").unlink()
            os.mkfifo(folder / "r_script.r")

        def swap(folder):
            (folder / "r_script.r").rename(folder / "x")
            (folder / "entrypoint.py").rename(folder / "r_script.r")
            (folder / "x").rename(folder / "entrypoint.py")

        for do in (change, remove, empty, query, query_gone, link, fifo, swap):
            with self.subTest(change=do.__name__):
                station, folder, plain = self.released()
                do(folder / "pht_train")
                self.assert_refuses(station, folder, plain, "digest_mismatch")

    def test_changed_in_the_folder_of_out_does_not_reach_the_sealed_train(self):
        station, folder, plain = self.released(out=True)
        (plain / "pht_train" / "entrypoint.py").write_bytes(b"evil")
        (plain / "pht_train" / "evil.py").write_bytes(b"evil")
        self.assert_seals(station, folder, plain, plain_results=self.stop.ran.pht_results)


class Results(RunTest):
    def test_a_symlink(self):
        for out in (False, True):
            for target in ("result.json", "/etc/passwd", "nowhere", "model", "../pht_train/entrypoint.py"):
                with self.subTest(out=out, target=target):
                    station, folder, plain = self.released(out)
                    (plain / "pht_results" / "link").symlink_to(target)
                    error = self.assert_refuses(station, folder, plain, "symlink_refused")
                    self.assertIn("link", error["message"])

    def test_a_symlink_is_followed_inside_the_results_only(self):
        station, folder, plain = self.released(train={"symlinks": "follow"})
        (folder / "pht_results" / "inside").symlink_to("model/weights.bin")
        expected = scratch.copy(folder / "pht_results", self.fresh() / "expected")
        (expected / "inside").unlink()
        (expected / "inside").write_bytes((expected / "model" / "weights.bin").read_bytes())
        self.assert_seals(station, folder, plain, plain_results=expected)
        secret = self.fresh() / "secret"
        secret.write_text("nobody's business")
        for target in (secret, "../pht_train/entrypoint.py", "../../secret", "/proc/self/environ", "loop", "nowhere"):
            with self.subTest(target=target):
                station, folder, plain = self.released(train={"symlinks": "follow"})
                (folder / "pht_results" / "loop").symlink_to(target)
                self.assert_refuses(station, folder, plain, "symlink_refused")

    def test_a_symlink_is_kept_where_the_settings_say_so(self):
        station, folder, plain = self.released(train={"symlinks": "keep"})
        (folder / "pht_results" / "link").symlink_to("/etc/passwd")
        self.assert_seals(station, folder, plain, options=("--fresh-iv",))
        self.assertEqual(os.readlink(folder / "pht_results" / "link"), "/etc/passwd")

    def test_hard_links_become_files_of_their_own(self):
        for out in (False, True):
            with self.subTest(out=out):
                station, folder, plain = self.released(out)
                results = plain / "pht_results"
                os.link(results / "result.json", results / "again.json")
                os.link(results / "model" / "weights.bin", results / "model" / "a.bin")
                expected = self.fresh() / "expected"
                subprocess.run(["cp", "-r", results, expected], check=True)
                self.assert_seals(station, folder, plain, plain_results=expected)
                self.assertEqual((folder / "pht_results" / "again.json").stat().st_nlink, 1)

    def test_pipes_sockets_devices_and_whiteouts(self):
        def whiteout(path):
            (path.parent / ".wh.result.json").write_text("")

        def bound(path):
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))

        def device(path):
            os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))

        for make in (os.mkfifo, bound, whiteout, *([device] if os.geteuid() == 0 else [])):
            for out in (False, True):
                with self.subTest(make=make.__name__, out=out):
                    station, folder, plain = self.released(out)
                    make(plain / "pht_results" / "x")
                    self.assert_refuses(station, folder, plain, "hostile_path")

    def test_the_folder_itself_is_a_link(self):
        for part in ("pht_results", "pht_train"):
            with self.subTest(part=part):
                station, folder, plain = self.released()
                elsewhere = self.fresh() / "elsewhere"
                (folder / part).rename(elsewhere)
                (folder / part).symlink_to(elsewhere)
                self.assert_refuses(station, folder, plain, "hostile_path")

    def test_files_that_nobody_but_their_owner_may_touch(self):
        station, folder, plain = self.released()
        secret = folder / "pht_results" / "closed"
        secret.mkdir(mode=0o000)
        (folder / "pht_results" / "result.json").chmod(0o000)
        if os.geteuid() == 0:
            self.assert_seals(station, folder, plain)

    def change_while_read(self, code):
        """Post-run while another process does `code` to `big` or to `folder` again and again."""
        for out in (False, True):
            for _ in range(5):  # on a busy machine the other process may not have its turn while the file is read
                station, folder, plain = self.released(out)
                config = (folder / "train_config.json").read_bytes()
                outcome = self.post_run_beside(code, station, folder, plain)
                if outcome.exit != 0:
                    break
            self.assert_refused(outcome, "results_unstable")
            self.assertEqual((folder / "train_config.json").read_bytes(), config)
            self.assertNotIn("intent", (station.state / "replay.jsonl").read_text())
            self.assertEqual([path.name for path in folder.parent.iterdir() if path.name.startswith(".")], [])

    def post_run_beside(self, code, station, folder, plain):
        big = plain / "pht_results" / "big.bin"
        with open(big, "wb") as file:
            file.truncate(96 << 20)
        program = f"import os, sys\nbig, folder = sys.argv[1:]\nprint(flush=True)\ni = 0\nwhile True:\n    i += 1\n    {code}\n"
        writer = subprocess.Popen([sys.executable, "-c", program, big, plain / "pht_results"], stdout=subprocess.PIPE)
        try:
            writer.stdout.readline()
            return self.post_run(station, folder, plain)
        finally:
            writer.kill()
            writer.communicate()

    def test_bytes_that_change_while_they_are_read(self):
        self.change_while_read("f = os.open(big, os.O_WRONLY); os.pwrite(f, bytes([i % 256]), (95 << 20)); os.close(f)")

    def test_a_file_that_grows_while_it_is_read(self):
        self.change_while_read("f = os.open(big, os.O_WRONLY | os.O_APPEND); os.write(f, b'x'); os.close(f)")

    def test_a_file_that_is_replaced_while_it_is_read(self):
        self.change_while_read("f = open(big + '.new', 'wb'); f.truncate(96 << 20); f.close(); os.rename(big + '.new', big)")


class HostileTrains(RunTest):
    """What pre-run refuses to follow, to read or to wait for."""

    def pre_run(self, change, stage=None, **settings):
        station = self.train.station(self.stop.station if stage is None else "station_1", **settings)
        folder = scratch.copy(stage or self.stop.received.opt, self.fresh("train") / "opt")
        change(folder)
        outcomes = []
        for options in ([], ["--out", folder.parent / "out"]):
            before = scratch.snapshot(folder.parent)
            outcomes.append(station.run("pre-run", folder, *options, timeout=30))
            if outcomes[-1].exit != 0:
                self.assertEqual(scratch.snapshot(folder.parent), before)
                self.assert_no_plaintext([station.home], scratch.pieces_of(self.stop.released.pht_train))
        return outcomes

    def assert_hostile(self, change, code="hostile_path", **options):
        with self.subTest(change=change.__name__):
            for outcome in self.pre_run(change, **options):
                self.assert_refused(outcome, code)

    def test_links_pipes_and_devices_among_the_immutable_files(self):
        def link(folder):
            (folder / "pht_train" / "x").symlink_to("/etc/passwd")

        def listed_link(folder):
            (folder / "pht_train" / "r_script.r").unlink()
            (folder / "pht_train" / "r_script.r").symlink_to("entrypoint.py")

        def hard_link(folder):
            os.link(folder / "pht_train" / "r_script.r", folder / "pht_train" / "x")

        def fifo(folder):
            os.mkfifo(folder / "pht_train" / "x")

        def listed_fifo(folder):
            (folder / "pht_train" / "r_script.r").unlink()
            os.mkfifo(folder / "pht_train" / "r_script.r")

        def bound(folder):
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(folder / "pht_train" / "x"))

        for change in (link, listed_link, hard_link, fifo, listed_fifo, bound):
            self.assert_hostile(change)

    def test_pipes_among_the_results(self):
        def fifo(folder):
            os.mkfifo(folder / "pht_results" / "x")

        self.assert_hostile(fifo)

    def test_parts_that_are_links(self):
        for name in ("train_config.json", "user_sym_key.key", "pht_train", "pht_results"):
            def link(folder, name=name):
                (folder / name).rename(folder.parent / name)
                (folder / name).symlink_to(f"../{name}")

            with self.subTest(name=name):
                self.assert_hostile(link)

    def test_parts_that_are_pipes(self):
        for name in ("train_config.json", "user_sym_key.key"):
            def fifo(folder, name=name):
                (folder / name).unlink()
                os.mkfifo(folder / name)

            with self.subTest(name=name):
                self.assert_hostile(fifo)

    def test_folders_nested_beyond_any_sense(self):
        def nest(folder):
            at = os.open(folder / "pht_results", os.O_RDONLY)
            for _ in range(5000):
                os.mkdir("d", dir_fd=at)
                inner = os.open("d", os.O_RDONLY, dir_fd=at)
                os.close(at)
                at = inner
            os.close(at)

        station = self.train.station(self.stop.station)
        folder = scratch.copy(self.stop.received.opt, self.fresh("train") / "opt")
        nest(folder)
        self.addCleanup(subprocess.run, ["rm", "-rf", folder], check=False)
        outcome = station.run("pre-run", folder, "--out", folder.parent / "out")
        self.assert_refused(outcome, "hostile_path")

    def test_results_in_a_train_that_nobody_has_run(self):
        built = self.train.stage("stage-0-built")

        def plain(folder):
            (folder / "pht_results" / "seed.json").write_text("{}")

        def encrypted(folder):
            (folder / "pht_results" / "seed.json").write_bytes(forge.encrypt(built.symmetric_key, b"{}"))

        def nested(folder):
            (folder / "pht_results" / "deep").mkdir()
            (folder / "pht_results" / "deep" / "seed.json").write_bytes(forge.encrypt(built.symmetric_key, b""))

        for change in (plain, encrypted, nested):
            self.assert_hostile(change, "unlisted_file", stage=built.opt)

    def test_the_session_id_of_another_train(self):
        built = self.train.stage("stage-0-built")
        station = self.train.station("station_1")
        self.assert_done(station.run("pre-run", built.opt, "--out", self.fresh() / "out"))
        folder = scratch.copy(built.opt, self.fresh("other") / "opt")
        other_code = b"#!/usr/bin/env python3\nprint('another train')\n"
        (folder / "pht_train" / "entrypoint.py").write_bytes(forge.encrypt(built.symmetric_key, other_code))

        def sign(config):
            listed = [forge.decrypt(built.symmetric_key, (folder / "pht_train" / name).read_bytes()) for name in config["file_list"]]
            query = forge.decrypt(built.symmetric_key, (folder / "pht_train" / "query.json").read_bytes())
            forge.sign_immutable(config, listed, forge.load_key(self.train.creator_key), forge.load_key(self.train.builder_key), query)

        forge.edit_config(folder, sign)
        before = scratch.snapshot(folder)
        outcome = station.run("pre-run", folder, "--out", folder.parent / "out")
        self.assert_refused(outcome, "session_reused")
        self.assertEqual(scratch.snapshot(folder), before)
        self.assertFalse((folder.parent / "out").exists())
        # It is a train as good as any for a station that has not seen the session.
        self.assert_done(self.train.station("station_1").run("pre-run", folder, "--out", folder.parent / "out"))


class Replay(RunTest):
    """A stop signs one result (PROTOCOL §6)."""

    def sealed_once(self):
        station, folder, plain = self.released(out=True)
        self.assert_done(self.post_run(station, folder, plain, "--to", folder.parent / "sealed"))
        return station

    def run_again(self, station, content):
        """The train comes back as it was, and its run gives another result."""
        folder = scratch.copy(self.stop.received.opt, self.fresh("again") / "opt")
        self.assert_done(station.run("pre-run", folder))
        scratch.remove(folder / "pht_results")
        scratch.copy(self.stop.ran.pht_results, folder / "pht_results")
        if content is not None:
            (folder / "pht_results" / "result.json").write_bytes(content)
        return folder

    def test_other_results_are_not_signed_after_a_commit(self):
        station = self.sealed_once()
        folder = self.run_again(station, b"other")
        before = scratch.snapshot(folder)
        self.assert_refused(station.run("post-run", folder), "already_signed")
        self.assertEqual(scratch.snapshot(folder), before)

    def test_the_same_results_are_sealed_again(self):
        station = self.sealed_once()
        folder = self.run_again(station, None)
        self.assert_done(station.run("post-run", folder))
        self.assert_passes(folder, **self.train.judge_keys())

    def test_results_that_were_not_sealed_are_never_wiped_as_if_they_were(self):
        station, folder, plain = self.released(out=True)
        self.assert_done(self.post_run(station, folder, plain))
        (plain / "pht_results" / "result.json").write_bytes(b"other")
        self.assert_refused(self.post_run(station, folder, plain, "--wipe"), "already_signed")
        self.assertEqual((plain / "pht_results" / "result.json").read_bytes(), b"other")

    def test_signing_again_needs_policy_and_a_reason(self):
        station = self.sealed_once()
        folder = self.run_again(station, b"other")
        self.assert_refused(station.run("post-run", folder, "--sign-again", "the first run used old data"), "denied")
        station.configure(policy={"sign_again": True})
        self.assert_refused(station.run("post-run", folder), "already_signed")
        self.assert_done(station.run("post-run", folder, "--sign-again", "the first run used old data"))
        self.assert_passes(folder, **self.train.judge_keys())
        self.assertIn("the first run used old data", (station.state / "replay.jsonl").read_text())

    def test_a_restored_state_needs_a_confirmation_for_each_stop_once(self):
        station, folder, plain = self.released(out=True)
        backup = station.home / "backup"
        self.assert_done(station.run("state", "export", backup))
        restored = self.train.station(self.stop.station)
        self.assert_done(restored.run("state", "import", backup))
        before = scratch.snapshot(folder)
        self.assert_refused(self.post_run(restored, folder, plain), "restored_state")
        self.assertEqual(scratch.snapshot(folder), before)
        self.assert_done(self.post_run(restored, folder, plain, "--confirm-restored"))
        self.assert_passes(folder, **self.train.judge_keys())


if __name__ == "__main__":
    unittest.main()

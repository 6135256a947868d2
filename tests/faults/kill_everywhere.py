"""Kills the program right before each call that changes a file. Whatever is left, the train is the old or the new one, a rerun
finishes or says what is there, and no plaintext lies where none should."""
import os
import signal
import subprocess
import threading
import unittest

from support import judge, scratch, vectors
from support.case import TrainsealTest
from support.images import FORMS

KILL_AT = os.environ["TRAINSEAL_KILL_AT_LIBRARY"]
MOST_CALLS = 5000
JUDGING = threading.Lock()  # the referee works on sys.argv


def last_line(killed):
    return killed.stderr.decode(errors="replace").strip().splitlines()[-1]


class Workspace:
    """A train, its station's home and the plaintext beside it, that can be put back as they were."""

    def __init__(self, prepare, stage, party):
        self.root = scratch.fresh("kill")
        self.template = scratch.fresh("template")
        self.train = self.root / "place" / "opt"
        self.place = self.train.parent
        self.out = self.place / "out"
        self.to = self.place / "sealed"
        self.place.mkdir()
        scratch.copy(stage.opt, self.train)
        self.party = party(self.root / "home")
        prepare(self)
        self.old = scratch.contents(self.train)
        subprocess.run(["cp", "-a", f"{self.root}/.", self.template], check=True)

    def restore(self):
        scratch.remove(self.root)
        subprocess.run(["cp", "-a", f"{self.template}/.", self.root], check=True)

    def run(self, *arguments, kill_at=None, kill_in="program"):
        env = {} if kill_at is None else {"LD_PRELOAD": KILL_AT, "TRAINSEAL_KILL_AT": str(kill_at), "TRAINSEAL_KILL_IN": kill_in}
        return self.party.run(*arguments, env=env, timeout=60)

    def leftovers(self):
        """Staging folders and temporary files anywhere, and what the journal still holds."""
        found = list(self.root.rglob(".trainseal-*"))
        journal = self.party.state / "journal"
        return found + [path for path in journal.glob("*") if not path.name.startswith(".")]

    def remove(self):
        scratch.remove(self.root)
        scratch.remove(self.template)


class Workers:
    """Two threads, each with a workspace of its own, that share the numbers of calls between them; `every`: only each such call."""
    COUNT = 2

    def __init__(self, make_workspace, every=1):
        self.make_workspace = make_workspace
        self.every = every

    def work(self, visit):
        """`visit(space, number)`: False when the command has fewer calls. Returns what failed, and how many calls there were."""
        problems, counted = [], []

        def one(first):
            space = self.make_workspace()
            try:
                for number in range(first, MOST_CALLS, self.COUNT * self.every):
                    if not visit(space, number):
                        counted.append(number)
                        return
            except Exception as error:  # whatever it is, a thread must not fail silently
                problems.append(f"{type(error).__name__}: {error}")
            finally:
                space.remove()

        threads = [threading.Thread(target=one, args=(1 + index * self.every,)) for index in range(self.COUNT)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return problems, counted


class KillTest(TrainsealTest):
    """Runs `command` again and again, killed one call later each time; subclasses say what may be there afterwards."""

    @classmethod
    def setUpClass(cls):
        cls.basic = vectors.train("basic")
        cls.stop = cls.basic.stops[1]
        cls.plaintext = scratch.pieces_of(cls.stop.released.pht_train, cls.stop.released.pht_results)
        cls.new_results = scratch.pieces_of(cls.stop.ran.pht_results)
        cls.basic.token(cls.stop.station)

    def release_and_run(self, space, out=False):
        """Pre-run, and what the train's run left."""
        self.assert_done(space.run("pre-run", space.train, *(["--out", space.out] if out else [])))
        plain = space.out if out else space.train
        scratch.remove(plain / "pht_results")
        scratch.copy(self.stop.ran.pht_results, plain / "pht_results")

    def is_sealed(self, train):
        """Whether the referee finds the new train there, whole."""
        said = judge.verdict(train, completed=2, previous=[self.stop.received.opt], plain_train=self.stop.released.pht_train,
                             plain_results=self.stop.ran.pht_results, **self.basic.judge_keys())
        return said.startswith("PASS")

    def is_released(self, folder):
        return all(scratch.contents(folder / part) == scratch.contents(self.stop.released.opt / part)
                   for part in ("pht_train", "pht_results"))

    def station(self, home):
        return self.basic.station(self.stop.station, home=home)

    def kill_everywhere(self, prepare, command, check, stage=None, party=None, at_least=20):
        """`command(space)`: the arguments. `check(space, rerun)`: what must hold after another command has done the recovery
        (`rerun` is None), and after the same command again (its outcome), be it the next one or the one after."""
        def visit(space, number):
            for reruns in ((False, True), (True,)):
                said = self.kill(space, command, number)
                if said is None:
                    return False
                for rerun in reruns:
                    self.look(space, rerun and command, check, said)
            return True

        self.at_each_call(Workers(lambda: Workspace(prepare, stage or self.stop.received, party or self.station)), visit, at_least)

    def kill_in_recovery(self, prepare, command, check):
        """The same, and the command that does the recovery is killed at each of its calls, too."""
        def visit(space, number):
            for second in range(1, MOST_CALLS):
                first = self.kill(space, command, number)
                if first is None:
                    return False
                recovery = space.run("ledger", "list", kill_at=second)
                if recovery.exit != -signal.SIGKILL:
                    return True
                said = f"{first}, in the recovery {last_line(recovery)}"
                for rerun in (False, True):
                    self.look(space, rerun and command, check, said)
            self.fail("the recovery has no end")

        self.at_each_call(Workers(lambda: Workspace(prepare, self.stop.received, self.station), every=5), visit, at_least=20)

    def kill(self, space, command, number):
        """Where the command was killed; None if it ran through."""
        space.restore()
        killed = space.run(*command(space), kill_at=number)
        if killed.exit == -signal.SIGKILL:
            return last_line(killed)
        self.assert_done(killed)
        return None

    def look(self, space, command, check, said):
        """`command`: the same again; False: another one, which only recovers."""
        outcome = space.run(*command(space)) if command else self.assert_done(space.run("ledger", "list"))
        try:
            with JUDGING:
                check(space, outcome if command else None)
            self.assertEqual(space.leftovers(), [])
        except AssertionError as error:
            raise AssertionError(f"{said}: {error}") from None

    def at_each_call(self, workers, visit, at_least):
        problems, counted = workers.work(visit)
        self.assertFalse(problems, "\n\n".join(problems))
        self.assertGreater(min(counted), at_least, "hardly a call was counted: is the library preloaded?")


def nothing(space):
    """No preparation."""


class PreRun(KillTest):
    def check_in_place(self, space, rerun):
        if rerun is not None:
            self.assert_done(rerun)
            self.assertTrue(self.is_released(space.train))
        elif scratch.contents(space.train) == space.old:
            self.assert_no_plaintext([space.root], self.plaintext)
        else:
            self.assertTrue(self.is_released(space.train), "neither the old nor the new train")
        self.assert_no_plaintext([space.root], self.plaintext, leave_out=space.train)

    def test_in_place(self):
        self.kill_everywhere(nothing, lambda space: ["pre-run", space.train], self.check_in_place)

    def test_in_place_and_in_the_recovery(self):
        self.kill_in_recovery(nothing, lambda space: ["pre-run", space.train], self.check_in_place)

    def test_out(self):
        def check(space, rerun):
            self.assertEqual(scratch.contents(space.train), space.old)
            if rerun is not None:
                self.assert_done(rerun)
            if space.out.exists() or rerun is not None:
                self.assertTrue(self.is_released(space.out), "half of the plaintext")
                self.assertEqual(space.out.stat().st_mode & 0o777, 0o700)
            self.assert_no_plaintext([space.root], self.plaintext, leave_out=space.out)

        self.kill_everywhere(nothing, lambda space: ["pre-run", space.train, "--out", space.out], check)


class PostRun(KillTest):
    def check_sealed(self, space, train, rerun):
        """Old or new; new after the rerun."""
        if rerun is not None:
            self.assert_done(rerun)
        if rerun is not None or scratch.contents(train) != space.old:
            self.assertTrue(self.is_sealed(train), "neither the old nor the new train")
            self.assert_no_plaintext([train], self.plaintext | self.new_results)
            return True
        return False

    def check_in_place(self, space, rerun):
        if self.check_sealed(space, space.train, rerun):
            self.assert_no_plaintext([space.root], self.plaintext | self.new_results)

    def test_in_place(self):
        self.kill_everywhere(self.release_and_run, lambda space: ["post-run", space.train], self.check_in_place)

    def test_in_place_and_in_the_recovery(self):
        self.kill_in_recovery(self.release_and_run, lambda space: ["post-run", space.train], self.check_in_place)

    def test_results_and_wipe(self):
        def check(space, rerun):
            sealed = self.check_sealed(space, space.train, rerun)
            if rerun is not None:
                self.assertFalse(space.out.exists())
                self.assert_no_plaintext([space.root], self.plaintext | self.new_results)
            elif not sealed:
                self.assertEqual(scratch.contents(space.out / "pht_results"), scratch.contents(self.stop.ran.pht_results))

        self.kill_everywhere(lambda space: self.release_and_run(space, out=True),
                             lambda space: ["post-run", space.train, "--results", space.out, "--wipe"], check)

    def test_to_another_place(self):
        def check(space, rerun):
            self.assertEqual(scratch.contents(space.train), space.old)
            if rerun is not None:
                self.assert_done(rerun)
            if space.to.exists() or rerun is not None:
                self.assertTrue(self.is_sealed(space.to), "half a train")
            self.assertEqual(scratch.contents(space.out / "pht_results"), scratch.contents(self.stop.ran.pht_results))

        self.kill_everywhere(lambda space: self.release_and_run(space, out=True),
                             lambda space: ["post-run", space.train, "--results", space.out, "--to", space.to], check)


class Layout(KillTest):
    """A train that is an image, in each form that lies in files: post-run on it."""
    FORM = "oci"

    def prepare(self, space):
        space.images = FORMS[self.FORM](space.place, "images")
        space.images.make_base().put(space.train)
        space.old_tops = self.tops(space)
        self.assert_done(space.run("pre-run", space.images.name(), "--out", space.out))
        scratch.remove(space.out / "pht_results")
        scratch.copy(self.stop.ran.pht_results, space.out / "pht_results")

    def tops(self, space):
        """What says which image is there."""
        return {path.name: path.read_bytes() for path in space.images.place.iterdir() if path.is_file()}

    def check(self, space, rerun):
        if rerun is not None:
            self.assert_done(rerun)
        if self.tops(space) == space.old_tops:
            self.assertIsNone(rerun, "the image is the old one")
        else:
            opt = space.images.top_layer(space.place / "unpacked")
            self.assertTrue(self.is_sealed(opt), "neither the old nor the new image")
            scratch.remove(space.place / "unpacked")
        if rerun is not None:
            self.assertEqual(list((space.party.state / "outbox").iterdir()), [])
        self.assert_no_plaintext([space.images.place, space.party.state], self.plaintext | self.new_results)

    def test_results(self):
        self.kill_everywhere(self.prepare, lambda space: ["post-run", space.images.name(), "--results", space.out], self.check)


class OciArchive(Layout):
    FORM = "oci-archive"


class DockerArchive(Layout):
    FORM = "docker-archive"


class ImageInPlace(KillTest):
    """An image that is decrypted in place, and given up: in a layout, and in an archive, which stands for all that has to be sent."""

    def prepare(self, space, form):
        space.images = FORMS[form](space.place, "images")
        space.images.make_base().put(space.train)
        space.old_top = self.top(space)

    def top(self, space):
        return [path.read_bytes() for path in sorted(space.images.place.iterdir()) if path.is_file()]

    def top_layer(self, space):
        scratch.remove(space.place / "unpacked")
        return space.images.top_layer(space.place / "unpacked")

    def check_released(self, space, rerun):
        if rerun is not None:
            self.assert_done(rerun)
        if self.top(space) == space.old_top:
            self.assertIsNone(rerun, "the image is the old one")
            self.assert_no_plaintext([space.images.place, space.party.state], self.plaintext)
        else:
            self.assertTrue(self.is_released(self.top_layer(space)), "neither the old nor the new image")
            scratch.remove(space.place / "unpacked")
        self.assert_no_plaintext([space.party.state, space.party.home / "tmp"], self.plaintext)

    def release(self, form):
        self.kill_everywhere(lambda space: self.prepare(space, form), lambda space: ["pre-run", space.images.name()], self.check_released)

    def test_pre_run_in_a_layout(self):
        self.release("oci")

    def test_pre_run_in_an_archive(self):
        self.release("docker-archive")

    def discard(self, form):
        def prepare(space):
            self.prepare(space, form)
            self.assert_done(space.run("pre-run", space.images.name()))

        def check(space, rerun):
            if rerun is not None and rerun.exit != 0:
                self.assert_refused(rerun, "no_record")
            if rerun is not None:
                self.assert_no_plaintext([space.images.place, space.party.state, space.party.home / "tmp"], self.plaintext)

        self.kill_everywhere(prepare, lambda space: ["discard", space.images.name()], check, at_least=5)

    def test_discard_in_a_layout(self):
        self.discard("oci")

    def test_discard_in_an_archive(self):
        self.discard("docker-archive")


class Discard(KillTest):
    def check_gone(self, space, rerun, gone):
        if rerun is not None and rerun.exit != 0:
            self.assert_refused(rerun, "no_record")
        if rerun is not None:
            gone()
            self.assert_no_plaintext([space.root], self.plaintext | self.new_results)

    def test_out(self):
        def check(space, rerun):
            self.assertEqual(scratch.contents(space.train), space.old)
            self.check_gone(space, rerun, lambda: self.assertFalse(space.out.exists()))

        self.kill_everywhere(lambda space: self.release_and_run(space, out=True),
                             lambda space: ["discard", space.out], check, at_least=5)

    def test_in_place(self):
        def check(space, rerun):
            self.check_gone(space, rerun, lambda: None)

        self.kill_everywhere(self.release_and_run, lambda space: ["discard", space.train], check, at_least=5)


class Worker(KillTest):
    """The token worker is killed, and so is the one that takes its place: each at the same call."""

    def test_the_command_fails_cleanly_and_the_next_one_succeeds(self):
        def visit(space, number):
            space.restore()
            outcome = space.run("pre-run", space.train, "--out", space.out, kill_at=number, kill_in="worker")
            if outcome.exit == 0:
                self.assertTrue(self.is_released(space.out))
                return False
            self.assert_refused(outcome, "token_failed")
            self.assertIn("SIGKILL", outcome.report["error"]["message"])
            self.assertEqual(scratch.contents(space.train), space.old)
            self.assert_no_plaintext([space.root], self.plaintext)
            self.assert_done(space.run("pre-run", space.train, "--out", space.out))
            self.assertTrue(self.is_released(space.out))
            self.assertEqual(space.leftovers(), [])
            return True

        self.at_each_call(Workers(lambda: Workspace(nothing, self.stop.received, self.station)), visit, at_least=3)


class Open(KillTest):
    def test_the_creators_end(self):
        def check(space, rerun):
            self.assertEqual(scratch.contents(space.train), space.old)
            if rerun is not None and rerun.exit != 0:
                self.assert_refused(rerun, "store_failed")  # a kill after the release: what is there is said
                self.assertTrue(space.out.exists())
            if space.out.exists() or rerun is not None:
                self.assert_same_contents(space.out / "pht_results", self.stop.ran.pht_results)
            self.assert_no_plaintext([space.root], self.plaintext, leave_out=space.out)

        self.kill_everywhere(nothing, lambda space: ["open", space.train, "--out", space.out], check, stage=self.stop.sealed,
                             party=lambda home: self.basic.creator(home=home), at_least=10)


if __name__ == "__main__":
    unittest.main()

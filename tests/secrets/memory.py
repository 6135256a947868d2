"""What is left of the PIN and of the symmetric keys in the memory of the program and of its token worker when a command is done,
and that neither can be dumped. What the vendor's module itself keeps is told apart by a program that does the same with the
bare module."""
import json
import os
import re
import signal
import subprocess
import unittest

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from support import scratch, vectors
from support.case import TrainsealTest, unless_sanitized
from support.party import PROGRAM, SOFTHSM, Token

STOP_AT_END = os.environ["TRAINSEAL_STOP_LIBRARY"]
BARE_MODULE = os.environ["TRAINSEAL_BARE_MODULE"]
PIN = "Pin-of-the-memory-test-4711"


class Memory:
    """A copy of everything that a stopped process can read of itself, with the kernel's flags of each part."""

    def __init__(self, pid):
        self.parts = []
        flags = dict(re.findall(r"^([0-9a-f]+)-[0-9a-f]+ .*?^VmFlags: ([a-z ]*)$", open(f"/proc/{pid}/smaps").read(), re.M | re.S))
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                first, last, mode = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
                if "r" not in mode or "[v" in line:
                    continue
                memory.seek(int(first, 16))
                self.parts.append((memory.read(int(last, 16) - int(first, 16)), flags[first].split()))

    def count(self, secret, locked=False):
        """How often the secret is there; in memory that is locked and kept out of dumps, or outside of that."""
        return sum(part.count(secret) for part, flags in self.parts if locked == ("lo" in flags and "dd" in flags))


class Stopped:
    """A process that has stopped itself, with its memory and, if it has a child, that one's."""

    def __init__(self, command, env):
        self.process = subprocess.Popen(list(map(os.fsencode, command)), env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            ended = os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            if ended.si_code != os.CLD_STOPPED:
                raise AssertionError(f"it did not stop: {self.process.communicate()}")
            self.memory = Memory(self.process.pid)
            children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
            self.child = Memory(int(children[0])) if children else None
        except BaseException:
            self.process.kill()
            self.process.communicate()
            raise

    def go_on(self):
        """Lets it end; returns its report."""
        os.kill(self.process.pid, signal.SIGCONT)
        output, errors = self.process.communicate(timeout=60)
        if self.process.returncode != 0:
            raise AssertionError(f"exit {self.process.returncode}: {output} {errors}")
        return json.loads(output) if output else None

    def end(self):
        self.process.kill()
        self.process.communicate()


def unwrapped(wrapped, key_file):
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    return key.decrypt(wrapped, padding.OAEP(padding.MGF1(hashes.SHA512()), hashes.SHA512(), None))


@unless_sanitized
class MemoryAfterUse(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        cls.basic = vectors.train("basic")
        cls.stop = cls.basic.stops[1]
        cls.token = Token(pin=PIN)
        cls.token.import_key(cls.stop.key_file, "station")

    def setUp(self):
        self.station = self.basic.station(self.stop.station)
        self.station.env |= self.token.environment
        self.station.configure(token={"keys": self.token.keys, "pin_file": str(self.token.pin_file)})
        self.record = self.fresh("record") / "record"
        self.train = scratch.copy(self.stop.received.opt, self.fresh("train") / "opt")

    def stopped(self, *arguments):
        env = {**self.station.env, "LD_PRELOAD": STOP_AT_END, "TRAINSEAL_STOP_RECORD": str(self.record)}
        return Stopped([PROGRAM, *arguments, "--json"], env)

    def wrapped_for_me(self, opt):
        route = json.loads((opt / "train_config.json").read_text())["route"]
        return bytes.fromhex(next(s["encrypted_key"] for s in route if str(s["station"]) == self.stop.station))

    def kept_by_the_module(self, secret):
        """How often the module alone has the secret after a log-in, a decryption and a signature."""
        ciphertext = self.fresh("bare") / "ciphertext"
        ciphertext.write_bytes(self.wrapped_for_me(self.train))
        bare = Stopped([BARE_MODULE, SOFTHSM, self.token.label, "station", self.token.pin_file, ciphertext], self.station.env)
        bare.end()
        return bare.memory.count(secret)

    def assert_only_what_must_be(self, stopped, keys):
        pin = PIN.encode()
        self.assertEqual(stopped.memory.count(pin) + stopped.memory.count(pin, locked=True), 0, "the program keeps the PIN")
        self.assertEqual(stopped.child.count(pin, locked=True), 1, "the worker has one locked PIN, for logging in again")
        self.assertEqual(stopped.child.count(pin), self.kept_by_the_module(pin), "the worker has more of the PIN than its module")
        for key in keys:
            self.assertEqual(stopped.memory.count(key) + stopped.memory.count(key, locked=True), 0, "the program keeps the key")
            self.assertEqual(stopped.child.count(key, locked=True), 0, "the worker keeps the key")
            self.assertEqual(stopped.child.count(key), self.kept_by_the_module(key), "the worker has more of the key than its module")

    def test_pre_run(self):
        stopped = self.stopped("pre-run", self.train, "--out", self.train.parent / "out")
        self.assert_only_what_must_be(stopped, [self.stop.received.symmetric_key])
        stopped.go_on()
        self.assertEqual(unwrapped(self.wrapped_for_me(self.train), self.stop.key_file), self.stop.received.symmetric_key)

    def test_post_run(self):
        out = self.train.parent / "out"
        self.assert_done(self.station.run("pre-run", self.train, "--out", out))
        stopped = self.stopped("post-run", self.train, "--results", out)
        stopped.go_on()
        fresh = unwrapped(self.wrapped_for_me(self.train), self.stop.key_file)
        self.assertNotEqual(fresh, self.stop.received.symmetric_key)
        self.assert_only_what_must_be(stopped, [self.stop.received.symmetric_key, fresh])

    def test_a_secret_that_is_there_is_found(self):
        """What is searched for could be found: the wrapped key's hex is no secret, and the program has read it."""
        stopped = self.stopped("pre-run", self.train, "--out", self.train.parent / "out")
        self.addCleanup(stopped.end)
        self.assertGreater(stopped.memory.count(os.fsencode(self.train)), 0)
        self.assertGreater(stopped.child.count(b"/libsofthsm2.so"), 0)

    def test_neither_process_can_be_dumped(self):
        self.stopped("pre-run", self.train, "--out", self.train.parent / "out").go_on()
        self.assertEqual(sorted(self.record.read_text().splitlines()), ["program dumpable=0 core=0", "worker dumpable=0 core=0"])


if __name__ == "__main__":
    unittest.main()

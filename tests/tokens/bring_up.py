"""Bringing tokens up for tests: what each kind says of itself, and daemons that end with the test."""
import atexit
import subprocess
import time
from pathlib import Path

from support.party import AnyToken

START_S = 20  # how long a daemon may take on a busy machine


class CannotBringUp(Exception):
    """This machine does not have what the token needs; the text says what."""


def need_files(*paths):
    for path in paths:
        if not Path(path).exists():
            raise CannotBringUp(f"{path} is missing: scripts/install-packages installs it")


def execute(command, env=None, stdin=""):
    """Runs a tool of the token's, which has to succeed; returns what it wrote."""
    done = subprocess.run([str(part) for part in command], env=env, input=stdin, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise CannotBringUp(f"exit {done.returncode} of {' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def wait_until(ready, what, alive=lambda: True):
    """Polls `ready` until it is true, `alive` is false or the time is over."""
    end = time.monotonic() + START_S
    while not ready():
        if time.monotonic() > end or not alive():
            raise CannotBringUp(what())
        time.sleep(0.02)


class Daemon:
    """A program that runs beside the test: stopped by `stop`, at the end of the test process, and by the kernel if that
    process is killed."""

    def __init__(self, command, log, env=None):
        self.log = Path(log)
        self.name = Path(command[0]).name
        with open(log, "wb") as out:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)], env=env,
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        atexit.register(self.stop)

    @property
    def pid(self):
        return self.process.pid

    def wait_until(self, ready):
        def what():
            return f"{self.name} does not start (exit {self.process.poll()}): {self.log.read_text(errors='replace')}"
        wait_until(ready, what, lambda: self.process.poll() is None)

    def stop(self):
        """By SIGKILL: pkcsslotd waits for its clients otherwise, and what these daemons leave behind lies in scratch folders."""
        atexit.unregister(self.stop)
        self.process.kill()
        self.process.wait()


class TokenKind(AnyToken):
    """A kind of token that the conformance suite runs on. What differs between kinds is said here."""

    needs = ()  # files of the Debian packages
    sizes = (2048, 3072, 4096)  # RSA keys that it generates
    imports = True  # takes keys by `trainseal key import`
    says_local = True  # CKA_LOCAL of a generated key
    imported_never_left = False  # what it claims of an imported key by ALWAYS_SENSITIVE and NEVER_EXTRACTABLE
    # How the direct backend has to find each operation.
    paths = {"unwrap": "native", "sign_protocol": "native", "sign_statement": "native", "sign_pkcs1": "native"}
    wrong_pins_that_lock = None
    tries_until_warned = None  # wrong PINs after which the token says that one try is left

    def __init__(self, label="probe"):
        need_files(*self.needs)
        super().__init__(label)
        self.daemons = []
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self):
        """Makes an initialized token with the user's PIN."""
        raise NotImplementedError

    def stop(self):
        for daemon in reversed(self.daemons):
            daemon.stop()
        self.daemons.clear()

    def daemon(self, command, env=None):
        self.daemons.append(Daemon(command, self.folder / f"{Path(command[0]).name}.log", env))
        return self.daemons[-1]

    def put_key(self, pem, label):
        """Gets a key onto the token by whatever tool can do it."""
        return self.import_key(pem, label)

"""Those who take part in a train's journey, each with a token, settings and a state folder, and the program that they run."""
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from support import scratch

PROGRAM = os.environ["TRAINSEAL_PROGRAM"]
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "87654321"
SO_PIN = "12345678"


@dataclass(frozen=True)
class Outcome:
    arguments: list
    exit: int
    report: dict
    stdout: bytes
    stderr: bytes

    @property
    def code(self):
        return self.report.get("error", {}).get("code")

    def __str__(self):
        shown = " ".join(os.fsdecode(argument) for argument in self.arguments)
        return (f"trainseal {shown}\nexit {self.exit}\n{self.stdout.decode(errors='replace')}"
                f"{self.stderr.decode(errors='replace')}")


def environment(home):
    """A minimal environment: nothing of the developer's own, everything temporary below `home`."""
    kept = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LLVM_PROFILE_FILE")
    temporary = Path(home) / "tmp"
    temporary.mkdir(exist_ok=True)
    return {**{name: os.environ[name] for name in kept if name in os.environ},
            "HOME": str(home), "TMPDIR": str(temporary)}


def run(arguments, env, timeout=120, json_report=True, stdin=subprocess.DEVNULL, enter=(), umask=-1):
    """Runs the program with `--json` and reads its report. `enter`: a command that runs it where its token is. `umask`: another
    one than ours."""
    arguments = [os.fsencode(argument) for argument in arguments]
    command = [*map(os.fsencode, [*enter, PROGRAM]), *arguments, *([b"--json"] if json_report else [])]
    done = subprocess.run(command, env=env, stdin=stdin, capture_output=True, timeout=timeout, umask=umask)
    report = {}
    if json_report and done.stdout.strip():
        try:
            report = json.loads(done.stdout)
        except ValueError as error:
            raise AssertionError(f"the report is no JSON: {error}\n{done.stdout!r}\n{done.stderr!r}") from None
    return Outcome(arguments, done.returncode, report, done.stdout, done.stderr)


class AnyToken:
    """A token: how its module is named and reached, its PIN, and the keys that were put on it."""

    settings = {}  # of `token`: the module and what it needs
    environment = {}
    enter = ()  # see `run`

    def __init__(self, label, pin=PIN):
        self.label = label
        self.pin = pin
        self.folder = scratch.fresh("token")
        self.pin_file = self.folder / "pin"
        self.pin_file.write_text(pin)
        self.pin_file.chmod(0o600)
        self.keys = []

    @property
    def uri(self):
        return f"pkcs11:token={quote(self.label)}"

    def key_uri(self, label):
        return f"{self.uri};object={label};type=private"

    def _key_command(self, *arguments):
        maker = Party("keys", self, uris=[])
        outcome = maker.run("key", *arguments)
        if outcome.exit != 0:
            raise AssertionError(str(outcome))

    def import_key(self, pem, label, passphrase=None):
        """Puts the private key of a PEM file into the token; returns its URI."""
        extra = []
        if passphrase is not None:
            passphrase_file = self.folder / "passphrase"
            passphrase_file.write_text(passphrase)
            passphrase_file.chmod(0o600)
            extra = ["--passphrase-file", passphrase_file]
        self._key_command("import", pem, "--token", self.uri, "--label", label, *extra)
        self.keys.append(self.key_uri(label))
        return self.keys[-1]

    def generate_key(self, label, bits=2048):
        """Makes a key on the token; returns its URI."""
        self._key_command("generate", "--token", self.uri, "--label", label, "--bits", str(bits))
        self.keys.append(self.key_uri(label))
        return self.keys[-1]


def make_softhsm_token(folder, label, pin):
    """Makes a SoftHSM token below `folder`; returns the environment in which its module finds it."""
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
                      "slots.removable = false\n")
    environment = {"SOFTHSM2_CONF": str(config)}
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", pin],
                   env={"PATH": os.environ["PATH"], **environment}, check=True, capture_output=True)
    return environment


class Token(AnyToken):
    """A SoftHSM token in a store of its own."""

    settings = {"module": SOFTHSM}

    def __init__(self, label="pht", pin=PIN):
        super().__init__(label, pin)
        self.environment = make_softhsm_token(self.folder, label, pin)


class Party:
    """A station, a creator or a builder: a home folder with settings and state, and somebody's token."""

    def __init__(self, name, token=None, station=None, uris=None, home=None, **settings):
        self.home = Path(home) if home else scratch.fresh(name)
        self.home.mkdir(exist_ok=True)
        self.token = token
        self.state = self.home / "state"
        self.settings_file = self.home / "settings.json"
        self.env = environment(self.home)
        self.env["TRAINSEAL_SETTINGS"] = str(self.settings_file)
        self.settings = {"version": 1, "state_dir": str(self.state), "in_place": "allow"}
        if station is not None:
            self.settings["station"] = str(station)
        if token is not None:
            self.env |= token.environment
            self.settings["token"] = {**token.settings, "keys": list(token.keys if uris is None else uris),
                                      "pin_file": str(token.pin_file)}
        self.configure(**settings)

    def configure(self, **settings):
        """Changes settings; `token` and `train` are merged, None takes a key away."""
        for key, value in settings.items():
            if value is None:
                self.settings.pop(key, None)
            elif isinstance(value, dict) and key in self.settings:
                self.settings[key] = {**self.settings[key], **value}
            else:
                self.settings[key] = value
        self.settings_file.write_text(json.dumps(self.settings))

    def trust(self, sections):
        """Writes a trust file and names it in the settings."""
        path = self.home / "trust.json"
        path.write_text(json.dumps(sections))
        self.configure(trust=str(path))

    def run(self, *arguments, env=None, **options):
        enter = self.token.enter if self.token is not None else ()
        return run(arguments, {**self.env, **(env or {})}, enter=enter, **options)

    def peak(self, *arguments):
        """Runs the command; its largest resident set in KiB."""
        process = subprocess.Popen([PROGRAM, *map(str, arguments)], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        said = process.stderr.read()
        process.stderr.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise AssertionError(said)
        return usage.ru_maxrss

    def export_key(self, pem_file, uri=None):
        """Writes the public key as PEM text; returns the path."""
        outcome = self.run("key", "export", *(["--key", uri] if uri else []), json_report=False)
        if outcome.exit != 0:
            raise AssertionError(str(outcome))
        Path(pem_file).write_bytes(outcome.stdout)
        return Path(pem_file)

"""A party of a train's journey (creator, builder or station) with a throw-away SoftHSM token of its own."""
import json
import os
import secrets
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build/release/trainseal"
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Failed(Exception):
    """A command that should have worked did not."""


class Party:
    """Token, settings and state of one party, in a folder that nobody else uses."""

    def __init__(self, name, folder, station=None):
        self.name = name
        self.folder = Path(folder)
        self.station = station
        self.pin_file = self.folder / "pin"
        self.settings_file = self.folder / "settings.json"
        self.environment = {"PATH": PATH, "LANG": "C.UTF-8", "SOFTHSM2_CONF": str(self.folder / "softhsm2.conf")}

    def make_token(self):
        """An empty SoftHSM token with a random PIN, and settings that point at the key it is going to hold."""
        (self.folder / "tokens").mkdir(parents=True, mode=0o700)
        pin = secrets.token_hex(8)
        self.pin_file.touch(mode=0o600)
        self.pin_file.write_text(pin)
        (self.folder / "softhsm2.conf").write_text(
            f"directories.tokendir = {self.folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        label = ["softhsm2-util", "--init-token", "--free", "--label", self.name]
        self.execute([*label, "--so-pin", secrets.token_hex(8), "--pin", pin])
        self.write_settings()

    def write_settings(self, **more):
        token = {
            "module": SOFTHSM,
            "keys": [f"pkcs11:token={self.name};object={self.name};type=private"],
            "pin_file": str(self.pin_file),
        }
        settings = {"version": 1, "state_dir": str(self.folder / "state"), "token": token, **more}
        if self.station is not None:
            settings["station"] = self.station
        self.settings_file.write_text(json.dumps(settings, indent=2))

    def make_key(self, bits):
        """Has the token generate its key, and returns the public half as PEM."""
        uri = f"pkcs11:token={self.name}"
        self.trainseal("key", "generate", "--token", uri, "--label", self.name, "--bits", str(bits))
        return self.execute(self.command("key", "export", "--format", "pem")).stdout

    def command(self, *arguments):
        return [str(PROGRAM), *map(str, arguments), "--settings", str(self.settings_file)]

    def trainseal(self, *arguments):
        """Runs a command of ours that has to succeed, and returns its report."""
        return json.loads(self.execute(self.command(*arguments, "--json")).stdout)

    def trainseal_refused(self, *arguments):
        """Runs a command of ours that has to fail, and returns its exit status and error."""
        done = self.execute(self.command(*arguments, "--json"), check=False)
        if done.returncode == 0:
            raise Failed(f"{self.name}: should have been refused: trainseal {' '.join(map(str, arguments))}")
        return done.returncode, json.loads(done.stdout)["error"]

    def execute(self, command, check=True):
        done = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600
        )
        if check and done.returncode != 0:
            said = (done.stderr + done.stdout).strip()
            raise Failed(f"{self.name}: exit {done.returncode} of: {' '.join(command)}\n{said}")
        return done


def need_program():
    if not os.access(PROGRAM, os.X_OK):
        raise Failed(f"{PROGRAM} is not there: run scripts/build first")

"""The service of a station: `trainseal serve` as a process of its own, and requests to it."""
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from support import scratch
from support.party import PROGRAM

PATIENCE_S = 30


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=120):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def lines(self):
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def code(self):
        return self.json.get("error", {}).get("code")

    def __str__(self):
        return f"HTTP {self.status} {self.body.decode(errors='replace')}"


def request(path, method, url, body=None, headers=None, timeout=120):
    """One request over the Unix socket `path`; `body`: an object that becomes JSON, or bytes."""
    connection = UnixConnection(path, timeout)
    try:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        fields = {"Content-Type": "application/json", **(headers or {})} if body is not None else headers or {}
        connection.request(method, url, content, fields)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


class Service:
    """`trainseal serve` of a party, with a work folder whose trains everybody of this user may have processed."""

    def __init__(self, party, wait=True, env=None, arguments=(), **settings):
        self.party = party
        self.run = scratch.fresh("run")
        self.work = scratch.fresh("work")
        self.trains, self.out = self.work / "trains", self.work / "out"
        for folder in (self.trains, self.out):
            folder.mkdir()
            folder.chmod(0o2770)
        self.socket, self.admin_socket = self.run / "api.sock", self.run / "admin.sock"
        self.log_file = self.run / "log"
        self.env = {**party.env, **(env or {})}
        self.arguments = arguments
        party.configure(service={"socket": str(self.socket), "admin_socket": str(self.admin_socket),
                                 "allow": [self.everything()], **settings})
        self.process = None
        self.start(wait)

    def everything(self):
        return {"user": str(os.getuid()), "verbs": ["pre-run", "post-run", "discard", "verify", "inspect", "audit"],
                "trains": [f"folder:{self.trains}", f"oci:{self.trains}", f"oci-archive:{self.trains}",
                           f"docker-archive:{self.trains}"],
                "out": str(self.out), "overrides": ["without-record", "sign-again", "confirm-restored", "replace"]}

    def start(self, wait=True):
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen([PROGRAM, "serve", *map(str, self.arguments)], env=self.env, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        if wait:
            self.wait_until(self.is_ready)

    def log(self):
        return self.log_file.read_text(errors="replace")

    def is_ready(self):
        try:
            return self.get("/v1/ready").status == 200
        except OSError:
            return False

    def is_live(self):
        try:
            return self.get("/v1/live").status == 200
        except OSError:
            return False

    def wait_until(self, is_so, patience_s=PATIENCE_S):
        deadline = time.monotonic() + patience_s
        while not is_so():
            if self.process.poll() is not None or time.monotonic() > deadline:
                log = self.log()
                self.kill()
                raise AssertionError(f"the service is not as it should be ({self.process.returncode}):\n{log[-4000:]}")
            time.sleep(0.01)

    def get(self, url, **options):
        return request(self.socket, "GET", url, **options)

    def post(self, url, body=None, **options):
        return request(self.socket, "POST", url, body if body is not None else b"", **options)

    def admin(self, method, url, body=b"", **options):
        return request(self.admin_socket, method, url, body, **options)

    def call(self, verb, train, headers=None, **body):
        """A job; its options as keywords, `_` for `-`."""
        options = {name.replace("_", "-"): str(value) if isinstance(value, Path) else value for name, value in body.items()}
        return self.post(f"/v1/{verb}", {"train": str(train), **options}, headers=headers)

    def stop(self, patience_s=PATIENCE_S):
        """SIGTERM; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the service does not stop:\n{self.log()[-4000:]}") from None
        return self.process.returncode

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def audit(self):
        """The audit's lines, from its file."""
        return [json.loads(line) for line in (self.party.state / "audit.jsonl").read_text().splitlines()]

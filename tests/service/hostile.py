"""Clients that do what they should not: requests out of form, connections that stall, other users, paths that lead away."""
import grp
import json
import os
import pwd
import re
import socket
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from service.scene import ServiceTest
from support import scratch

BODY = b'{"train": "folder:/nowhere/t"}'


def raw(service, content, patience_s=40):
    """Sends the bytes as they are; everything that comes back until the service closes the connection, or nothing for 1 s after
    an answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(patience_s)
        connection.connect(str(service.socket))
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        said = b""
        try:
            while piece := connection.recv(65536):
                said += piece
                connection.settimeout(1)
        except (TimeoutError, ConnectionResetError):
            pass
        return said


def post(*fields, body=BODY, length=True):
    lines = [b"POST /v1/verify HTTP/1.1", b"Host: localhost", b"Content-Type: application/json", *fields]
    if length:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def status_of(answer):
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else None


class BadRequests(ServiceTest):
    def setUp(self):
        self.one = self.service()

    def assert_refused_and_closed(self, content, *statuses):
        answer = raw(self.one, content)
        # What is not HTTP at all is closed without a word; libmicrohttpd says the head of some of its own answers twice.
        said = {int(status) for status in re.findall(rb"^HTTP/1\.1 (\d+)", answer, re.MULTILINE)}
        self.assertLessEqual(said, set(statuses), answer)
        self.assertEqual(self.one.get("/v1/live").status, 200)

    def test_what_proxies_and_servers_read_differently(self):
        other = b"Content-Length: 5"
        cases = {
            "two lengths": post(other),
            "the same length twice": post(b"Content-Length: %d" % len(BODY)),
            "a length and chunks": post(b"Transfer-Encoding: chunked"),
            "chunks": post(b"Transfer-Encoding: chunked", body=b"1e\r\n" + BODY + b"\r\n0\r\n\r\n", length=False),
            "an odd coding": post(b"Transfer-Encoding: xchunked"),
            "a length with a sign": post(b"Content-Length: +%d" % len(BODY), length=False),
            "two lengths in one": post(b"Content-Length: %d, %d" % (len(BODY), len(BODY)), length=False),
            "a length in hex": post(b"Content-Length: 0x1e", length=False),
            "a negative length": post(b"Content-Length: -1", length=False),
            "no length": post(length=False, body=b""),
            "two hosts": post(b"Host: elsewhere"),
            "two content types": post(b"Content-Type: text/plain"),
            "a body for GET": b"GET /v1/live HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
        }
        for name, content in cases.items():
            with self.subTest(name):
                self.assert_refused_and_closed(content, 400, 411)

    def test_sizes(self):
        with self.subTest("header"):
            self.assert_refused_and_closed(post(b"X-Long: " + b"x" * 9000), 431)
        with self.subTest("a header without an end"):
            self.assert_refused_and_closed(post(b"X-Long: " + b"x" * 2_000_000), 400, 413, 431)
        with self.subTest("body"):
            self.assert_refused_and_closed(post(body=b"[" * (1 << 20) + b"x"), 413)
        with self.subTest("a length that is not sent"):
            self.assert_refused_and_closed(post(b"Content-Length: 999999999999", length=False), 400, 413)
        for name, body in {"depth": b"[" * 1000, "many keys": b'{"train": "x", "train": "y"}', "no JSON": b"\xff\xfe",
                           "another type": b'["train"]', "a number": b'{"train": 7}', "an unknown option": b'{"train": "x", "sudo": true}',
                           "an option of another command": b'{"train": "x", "out": "/x"}', "nul": b'{"train": "folder:/x\\u0000y"}'}.items():
            with self.subTest(name):
                answer = raw(self.one, post(body=body))
                self.assertEqual(status_of(answer), 400, answer)
                self.assertEqual(json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["code"], "usage")

    def test_garbage(self):
        for content in (b"\0" * 100, b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"POST /v1/verify\r\n\r\n", os.urandom(5000), b"\r\n" * 5000,
                        b"GET /v1/live HTTP/9.9\r\n\r\n", b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n"):
            self.assert_refused_and_closed(content, 400, 404, 414, 431, 505)

    def test_pipelined_requests_are_answered_in_their_order(self):
        get = b"GET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = raw(self.one, get + b"GET /v1/none HTTP/1.1\r\nHost: x\r\n\r\n" + get)
        self.assertEqual([int(part.split()[1]) for part in answer.split(b"HTTP/1.1 ") if part for part in [b"x " + part]],
                         [200, 404, 200], answer)

    def test_what_comes_behind_a_refused_request_is_not_read(self):
        smuggled = post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\nGET /v1/live HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = raw(self.one, smuggled)
        self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)


class StalledClients(ServiceTest):
    def test_who_stalls_or_drips_is_ended_and_others_are_served(self):
        one = self.service()
        kept = []
        for start in (b"", b"GET /v1/li", b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"):
            for _ in range(20):
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(str(one.socket))
                connection.sendall(start)
                kept.append(connection)
        stop = threading.Event()

        def drip():
            # A byte now and then begins each idle time-out anew.
            while not stop.wait(1):
                for connection in kept[20:40]:
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        pass
        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            self.whole_way(one, 1)
            ended = 0
            for connection in kept:
                connection.settimeout(60)
                try:
                    while connection.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
                ended += 1
            self.assertEqual(ended, len(kept))
        finally:
            stop.set()
            dripping.join()
            for connection in kept:
                connection.close()
        self.assert_ok(one.get("/v1/status"))


@unittest.skipIf(os.geteuid() != 0, "needs another user to be")
class OtherUsers(ServiceTest):
    """Clients that run as somebody else."""

    def setUp(self):
        self.one = self.service()
        self.one.run.chmod(0o755)
        self.nobody = pwd.getpwnam("nobody")
        self.group = grp.getgrnam("games").gr_gid

    def ask_as(self, url, gid, groups=(), method="GET", body=None):
        """The status that a process of that user gets."""
        script = ("import sys,json; from support.service import request; body=json.loads(sys.argv[4]);"
                  "a=request(sys.argv[1],sys.argv[2],sys.argv[3],body); print(a.status); print(a.body.decode())")
        done = subprocess.run([sys.executable, "-c", script, str(self.one.socket), method, url, json.dumps(body)], user=self.nobody.pw_uid,
                              group=gid, extra_groups=groups, capture_output=True, check=False,
                              env={"PYTHONPATH": str(Path(__file__).resolve().parent.parent), "TRAINSEAL_PROGRAM": "-",
                                   "TRAINSEAL_TEST_SCRATCH": "/tmp", "PATH": os.environ["PATH"]})
        lines = done.stdout.decode().splitlines()
        return int(lines[0]) if lines else done.stderr.decode()

    def allow(self, **entry):
        self.one.party.configure(service={"allow": [entry], "socket_group": str(self.nobody.pw_gid)})
        self.one.stop()
        self.one.start(wait=False)
        self.one.wait_until(lambda: self.one.admin("GET", "/v1/ready").status == 200 if self.one.admin_socket.exists() else False)
        scratch.ROOT.chmod(0o755)
        self.one.run.chmod(0o755)

    def test_only_those_who_are_allowed(self):
        entry = {"verbs": ["verify"], "trains": [f"folder:{self.one.trains}"]}
        self.allow(group=str(self.group), **entry)
        self.make(self.one, 1)
        subprocess.run(["chmod", "-R", "a+rX", self.one.work], check=True)
        body = {"train": f"folder:{self.one.trains}/t-1"}
        with self.subTest("nobody in particular"):
            self.assertEqual(self.ask_as("/v1/status", self.nobody.pw_gid), 403)
            self.assertEqual(self.ask_as("/v1/verify", self.nobody.pw_gid, method="POST", body=body), 403)
        with self.subTest("by a supplementary group"):
            self.assertEqual(self.ask_as("/v1/status", self.nobody.pw_gid, [self.group]), 200)
            self.assertEqual(self.ask_as("/v1/verify", self.nobody.pw_gid, [self.group], "POST", body), 200)
        with self.subTest("another verb"):
            self.assertEqual(self.ask_as("/v1/pre-run", self.nobody.pw_gid, [self.group], "POST", body), 403)
            self.assertEqual(self.ask_as("/v1/audit", self.nobody.pw_gid, [self.group]), 403)
        with self.subTest("the admin socket"):
            self.assertEqual(self.one.admin_socket.stat().st_mode & 0o777, 0o600)
        self.one.stop()
        self.assertIn("denied", [line["kind"] for line in self.one.audit()])


class PathsThatLeadAway(ServiceTest):
    def test_trains_and_folders_stay_where_they_may_be(self):
        one = self.service()
        self.make(one, 1)
        elsewhere = self.fresh("elsewhere")
        self.mint.make(elsewhere / "t", 9)
        (one.trains / "link").symlink_to(elsewhere / "t")
        (one.trains / "up").symlink_to(elsewhere)
        before = scratch.snapshot(elsewhere)
        for train, codes in {f"folder:{elsewhere}/t": ("denied",), f"folder:{one.trains}/../../{elsewhere}/t": ("denied",),
                             f"folder:{one.trains}/link": ("hostile_path",), f"folder:{one.trains}/up/t": ("hostile_path",),
                             f"folder:{one.trains}": ("denied",), f"folder:{one.trains}/": ("denied",), f"folder:{one.trains}//t-1": ("denied",),
                             f"folder:{one.trains}/./t-1": ("denied",), f"folder:{one.trains}x/t-1": ("denied",),
                             f"oci:{elsewhere}/t:x": ("denied",), "folder:relative/t": ("denied",), "bare-name": ("usage",),
                             "docker-daemon:t:latest": ("denied",), "docker://registry.example/t:latest": ("denied",),
                             "--help": ("usage",), "folder:--out=/x": ("denied",)}.items():
            with self.subTest(train=train):
                for verb in ("verify", "pre-run", "discard"):
                    answer = one.call(verb, train)
                    self.assertIn(answer.code, codes, str(answer))
        for out in (elsewhere / "new", f"{one.out}/../new", one.out, one.trains / "new", f"{one.out}/a/../../x"):
            with self.subTest(out=out):
                self.assertIn(one.call("pre-run", f"folder:{one.trains}/t-1", out=out).code, ("denied", "hostile_path"))
        self.assertEqual(scratch.snapshot(elsewhere), before)

    def test_a_path_that_is_exchanged_after_it_was_checked(self):
        # The client turns its folder into a link and back all the time: the kernel keeps the job inside.
        one = self.service()
        self.make(one, 1)
        elsewhere = self.fresh("elsewhere")
        self.mint.make(elsewhere / "t", 2)
        before = scratch.snapshot(elsewhere)
        real, link, name = one.trains / "real", one.trains / "other", one.trains / "now"
        (one.trains / "t-1").rename(real)
        stop = threading.Event()

        def exchange():
            link.symlink_to(elsewhere / "t")
            while not stop.is_set():
                real.rename(name)
                time.sleep(0.0005)  # its turn, not a wait
                name.rename(real)
                link.rename(name)
                name.rename(link)
        busy = threading.Thread(target=exchange)
        busy.start()
        try:
            ids = set()
            for _ in range(150):
                answer = one.call("inspect", f"folder:{name}")
                if answer.status == 200:
                    ids.add(answer.json["train"]["id"])
        finally:
            stop.set()
            busy.join()
        self.assertLessEqual(ids, {"t-1"})
        self.assertEqual(scratch.snapshot(elsewhere), before)


if __name__ == "__main__":
    unittest.main()

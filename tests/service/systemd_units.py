"""The units of config/systemd, and what the service does for systemd, without systemd."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path

from support import scratch
from support.case import TrainsealTest
from support.journey import Key, OwnTrain
from support.party import PROGRAM
from support.service import Service as Daemon, request

FOLDER = Path(__file__).parents[2] / "config/systemd"
DROP_INS = sorted(path.stem for path in (FOLDER / "drop-ins").glob("*.conf"))
WORST = {"": 1.5, "engine": 1.5, "token-pcscd": 1.5, "token-usb": 2.5, "token-network": 2.5, "registry": 2.5}

# Becomes the service with the given sockets as fds 3 and up, as systemd does it.
AS_SYSTEMD = """
import os, sys
count, program = int(sys.argv[1]), sys.argv[2:]
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(count)
os.execv(program[0], program)
"""


class Units(TrainsealTest):
    def setUp(self):
        self.units = scratch.fresh("units")
        words = {"CMAKE_INSTALL_FULL_BINDIR": str(Path(PROGRAM).parent), "CMAKE_INSTALL_FULL_DOCDIR": "/usr/share/doc/trainseal"}
        for source in FOLDER.glob("*.in"):
            text = re.sub(r"@([A-Z_]+)@", lambda word: words[word[1]], source.read_text())
            (self.units / source.stem).write_text(text)

    def analyze(self, *words):
        done = subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "SYSTEMD_UNIT_PATH": f"{self.units}:/lib/systemd/system", "SYSTEMD_LOG_LEVEL": "warning"})
        return done.returncode, done.stdout + done.stderr

    def score(self, unit):
        status, said = self.analyze("security", "--offline=true", "--no-pager", str(self.units / unit))
        self.assertEqual(status, 0, said)
        return float(re.search(r"Overall exposure level for .*: ([0-9.]+)", said)[1])

    def test_systemd_takes_them(self):
        for unit in ("trainseal.service", "trainseal.socket", "trainseal-admin.socket", "trainseal@.service", "trainseal@.socket",
                     "trainseal-admin@.socket"):
            name = unit.replace("@.", "@one.")
            if name != unit:
                shutil.copy(self.units / unit, self.units / name)
            said = self.analyze("verify", "--man=no", str(self.units / name))[1]
            self.assertNotIn("trainseal", said)

    def test_exposure(self):
        for name in ["", *DROP_INS]:
            folder = self.units / "trainseal.service.d"
            shutil.rmtree(folder, ignore_errors=True)
            if name:
                folder.mkdir()
                shutil.copy(FOLDER / "drop-ins" / f"{name}.conf", folder)
            score = self.score("trainseal.service")
            print(f"exposure {name or 'folders only'}: {score}", file=sys.stderr)
            self.assertLessEqual(score, WORST[name], name)
        self.assertLessEqual(self.score("trainseal@.service"), 1.5)

    def test_users_and_folders(self):
        root = scratch.fresh("root")
        (root / "etc").mkdir()
        made = subprocess.run(["systemd-sysusers", f"--root={root}", str(FOLDER / "trainseal.sysusers")], capture_output=True, text=True)
        self.assertEqual((made.returncode, "rror" in made.stderr), (0, False), made.stderr)
        self.assertIn("trainseal:", (root / "etc/passwd").read_text())
        self.assertRegex((root / "etc/group").read_text(), r"(?m)^trainseal-clients:.*trainseal$")
        made = subprocess.run(["systemd-tmpfiles", "--create", f"--root={root}", str(FOLDER / "trainseal.tmpfiles")], capture_output=True,
                              text=True)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual((root / "srv/pht/out").stat().st_mode & 0o7777, 0o2770)


class Activation(TrainsealTest):
    def setUp(self):
        train = OwnTrain(self, [Key("basic", "station_1")], {b"entrypoint.py": b"print(1)\n"})
        train.build()
        self.daemon = Daemon.__new__(Daemon)
        self.daemon.start = lambda wait=True: None
        self.daemon.__init__(train.station(0))
        del self.daemon.start
        self.addCleanup(self.daemon.kill)
        self.processes = []
        self.paths = [self.daemon.run / "clients.systemd", self.daemon.run / "admin.systemd"]

    def start_with_sockets(self, names, **env):
        listening = [socket.socket(socket.AF_UNIX) for _ in self.paths]
        for one, path in zip(listening, self.paths):
            one.bind(str(path))
            one.listen()
        given = [os.dup2(one.fileno(), 100 + number) for number, one in enumerate(listening)]

        def place():
            for number, fd in enumerate(given):
                os.dup2(fd, 3 + number)

        # close_fds would close what `place` makes.
        self.daemon.process = subprocess.Popen([sys.executable, "-c", AS_SYSTEMD, "2", PROGRAM, "serve"], preexec_fn=place, close_fds=False,
                                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                               env={**self.daemon.env, "LISTEN_FDNAMES": names, **env})
        for one, fd in zip(listening, given):
            one.close()
            os.close(fd)

    def test_sockets_and_news(self):
        news_path = self.daemon.run / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as news:
            news.bind(str(news_path))
            news.settimeout(20)
            self.start_with_sockets("trainseal:trainseal-admin", NOTIFY_SOCKET=str(news_path), WATCHDOG_USEC="2000000")
            self.assertIn(b"READY=1", news.recv(4096).split(b"\n"))
            self.assertEqual(request(self.paths[0], "GET", "/v1/live").status, 200)
            self.assertEqual(request(self.paths[0], "POST", "/admin/lock", b"").status, 404)
            self.assertEqual(request(self.paths[1], "POST", "/admin/lock", b"").status, 200)
            self.assertFalse(self.daemon.socket.exists())
            self.assertEqual(news.recv(4096), b"WATCHDOG=1")
            self.assertEqual(news.recv(4096), b"WATCHDOG=1")
            self.daemon.process.send_signal(signal.SIGTERM)
            said = news.recv(4096)
            while said == b"WATCHDOG=1":
                said = news.recv(4096)
            self.assertIn(b"STOPPING=1", said.split(b"\n"))
            self.assertEqual(self.daemon.process.wait(30), 0)

    def test_the_order_of_the_sockets_does_not_matter(self):
        self.start_with_sockets("trainseal-admin:trainseal")
        self.assertEqual(request(self.paths[0], "POST", "/admin/lock", b"").status, 200)
        self.assertEqual(request(self.paths[1], "POST", "/admin/lock", b"").status, 404)

    def test_systemds_own_activation(self):
        words = ["systemd-socket-activate", *(f"--listen={path}" for path in self.paths), "--fdname=trainseal:trainseal-admin",
                 *(f"--setenv={name}" for name in self.daemon.env), PROGRAM, "serve"]
        self.daemon.process = subprocess.Popen(words, env=self.daemon.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL)
        # It starts the service at the first connection.
        self.daemon.wait_until(lambda: all(path.exists() for path in self.paths))
        self.daemon.wait_until(lambda: self.answers(self.paths[1]))
        self.assertEqual(request(self.paths[0], "GET", "/v1/live").status, 200)

    @staticmethod
    def answers(path):
        try:
            return request(path, "GET", "/v1/live").status == 200
        except OSError:
            return False

if __name__ == "__main__":
    unittest.main()

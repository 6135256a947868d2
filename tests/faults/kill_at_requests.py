"""Kills the program before and after each request that an engine or a registry answers. What is there then is the old image or the
new one, a rerun finishes, no skopeo goes on, and no plaintext lies where none should."""
import os
import signal
import subprocess
import time
import unittest
from pathlib import Path

from support import liars, scratch, servers
from support.case import TrainsealTest
from support.image_journey import ImageJourney, pieces_anywhere
from support.party import PROGRAM

MOST_REQUESTS = 200


def processes_of(home):
    """The command lines of the processes that have `home` in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and os.fsencode(home) in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes())
        except OSError:  # it has just ended
            continue
    return [line for line in found if line]


def wait_until(happened, seconds=20):
    deadline = time.monotonic() + seconds
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.02)
    return happened()


def run_killed(place, party, arguments, number, answered):
    """Runs the program and kills it at the request of that number, before or after it is answered. False if there are fewer."""
    requests = []
    command = [PROGRAM, *map(str, arguments)]

    def watch(line, is_answered):
        if is_answered == answered:
            requests.append(line)
            if len(requests) == number:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()

    place.watch = watch
    process = subprocess.Popen(command, env=party.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(120)
    finally:
        del place.watch
    return len(requests) >= number


class Kills:
    """`place`: a server that is watched; `remember` and `restore`: what it has."""

    every = 1  # how far apart the requests are

    def setUp(self):
        self.place = self.make_place()
        self.trip = ImageJourney(self, [2048, 2048]).begin(self.place)
        self.out = self.trip.release(self.place, 0)
        self.expected = self.trip.run(0, self.out)
        self.old = self.remember()
        self.post_run = ["post-run", self.place.name(), "--results", self.out, "--wipe"]

    def kill_at_each(self, station, arguments, check, target=None):
        """`target`: a folder that the command makes."""
        before = {folder: scratch.copy(folder, self.fresh("before") / "copy") for folder in (station.home, self.out) if folder.exists()}
        kills = 0
        for answered in (False, True):
            for number in range(1, MOST_REQUESTS, self.every):
                self.restore(self.old)
                if target:
                    scratch.remove(target)
                for folder, copy in before.items():
                    scratch.remove(folder)
                    scratch.copy(copy, folder)
                if not run_killed(self.place, station, arguments, number, answered):
                    break
                kills += 1
                self.assertTrue(wait_until(lambda: not processes_of(station.home)), processes_of(station.home))
                with self.subTest(request=number, answered=answered):
                    check(f"{number}{answered}")
        self.assertGreater(kills, 8)

    def test_post_run(self):
        # The state of the station that has done the pre-run.
        station = self.trip.stations[0]

        def check(label):
            if self.remember() != self.old:
                self.trip.look(self.place, 1, self.expected, f"killed-{label}")
            self.assert_done(station.run(*self.post_run))
            self.trip.look(self.place, 1, self.expected, f"rerun-{label}")
            self.assertFalse(self.out.exists())
            for folder in (station.home, self.kept_in()):
                self.assertEqual(pieces_anywhere(folder, self.trip.marked), [])

        self.kill_at_each(station, self.post_run, check)

    def test_pre_run(self):
        station, target = self.trip.train.station(0), self.trip.home / "released"
        self.trip.party(station, self.place)

        def check(_):
            self.assertEqual(self.remember(), self.old)
            self.assertFalse(target.exists() and not (target / "pht_train").exists())
            self.assertEqual(pieces_anywhere(station.home, self.trip.marked), [])
            self.assert_done(station.run("pre-run", self.place.name(), "--out", target))
            self.assert_same_contents(target / "pht_train", self.trip.train.files)
            self.assert_done(station.run("discard", target))
            self.assertFalse(target.exists())

        self.kill_at_each(station, ["pre-run", self.place.name(), "--out", target], check, target)


class Podman(Kills, TrainsealTest):
    def test_pre_run_and_post_run_in_place(self):
        """The image with plaintext is known before the engine has it: whatever was killed, nothing of it is left in the end."""
        self.restore(self.old)
        self.assert_done(self.trip.stations[0].run("discard", self.out))
        station = self.trip.party(self.trip.train.station(0), self.place)
        pre_run, post_run = (["pre-run", self.place.name()], ["post-run", self.place.name()])
        released = self.trip.home / "is-released"

        def is_released(label):
            scratch.remove(released)
            opt = self.engine.take(self.trip.home, f"released-{label}").unpack(released.name)
            return scratch.contents(opt / "pht_train") == scratch.contents(self.trip.train.files)

        def check(label):
            self.assert_done(station.run(*pre_run))
            self.assertTrue(is_released(label), "the rerun has not released the train")
            self.assert_done(station.run(*post_run))
            self.look_sealed(label, station)

        self.kill_at_each(station, pre_run, check)
        self.restore(self.old)
        scratch.remove(station.home)
        station = self.trip.party(self.trip.train.station(0), self.place)
        self.assert_done(station.run(*pre_run))
        self.old = self.remember()
        self.saved = self.engine.call("GET", f"/v1.41/images/{self.old[0]}/get")[1]

        def check_sealing(label):
            self.assert_done(station.run(*post_run))
            self.look_sealed(f"sealing-{label}", station)

        self.kill_at_each(station, post_run, check_sealing)

    def look_sealed(self, label, station):
        nothing = self.trip.home / "nothing"
        nothing.mkdir(exist_ok=True)
        self.trip.look(self.place, 1, nothing, label)
        for folder in (station.home, self.engine.home):
            self.assertEqual(pieces_anywhere(folder, self.trip.marked), [])

    def make_place(self):
        self.engine = servers.podman()
        self.addCleanup(self.engine.clear)
        relay = liars.Relay(self.engine)
        self.addCleanup(relay.close)
        return relay

    def kept_in(self):
        return self.engine.home

    def remember(self):
        return self.engine.id_of("latest"), self.engine.id_of("base")

    saved = None  # the archive of an image that post-run removes

    def restore(self, old):
        if self.saved and old[0] not in self.engine.ids():
            self.assertEqual(self.engine.call("POST", "/v1.41/images/load?quiet=1", self.saved, "application/x-tar")[0], 200)
        for tag, image in zip(("latest", "base"), old):
            self.assertEqual(self.engine.call("POST", f"/v1.41/images/{image}/tag?repo={self.engine.repository}&tag={tag}")[0], 201)
        for image in self.engine.ids():
            if image not in old:
                self.assertEqual(self.engine.call("DELETE", f"/v1.41/images/{image}?force=1")[0], 200)


class Registry(Kills, TrainsealTest):
    every = 3

    def make_place(self):
        registry = liars.LyingRegistry()
        self.addCleanup(registry.close)
        return registry

    def kept_in(self):
        return self.place.write_down(self.trip.home / "kept")

    def test_a_terminated_command_takes_skopeo_along(self):
        manifest, _ = self.trip.base.config_of("base")
        request = f"GET /v2/{self.place.repository}/blobs/{manifest['layers'][0]['digest']}"
        self.place.lies = {request: liars.silence}
        station = self.trip.stations[0]
        for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            self.place.requests.clear()
            process = subprocess.Popen([PROGRAM, "verify", self.place.name()], env=station.env, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.assertTrue(wait_until(lambda: any(request in line for line in self.place.requests)))
            self.assertTrue(any(b"skopeo" in line for line in processes_of(station.home)))
            process.send_signal(ending)
            self.assertEqual(process.wait(20), -ending)
            self.assertTrue(wait_until(lambda: not processes_of(station.home)), processes_of(station.home))

    def remember(self):
        return self.place.remember()["tags"]

    def restore(self, old):
        self.place.restore({"tags": old})


if __name__ == "__main__":
    unittest.main()

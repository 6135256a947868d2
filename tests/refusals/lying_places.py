"""Engines and registries that answer garbage, without an end, not at all, or with something else: refused in bounded time, with
nothing written, and the train as it was."""
import os
import time
import unittest

from support import liars, scratch, vectors
from support.case import TrainsealTest
from support.image_journey import pieces_anywhere
from support.images import Images

MOST_SECONDS = 40  # patience is 2 s; what is slow is a machine with other things to do
DEEP = b'{"a":' * 20000 + b"1" + b"}" * 20000

EVERYWHERE = {
    "silence": liars.silence,
    "hangs up": liars.hang_up,
    "garbage": liars.garbage,
    "an endless head": liars.endless_head,
    "endless interim answers": liars.endless_interim_answers,
    "an endless body": liars.endless(),
    "an endless body of JSON": liars.endless(b'{"a": "', b"x" * 65536),
    "an error": liars.answers(500, {"message": "\x1b[31m" + "no space on /var/lib/containers/storage " * 200}),
    "another place": liars.answers(302, b"", {"Location": "http://169.254.0.1/"}),
    "nothing": liars.answers(200, b""),
    "no JSON": liars.answers(200, b"\xff\xfe{}"),
    "a list": liars.answers(200, b"[]"),
    "deep JSON": liars.answers(200, DEEP),
    "an error with success": liars.answers(200, {"error": "it went wrong"}),
    "stops in the middle": liars.cut(b'{"stream": "' + b"x" * 1000 + b'"}'),
    "falls silent in the middle": liars.then_silence(b'{"stream": "'),
}


class LiarTest(TrainsealTest):
    make = None

    @classmethod
    def setUpClass(cls):
        cls.train = vectors.train("basic")
        cls.stop = cls.train.stops[1]
        cls.plaintext = scratch.pieces_of(cls.stop.released.pht_train, cls.stop.released.pht_results, cls.stop.ran.pht_results)

    def setUp(self):
        self.home = self.fresh("liar")
        self.liar = self.make()
        self.addCleanup(self.liar.close)
        self.images = Images(self.home).make_base().put(self.stop.received.opt)
        for tag in ("base", "latest"):
            self.liar.put(self.images, tag)
        self.out = self.home / "out"

    def fresh_station(self):
        station = self.train.station(self.stop.station)
        station.env |= self.liar.environment
        station.configure(**self.liar.settings)
        return station

    def refused_in_time(self, station, *arguments):
        began = time.monotonic()
        outcome = station.run(*arguments)
        self.assertLess(time.monotonic() - began, MOST_SECONDS, str(outcome))
        self.assertIn(outcome.exit, (3, 6), str(outcome))
        error = outcome.report["error"]
        self.assertTrue(error["hint"], str(outcome))
        for text in (error["message"], error["hint"]):
            self.assertLess(len(text), 1200, str(outcome))
            self.assertNotIn("\x1b", text)
            self.assertNotIn("/var/lib/containers", text)
        self.assertEqual(os.listdir(station.home / "tmp"), [])
        return outcome

    def refuse_to_release(self, lies):
        """Pre-run under each lie."""
        station = self.fresh_station()
        for name, (words, lie) in lies.items():
            with self.subTest(lie=name, at=words):
                self.liar.lies = {words: lie}
                self.refused_in_time(station, "pre-run", self.liar.name(), "--out", self.out)
                self.assertFalse(self.out.exists())
                self.assert_no_plaintext([station.home], self.plaintext)
        self.liar.lies = {}
        self.assert_done(station.run("pre-run", self.liar.name(), "--out", self.out))
        scratch.remove(self.out)

    def refuse_to_seal(self, lies):
        """Post-run under each lie: nothing of the train is anywhere but where it was, and another try succeeds."""
        station = self.fresh_station()
        self.assert_done(station.run("pre-run", self.liar.name(), "--out", self.out))
        scratch.remove(self.out / "pht_results")
        scratch.copy(self.stop.ran.pht_results, self.out / "pht_results")
        before, remembered = self.tagged(), self.liar.remember()
        for name, (words, lie) in lies.items():
            with self.subTest(lie=name, at=words):
                self.liar.restore(remembered)
                self.liar.lies = {words: lie}
                self.refused_in_time(station, "post-run", self.liar.name(), "--results", self.out)
                self.assertEqual(self.tagged(), before)
                self.assert_nothing_is_told(station)
        self.liar.lies = {}
        self.assert_done(station.run("post-run", self.liar.name(), "--results", self.out, "--wipe"))
        self.assertNotEqual(self.tagged(), before)
        self.assert_nothing_is_told(station)

    def assert_nothing_is_told(self, station):
        """No plaintext at the station but in its folder of `--out`, and none where it went."""
        sent = self.liar.write_down(self.fresh("sent") / "all")
        for folder in (station.home, sent):
            self.assertEqual(pieces_anywhere(folder, self.plaintext), [])


class Engine(LiarTest):
    @staticmethod
    def make():
        return liars.LyingEngine()

    def tagged(self):
        return dict(self.liar.names)

    def described(self, **lies):
        """The image's description with some things different."""
        return {**self.liar.description(self.liar.names[f"{self.liar.repository}:latest"]), **lies}

    def test_at_the_first_word(self):
        lies = {name: ("/_ping", lie) for name, lie in EVERYWHERE.items()}
        for version in ("", "x", "1", "1.", "0.9", "9" * 500, "-1.41", "1.41\x01"):
            lies[f"version {version[:9]}"] = ("/_ping", liars.answers(200, b"OK", {"Api-Version": version}))
        self.refuse_to_release(lies)

    def test_a_newer_engine(self):
        station = self.fresh_station()
        for oldest, known in (("1.44", True), ("1.99", False)):
            self.liar.lies = {"/_ping": liars.answers(200, b"OK", {"Api-Version": "1.99"}),
                              "/version": liars.answers(200, {"ApiVersion": "1.99", "MinAPIVersion": oldest})}
            outcome = station.run("verify", self.liar.name())
            if known:
                self.assert_done(outcome)
                self.assertTrue(any(line.startswith("GET /v1.51/images/") for line in self.liar.requests))
            else:
                self.assert_hint(outcome, "engine_failed", "1.99")

    def test_about_an_image(self):
        lies = {name: ("latest/json", lie) for name, lie in EVERYWHERE.items()}
        other = "sha256:" + "0" * 64
        for name, difference in {"no id": {"Id": None}, "a bad id": {"Id": "sha256:../../x"}, "another id": {"Id": other},
                                 "no layers": {"RootFS": {}}, "layers of numbers": {"RootFS": {"Layers": [1, 2]}},
                                 "fewer layers": {"RootFS": {"Layers": []}}, "other layers": {"RootFS": {"Layers": [other, other]}},
                                 "a size beyond any disk": {"Size": (1 << 63) + 1}}.items():
            lies[name] = ("latest/json", liars.answers(200, self.described(**difference)))
        self.refuse_to_release(lies)

    def test_with_the_archive(self):
        archive, base_archive = (self.liar.images[self.liar.names[f"{self.liar.repository}:{tag}"]][0] for tag in ("latest", "base"))
        lies = {name: ("/get", lie) for name, lie in EVERYWHERE.items()}
        for name, content in {"another image": base_archive, "half of it": archive[:len(archive) // 2],
                              "a letter changed": archive.replace(b"layer.tar", b"layer.tax"),
                              "a byte changed": archive[:1500] + bytes([archive[1500] ^ 1]) + archive[1501:]}.items():
            lies[name] = ("/get", liars.answers(200, content))
        lies["stops in the middle"] = ("/get", liars.cut(archive))
        lies["falls silent in the middle"] = ("/get", liars.then_silence(archive[:3000]))
        lies["no end"] = ("/get", liars.endless(archive[:-1024]))
        self.refuse_to_release(lies)

    def test_one_that_is_only_slow(self):
        """It takes longer than the patience for silence."""
        archive = self.liar.images[self.liar.names[f"{self.liar.repository}:latest"]][0]
        self.assertGreater(len(archive), 12 * 1024)
        self.liar.lies = {"/get": liars.slowly(archive)}
        self.assert_done(self.fresh_station().run("inspect", self.liar.name()))

    def test_one_that_drips(self):
        """Always more than silence, never enough."""
        archive = self.liar.images[self.liar.names[f"{self.liar.repository}:latest"]][0]
        self.refuse_to_release({f"dripping {what}": (words, liars.slowly(start + b" " * (1 << 20), 0.5, 1200)) for what, words, start in
                                (("archive", "/get", archive[:512]), ("description", "latest/json", b"{"))})

    def test_when_an_image_is_given(self):
        lies = {name: ("/images/load", lie) for name, lie in EVERYWHERE.items() if name not in ("nothing", "no JSON", "a list", "deep JSON")}
        lies["takes it and loses it"] = ("/images/load", liars.answers(200, {"stream": "Loaded image"}))
        lies["answers before it has read"] = ("/images/load", lambda handler: (handler.send_json(200, {"stream": "x"}), liars.hang_up(handler)))
        lies["hangs up in the middle"] = ("/images/load", lambda handler: (handler.rfile.read(3000), liars.hang_up(handler)))
        lies["reads no further"] = ("/images/load", lambda handler: (handler.rfile.read(3000), liars.silence(handler)))
        self.refuse_to_seal(lies)

    def test_when_an_image_is_named(self):
        lies = {name: ("/tag?", lie) for name, lie in EVERYWHERE.items()}
        self.refuse_to_seal(lies)


class EngineInPlace(LiarTest):
    """An engine that the train is decrypted in, and that fails in the middle of that."""

    CONTAINERD = False

    def make(self):
        return liars.LyingEngine(self.CONTAINERD)

    def setUp(self):
        super().setUp()
        self.station = self.fresh_station()
        self.names, self.kept = dict(self.liar.names), set(self.liar.images)

    def run_in_place(self):
        return self.refused_in_time(self.station, "pre-run", self.liar.name())

    def assert_as_before(self):
        self.assertEqual(self.liar.names, self.names)
        self.assertEqual(set(self.liar.images), self.kept)
        self.assert_nothing_is_told(self.station)

    def assert_gone_at_once(self, lies):
        for words, lie in lies:
            with self.subTest(at=words):
                self.liar.lies = {words: lie}
                outcome = self.run_in_place()
                self.assertNotIn("trainseal discard", outcome.report["error"]["hint"])
                self.liar.lies = {}
                self.assert_as_before()
                self.assert_refused(self.station.run("discard", self.liar.name()), "no_record")
                self.assert_refused(self.station.run("post-run", self.liar.name()), "no_record")
        self.assert_done(self.station.run("pre-run", self.liar.name()))
        self.assertNotEqual(self.liar.names, self.names)

    def assert_known(self, lies):
        """Where it cannot be seen whether the plaintext is gone, that is said, and `discard` finds it."""
        for words, lie in lies:
            with self.subTest(at=words):
                self.liar.lies = {words: lie}
                error = self.run_in_place().report["error"]
                self.assertIn("trainseal discard", error["hint"])
                self.liar.lies = {}
                self.assert_done(self.station.run("discard", self.liar.name()))
                self.assert_nothing_is_told(self.station)
                self.liar.names, kept = dict(self.names), self.liar.images
                self.liar.images = {identifier: kept[identifier] for identifier in self.kept}

    def test_what_was_done_and_not_confirmed_is_undone(self):
        self.assert_gone_at_once([
            ("/tag?", liars.after(0, liars.answers(500, {"message": "no space"}))),
            ("/images/load", EVERYWHERE["an error"]), ("/images/load", liars.hang_up), ("/tag?", liars.done_and_gone),
            ("/tag?", EVERYWHERE["garbage"])])

    def test_what_cannot_be_seen_is_kept_in_mind(self):
        self.assert_known([
            ("latest/json", liars.after(1, liars.hang_up)), ("latest/json", liars.after(1, EVERYWHERE["an error"])),
            ("latest/json", liars.after(1, liars.silence))])

    def test_an_image_that_will_not_go(self):
        self.liar.lies = {"/tag?": liars.answers(500, {"message": "no"}), "DELETE ": liars.answers(409, {"message": "in use"})}
        error = self.run_in_place().report["error"]
        self.assertIn("in use", error["message"])
        self.assertEqual(self.liar.names, self.names)
        self.liar.lies = {}
        done = self.assert_done(self.station.run("discard", self.liar.name()))
        self.assertFalse(done.report["in_place"])
        self.assert_as_before()

    def test_a_train_that_came_again_stays(self):
        self.assert_done(self.station.run("pre-run", self.liar.name()))
        self.liar.names = dict(self.names)
        done = self.assert_done(self.station.run("discard", self.liar.name()))
        self.assertIn("stays as it is", " ".join(done.report["warnings"]))
        self.assertFalse(done.report["in_place"])
        self.assert_as_before()
        self.assert_refused(self.station.run("discard", self.liar.name()), "no_record")

    def test_what_a_container_needs_is_removed_by_a_later_discard(self):
        self.assert_done(self.station.run("pre-run", self.liar.name()))
        plain = self.liar.names[f"{self.liar.repository}:latest"]
        self.liar.containers = [{"Id": "c" * 64, "ImageID": plain, "Created": 1}]
        done = self.assert_done(self.station.run("discard", self.liar.name()))
        self.assertIn("c" * 12, " ".join(done.report["warnings"]))
        self.assertIn(plain, " ".join(done.report["warnings"]))
        self.assertTrue(done.report["in_place"])
        before = dict(self.liar.names)
        self.liar.containers = []
        done = self.assert_done(self.station.run("discard", self.liar.name()))
        self.assertNotIn(plain, self.liar.images)
        self.assertEqual(self.liar.names, before)
        self.assert_nothing_is_told(self.station)
        self.assert_refused(self.station.run("discard", self.liar.name()), "no_record")

    def test_an_engine_that_does_not_tell_what_it_has(self):
        self.assert_done(self.station.run("pre-run", self.liar.name()))
        self.liar.lies = {"/images/json": liars.answers(500, {"message": "no list today"})}
        done = self.assert_done(self.station.run("discard", self.liar.name()))
        self.assertIn("no list today", " ".join(done.report["warnings"]))
        self.liar.lies = {}
        self.assert_done(self.station.run("discard", self.liar.name()))
        self.assert_nothing_is_told(self.station)


class ContainerdInPlace(EngineInPlace):
    CONTAINERD = True


class Registry(LiarTest):
    @staticmethod
    def make():
        return liars.LyingRegistry()

    def tagged(self):
        return dict(self.liar.tags)

    def test_with_the_manifest(self):
        lies = {name: ("GET /v2/st/train/manifests/latest", lie) for name, lie in EVERYWHERE.items()}
        base = self.liar.manifests[self.liar.tags["base"]][0]
        for tag in ("latest", self.liar.tags["latest"]):
            lies[f"another image for {tag[:9]}"] = (f"manifests/{self.liar.tags['latest']}", liars.answers(
                200, base, {"Content-Type": self.liar.manifests[self.liar.tags["base"]][1]}))
        self.refuse_to_release(lies)

    def test_with_the_blobs(self):
        lies = {name: ("GET /v2/st/train/blobs/", lie) for name, lie in EVERYWHERE.items()}
        manifest, config = self.images.config_of("latest")
        layer, config = manifest["layers"][-1]["digest"], manifest["config"]["digest"]
        for blob in (layer, config):
            content = self.liar.blobs[blob]
            for name, lie in {"a byte changed": liars.answers(200, content[:-1] + bytes([content[-1] ^ 1])),
                              "more": liars.answers(200, content + b"x"), "half": liars.answers(200, content[:len(content) // 2]),
                              "no end": liars.endless(content), "silence": liars.then_silence(content[:100])}.items():
                lies[f"{name} of {blob[7:15]}"] = (f"blobs/{blob}", lie)
        self.refuse_to_release(lies)

    def test_one_that_is_only_slow(self):
        layer = self.images.config_of("latest")[0]["layers"][-1]["digest"]
        self.liar.lies = {f"blobs/{layer}": liars.slowly(self.liar.blobs[layer])}
        self.assert_done(self.fresh_station().run("inspect", self.liar.name()))

    def test_one_that_drips(self):
        layer = self.images.config_of("latest")[0]["layers"][-1]["digest"]
        content = self.liar.blobs[layer]
        self.refuse_to_release({"dripping": (f"blobs/{layer}", liars.slowly(content, 0.5, max(1, len(content) // 200)))})

    def test_when_an_image_is_sent(self):
        lies = {f"{name} for a {what}": (words, EVERYWHERE[name]) for what, words in
                {"blob": "PATCH /v2/st/train/blobs", "manifest": "PUT /v2/st/train/manifests/sha256"}.items()
                for name in ("silence", "hangs up", "garbage", "an error", "an endless head")}
        lies["an upload is not found"] = ("POST /v2/st/train/blobs", liars.answers(404, {"errors": []}))
        lies["nothing is kept"] = ("PUT /v2/st/train/manifests/sha256", liars.answers(201, b""))
        self.refuse_to_seal(lies)

    def test_when_the_tag_is_set(self):
        self.refuse_to_seal({"nothing is kept": ("PUT /v2/st/train/manifests/latest", liars.answers(201, b"")),
                             "an error": ("PUT /v2/st/train/manifests/latest", EVERYWHERE["an error"])})


class Addresses(TrainsealTest):
    """What operators get wrong."""

    def setUp(self):
        train = vectors.train("basic")
        self.station = train.station(train.stops[0].station)
        self.home = self.fresh("addresses")

    def verify(self, name, host=None, **env):
        return self.station.run("verify", name, env={**({"DOCKER_HOST": host} if host else {}), **env})

    def test_engines(self):
        socket = self.home / "no.sock"
        self.assert_hint(self.verify("docker-daemon:x", f"unix://{socket}"), "engine_failed", "no.sock", "DOCKER_HOST")
        socket.write_text("")
        self.assert_hint(self.verify("docker-daemon:x", f"unix://{socket}"), "engine_failed", "DOCKER_HOST")
        self.assert_hint(self.verify("docker-daemon:x", "tcp://127.0.0.1:1"), "engine_failed", "127.0.0.1:1")
        for host, words in {"tcp://192.0.2.1:2375": "loopback", "tcp://127.example.org:2375": "loopback", "tcp://127.0.0.1": "loopback",
                            "ssh://host": "ssh -", "npipe://x": "Windows", "https://127.0.0.1:1": "TLS", "unix://relative": "absolute",
                            "unix:///" + "x" * 200: "107", "/var/run/docker.sock": "unix://", "x": "unix://"}.items():
            with self.subTest(host=host):
                self.assert_hint(self.verify("docker-daemon:x", host), "usage", words)
        self.station.configure(engine={"host": "tcp://192.0.2.1:2375"})
        self.assert_refused(self.verify("docker-daemon:x"), "settings_invalid")

    def test_names(self):
        for name in ("docker-daemon:Upper", "docker-daemon:a//b", "docker-daemon:a/../b", "docker-daemon:x?y=1", "docker-daemon:x:-t",
                     "docker-daemon:x:" + "t" * 129, "docker-daemon:x@sha256:" + "0" * 64, "docker-daemon:a b", "docker-daemon:" + "x" * 300,
                     "docker://name:latest", "docker://host.example/", "docker://host.example/x:", "docker://--authfile=x/y"):
            with self.subTest(name=name):
                self.assert_refused(self.verify(name, "unix:///nowhere"), "usage")

    def test_no_skopeo(self):
        empty = self.home / "bin"
        empty.mkdir()
        self.assert_hint(self.verify("docker://127.0.0.1:1/x/y", PATH=str(empty)), "registry_failed", "install", "skopeo")

    def test_no_registry(self):
        self.assert_hint(self.verify("docker://127.0.0.1:1/x/y"), "registry_failed", "cannot be reached")


if __name__ == "__main__":
    unittest.main()

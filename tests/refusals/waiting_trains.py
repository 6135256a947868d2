"""Trains that are sealed and have not arrived: they wait, are found by where they came from, can be sent elsewhere or given up, and
never take the place of something newer."""
import json
import os
import unittest

from support import liars, scratch, servers, vectors
from support.case import TrainsealTest
from support.image_journey import ImageJourney, pieces_anywhere
from support.images import FORMS, Images

NOWHERE = "docker://127.0.0.1:1/st/train:latest"
PUT = "PUT /v2/st/train/manifests/latest"
GET = "GET /v2/st/train/manifests/latest"
REFUSED = liars.answers(500, {"errors": []})


def warnings(outcome):
    return " ".join(outcome.report["warnings"])


class Waiting(TrainsealTest):
    """A train in a registry, released and run at its second stop."""

    def setUp(self):
        self.train = vectors.train("basic")
        self.stop = self.train.stops[1]
        self.home = self.fresh("waiting")
        self.registry = liars.LyingRegistry()
        self.addCleanup(self.registry.close)
        self.images = Images(self.home).make_base().put(self.stop.received.opt)
        for tag in ("base", "latest"):
            self.registry.put(self.images, tag)
        self.station = self.train.station(self.stop.station)
        self.station.configure(**self.registry.settings)
        self.name, self.out = self.registry.name(), self.home / "out"
        self.release()

    def release(self):
        self.assert_done(self.station.run("pre-run", self.name, "--out", self.out))
        scratch.remove(self.out / "pht_results")
        scratch.copy(self.stop.ran.pht_results, self.out / "pht_results")

    def post_run(self, *options):
        return self.station.run("post-run", self.name, "--results", self.out, *options)

    def fail_to_send(self, *options):
        """Post-run that seals and cannot send."""
        error = self.assert_refused(self.post_run(*options), "registry_failed")
        self.assertIn("signed and sealed, but has not arrived", error["message"])
        self.assertEqual(len(os.listdir(self.station.state / "outbox")), 1)
        return error

    def refuse_the_tag(self):
        self.registry.lies = {PUT: REFUSED}
        self.fail_to_send()
        self.registry.lies = {}

    def signed(self):
        return self.assert_done(self.station.run("ledger", "list")).report["ledger"]

    def assert_sent(self, outcome):
        self.assert_done(outcome)
        self.assertIs(outcome.report["already_sealed"], True)
        self.assertIn("delivered only now", warnings(outcome))
        self.assert_nothing_waits()

    def assert_nothing_waits(self):
        self.assertEqual(os.listdir(self.station.state / "outbox"), [])
        self.assert_done(self.station.run("state", "check"))

    def assert_sealed(self, opt):
        (opt / "tool").unlink(missing_ok=True)
        self.assert_passes(opt, completed=2, previous=[self.stop.received.opt], plain_train=self.stop.released.pht_train,
                           plain_results=self.stop.ran.pht_results, **self.train.judge_keys())

    def sealed_tag(self, tag="latest"):
        self.assert_sealed(self.registry.take(self.home, f"taken-{tag}", ("base", tag)).unpack(f"unpacked-{tag}", tag))


class SentElsewhere(Waiting):
    def setUp(self):
        super().setUp()
        error = self.fail_to_send("--to", NOWHERE)
        self.assertIn("--to", error["hint"])

    def test_without_a_target_it_goes_where_it_was_to_go(self):
        error = self.assert_refused(self.post_run(), "registry_failed")
        self.assertIn(NOWHERE, error["message"])

    def test_to_another_tag(self):
        before, signed = dict(self.registry.tags), self.signed()
        self.assert_sent(self.post_run("--to", self.registry.name("next"), "--wipe"))
        self.assertFalse(self.out.exists())
        self.assertEqual(self.signed(), signed)
        self.assertEqual({tag: digest for tag, digest in self.registry.tags.items() if tag != "next"}, before)
        self.sealed_tag("next")

    def test_back_to_where_it_came_from(self):
        self.assert_sent(self.post_run("--to", self.name))
        self.sealed_tag()

    def test_into_files(self):
        for form, images in FORMS.items():
            with self.subTest(form=form):
                there = images(self.home, f"there-{form}")
                self.assert_sent(self.post_run("--to", there.name()))
                self.assert_sealed(there.unpack(f"unpacked-{form}"))
                scratch.remove(self.out)
                self.name = self.registry.name()
                scratch.remove(self.station.state)
                self.release()
                self.fail_to_send("--to", NOWHERE)

    def test_into_a_folder(self):
        self.assert_sent(self.post_run("--to", self.home / "folder"))
        self.assert_sealed(self.home / "folder")

    def test_another_base_is_refused(self):
        other = Images(self.home, "other").make_base().put(self.stop.received.opt, "base")
        self.assert_refused(self.post_run("--to", f"oci:{self.home}/x", "--base", other.name("base")), "base_mismatch")

    def test_the_train_itself_may_be_gone(self):
        self.registry.tags.pop("latest")
        self.assert_sent(self.post_run("--to", self.registry.name("next")))

    def test_once_more_to_nowhere(self):
        self.assert_refused(self.post_run("--to", "docker://127.0.0.1:2/st/train:x"), "registry_failed")
        self.assertEqual(len(os.listdir(self.station.state / "outbox")), 1)
        self.assert_sent(self.post_run("--to", self.registry.name("next")))

    def test_giving_it_up(self):
        error = self.assert_refused(self.station.run("discard", self.name), "not_confirmed")
        self.assertIn("--sealed", error["hint"])
        done = self.assert_done(self.station.run("discard", self.name, "--sealed"))
        self.assertEqual((done.report["dropped"], done.report["removed"]), (NOWHERE, None))
        self.assert_nothing_waits()
        self.assert_done(self.station.run("discard", self.out))
        self.assertFalse(self.out.exists())
        self.release()
        self.assert_done(self.post_run())

    def test_everybody_says_that_it_waits(self):
        error = self.assert_refused(self.station.run("pre-run", self.name, "--out", self.home / "again"), "already_signed")
        self.assertIn(NOWHERE, error["message"])
        self.assertIn(f"trainseal post-run {self.name}", error["hint"])
        self.assertFalse((self.home / "again").exists())
        error = self.assert_refused(self.station.run("post-run", self.stop.received.opt), "no_record")
        self.assertIn(f"trainseal post-run {self.name}", error["hint"])
        findings = " ".join(self.station.run("state", "check").report["findings"])
        self.assertIn(f"trainseal post-run {self.name}", findings)
        self.assertIn(self.train.config()["@id"], findings)

    def test_other_results_than_the_sealed_ones(self):
        (self.out / "pht_results" / "more").write_bytes(b"more")
        self.assert_refused(self.post_run("--to", self.registry.name("next"), "--wipe"), "already_signed")
        self.assertTrue(self.out.exists())

    def test_another_train_for_the_same_place(self):
        self.registry.put(self.images, "base")
        self.registry.tags["second"] = self.registry.tags["latest"]
        other = self.registry.name("second")
        self.assert_done(self.station.run("pre-run", other, "--out", self.home / "second"))
        self.assert_refused(self.station.run("post-run", other, "--results", self.home / "second", "--to", NOWHERE), "already_signed")


class Overtaken(Waiting):
    """Something else has the name by the time that the train is sent."""

    def newer(self):
        self.registry.tags["latest"] = self.registry.tags["base"]
        return dict(self.registry.tags)

    def test_by_a_newer_image(self):
        self.refuse_the_tag()
        before = self.newer()
        error = self.assert_refused(self.post_run("--wipe"), "not_confirmed")
        self.assertIn("--replace", error["hint"])
        self.assertEqual(self.registry.tags, before)
        self.assertTrue(self.out.exists())
        self.assert_sent(self.post_run("--replace", "--wipe"))
        self.sealed_tag()

    def test_it_is_given_up(self):
        self.refuse_the_tag()
        before = self.newer()
        self.assert_done(self.station.run("discard", self.name, "--sealed"))
        self.assertEqual(self.registry.tags, before)
        self.assert_nothing_waits()

    def test_a_tag_that_is_gone_gets_it(self):
        self.refuse_the_tag()
        self.registry.tags.pop("latest")
        self.assert_sent(self.post_run())
        self.sealed_tag()

    def test_kept_by_an_earlier_version(self):
        self.refuse_the_tag()
        (kept,) = (self.station.state / "outbox").glob("*/kept.json")
        content = json.loads(kept.read_text())
        kept.write_text(json.dumps({name: content[name] for name in ("version", "place", "config_digest", "time")}))
        self.assertIn("post-run", " ".join(self.station.run("state", "check").report["findings"]))
        self.assert_refused(self.station.run("discard", self.name), "not_confirmed")
        self.assert_sent(self.post_run("--wipe"))
        self.sealed_tag()


class MovedOn(Waiting):
    """The push of the tag is what a central service acts on: it may take the image away at once."""

    def act_on_the_push(self, act):
        def lie(handler):
            self.registry.answer(handler)
            act()
        self.registry.lies = {PUT: lie}

    def other(self):
        self.registry.tags["latest"] = self.registry.tags["base"]

    def test_at_once(self):
        for act in (lambda: self.registry.tags.pop("latest"), self.other):
            with self.subTest(act=act):
                tags = dict(self.registry.tags)
                self.act_on_the_push(act)
                outcome = self.assert_done(self.post_run("--wipe"))
                self.assertIn("counts as arrived", warnings(outcome))
                self.assertFalse(self.out.exists())
                self.assert_nothing_waits()
                self.registry.tags, self.registry.lies = tags, {}
                scratch.remove(self.station.state)
                self.release()

    def test_before_it_could_be_seen(self):
        for act in (lambda: self.registry.tags.pop("latest"), self.other):
            with self.subTest(act=act):
                tags = dict(self.registry.tags)
                self.act_on_the_push(lambda: self.registry.lies.update({GET: REFUSED}))
                self.fail_to_send()
                self.registry.lies = {}
                act()
                there = dict(self.registry.tags)
                self.registry.requests.clear()
                outcome = self.post_run("--wipe")
                self.assert_sent(outcome)
                self.assertIn("counts as arrived", warnings(outcome))
                self.assertEqual(self.registry.tags, there)
                self.assertEqual([line for line in self.registry.requests if line.startswith("PUT")], [])
                self.registry.tags = tags
                scratch.remove(self.station.state)
                self.release()


class InPlace(TrainsealTest):
    """Where plaintext lies in the train's own place until the sealed train is somewhere."""

    def begin_folder(self):
        self.train = vectors.train("basic")
        self.stop = self.train.stops[1]
        self.station = self.train.station(self.stop.station)
        self.folder = scratch.copy(self.stop.received.opt, self.fresh("train") / "opt")
        self.plaintext = scratch.pieces_of(self.stop.released.pht_train, self.stop.ran.pht_results)
        self.assert_done(self.station.run("pre-run", self.folder))
        scratch.remove(self.folder / "pht_results")
        scratch.copy(self.stop.ran.pht_results, self.folder / "pht_results")

    def test_a_folder_sealed_elsewhere(self):
        self.begin_folder()
        sealed = self.folder.parent / "sealed"
        outcome = self.assert_done(self.station.run("post-run", self.folder, "--to", sealed))
        self.assertIn(f"trainseal discard folder:{self.folder}", warnings(outcome))
        self.assert_refused(self.station.run("pre-run", self.folder), "already_signed")
        self.assert_refused(self.station.run("post-run", self.folder), "already_signed")
        self.assert_done(self.station.run("post-run", self.folder, "--to", sealed))
        self.assertTrue(self.assert_done(self.station.run("discard", self.folder)).report["in_place"])
        self.assert_no_plaintext([self.folder.parent], self.plaintext)
        self.assert_refused(self.station.run("discard", self.folder), "no_record")

    def test_a_folder_sealed_elsewhere_and_wiped(self):
        self.begin_folder()
        outcome = self.assert_done(self.station.run("post-run", self.folder, "--to", self.folder.parent / "sealed", "--wipe"))
        self.assertTrue(outcome.report["wiped"])
        self.assert_no_plaintext([self.folder.parent], self.plaintext)
        self.assert_refused(self.station.run("discard", self.folder), "no_record")

    def begin_engine(self):
        self.engine = servers.podman()
        self.addCleanup(self.engine.clear)
        self.trip = ImageJourney(self, [2048, 2048]).begin(self.engine)
        self.station = self.trip.station(0, self.engine)
        self.assert_done(self.station.run("pre-run", self.engine.name()))

    def assert_engine_clean(self):
        for left in (self.station.state, self.engine.home, self.station.home / "tmp"):
            self.assertEqual(pieces_anywhere(left, self.trip.marked), [])

    def test_an_engine_whose_train_cannot_be_sent(self):
        self.begin_engine()
        error = self.assert_refused(self.station.run("post-run", self.engine.name(), "--to", NOWHERE), "registry_failed")
        self.assertIn(f"trainseal discard {self.engine.name()}", error["hint"])
        self.assert_done(self.station.run("discard", self.engine.name()))
        self.assert_engine_clean()
        there = Images(self.trip.home, "there")
        self.assert_done(self.station.run("post-run", self.engine.name(), "--to", there.name()))
        self.trip.look(there_as_place(there), 1, None, "sent")

    def test_an_engine_whose_train_is_sealed_elsewhere(self):
        self.begin_engine()
        outcome = self.station.run("post-run", self.engine.name(), "--to", f"oci:{self.trip.home}/there", "--wipe")
        self.assertTrue(self.assert_done(outcome).report["wiped"])
        self.assert_engine_clean()


def there_as_place(images):
    """A layout as a place of a journey."""
    return type("Place", (), {"take": lambda _, home, name: images})()


if __name__ == "__main__":
    unittest.main()

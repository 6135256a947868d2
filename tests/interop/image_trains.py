"""Trains in OCI image layouts: made and read back by skopeo and umoci, driven by trainseal, judged by the referee."""
import json
import os
import resource
import signal
import subprocess
import tempfile
import unittest

from support import journey, scratch, vectors
from support.case import TrainsealTest, unless_sanitized
from support.images import FORMS, DockerArchive, Images, OciArchive, save_as_docker, save_as_podman, skopeo_copy, tool
from support.party import PROGRAM

CODE = {b"entrypoint.py": b"#!/usr/bin/env python3\nprint('the train as it is')\n", b"lib/model.bin": bytes(range(256)) * 5}
QUERY = b'{"select": ["age of patients"]}'


class Trip(TrainsealTest):
    """A train of five stations whose image lies in one form or another."""
    SIZES = (2048, 3072, 2048, 2048, 2048)

    def before_base(self, home):
        """What a test adds to the base's files."""

    def begin(self, form):
        self.train = journey.OwnTrain(self, journey.keys_of_sizes(self.SIZES), CODE, query=QUERY)
        self.before_base(self.train.home)
        self.images = FORMS[form](self.train.home).make_base()
        self.assert_done(self.train.propose())
        self.assert_done(self.train.builder().run("build", self.train.home / "proposal.json", "--files", self.train.files,
                                                  "--to", self.images.name()))
        self.check_image(0)

    def check_image(self, completed, results=None):
        """The image holds what the referee passes, on the base as it was, and is the base and one layer."""
        images = self.images.as_layout()
        opt = images.unpack(f"unpacked-{completed}")
        self.assertEqual((opt / "tool").read_text(), "kept")
        self.assertFalse((opt / "pht_results" / "stale").exists())
        self.train.train = scratch.copy(opt, self.train.home / f"stage-{completed}")
        (self.train.train / "tool").unlink()
        self.train.judge(completed, results)
        self.train.earlier.append(self.train.train)
        manifest, config = images.config_of("latest")
        base_manifest, base_config = images.config_of("base")
        self.assertEqual(config["rootfs"]["diff_ids"][:-1], base_config["rootfs"]["diff_ids"])
        self.assertEqual(config["history"][:-1], base_config["history"])
        self.assertEqual(config["config"], base_config["config"])
        self.assertEqual([layer["digest"] for layer in manifest["layers"][:-1]], [layer["digest"] for layer in base_manifest["layers"]])

    def release_and_run(self, index, results, *options):
        """Pre-run with `--out` and a run; returns the station, the folder with the plaintext and how the results looked."""
        station, out = self.train.station(index), self.train.home / f"out-{index}"
        before = scratch.snapshot(self.images.place)
        self.assert_done(station.run("pre-run", self.images.name(), "--out", out, *options))
        self.assertEqual(scratch.snapshot(self.images.place), before)
        self.assert_same_contents(out / "pht_train", self.train.files)
        scratch.remove(out / "pht_results")
        (out / "pht_results").mkdir()
        journey.write_files(out / "pht_results", results)
        return station, out, scratch.copy(out / "pht_results", self.train.home / f"results-{index}")

    def visit(self, index, results):
        station, out, expected = self.release_and_run(index, results)
        outcome = self.assert_done(station.run("post-run", self.images.name(), "--results", out, "--wipe"))
        self.assertEqual(outcome.report["train"]["form"], self.images.FORM)
        self.assertFalse(out.exists())
        self.check_image(index + 1, expected)
        self.check_left_alone(station)
        return station

    def check_left_alone(self, station):
        """Nothing of ours is left beside the images, in the scratch folder or in the outbox."""
        self.assertEqual(os.listdir(station.home / "tmp"), [])
        self.assertEqual(os.listdir(station.state / "outbox"), [])
        self.assertEqual([name for name in os.listdir(self.images.place) if name.startswith(".trainseal")], [])

    def open(self):
        out = self.train.home / "opened"
        self.assert_done(self.train.creator().run("open", self.images.name(), "--out", out))
        self.assert_same_contents(out / "pht_results", self.train.home / f"results-{len(self.SIZES) - 1}")
        self.assert_same_contents(out / "pht_train", self.train.files)


class FormCases(Trip):
    """What holds in each form; the classes below say in which."""

    def setUp(self):
        self.begin(self.FORM)

    def test_five_stations_and_skopeo_between_them(self):
        marked = []
        for index in range(5):
            text = b"results of stop %d, in plaintext" % index
            station = self.visit(index, {b"b-1": b"1", b"b/10": text, b"run.sh": b"#!/bin/sh\n", b"empty": b""})
            marked += [text, CODE[b"entrypoint.py"], QUERY]
            self.assertEqual(self.images.pieces_in_layers(marked), [])
            self.assertEqual(scratch.find_pieces(station.state, marked), [])
            if index % 2 == 0:
                self.images = self.images.carry(f"carried-{index}")
        self.assertNotEqual(scratch.find_pieces(self.train.home / "results-4", marked), [])  # the search finds them where they are
        self.open()

    def test_looking_at_an_image(self):
        before = scratch.snapshot(self.images.place)
        verified = self.assert_done(self.train.station(0).run("verify", self.images.name()))
        self.assertEqual(verified.report["train"]["form"], self.FORM)
        self.assert_done(self.train.station(0).run("inspect", self.images.name()))
        self.assertEqual(scratch.snapshot(self.images.place), before)

    def test_discarding(self):
        station, out = self.train.station(0), self.train.home / "out"
        before = scratch.snapshot(self.images.place)
        self.assert_done(station.run("pre-run", self.images.name(), "--out", out))
        self.assert_done(station.run("discard", self.images.name()))
        self.assertFalse(out.exists())
        self.assertEqual(scratch.snapshot(self.images.place), before)
        self.check_left_alone(station)

    def test_not_in_place_unless_the_settings_say_so(self):
        before = scratch.snapshot(self.images.place)
        self.assert_hint(self.train.station(0, in_place=None).run("pre-run", self.images.name()), "denied", "--out")
        self.assertEqual(scratch.snapshot(self.images.place), before)

    def test_the_base_is_no_train(self):
        self.assert_refused(self.train.station(0).run("pre-run", self.images.name("base"), "--out", self.train.home / "out"), "usage")

    def test_an_image_that_is_not_there(self):
        error = self.assert_refused(self.train.station(0).run("pre-run", self.images.name("nothing"), "--out", self.train.home / "out"),
                                    "store_failed")
        self.assertIn("latest", error["hint"])

    def test_post_run_is_repeated_without_a_signature(self):
        station, out, _ = self.release_and_run(0, {b"a": b"1"})
        self.assert_done(station.run("post-run", self.images.name(), "--results", out))
        before = scratch.snapshot(self.images.place)
        self.assertIs(self.assert_done(station.run("post-run", self.images.name(), "--results", out)).report["already_sealed"], True)
        self.assertEqual(scratch.snapshot(self.images.place), before)


class Layouts(FormCases):
    FORM = "oci"

    def test_no_plaintext_into_a_layout(self):
        self.assert_refused(self.train.station(0).run("pre-run", self.images.name(), "--out", self.images.path / "out"), "usage")

    def test_the_base_is_pinned_at_pre_run(self):
        station, out = self.train.station(0), self.train.home / "out"
        self.assert_done(station.run("pre-run", self.images.name(), "--out", out))
        self.images.put(self.train.files, "base")
        before = scratch.snapshot(self.images.path)
        self.assert_refused(station.run("post-run", self.images.name(), "--results", out), "base_mismatch")
        self.assertEqual(scratch.snapshot(self.images.path), before)

    def seal_over_the_old_train(self):
        """The blobs that were of the replaced train alone, and those that there are afterwards."""
        manifest, _ = self.images.config_of("latest")
        old = {blob["digest"].removeprefix("sha256:") for blob in (manifest["layers"][-1], manifest["config"])}
        self.visit(0, {b"a": b"1"})
        return old, {path.name for path in (self.images.path / "blobs" / "sha256").iterdir()}

    def test_what_we_made_and_nobody_needs_any_more_goes(self):
        foreign = "0" * 64
        (self.images.path / "blobs" / "sha256" / foreign).write_bytes(b"somebody else's")
        old, left = self.seal_over_the_old_train()
        self.assertEqual(old & left, set())
        self.assertIn(foreign, left)

    def test_what_another_image_needs_stays(self):
        tool(self.train.home, "umoci", "tag", "--image", f"{self.images.path}:latest", "kept")
        old, left = self.seal_over_the_old_train()
        self.assertLessEqual(old, left)
        self.images.unpack("kept", "kept")


class OciArchives(FormCases):
    FORM = "oci-archive"


class DockerArchives(FormCases):
    FORM = "docker-archive"


class AcrossForms(Trip):
    def test_five_stations_each_of_another_form(self):
        self.begin("oci")
        for index, form in enumerate(["docker-archive", "oci-archive", "oci", "docker-archive", "oci-archive"]):
            there = FORMS[form](self.train.home, f"station-{index}")
            station, out, expected = self.release_and_run(index, {b"b/10": b"results of stop %d" % index, b"b-1": b"1"})
            # A layout or an archive that is not there yet is made, with the base that the train came on.
            outcome = self.assert_done(station.run("post-run", self.images.name(), "--results", out, "--wipe", "--to", there.name()))
            self.assertEqual(outcome.report["train"]["form"], form)
            self.check_left_alone(station)
            self.images = there
            self.check_image(index + 1, expected)
        self.open()


class Bases(Trip):
    """Trains whose base lies elsewhere (`--base`)."""

    def setUp(self):
        self.train = journey.OwnTrain(self, journey.keys_of_sizes([2048, 2048]), CODE)
        self.assert_done(self.train.propose())
        self.base = Images(self.train.home, "bases").make_base()

    def build(self, target, *options):
        return self.train.builder().run("build", self.train.home / "proposal.json", "--files", self.train.files,
                                        "--to", target.name(), *options)

    def test_what_is_not_there_yet_is_made_with_its_base(self):
        for form, images in FORMS.items():
            with self.subTest(form=form):
                self.images = images(self.train.home, f"new-{form}")
                before = scratch.snapshot(self.train.home)
                self.assert_refused(self.build(self.images), "store_failed")
                self.assertEqual(scratch.snapshot(self.train.home), before)
                self.assert_done(self.build(self.images, "--base", self.base.name("base")))
                self.train.earlier = []
                scratch.remove(self.train.home / "stage-0")
                scratch.remove(self.train.home / "unpacked-0")
                self.check_image(0)

    def test_a_base_in_another_form(self):
        for number, form in enumerate(FORMS):
            with self.subTest(form=form):
                there = FORMS[form](self.train.home, f"base-{number}")
                there.make_base() if form == "oci" else there.take(self.base, ("base",))
                self.images = Images(self.train.home, f"train-{number}")
                self.assert_done(self.build(self.images, "--base", there.name("base")))

    def test_another_base_than_the_recorded_one(self):
        self.images = Images(self.train.home, "train")
        self.assert_done(self.build(self.images, "--base", self.base.name("base")))
        station, out, _ = self.release_and_run(0, {b"a": b"1"})
        other = Images(self.train.home, "other").make_base().put(self.train.files, "base")
        before = scratch.snapshot(self.images.path)
        self.assert_refused(station.run("post-run", self.images.name(), "--results", out, "--base", other.name("base")), "base_mismatch")
        self.assertEqual(scratch.snapshot(self.images.path), before)
        self.assert_done(station.run("post-run", self.images.name(), "--results", out, "--base", self.base.name("base")))

    def test_another_base_where_the_train_goes(self):
        """The next station would take that one."""
        self.images = Images(self.train.home, "train")
        self.assert_done(self.build(self.images, "--base", self.base.name("base")))
        station, out, _ = self.release_and_run(0, {b"a": b"1"})
        other = Images(self.train.home, "other").make_base().put(self.train.files, "base")
        for form, images in FORMS.items():
            with self.subTest(form=form):
                there = images(self.train.home, f"there-{form}")
                scratch.copy(other.path, there.path) if form == "oci" else there.take(other, ("base",))
                before = scratch.snapshot(there.place)
                self.assert_refused(station.run("post-run", self.images.name(), "--results", out, "--to", there.name()), "base_mismatch")
                self.assertEqual(scratch.snapshot(there.place), before)
        self.assertEqual({turn["kind"] for turn in self.assert_done(station.run("ledger", "list")).report["ledger"]}, {"seen"})
        self.assert_done(station.run("post-run", self.images.name(), "--results", out, "--to", f"oci:{self.train.home}/free"))

    def test_a_train_without_its_base(self):
        self.images = Images(self.train.home, "train")
        self.assert_done(self.build(self.images, "--base", self.base.name("base")))
        alone = OciArchive(self.train.home, "alone")
        skopeo_copy(self.train.home, self.images.name(), alone.name())
        station, out = self.train.station(0), self.train.home / "out"
        self.assert_hint(station.run("pre-run", alone.name(), "--out", out), "store_failed", "--base")
        self.assert_done(station.run("pre-run", alone.name(), "--out", out, "--base", self.base.name("base")))
        self.assert_done(station.run("post-run", alone.name(), "--results", out, "--base", self.base.name("base")))
        self.assertEqual(alone.config_of("base")[1]["rootfs"], self.base.config_of("base")[1]["rootfs"])

    def test_a_folder_is_no_base(self):
        self.assert_refused(self.build(Images(self.train.home, "train"), "--base", self.train.files), "usage")


class Kept(Trip):
    """What is sealed and cannot be delivered is kept, and delivered by the next post-run."""
    SIZES = (2048, 2048)

    def post_run(self, station, out, limit_bytes):
        """Post-run that can write no file of more than `limit_bytes`: the archive, which holds base and train, is larger."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        done = subprocess.run([PROGRAM, "post-run", self.images.name(), "--results", out, "--wipe", "--json"], env=station.env,
                              stdin=subprocess.DEVNULL, capture_output=True, preexec_fn=limit, restore_signals=False, check=False)
        return done.returncode, json.loads(done.stdout)

    def ledger(self, station):
        return self.assert_done(station.run("ledger", "list")).report["ledger"]

    def test_the_next_post_run_delivers(self):
        for form in ("oci-archive", "docker-archive"):
            with self.subTest(form=form):
                self.setUp()
                self.deliver_later(form)

    def deliver_later(self, form):
        large = self.fresh("large") / "base-tree" / "etc"
        large.mkdir(parents=True)
        (large / "large").write_bytes(os.urandom(1 << 20))
        self.before_base = lambda home: scratch.copy(large.parent, home / "base-tree")
        self.begin(form)
        station, out, expected = self.release_and_run(0, {b"large": os.urandom(1 << 20)})
        before = scratch.snapshot(self.images.place)
        status, report = self.post_run(station, out, 3 << 19)
        self.assertEqual((status, report["error"]["code"]), (6, "store_failed"), report)
        self.assertIn("signed and sealed, but has not arrived", report["error"]["message"])
        self.assertEqual(scratch.snapshot(self.images.place), before)
        self.assertTrue(out.exists())
        self.assertIn("has not been seen there", " ".join(station.run("state", "check").report["findings"]))
        signed = self.ledger(station)
        self.assertEqual([line["kind"] for line in signed][-1], "committed")

        outcome = self.assert_done(station.run("post-run", self.images.name(), "--results", out, "--wipe"))
        self.assertTrue(outcome.report["already_sealed"])
        self.assertIn("delivered only now", " ".join(outcome.report["warnings"]))
        self.assertEqual(self.ledger(station), signed)
        self.assertFalse(out.exists())
        self.check_image(1, expected)
        self.check_left_alone(station)
        self.assert_done(station.run("state", "check"))


class SavedByOthers(Trip):
    """Archives as Docker before 25 and podman write them, and as podman reads ours."""
    SIZES = (2048, 2048)

    def test_archives_of_docker_and_podman(self):
        self.begin("oci")
        for name, save in (("docker", save_as_docker), ("podman", save_as_podman)):
            with self.subTest(saved_by=name):
                archive = DockerArchive(self.train.home, name)
                save(self.images, archive.path, {tag: f"{DockerArchive.NAME}:{tag}" for tag in ("base", "latest")})
                station, out = self.train.station(0), self.train.home / f"out-{name}"
                for given in (archive.name(), f"docker-archive:{archive.path}"):
                    self.assert_done(station.run("verify", given))
                self.assert_done(station.run("pre-run", archive.name(), "--out", out))
                self.assert_same_contents(out / "pht_train", self.train.files)
                self.assert_done(station.run("post-run", archive.name(), "--results", out))
                self.assertEqual(archive.config_of("base")[1], self.images.config_of("base")[1])
                self.assertEqual(archive.config_of("latest")[1]["rootfs"]["diff_ids"][:-1],
                                 self.images.config_of("base")[1]["rootfs"]["diff_ids"])

    def test_names_as_podman_completes_them(self):
        self.begin("oci")
        archive = DockerArchive(self.train.home)
        save_as_podman(self.images, archive.path, {tag: f"localhost/t-17:{tag}" for tag in ("base", "latest")})
        self.assert_done(self.train.station(0).run("verify", f"docker-archive:{archive.path}:t-17:latest"))
        self.assert_refused(self.train.station(0).run("verify", f"docker-archive:{archive.path}:t-18:latest"), "store_failed")

    def test_podman_loads_what_we_write(self):
        self.begin("docker-archive")
        run = tempfile.mkdtemp(prefix="pod", dir="/tmp")  # podman takes 50 characters at most
        self.addCleanup(scratch.remove, run)
        policy = self.train.home / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        podman = ["podman", "--root", self.train.home / "podman", "--runroot", run, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]
        tool(self.train.home, *podman, "load", "--signature-policy", policy, "-i", self.images.path)
        for tag in ("latest", "base"):
            seen = json.loads(tool(self.train.home, *podman, "image", "inspect", f"{DockerArchive.NAME}:{tag}"))
            self.assertEqual(seen[0]["RootFS"]["Layers"], self.images.config_of(tag)[1]["rootfs"]["diff_ids"])


@unless_sanitized
class Memory(TrainsealTest):
    """A train streams through: a result that is larger than the memory that a command may have."""
    MIB = int(os.environ.get("TRAINSEAL_RESULT_MIB", "200"))
    MOST_KIB = 96 << 10

    def measure(self, form):
        train = journey.OwnTrain(self, journey.keys_of_sizes([2048, 2048]), CODE)
        images = FORMS[form](train.home).make_base()
        self.assert_done(train.propose())
        self.assert_done(train.builder().run("build", train.home / "proposal.json", "--files", train.files, "--to", images.name()))
        first = train.station(0)
        first.peak("pre-run", images.name(), "--out", train.home / "out")
        with open(train.home / "out" / "pht_results" / "large", "wb") as file:
            file.truncate(self.MIB << 20)  # a file with holes is read as zeros, and is as large once encrypted
        peaks = [first.peak("post-run", images.name(), "--results", train.home / "out", "--wipe"),
                 train.station(1).peak("pre-run", images.name(), "--out", train.home / "next")]
        print(f"{form}: {self.MIB} MiB of results: post-run and pre-run took {peaks} KiB at most")
        self.assertLess(max(peaks), self.MOST_KIB)

    def test_layout(self):
        self.measure("oci")

    def test_oci_archive(self):
        self.measure("oci-archive")

    def test_docker_archive(self):
        self.measure("docker-archive")


class ReferenceTrains(TrainsealTest):
    def test_every_stage_in_layers_of_umoci(self):
        for name in vectors.TRAIN_NAMES:
            train = vectors.train(name)
            for stop in train.stops:
                with self.subTest(train=name, stop=stop.index):
                    home = self.fresh("image")
                    images = Images(home).make_base().put(stop.received.opt)
                    self.assert_done(train.station(stop.station).run("pre-run", images.name(), "--out", home / "out"))
                    for part in ("pht_train", "pht_results"):
                        self.assert_same_contents(home / "out" / part, stop.released.opt / part)


if __name__ == "__main__":
    unittest.main()

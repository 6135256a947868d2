"""Trains in container engines and registries: real ones, without a network."""
import os
import subprocess
import sys
import unittest

from support import journey, scratch, servers
from support.case import TrainsealTest, unless_sanitized
from support.image_journey import ImageJourney, pieces_anywhere, results_of
from support.images import FORMS, Images
from support.tars import member, tar_of

FIVE = [2048, 3072, 2048, 3072, 2048]


class PlaceTest(TrainsealTest):
    def place(self):
        raise NotImplementedError

    def begin(self, sizes=(2048, 2048)):
        self.where = self.place()
        return ImageJourney(self, list(sizes)).begin(self.where)


class Journeys:
    """For every kind of place; `form` is what reports call it."""

    def test_five_stations(self):
        trip = self.begin(FIVE)
        for index in range(5):
            outcome = trip.visit(self.where, index)
            self.assertEqual(outcome.report["train"]["form"], self.form)
        trip.open(self.where)
        # The search finds what is there.
        self.assertNotEqual(pieces_anywhere(trip.home / "results-4", trip.marked), [])

    def test_looking_and_discarding(self):
        trip = self.begin()
        station = trip.station(0, self.where)
        before = self.state_of(self.where)
        self.assert_done(station.run("verify", self.where.name()))
        self.assert_done(station.run("inspect", self.where.name()))
        out = trip.release(self.where, 0)
        self.assert_done(station.run("discard", self.where.name()))
        self.assertFalse(out.exists())
        self.assertEqual(self.state_of(self.where), before)
        self.assertEqual(pieces_anywhere(station.state, trip.marked), [])
        self.assertEqual(os.listdir(station.home / "tmp"), [])

    def test_a_refused_run_leaves_nothing(self):
        trip = self.begin()
        out, station = trip.release(self.where, 0), trip.station(0, self.where)
        trip.run(0, out)
        before = self.state_of(self.where)
        (out / "pht_results" / "link").symlink_to("b-1")
        self.assert_refused(station.run("post-run", self.where.name(), "--results", out), "symlink_refused")
        (out / "pht_results" / "link").unlink()
        station.configure(token={"pin_file": str(station.home / "no-pin")})
        self.assert_refused(station.run("post-run", self.where.name(), "--results", out), "pin_missing")
        self.assertEqual(self.state_of(self.where), before)
        for left in (self.where.home, station.home):
            self.assertEqual(pieces_anywhere(left, trip.marked), [])

    def test_no_such_image(self):
        where = self.place()
        trip = ImageJourney(self, [2048])
        name = where.name("missing").replace("train:", "none:")
        self.assert_hint(trip.station(0, where).run("pre-run", name, "--out", trip.home / "out"), self.code, "no")
        self.assertFalse((trip.home / "out").exists())

    def test_the_base_is_no_train(self):
        where = self.place()
        trip = ImageJourney(self, [2048])
        self.assert_refused(trip.station(0, where).run("pre-run", where.name("base"), "--out", trip.home / "out"), "usage")


class EngineJourneys(Journeys):
    form, code = "docker-daemon", "engine_failed"

    @staticmethod
    def state_of(where):
        return where.ids(), where.containers()

    def test_the_bare_name(self):
        trip = self.begin()
        self.assert_done(trip.station(0, self.where).run("verify", f"{self.where.repository}:latest"))
        self.assert_done(trip.station(0, self.where).run("verify", self.where.repository))
        self.assert_done(trip.station(0, self.where).run("verify", f"docker.io/{self.where.repository}"))

    def test_the_image_to_run_is_reported_by_its_id(self):
        trip = self.begin()
        station = trip.station(0, self.where)
        for outcome in (station.run("verify", self.where.name()), station.run("pre-run", self.where.name(), "--out", trip.home / "out")):
            image = self.assert_done(outcome).report["image"]
            self.assertEqual(image["fixed_name"], self.config_of())
            self.assertEqual(image["config_digest"], self.config_of())

    def test_another_base_there(self):
        trip = self.begin()
        other = Images(trip.home, "other").make_base().put(trip.train.files, "base")
        before = self.state_of(self.where)
        builder = trip.party(trip.train.builder(), self.where)
        self.assert_refused(builder.run("build", trip.home / "proposal.json", "--files", trip.train.files, "--to",
                                        self.where.name("second"), "--base", other.name("base")), "base_mismatch")
        self.assertEqual(self.state_of(self.where), before)

    def test_the_doctor_looks_at_it(self):
        station = ImageJourney(self, [2048]).station(0, self.place())
        checks = self.assert_done(station.run("doctor")).report["checks"]
        self.assertIn(("engine", "ok"), [(check["name"], check["state"]) for check in checks])
        self.assert_hint(station.run("doctor", env={"DOCKER_HOST": "unix:///nowhere/x"}), "engine_failed", "DOCKER_HOST")

    def test_the_engine_in_the_settings(self):
        trip = self.begin()
        station = trip.train.station(0, engine={"host": self.where.host})
        self.assert_done(station.run("verify", self.where.name()))

    def config_of(self, tag="latest"):
        return self.where.id_of(tag)

    def test_in_place(self):
        trip = self.begin()
        encrypted, station = self.config_of(), trip.station(0, self.where)
        self.assert_done(station.run("pre-run", self.where.name()))
        released = self.config_of()
        opt = self.where.take(trip.home, "released").unpack("unpacked-released")
        self.assert_same_contents(opt / "pht_train", trip.train.files)
        # The station's workflow copies onto the base what the run left, and names that `latest`.
        trip.run(0, opt)
        (opt / "tool").unlink()
        trip.base.put(opt)
        self.where.put(trip.base, "latest")
        self.assertNotIn(self.config_of(), (encrypted, released))
        run = self.config_of()
        outcome = self.assert_done(station.run("post-run", self.where.name()))
        self.assertEqual([warning for warning in outcome.report["warnings"] if "plaintext" in warning], [])
        self.assertEqual({released, run} & set(self.where.ids()), set())
        trip.check(self.where, 1, trip.home / "results-0")
        for left in (station.state, self.where.home, station.home / "tmp"):
            self.assertEqual(pieces_anywhere(left, trip.marked), [])
        self.assertEqual(os.listdir(station.state / "outbox"), [])

    def test_discarding_what_was_released_in_place(self):
        trip = self.begin()
        station = trip.station(0, self.where)
        self.assert_done(station.run("pre-run", self.where.name()))
        released = self.config_of()
        self.assert_done(station.run("discard", self.where.name()))
        self.assertNotIn(released, self.where.ids())
        for left in (station.state, self.where.home, station.home / "tmp"):
            self.assertEqual(pieces_anywhere(left, trip.marked), [])

    def run_in_containers(self, trip, again=False):
        """As the stations' workflow, which leaves its containers: the run's is committed as `latest`, then what it left is copied
        into one of the base and committed as `latest`. Returns both containers."""
        station = trip.station(0, self.where)
        self.assert_done(station.run("pre-run", self.where.name()))
        opt = self.where.take(trip.home, "released").unpack("unpacked-released")
        run = self.where.create("latest")
        results, text = results_of(0)
        trip.marked.append(text)
        self.where.copy_into(run, tar_of(member(f"opt/pht_results/{name.decode()}", content) for name, content in results.items()))
        self.where.commit(run, "latest")
        rebased = self.where.create("base")
        (opt / "tool").unlink()
        journey.write_files(opt / "pht_results", results)
        files = tar_of(member(f"opt/{path.relative_to(opt)}", path.read_bytes()) for path in sorted(opt.rglob("*")) if path.is_file())
        for _ in range(2 if again else 1):
            self.where.copy_into(rebased, files)
            self.where.commit(rebased, "latest")
        return run, rebased

    def assert_clean(self, trip):
        for left in (trip.station(0, self.where).state, self.where.home):
            self.assertEqual(pieces_anywhere(left, trip.marked), [])

    def plaintext_warnings(self, outcome):
        return [warning for warning in self.assert_done(outcome).report["warnings"] if "plaintext" in warning]

    def test_what_the_workflow_leaves_is_removed_or_told(self):
        trip = self.begin()
        run, rebased = self.run_in_containers(trip)
        station = trip.station(0, self.where)
        told = self.plaintext_warnings(station.run("post-run", self.where.name()))
        sealed = self.config_of()
        for container in (run, rebased):
            self.assertIn(f"docker rm {container[:12]}", " ".join(told))
        self.where.remove_container(run)
        # The same post-run tries again, and says what stays.
        told = self.plaintext_warnings(station.run("post-run", self.where.name()))
        self.assertEqual(len(told), 1, told)
        self.assertIn(rebased[:12], told[0])
        self.where.remove_container(rebased)
        self.assertEqual(self.plaintext_warnings(station.run("discard", self.where.name())), [])
        self.assertEqual(self.config_of(), sealed)
        self.assert_clean(trip)
        self.assert_refused(station.run("discard", self.where.name()), "no_record")

    def test_images_made_on_the_base_meanwhile_are_told(self):
        trip = self.begin()
        for container in self.run_in_containers(trip, again=True):
            self.where.remove_container(container)
        station = trip.station(0, self.where)
        told = self.plaintext_warnings(station.run("post-run", self.where.name()))
        self.assertEqual(len(told), 1, told)
        image = told[0].split("docker rmi ")[1]
        self.assertEqual(self.where.call("DELETE", f"/v1.41/images/{image}")[0], 200)
        self.assertEqual(self.plaintext_warnings(station.run("discard", self.where.name())), [])
        self.assert_clean(trip)

    def test_discarding_a_train_that_was_pulled_again(self):
        trip = self.begin()
        encrypted, station = self.config_of(), trip.station(0, self.where)
        self.assert_done(station.run("pre-run", self.where.name()))
        self.assertEqual(self.where.call("POST", f"/v1.41/images/{encrypted}/tag?repo={self.where.repository}&tag=latest")[0], 201)
        done = self.assert_done(station.run("discard", self.where.name()))
        self.assertFalse(done.report["in_place"])
        self.assertEqual(self.config_of(), encrypted)
        self.assert_clean(trip)
        trip.visit(self.where, 0)

    def test_no_container_and_no_nameless_image_of_ours_is_left(self):
        trip = self.begin()
        before = self.where.ids()
        trip.visit(self.where, 0)
        self.assertEqual(self.where.containers(), [])
        after = self.where.ids()
        # The train as it came keeps lying there without its name, as after any `docker build`; it is encrypted.
        self.assertEqual({image for image, names in after.items() if not names} - set(before), set())


class Podman(EngineJourneys, PlaceTest):
    def place(self):
        self.addCleanup(servers.podman().clear)
        return servers.podman()


class Docker(EngineJourneys, PlaceTest):
    def place(self):
        try:
            self.addCleanup(servers.dockerd().clear)
        except servers.CannotStart as why:
            self.skipTest(f"dockerd cannot start here: {why}")
        return servers.dockerd()


class Registry(Journeys, PlaceTest):
    form, code = "docker", "registry_failed"

    def place(self):
        registry = servers.Registry()
        self.addCleanup(registry.remove)
        return registry

    @staticmethod
    def state_of(where):
        return scratch.contents(where.data)

    def test_never_in_place(self):
        trip = self.begin()
        before = self.state_of(self.where)
        station = trip.station(0, self.where)
        self.assert_refused(station.run("pre-run", self.where.name()), "denied")
        self.assertEqual(self.state_of(self.where), before)
        self.assertEqual(pieces_anywhere(station.state, trip.marked), [])

    def test_a_base_is_never_sent(self):
        trip = self.begin()
        before = self.where.tag_digest("base")
        trip.visit(self.where, 0)
        self.assertEqual(self.where.tag_digest("base"), before)

    def test_without_tls_it_has_to_be_said(self):
        trip = self.begin()
        station = trip.station(0, self.where)
        station.configure(registry={"tls_verify": True})
        self.assert_hint(station.run("verify", self.where.name()), "registry_failed", "tls_verify")


class ClosedRegistry(PlaceTest):
    """A registry that wants a password."""

    def place(self):
        registry = servers.Registry("not a secret")
        self.addCleanup(registry.remove)
        registry.authfile()
        return registry

    def stations(self, trip):
        trip.party = lambda party, place, plain=trip.party: self.with_credentials(plain(party, place), place)

    def with_credentials(self, party, place):
        party.configure(registry={"authfile": str(place.home / "auth.json")})
        return party

    def begin_with_credentials(self):
        self.where = self.place()
        trip = ImageJourney(self, [2048, 2048])
        self.stations(trip)
        return trip.begin(self.where)

    def test_with_the_settings_authfile(self):
        trip = self.begin_with_credentials()
        trip.visit(self.where, 0)

    def test_with_the_environments(self):
        trip = self.begin_with_credentials()
        station = trip.station(0, self.where)
        station.configure(registry={"authfile": None})
        self.assert_done(station.run("verify", self.where.name(), env={"REGISTRY_AUTH_FILE": str(self.where.home / "auth.json")}))

    def test_without_and_with_wrong_ones(self):
        trip = self.begin_with_credentials()
        station, before = trip.station(0, self.where), scratch.contents(self.where.data)
        out = trip.release(self.where, 0)
        trip.run(0, out)
        station.configure(registry={"authfile": None})
        self.assert_hint(station.run("verify", self.where.name()), "registry_failed", "skopeo login")
        self.where.authfile("station:wrong password")
        outcome = station.run("post-run", self.where.name(), "--results", out, env={"REGISTRY_AUTH_FILE": str(self.where.home / "auth.json")})
        self.assert_hint(outcome, "registry_failed", "skopeo login")
        self.assertNotIn("wrong password", str(outcome))
        self.assertEqual(scratch.contents(self.where.data), before)


class TlsRegistry(PlaceTest):
    """A registry with a certificate of its own making."""

    def place(self):
        self.certificate = self.fresh("tls") / "both.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=registry", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-keyout", self.certificate, "-out", self.certificate.with_name("only.pem")],
                       check=True, capture_output=True)
        with open(self.certificate, "a") as both:
            both.write(self.certificate.with_name("only.pem").read_text())
        registry = servers.Registry(certificate=self.certificate)
        self.addCleanup(registry.remove)
        return registry

    def test_the_certificate_counts(self):
        trip = self.begin()
        trip.visit(self.where, 0)  # tls_verify is false
        station = trip.station(1, self.where)
        station.configure(registry={"tls_verify": True})
        self.assert_hint(station.run("verify", self.where.name()), "registry_failed", "certificate")
        self.assert_done(station.run("verify", self.where.name(), env={"SSL_CERT_FILE": str(self.certificate.with_name("only.pem"))}))


class FilePlace:
    """A layout or an archive, as a place like the others."""

    environment, settings = {}, {}

    def __init__(self, images):
        self.images = images
        self.name, self.home = images.name, images.place

    def take(self, home, name):
        return self.images.as_layout()


class Across(PlaceTest):
    """From an engine to a registry, a layout, an archive, and an engine again."""

    def test_five_stations(self):
        registry, engine = servers.Registry(), servers.podman()
        self.addCleanup(registry.remove)
        self.addCleanup(engine.clear)
        trip = ImageJourney(self, FIVE).begin(engine)
        registry.put(trip.base, "base")
        layout, archive = (FilePlace(FORMS[form](trip.home, name)) for form, name in (("oci", "fourth"), ("docker-archive", "fifth")))
        trip.visit(engine, 0, to=registry)
        trip.visit(registry, 1, to=layout)
        trip.visit(layout, 2, to=archive)
        engine.clear()
        trip.visit(archive, 3, to=engine)
        trip.visit(engine, 4)
        trip.open(engine)


@unless_sanitized
class Memory(PlaceTest):
    """A result that is larger than the memory that a command may have."""

    def check(self, where):
        size = int(os.environ.get("TRAINSEAL_RESULT_MIB", "200"))
        trip = ImageJourney(self, [2048, 2048]).begin(where)
        out = trip.release(where, 0)
        with open(out / "pht_results" / "large", "wb") as file:
            file.truncate(size << 20)  # a file with holes is read as zeros, and is as large once encrypted
        peaks = [trip.station(0, where).peak("post-run", where.name(), "--results", out, "--wipe"),
                 trip.station(1, where).peak("pre-run", where.name(), "--out", trip.home / "next")]
        print(f"{size} MiB of results: post-run and pre-run took {peaks} KiB at most")
        self.assertLess(max(peaks), 96 << 10)

    def test_podman(self):
        self.addCleanup(servers.podman().clear)
        self.check(servers.podman())

    def test_registry(self):
        registry = servers.Registry()
        self.addCleanup(registry.remove)
        self.check(registry)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    reasons = {reason for _, reason in result.skipped}
    print(*reasons, sep="\n")
    sys.exit(1 if not result.wasSuccessful() else 77 if reasons else 0)  # 77: ctest says that it was skipped

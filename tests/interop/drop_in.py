"""trainseal in the place of the reference's container: `pre-run IMAGE` and `post-run IMAGE [--rebase]`, two runs that share nothing
but the engine and the volume with the state, and between them what the stations' workflow does with the image."""
import io
import json
import os
import tarfile
import unittest
from pathlib import Path

from support import party, scratch, servers
from support.case import TrainsealTest
from support.image_journey import ImageJourney, pieces_anywhere, results_of

CONFIG = Path(__file__).resolve().parent.parent.parent / "config"


class Workflow:
    """The engine's calls of the workflow between pre-run and post-run."""

    def __init__(self, test, engine):
        self.test, self.engine = test, engine

    def call(self, method, path, body=None, media_type="application/json"):
        status, answer, _ = self.engine.call(method, "/v1.41" + path, body, media_type)
        self.test.assertLess(status, 300, answer)
        return answer

    def create(self, tag):
        made = self.call("POST", "/containers/create", json.dumps({"Image": f"{self.engine.repository}:{tag}", "Cmd": ["run"]}))
        return json.loads(made)["Id"]

    def put(self, container, path, files):
        """`files`: name → content."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(os.fsdecode(name))
                member.size, member.mtime = len(content), 2_000_000_000
                tar.addfile(member, io.BytesIO(content))
        self.call("PUT", f"/containers/{container}/archive?path={path}", archive.getvalue(), "application/x-tar")

    def run(self, results):
        """The train's own run, which leaves `results`, and the train copied onto its base; returns the containers."""
        ran, rebased = self.create("latest"), self.create("base")
        self.put(ran, "/opt/pht_results", results)
        for name in ("pht_train", "pht_results", "train_config.json"):
            self.call("PUT", f"/containers/{rebased}/archive?path=/opt", self.call("GET", f"/containers/{ran}/archive?path=/opt/{name}"),
                      "application/x-tar")
        repository = self.engine.repository
        self.call("POST", f"/commit?container={rebased}&repo={repository}&tag=latest", "{}")
        return ran, rebased

    def remove(self, container):
        self.call("DELETE", f"/containers/{container}?force=1")


class DropIn(TrainsealTest):
    def setUp(self):
        self.engine = servers.podman()
        self.addCleanup(self.engine.clear)
        self.trip = ImageJourney(self, [2048, 2048]).begin(self.engine)
        self.workflow = Workflow(self, self.engine)
        self.volume = self.fresh("volume")
        self.homes = []

    def run_once(self, *arguments, **env):
        """A run of the container: its own file system, and the volume."""
        home = self.fresh("container")
        self.homes.append(home)
        token = self.trip.train.keys[0].token
        given = party.environment(home) | token.environment | self.engine.environment | {
            "STATION_ID": "1", "PRIVATE_KEY_PATH": token.keys[0], "PRIVATE_KEY_PASSWORD": token.pin,
            "TRAINSEAL_MODULE": party.SOFTHSM, "TRAINSEAL_SETTINGS": str(CONFIG / "container-settings.json"),
            "TRAINSEAL_STATE": str(self.volume / "state")}
        return party.run(arguments, given | env)

    def release_and_run(self):
        before = self.engine.ids()
        self.assert_done(self.run_once("pre-run", f"{self.engine.repository}:latest"))
        self.assertEqual(self.engine.containers(), [])
        self.assertNotEqual(pieces_anywhere(self.engine.graph, self.trip.marked), [])
        results, text = results_of(0)
        self.trip.marked.append(text)
        self.expected = self.trip.home / "expected"
        # The workflow copies onto the base what the run left, so that what lies in the base's results joins it.
        scratch.copy(self.write(results | {b"stale": b"old results"}), self.expected)
        return before, self.workflow.run(results)

    def write(self, results):
        folder = self.fresh("results")
        for name, content in results.items():
            path = folder / os.fsdecode(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder

    def check_sealed(self):
        self.trip.look(self.engine, 1, self.expected, "sealed")
        for home in self.homes:
            self.assertEqual(pieces_anywhere(home, self.trip.marked), [])
        self.assertEqual(pieces_anywhere(self.volume, self.trip.marked), [])

    def test_two_runs_and_the_workflow_between_them(self):
        before, containers = self.release_and_run()
        for container in containers:
            self.workflow.remove(container)
        done = self.assert_done(self.run_once("post-run", f"{self.engine.repository}:latest", "--rebase"))
        self.assertNotIn("could not be removed", " ".join(done.report["warnings"]))
        self.check_sealed()
        self.assertEqual(pieces_anywhere(self.engine.home, self.trip.marked), [])
        self.assertEqual(len(self.engine.ids()), len(before) + 1)  # the train as it came lies there without its name

    def test_containers_that_are_left_are_told(self):
        _, containers = self.release_and_run()
        done = self.assert_done(self.run_once("post-run", f"{self.engine.repository}:latest", "--rebase"))
        self.assertIn("could not be removed", " ".join(done.report["warnings"]))
        self.check_sealed()
        for container in containers:
            self.workflow.remove(container)

    def test_without_the_volume_there_is_no_record(self):
        self.release_and_run()
        outcome = self.run_once("post-run", f"{self.engine.repository}:latest", "--rebase", TRAINSEAL_STATE=str(self.fresh("new") / "state"))
        self.assert_refused(outcome, "no_record")

    def test_anything_else_as_third_argument(self):
        self.assert_refused(self.run_once("post-run", f"{self.engine.repository}:latest", "rebase"), "usage")


if __name__ == "__main__":
    unittest.main()

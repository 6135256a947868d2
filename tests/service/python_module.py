"""The Python module against the real service: the reference's workflow, and the plain client."""
import http.server
import json
import os
import socketserver
import sys
import threading
import unittest
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "src/python"))

import trainseal
from support import scratch, servers
from support.case import TrainsealTest
from support.image_journey import ImageJourney
from support.journey import Key, OwnTrain
from support.service import Service as Daemon


class Folder(TrainsealTest):
    def setUp(self):
        self.train = OwnTrain(self, [Key("basic", "station_1")], {b"entrypoint.py": b"print(1)\n"})
        self.train.build()
        self.daemon = Daemon(self.train.station(0))
        self.addCleanup(self.daemon.stop)
        self.client = trainseal.Service(self.daemon.socket)
        self.name = f"folder:{scratch.copy(self.train.train, self.daemon.trains / 't-17')}"
        self.out = self.daemon.out / "t-17"

    def test_the_whole_way(self):
        events = []
        self.assertTrue(self.client.pre_run(self.name, out=self.out, on_event=events.append)["ok"])
        self.assertIn("unwrap", [event["name"] for event in events if event["event"] == "step"])
        (self.out / "pht_results" / "r").write_text("result")
        self.assertTrue(self.client.post_run(self.name, results=self.out, wipe=True)["wiped"])
        with self.assertRaises(trainseal.ValidationError) as caught:
            self.client.pre_run(self.name, out=self.out)
        self.assertEqual((caught.exception.code, caught.exception.retry, caught.exception.status), ("not_my_turn", "never", 422))
        self.assertNotEqual(caught.exception.hint, "")

    def test_looks(self):
        self.assertTrue(self.client.live() and self.client.ready())
        self.assertEqual(self.client.status()["state"], "ready")
        self.assertEqual(bytes.fromhex(self.client.key()["hex"]).decode(), self.client.key()["pem"])
        self.assertIn("trainseal_token_state", self.client.metrics())
        self.assertEqual([line["seq"] for line in self.client.audit(2)][0], 3)

    def test_a_key_calls_one_job(self):
        for _ in range(3):
            self.client.verify(self.name, idempotency_key="one")
        self.assertEqual(len([line for line in self.client.audit() if line["kind"] == "call"]), 1)
        with self.assertRaises(trainseal.UsageError):
            self.client.inspect(self.name, idempotency_key="one")

    def test_refusals(self):
        with self.assertRaises(trainseal.DeniedError) as caught:
            self.client.verify("folder:/etc")
        self.assertEqual(caught.exception.code, "denied")
        with self.assertRaises(trainseal.TrainsealError) as caught:
            self.client.job("nix")
        self.assertEqual(caught.exception.status, 404)

    def test_nobody_listens(self):
        nowhere = trainseal.Service(self.daemon.run / "none", patience=0)
        self.assertFalse(nowhere.live())
        with self.assertRaises(trainseal.ServiceUnavailable) as caught:
            nowhere.verify(self.name)
        self.assertEqual(caught.exception.retry, "later")

    def test_the_station_has_to_be_on_the_route(self):
        config = trainseal.extract_train_config(self.name, service=self.client)
        self.assertEqual([stop.station for stop in config.route], ["1"])
        trainseal.SecurityProtocol("001", config, service=self.client)
        with self.assertRaises(trainseal.ValidationError) as caught:
            trainseal.SecurityProtocol("2", config, service=self.client)
        self.assertEqual(caught.exception.code, "not_on_route")


class Workflow(TrainsealTest):
    """The reference's calls, on an image in an engine, decrypted where it lies."""

    def test_two_calls(self):
        where = servers.podman()
        trip = ImageJourney(self, [2048, 2048]).begin(where)
        station = trip.station(0, where)
        image = f"{where.repository}:latest"
        entry = {"user": str(os.getuid()), "verbs": ["pre-run", "post-run", "inspect"], "trains": [f"docker-daemon:{where.repository}"]}
        station.configure(in_place="allow", engine={"host": where.host})
        daemon = Daemon(station, allow=[entry])
        self.addCleanup(daemon.stop)
        service = trainseal.Service(daemon.socket)
        protocol = trainseal.SecurityProtocol("1", trainseal.extract_train_config(image, service=service), service=service)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            self.assertTrue(protocol.pre_run_protocol(image, "/keys/station.pem", private_key_password="x")["ok"])
            self.assertTrue(protocol.post_run_protocol(image, "pkcs11:object=station", rebase=True)["ok"])
        self.assertEqual([str(one.message)[:16] for one in told], ["private_key_path"])
        stops = trainseal.extract_train_config(image, service=service).route
        self.assertEqual([stop.signed for stop in stops], [True, False])


class Busy(http.server.BaseHTTPRequestHandler):
    """Answers 503 as often as the server says, then well."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.keys.append(self.headers["Idempotency-Key"])
        busy = len(self.server.keys) <= self.server.busy
        error = {"code": "service_unavailable", "message": "the queue is full", "retry": "later", "hint": "", "subject": ""}
        body = json.dumps({"ok": False, "error": error} if busy else {"ok": True}).encode()
        self.send_response(503 if busy else 200)
        self.send_header("Retry-After", "0.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "client"

    def log_message(self, *_):
        pass


class Retries(unittest.TestCase):
    def calls(self, busy, patience):
        path = scratch.fresh("busy") / "s"
        server = socketserver.ThreadingUnixStreamServer(str(path), Busy)
        server.busy, server.keys = busy, []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            return trainseal.Service(path, patience=patience).verify("folder:/t"), server.keys
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def test_again_until_there_is_room_with_one_key(self):
        answer, keys = self.calls(busy=3, patience=20)
        self.assertTrue(answer["ok"])
        self.assertEqual((len(keys), len(set(keys))), (4, 1))

    def test_not_for_ever(self):
        with self.assertRaises(trainseal.ServiceUnavailable):
            self.calls(busy=10**6, patience=0.3)


if __name__ == "__main__":
    unittest.main()

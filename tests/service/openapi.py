"""docs/openapi.yaml against the running service."""
import unittest
from pathlib import Path

import jsonschema
import yaml

from support import scratch
from support.case import TrainsealTest
from support.journey import Key, OwnTrain
from support.service import Service, request

DOCUMENT = yaml.safe_load((Path(__file__).parents[2] / "docs/openapi.yaml").read_text())
BODIES = (None, b"", b"{", {"train": "folder:/etc"}, {"train": 7})


class OpenApi(TrainsealTest):
    def check(self, path, method, answer):
        described = DOCUMENT["paths"][path][method.lower()]["responses"]
        response = described.get(str(answer.status)) or described.get("default")
        self.assertIsNotNone(response, f"{method} {path}: {answer}")
        if "$ref" in response:
            response = DOCUMENT["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
        kind = answer.headers["content-type"].split(";")[0]
        self.assertIn(kind, response["content"], path)
        if kind == "application/json":
            jsonschema.Draft202012Validator({**response["content"][kind]["schema"], "components": DOCUMENT["components"]}).validate(answer.json)

    def test_all_requests(self):
        train = OwnTrain(self, [Key("basic", "station_1")], {b"entrypoint.py": b"print(1)\n"})
        train.build()
        service = Service(train.station(0))
        self.addCleanup(service.stop)
        name = f"folder:{scratch.copy(train.train, service.trains / 't')}"
        job = service.call("verify", name).headers["trainseal-job"]
        for path, methods in DOCUMENT["paths"].items():
            socket = service.admin_socket if path.startswith("/admin/") else service.socket
            for method in ("GET", "POST"):
                for body in BODIES if method == "POST" else (None,):
                    answer = request(socket, method, path.replace("{id}", job), b"" if method == "POST" and body is None else body)
                    if method.lower() in methods:
                        self.check(path, method, answer)
                    else:
                        self.assertEqual(answer.status, 405, f"{method} {path}")
        request(service.admin_socket, "POST", "/admin/lock", b"")
        for verb in ("verify", "inspect", "pre-run", "post-run", "discard"):
            self.check(f"/v1/{verb}", "POST", service.call(verb, name))
        for path in ("/", "/v1", "/v1/", "/v2/live", "/v1/sign", "/v1/decrypt", "/admin/unlock"):
            self.assertEqual(service.get(path).status, 404, path)


if __name__ == "__main__":
    unittest.main()

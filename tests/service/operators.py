"""What an operator does at the admin socket: unlock, lock, probe."""
import unittest

from service.scene import ServiceTest
from support.party import PIN


class Operator(ServiceTest):
    def locked(self):
        """A service that nobody but an operator can give a PIN."""
        party = self.station()
        party.configure(token={"pin_file": None})
        service = self.service(party, wait=False)
        service.wait_until(lambda: service.is_live() and service.get("/v1/status").json["state"] == "locked")
        return service

    def test_unlock_lock_and_probe(self):
        service = self.locked()
        self.make(service, 1)
        self.assert_failed(service.get("/v1/ready"), 503, "pin_missing")
        refused = self.assert_failed(self.pre_run(service, 1), 503, "pin_missing")
        self.assertEqual(refused.headers["retry-after"], "60")
        self.assert_ok(service.admin("POST", "/admin/unlock", PIN.encode()))
        self.assert_ok(service.admin("POST", "/admin/probe"))
        self.assert_ok(self.pre_run(service, 1))
        self.assertEqual(service.admin("POST", "/admin/lock").json["state"], "locked")
        self.assert_failed(service.get("/v1/ready"), 503, "pin_missing")
        self.assertEqual(service.post("/admin/unlock", PIN.encode()).status, 404)
        self.assertEqual(service.stop(), 0)
        kinds = [line["kind"] for line in service.audit()]
        self.assertTrue({"unlock", "probe", "lock", "trial"} <= set(kinds), kinds)
        self.assertNotIn(PIN, (service.party.state / "audit.jsonl").read_text() + service.log())

    def test_a_wrong_pin_is_told_and_does_not_unlock(self):
        service = self.locked()
        self.assert_failed(service.admin("POST", "/admin/unlock", b"0000"), 503, "pin_incorrect")
        self.assertEqual(service.get("/v1/status").json["state"], "locked")


if __name__ == "__main__":
    unittest.main()

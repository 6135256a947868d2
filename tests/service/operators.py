"""What an operator does at the admin socket: the PIN is given, used and forgotten by the service."""
import unittest
from pathlib import Path

from service.scene import ServiceTest
from support.party import PIN


def memory_of(pid):
    """What the process has in its memory."""
    regions = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for region in regions:
            if not region[1].startswith("rw"):
                continue
            first, last = (int(end, 16) for end in region[0].split("-"))
            memory.seek(first)
            try:
                found.append(memory.read(last - first))
            except OSError:
                continue
    return b"".join(found)


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

    def test_a_pin_that_was_given_is_not_kept_by_the_service(self):
        service = self.locked()
        self.assertNotIn(PIN.encode(), memory_of(service.process.pid))
        self.assert_ok(service.admin("POST", "/admin/unlock", PIN.encode()))
        self.assertEqual(memory_of(service.process.pid).count(PIN.encode()), 0)

    def test_a_wrong_pin_is_told_and_does_not_unlock(self):
        service = self.locked()
        self.assert_failed(service.admin("POST", "/admin/unlock", b"0000"), 503, "pin_incorrect")
        self.assertEqual(service.get("/v1/status").json["state"], "locked")


if __name__ == "__main__":
    unittest.main()

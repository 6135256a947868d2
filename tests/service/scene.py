"""What tests of the service have in common: a station whose key the mint has, and its service."""
import os
from pathlib import Path

from support.case import TrainsealTest
from support.journey import Key, OwnTrain
from support.mint import Mint
from support.party import SOFTHSM
from support.service import Service

INTERPOSER = os.environ.get("TRAINSEAL_INTERPOSER")


class ServiceTest(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        test = cls("setUp")
        cls.addClassCleanup(test.doCleanups)
        cls.first = OwnTrain(test, [Key("basic", "station_1")], {b"entrypoint.py": b"print(0)\n"})
        cls.first.build()
        cls.mint = Mint(cls.first)

    def station(self, **settings):
        return self.first.station(0, **settings)

    def service(self, party=None, **options):
        service = Service(party or self.station(), **options)
        self.addCleanup(service.kill)
        return service

    def through_interposer(self, party):
        """Lets the token be reached through the interposer; returns the files of its rules and its record."""
        rules, record = party.home / "rules", party.home / "record"
        rules.write_text("")
        party.configure(token={"module": INTERPOSER})
        party.env |= {"TRAINSEAL_INTERPOSE_MODULE": SOFTHSM, "TRAINSEAL_INTERPOSE_RULES": str(rules),
                      "TRAINSEAL_INTERPOSE_LOG": str(record)}
        return rules, record

    def make(self, service, number):
        """A new train below the service's; its name."""
        folder = service.trains / f"t-{number}"
        self.mint.make(folder, number)
        return f"folder:{folder}"

    def pre_run(self, service, number, **options):
        return service.call("pre-run", f"folder:{service.trains}/t-{number}", out=service.out / f"t-{number}", **options)

    def run_train(self, service, number, content=None):
        (service.out / f"t-{number}" / "pht_results" / "result").write_text(content or f"result of {number}")

    def post_run(self, service, number, wipe=True, **options):
        return service.call("post-run", f"folder:{service.trains}/t-{number}", results=service.out / f"t-{number}", wipe=wipe,
                            **options)

    def whole_way(self, service, number):
        """Pre-run, a run and post-run of a new train; both answers are 200, and the referee passes what was sealed."""
        self.make(service, number)
        self.assert_ok(self.pre_run(service, number))
        self.run_train(service, number)
        self.assert_ok(self.post_run(service, number, wipe=False))
        self.assert_sealed(service, number)

    def assert_sealed(self, service, number):
        said = self.mint.judge(service.trains / f"t-{number}", service.out / f"t-{number}" / "pht_results", "1")
        self.assertTrue(said.startswith("PASS"), f"t-{number}: {said}")

    def assert_ok(self, answer):
        self.assertEqual(answer.status, 200, str(answer))
        self.assertIs(answer.json["ok"], True, str(answer))
        return answer

    def assert_failed(self, answer, status, code):
        self.assertEqual(answer.status, status, str(answer))
        self.assertEqual(answer.code, code, str(answer))
        self.assertTrue(answer.json["error"]["message"], str(answer))
        return answer

    def assert_audit_sound(self, service):
        """`audit verify` passes once the service has stopped."""
        self.assert_done(service.party.run("audit", "verify"))


def write_rules(file, text):
    """The interposer reads a file that is exchanged by rename."""
    fresh = Path(f"{file}.new")
    fresh.write_text(text)
    fresh.rename(file)

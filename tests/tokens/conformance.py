"""The conformance suite: what has to work through `trainseal` on every kind of token: conformance.py TOKEN BACKEND.

A machine that cannot bring the token up exits with 77 and says why; with CI=true that is a failure."""
import hashlib
import json
import os
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from support import scratch
from support.case import TrainsealTest
from support.journey import OwnTrain
from support.party import PIN, Party, environment
from tokens.bring_up import CannotBringUp
from tokens.nss import Nss
from tokens.opencryptoki import Opencryptoki
from tokens.softhsm import SoftHsm
from tokens.tpm import Tpm

KINDS = {"softhsm": SoftHsm, "nss": Nss, "opencryptoki": Opencryptoki, "tpm": Tpm}
PADDED_OUTSIDE = {"unwrap": "raw", "sign_protocol": "raw", "sign_statement": "raw", "sign_pkcs1": "native"}
PROTOCOL_SIZES = (2048, 3072, 4096)
PROCESSES_AT_ONCE = 8
SKIPPED = 77
CODE = {b"entrypoint.py": b"print('train')\n", b"lib/model.bin": bytes(range(256)) * 5}


def oaep(algorithm, label=None):
    return padding.OAEP(mgf=padding.MGF1(algorithm), algorithm=algorithm, label=label)


def software_key(bits):
    """A key pair in a PEM file of its own."""
    key = rsa.generate_private_key(65537, bits)
    pem = scratch.fresh("key") / "key.pem"
    pem.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    pem.chmod(0o600)
    return pem


def fingerprint_of(public_key):
    der = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


class KeyOnToken:
    """A key of the token under test, as `OwnTrain` takes it; `file` where it has been outside."""

    def __init__(self, token, uri, file=None):
        self.token, self.uri, self.file = token, uri, file

    def party(self, name, station=None, **settings):
        party = Party(name, self.token, station, uris=[self.uri], **settings)
        party.configure(token={"backend": ConformanceTest.backend})
        return party


class ConformanceTest(TrainsealTest):
    kind = None  # which token, and how its module is spoken to: set by `main`
    backend = None
    token = None  # the one that all tests of this process share

    def generated(self, label, bits=2048):
        return KeyOnToken(self.token, self.token.generate_key(label, bits))

    def put(self, label, bits=2048):
        """A key that was made outside, where the referee can have it."""
        pem = software_key(bits)
        return KeyOnToken(self.token, self.token.put_key(pem, label), pem)

    @property
    def paths(self):
        """How each operation has to be done."""
        return PADDED_OUTSIDE if self.backend == "libp11" else self.token.paths

    def owner(self, *uris):
        """Somebody who makes, shows and deletes keys: that goes through the direct backend, whatever the settings say."""
        party = Party("keys", self.token, uris=list(uris))
        party.configure(token={"backend": self.backend})
        return party


class KeyManagement(ConformanceTest):
    def generate(self, label, bits):
        return self.owner().run("key", "generate", "--token", self.token.uri, "--label", label, "--bits", str(bits))

    def listed(self):
        return self.assert_done(self.owner().run("key", "list", "--token", self.token.uri)).report["keys"]

    def test_a_key_of_each_size_is_made_exported_listed_tried_and_deleted(self):
        for bits in self.token.sizes:
            with self.subTest(bits=bits):
                label = f"made-{bits}"
                made = self.assert_done(self.generate(label, bits)).report["key"]
                self.assertEqual((made["label"], made["bits"], made["unusable"]), (label, bits, None))
                self.assertEqual((made["sensitive"], made["extractable"]), (True, False))
                self.assertEqual((made["always_sensitive"], made["never_extractable"]), (True, True))
                self.assertEqual(made["local"], self.token.says_local)
                self.assert_hint(self.generate(label, bits), "key_ambiguous", label)
                self.assertEqual([key for key in self.listed() if key["label"] == label], [made])
                self.check_exports(made)
                self.check_deletion(made)

    def check_exports(self, made):
        owner = self.owner(made["uri"])
        pem = owner.export_key(owner.home / "public.pem").read_bytes()
        public_key = serialization.load_pem_public_key(pem)
        self.assertEqual((public_key.key_size, fingerprint_of(public_key)), (made["bits"], made["fingerprint"]))
        as_hex = self.assert_done(owner.run("key", "export", "--format", "hex")).report
        self.assertEqual((as_hex["public_key"], as_hex["bits"]), (pem.hex(), made["bits"]))

    def check_deletion(self, made):
        owner = self.owner()
        delete = ["key", "delete", "--key", made["uri"]]
        self.assert_hint(owner.run(*delete), "not_confirmed", made["fingerprint"])
        self.assert_done(owner.run(*delete, "--confirm", made["fingerprint"]))
        self.assertNotIn(made["label"], [key["label"] for key in self.listed()])
        self.assert_refused(owner.run("token", "probe", "--key", made["uri"]), "key_not_found")
        self.assert_refused(owner.run("key", "export", "--key", made["uri"]), "key_not_found")
        again = self.assert_done(self.generate(made["label"], 2048)).report["key"]  # nothing of the old one is in its way
        self.assert_done(owner.run("key", "delete", "--key", again["uri"], "--confirm", again["fingerprint"]))

    def test_sizes_that_the_token_does_not_have(self):
        before = self.listed()
        for bits in set(PROTOCOL_SIZES) - set(self.token.sizes):
            with self.subTest(bits=bits):
                self.assert_hint(self.generate(f"no-{bits}", bits), "mechanism_refused", str(bits), f"--bits {max(self.token.sizes)}")
        self.assertEqual(self.listed(), before)

    def test_import(self):
        for bits in self.token.sizes:
            with self.subTest(bits=bits):
                pem = software_key(bits)
                label = f"imported-{bits}"
                before = self.listed()
                outcome = self.owner().run("key", "import", pem, "--token", self.token.uri, "--label", label)
                if not self.token.imports:
                    self.assert_hint(outcome, "mechanism_refused", "key generate", "tpm2_ptool import")
                    self.assertEqual(self.listed(), before)
                    continue
                imported = self.assert_done(outcome).report["key"]
                self.assertEqual((imported["sensitive"], imported["extractable"], imported["local"]), (True, False, False))
                claimed = (imported["always_sensitive"], imported["never_extractable"])
                self.assertEqual(claimed, (self.token.imported_never_left,) * 2)
                public_key = serialization.load_pem_private_key(pem.read_bytes(), None).public_key()
                self.assertEqual(imported["fingerprint"], fingerprint_of(public_key))
                self.assert_done(self.owner(imported["uri"]).run("token", "probe"))


class Probe(ConformanceTest):
    def test_the_token_is_listed(self):
        tokens = self.assert_done(self.owner().run("token", "list")).report["tokens"]
        self.assertIn((self.token.label, "ready"), [(token["label"], token["state"]) for token in tokens])

    def test_what_the_token_does_natively_and_what_not(self):
        for bits in self.token.sizes:
            with self.subTest(bits=bits):
                owner = self.generated(f"probed-{bits}", bits).party("owner")
                report = self.assert_done(owner.run("token", "probe")).report
                self.assertIs(report["can_run_trains"], True)
                self.assertEqual(report["probed"]["label"], self.token.label)
                found = {name: operation["outcome"] for name, operation in report["operations"].items()}
                self.assertEqual(found, self.paths, report)
                for name, operation in report["operations"].items():
                    self.assertEqual(bool(operation["reason"]), self.paths[name] == "raw", report)


class Pins(ConformanceTest):
    """On a token of its own: some count wrong PINs."""

    def setUp(self):
        self.own = self.kind()
        self.addCleanup(self.own.stop)
        self.own.generate_key("station")
        self.station = Party("station", self.own)
        self.station.configure(token={"backend": self.backend})
        self.wrong = self.station.home / "wrong-pin"
        self.wrong.write_text("00000000")
        self.wrong.chmod(0o600)

    def probe(self, pin_file=None):
        return self.station.run("token", "probe", *(["--pin-file", pin_file] if pin_file else []))

    def test_a_wrong_pin_is_tried_once_and_then_not_until_it_is_forgotten(self):
        self.assert_hint(self.probe(self.wrong), "pin_incorrect", "wrong-pin", "forget-failed-pin")
        for _ in range(4):
            self.assert_hint(self.probe(self.wrong), "pin_incorrect", "was refused", "before", "forget-failed-pin")
        if hasattr(self.own, "failed_pins"):
            self.assertEqual(self.own.failed_pins(), 1)
        self.assert_done(self.probe())  # the right one, from its own file, is not concerned; and the token is not locked
        forgotten = self.assert_done(self.station.run("token", "forget-failed-pin"))
        self.assertEqual(forgotten.report["forgotten"], 1)
        error = self.assert_refused(self.probe(self.wrong), "pin_incorrect")
        self.assertNotIn("before", error["message"])

    def test_a_pin_that_no_token_has(self):
        self.wrong.write_text("0" * 255)
        self.assert_hint(self.probe(self.wrong), "pin_incorrect", "wrong-pin")
        self.assert_done(self.probe())

    def test_wrong_pins_until_the_token_is_locked(self):
        """Somebody who forgets the marker again and again."""
        most = self.own.wrong_pins_that_lock or 5
        for attempt in range(self.own.tries_until_warned or most):
            self.assert_refused(self.probe(self.wrong), "pin_incorrect")
            self.assert_done(self.station.run("token", "forget-failed-pin"))
        if self.own.tries_until_warned:
            self.assert_hint(self.probe(self.wrong), "pin_locked", "one more wrong PIN locks")
            self.assert_hint(self.probe(), "pin_locked", "one more wrong PIN locks")
            self.try_pin_by_another_tool("00000000")
        if not self.own.wrong_pins_that_lock:
            self.assert_done(self.probe())
            return
        self.assert_hint(self.probe(), "pin_locked", "locked", "SO PIN")

    def try_pin_by_another_tool(self, pin):
        subprocess.run([*self.own.enter, "pkcs11-tool", "--module", self.own.settings["module"], "--login", "--pin", pin, "--list-objects"],
                       env={"PATH": os.environ["PATH"], **self.own.environment}, capture_output=True, check=False)


class Trains(ConformanceTest):
    def test_three_stations(self):
        """Keys of all sizes, made on the token where the referee can do without them."""
        sizes = (list(self.token.sizes) + [2048])[:3]
        stops = [self.put("stop-0", sizes[0])] + [self.generated(f"stop-{index}", sizes[index]) for index in (1, 2)]
        train = OwnTrain(self, stops, CODE, query=b'{"select": ["age"]}', creator_key=self.put("creator"),
                         builder_key=self.generated("builder"))
        train.build()
        for index in range(3):
            report = train.visit(index, {b"result.json": json.dumps({"n": index}).encode(), b"empty": b""}, out=index == 1).report
            self.assertEqual(report["token"]["sign"], self.paths["sign_protocol"])
        train.open()

    def test_bad_ciphertexts_are_one_refusal_and_good_trains_pass_afterwards(self):
        key = self.put("victim")
        train = OwnTrain(self, [key], CODE, creator_key=self.put("bad-creator"), builder_key=self.generated("bad-builder"))
        train.build()
        station = train.station(0)
        messages = set()
        for name, ciphertext in self.bad_ciphertexts(key, self.wrapped_key(train.train)):
            with self.subTest(ciphertext=name):
                bad = scratch.copy(train.train, self.fresh("bad") / "train")
                self.replace_wrapped_key(bad, ciphertext)
                before = scratch.snapshot(bad)
                error = self.assert_refused(station.run("pre-run", bad, "--out", bad.parent / "out"), "decrypt_failed")
                self.assertEqual(scratch.snapshot(bad), before)
                messages.add(error["message"] + error["hint"])
                out = self.fresh("good") / "out"
                self.assert_done(station.run("pre-run", scratch.copy(train.train, out.parent / "train"), "--out", out))
                self.assert_same_contents(out / "pht_train", train.files)
        self.assertEqual(len(messages), 1, messages)

    def wrapped_key(self, train):
        return bytes.fromhex(json.loads((train / "train_config.json").read_text())["route"][0]["encrypted_key"])

    def replace_wrapped_key(self, train, ciphertext):
        path = train / "train_config.json"
        config = json.loads(path.read_text())
        config["route"][0]["encrypted_key"] = ciphertext.hex()
        path.write_text(json.dumps(config, indent=2))

    def bad_ciphertexts(self, key, good):
        private = serialization.load_pem_private_key(key.file.read_bytes(), None)
        public, modulus = private.public_key(), private.public_key().public_numbers().n
        size = len(good)
        for position in (0, size // 2, size - 1):
            yield f"bit {position}", bytes([*good[:position], good[position] ^ 1, *good[position + 1:]])
        yield "zero", bytes(size)
        yield "one", (1).to_bytes(size, "big")
        yield "the modulus", modulus.to_bytes(size, "big")
        yield "the modulus - 1", (modulus - 1).to_bytes(size, "big")
        yield "too short", good[:-1]
        yield "too long", b"\0" + good
        yield "a key of 31 bytes", public.encrypt(bytes(31), oaep(hashes.SHA512()))
        yield "a key of no bytes", public.encrypt(b"", oaep(hashes.SHA512()))
        yield "PKCS#1 v1.5", public.encrypt(bytes(32), padding.PKCS1v15())
        yield "OAEP with SHA-1", public.encrypt(bytes(32), oaep(hashes.SHA1()))
        yield "OAEP with a label", public.encrypt(bytes(32), oaep(hashes.SHA512(), b"x"))

    def test_many_processes_at_once(self):
        key = self.put("busy")
        train = OwnTrain(self, [key], CODE, creator_key=self.put("busy-creator"), builder_key=self.generated("busy-builder"))
        train.build()
        home = self.fresh("busy")

        def visit(number):
            """A station with a state of its own: pre-run and post-run, with whatever trials that needs."""
            station = train.station(0)
            copy = scratch.copy(train.train, home / f"train-{number}")
            outcome = station.run("pre-run", copy)
            return outcome if outcome.exit != 0 else station.run("post-run", copy)

        with ThreadPoolExecutor(PROCESSES_AT_ONCE) as pool:
            for outcome in pool.map(visit, range(2 * PROCESSES_AT_ONCE)):
                self.assert_done(outcome)
        for number in range(2 * PROCESSES_AT_ONCE):
            self.assert_passes(home / f"train-{number}", completed=1, keys={train.stations[0]: key.file}, plain_train=train.files)


class Endurance(ConformanceTest):
    """What one process that lives long does, by a program over the token interface: tests/tokens/endurance.cpp."""

    def test_a_thousand_operations_and_sessions_in_one_process(self):
        uri = self.token.generate_key("endurance")
        env = {**environment(self.fresh()), **self.token.environment, "TRAINSEAL_TEST_MODULE": self.token.settings["module"],
               "TRAINSEAL_TEST_INIT_ARGS": self.token.settings.get("init_args", ""), "TRAINSEAL_TEST_BACKEND": self.backend,
               "TRAINSEAL_TEST_KEY": uri, "TRAINSEAL_TEST_PIN": PIN}
        done = subprocess.run([*self.token.enter, os.environ["TRAINSEAL_ENDURANCE"], "--durations", "yes"], env=env,
                              capture_output=True, text=True, timeout=300, check=False)
        print(done.stdout, flush=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


def main():
    name, ConformanceTest.backend = sys.argv[1:3]
    ConformanceTest.kind = KINDS[name]
    try:
        ConformanceTest.token = ConformanceTest.kind()
    except CannotBringUp as reason:
        print(f"SKIPPED: the {name} token cannot be brought up: {reason}")
        sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)
    try:
        tests = [KeyManagement, Probe, Pins, Trains, Endurance]
        unittest.main(argv=[sys.argv[0], *sys.argv[3:]], defaultTest=[test.__name__ for test in tests])
    finally:
        ConformanceTest.token.stop()


if __name__ == "__main__":
    main()

"""The demo: a train is proposed, built, run at three stations and opened, each party with a token of its own.

Everything below build/demo is made anew at each run: a folder for each party (token, settings, state), `registry`,
the only thing that all of them can see, and `attacker`, a copy of what lay in the registry at each stage.
"""
import csv
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

from party import PATH, ROOT, Failed, Party, need_program

DEMO = ROOT / "build/demo"
PARTS = ROOT / "scripts/demo-train"
REGISTRY = DEMO / "registry"
TRAIN = REGISTRY / "train"
STATIONS = ("3", "5", "9")
CREATOR_ID = "42"
TRAIN_ID = "blood-pressure"
ENTRY_POINT = "entrypoint.py"
KEY_BITS = 3072
SHORTEST_NEEDLE = 12  # bytes; shorter lines could be in ciphertext by chance


def main():
    started = time.monotonic()
    need_program()
    shutil.rmtree(DEMO, ignore_errors=True)
    REGISTRY.mkdir(parents=True)

    journey = Journey()
    journey.make_keys()
    journey.propose_and_build()
    for station in journey.stations:
        journey.visit(station)
        if station.station == STATIONS[0]:
            journey.tamper(victim=journey.stations[1])
    journey.open_results()
    journey.compare_with_pooled_data()
    journey.look_as_attacker()
    journey.print_table()
    print(f"\nDone in {time.monotonic() - started:.1f} s. What the parties have now lies in build/demo.")


class Journey:
    def __init__(self):
        self.creator = Party("creator", DEMO / "creator")
        self.builder = Party("builder", DEMO / "builder")
        self.stations = [Party(f"station-{id}", DEMO / f"station-{id}", station=id) for id in STATIONS]
        self.network = without_network()
        self.public_keys = {}  # party's name → PEM
        self.fingerprints = {}  # party's name → SHA-256 of its key, hex
        self.paths = {}  # party's name → how its token did things: {"unwrap": …, "sign": …}
        self.secret_lines = set()  # whatever was plaintext at a station, to be looked for later
        self.stages = 0

    def make_keys(self):
        heading("Keys")
        for party in self.parties():
            party.make_token()
            self.public_keys[party.name] = party.make_key(KEY_BITS)
            (key,) = party.trainseal("key", "list")["keys"]
            if not (key["local"] and key["always_sensitive"] and key["never_extractable"]):
                raise Failed(f"the key of {party.name} was not made on its token, or can leave it: {key}")
            self.fingerprints[party.name] = key["fingerprint"]
        trust = {
            "creators": {CREATOR_ID: self.public_keys["creator"]},
            "builders": [self.public_keys["builder"]],
            "stations": {station.station: self.public_keys[station.name] for station in self.stations},
            "routes": {TRAIN_ID: list(STATIONS)},
        }
        for party in [self.creator, *self.stations]:
            trust_file = party.folder / "trust.json"
            trust_file.write_text(json.dumps(trust, indent=2))
            party.write_settings(trust=str(trust_file))
        say(
            f"Each of the {len(self.parties())} parties has a SoftHSM token of its own, which has generated an RSA key of "
            f"{KEY_BITS} bits: made there, and never to be read from there, as each token confirms. Only public keys leave "
            f"the tokens; creator and stations know whom to trust by them."
        )

    def propose_and_build(self):
        heading("Creator and builder")
        files = PARTS / "files"
        for station in self.stations:
            (self.creator.folder / f"{station.name}.pem").write_text(self.public_keys[station.name])
        route = [{"station": s.station, "eco_system": "tue", "public_key": f"{s.name}.pem"} for s in self.stations]
        spec = {
            "version": 1,
            "id": TRAIN_ID,
            "proposal_id": 17,
            "source": {"type": "docker_repository", "address": "registry.example/demo/blood-pressure"},
            "creator": {"id": int(CREATOR_ID)},
            "route": route,
            "files": [ENTRY_POINT],
            "query": "query.json",
        }
        spec_file = self.creator.folder / "spec.json"
        spec_file.write_text(json.dumps(spec, indent=2))
        proposal = REGISTRY / "proposal.json"

        self.command(self.creator, "propose", spec_file, "--files", files, "--out", proposal)
        say("The creator wants mean, deviation and histogram of a value over all patients. Her token has signed code and query.")
        self.command(self.builder, "build", proposal, "--files", files, "--to", train_at(TRAIN))
        say("The builder has checked that, signed in turn, encrypted the code, and wrapped the key for the first station.")
        self.secret_lines.update(*(path.read_bytes().splitlines() for path in files.iterdir()))
        self.keep_stage("built")

    def visit(self, station):
        heading(f"Station {station.station}")
        out = station.folder / "out"
        data = station.folder / "patients.csv"
        shutil.copyfile(PARTS / "data" / f"{station.name}.csv", data)

        self.command(station, "pre-run", train_at(TRAIN), "--out", out)
        say("Everything about the train has been checked; only then was it decrypted, into a folder of this station.")
        aggregate = self.run_train(out, data)
        say(
            f"The train has run on the {count_rows(data)} patients of this station, {self.network[1]} and without PIN or token. "
            f"Its aggregate is over {aggregate['count']} patients now: mean {aggregate['mean']:.2f}."
        )
        self.secret_lines.update(*(path.read_bytes().splitlines() for path in (out / "pht_results").iterdir()))
        self.command(station, "post-run", train_at(TRAIN), "--results", out, "--wipe")
        say("The results are signed and sealed under a fresh key; the plaintext is deleted.")
        if out.exists():
            raise Failed(f"{out} is still there after post-run --wipe")
        self.keep_stage(f"after-{station.name}")

    def run_train(self, out, data):
        """Runs the train's entry point as a container would: with what it needs, and nothing else."""
        environment = {"PATH": PATH, "LANG": "C.UTF-8", "PHT_DATA": str(data)}
        command = [*self.network[0], "/usr/bin/python3", "-I", "-B", f"pht_train/{ENTRY_POINT}"]
        print(f"  $ {' '.join(command)}")
        done = subprocess.run(
            command, cwd=out, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        if done.returncode != 0:
            raise Failed(f"the train's code has failed: {done.stderr}")
        return json.loads((out / "pht_results/aggregate.json").read_text())

    def tamper(self, victim):
        heading("Somebody in between changes one bit of the results")
        forged = DEMO / "attacker/forged"
        shutil.copytree(TRAIN, forged)
        results = forged / "pht_results/aggregate.json"
        content = bytearray(results.read_bytes())
        content[len(content) // 2] ^= 1
        results.write_bytes(content)
        before = digest_of(forged)

        out = victim.folder / "out"
        arguments = ("pre-run", train_at(forged), "--out", out)
        show_command(victim, arguments)
        status, self.refusal = victim.trainseal_refused(*arguments)
        say(f"Refused, exit {status}, {self.refusal['code']}: {self.refusal['message']}. {self.refusal.get('hint') or ''}")
        if status != 3 or out.exists() or digest_of(forged) != before:
            raise Failed("a refusal has to exit with 3, release nothing and change nothing")

    def open_results(self):
        heading("Creator")
        self.opened = self.creator.folder / "opened"
        self.command(self.creator, "open", train_at(TRAIN), "--out", self.opened)
        print(textwrap.indent((self.opened / "pht_results/histogram.txt").read_text(), "    "))

    def compare_with_pooled_data(self):
        """The aggregate again, from all rows at once and by other means than the train's code."""
        query = json.loads((PARTS / "files/query.json").read_text())
        values = [int(row[query["column"]]) for station in self.stations for row in rows(station.folder / "patients.csv")]
        bins = Counter(str(value - value % query["bin_width"]) for value in values)
        opened = json.loads((self.opened / "pht_results/aggregate.json").read_text())
        same = (
            opened["stations"] == len(STATIONS)
            and opened["count"] == len(values)
            and abs(opened["mean"] - statistics.mean(values)) < 1e-9
            and abs(opened["std"] - statistics.pstdev(values)) < 1e-9
            and opened["histogram"] == dict(bins)
        )
        if not same:
            raise Failed(f"the opened result is not the aggregate over all {len(values)} patients: {opened}")
        say(
            f"The opened result, {opened['count']} patients, mean {opened['mean']:.2f}, standard deviation "
            f"{opened['std']:.2f}, is what a computation over the three data sets in one place gives."
        )

    def look_as_attacker(self):
        """Looks for every line of code, query and results in what was in the registry and in what stations still have."""
        heading("What an attacker sees")
        needles = {line.strip() for line in self.secret_lines if len(line.strip()) >= SHORTEST_NEEDLE}
        self.seen = Search(DEMO / "attacker", needles=needles)
        left = Search(*(station.folder for station in self.stations), needles=needles)
        say(
            f"All {self.seen.files} files of the train at its {self.stages} stages, {self.seen.size} bytes, were searched for the "
            f"{len(needles)} lines of code, query and results: {len(self.seen.hits)} found. The stations' own folders, after "
            f"the runs: {len(left.hits)} found. Names of files, the route and its public keys, sizes and signatures are in clear."
        )
        if not needles or self.seen.hits or left.hits:
            raise Failed(f"plaintext was found: {self.seen.hits + left.hits}")

    def print_table(self):
        heading("Who held which key, and what the token did with it")
        roles = {"creator": "signed the proposal, opened the results", "builder": "signed and encrypted the train"}
        header = ("party", "key's fingerprint", "unwrap", "sign", "did")
        lines = [header]
        for party in self.parties():
            path = self.paths[party.name]
            did = roles.get(party.name, "checked, decrypted, ran, signed, sealed")
            key = self.fingerprints[party.name][:16]
            lines.append((party.name, key, path.get("unwrap") or "-", path.get("sign") or "-", did))
        lines.append(("attacker", "none", "-", "-", f"read {self.seen.size} bytes: {len(self.seen.hits)} lines of plaintext"))
        lines.append(("attacker", "none", "-", "-", f"changed one bit: {self.refusal['code']}"))
        widths = [max(map(len, column)) for column in zip(*lines)]
        for line in [header, ["-" * width for width in widths], *lines[1:]]:
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        say(
            "native: the token did RSA with its padding; raw: the token did the RSA operation, the padding was done in "
            "front of it. No private key has ever been outside of its token.",
        )

    def parties(self):
        return [self.creator, self.builder, *self.stations]

    def command(self, party, *arguments):
        show_command(party, arguments)
        report = party.trainseal(*arguments)
        paths = self.paths.setdefault(party.name, {})
        paths.update({operation: path for operation, path in report.get("token", {}).items() if path})

    def keep_stage(self, name):
        shutil.copytree(TRAIN, DEMO / "attacker" / f"{self.stages}-{name}")
        self.stages += 1


class Search:
    """Looks for byte strings in all files below some folders."""

    def __init__(self, *folders, needles):
        self.files, self.size, self.hits = 0, 0, []
        for path in (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()):
            content = path.read_bytes()
            self.files += 1
            self.size += len(content)
            self.hits += [(str(path), needle) for needle in needles if needle in content]


def train_at(folder):
    return f"folder:{folder}"


def without_network():
    """How to run a program without a network here: (prefix of the command, words for it)."""
    for prefix in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix, "without network"
    return [], "(with network: this machine does not let us take it away)"


def digest_of(folder):
    content = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return content.digest()


def rows(csv_file):
    with open(csv_file, newline="") as lines:
        return list(csv.DictReader(lines))


def count_rows(csv_file):
    return len(rows(csv_file))


def heading(text):
    print(f"\n== {text}")


def say(text):
    print(textwrap.fill(text, width=100, initial_indent="  ", subsequent_indent="  "), flush=True)


def show_command(party, arguments):
    here = f"{ROOT}{os.sep}"
    print(f"  {party.name}$ trainseal {' '.join(str(argument).replace(here, '') for argument in arguments)}")


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        print(f"\ndemo: {failure}", file=sys.stderr)
        sys.exit(1)

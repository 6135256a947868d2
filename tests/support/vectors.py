"""The trains that the reference made, and their tampered variants (tests/data/README.md)."""
import functools
import json
import tarfile
from pathlib import Path

from support import scratch
from support.party import Party, Token

DATA = Path(__file__).resolve().parent.parent / "data"

# What these trains do and our defaults refuse, or what they need to be read.
TRAIN_SETTINGS = {
    "five-mixed-rsa": {"session_id_bytes": "any"},
    "links": {"symlinks": "keep", "unlisted": "keep", "duplicate_listing": "allow"},
}


@functools.cache
def _unpack(archive):
    folder = scratch.fresh("vectors")
    with tarfile.open(DATA / f"{archive}.tar.gz") as tar:
        tar.extractall(folder)
    return folder / archive


class Stage:
    """One recorded state of a train."""

    def __init__(self, train, entry):
        self.name = entry["stage"]
        self.kind = entry["state"]
        self.completed = entry["completed"]
        self.symmetric_key = bytes.fromhex(entry.get("symmetric_key", ""))
        self.opt = train.folder / self.name / "opt"
        self.pht_train = self.opt / "pht_train"
        self.pht_results = self.opt / "pht_results"


class Stop:
    """A station on the route: what it got, what it saw, what its run made of it, and what the reference sealed."""

    def __init__(self, train, index, station):
        self.index = index
        self.station = str(station["id"])
        self.bits = station["rsa_bits"]
        self.key_file = train.folder / station["key"]
        found = {stage.name.split("-")[1][-1]: stage for stage in train.stages
                 if stage.name.startswith(f"stage-{index + 1}")}
        self.released, self.ran, self.sealed = found["a"], found["r"], found["b"]
        self.received = next(stage for stage in train.stages
                             if stage.kind == "encrypted" and stage.completed == index)


class Train:
    """One of the reference's trains with its keys."""

    def __init__(self, name):
        self.name = name
        self.folder = _unpack("trains") / name
        manifest = json.loads((self.folder / "manifest.json").read_text())
        self.parameters = manifest["parameters"]
        self.stages = [Stage(self, entry) for entry in manifest["stages"]]
        self.stops = [Stop(self, index, station) for index, station in enumerate(self.parameters["stations"])]
        self.creator_key = self.folder / self.parameters["creator_key"]
        self.creator_password = self.parameters["creator_password"]
        self.builder_key = self.folder / self.parameters["builder_key"]
        self.settings = TRAIN_SETTINGS.get(name, {})

    @property
    def encrypted_stages(self):
        return [stage for stage in self.stages if stage.kind == "encrypted"]

    def stage(self, name):
        return next(stage for stage in self.stages if stage.name == name)

    def stop_of(self, station):
        return next(stop for stop in self.stops if stop.station == str(station))

    @functools.cache
    def token(self, role):
        """A token with one key of this train, imported once."""
        token = Token()
        if role == "creator":
            token.import_key(self.creator_key, role, self.creator_password)
        elif role == "builder":
            token.import_key(self.builder_key, role)
        else:
            token.import_key(self.stop_of(role).key_file, "station")
        return token

    def station(self, station, **settings):
        """A station of the route with a state of its own."""
        settings.setdefault("train", self.settings)
        return Party("station", self.token(str(station)), station, **settings)

    def creator(self, **settings):
        settings.setdefault("train", self.settings)
        return Party("creator", self.token("creator"), **settings)

    def judge_keys(self):
        """The private keys as the referee takes them."""
        keys = {stop.station: str(stop.key_file) for stop in self.stops}
        creator = str(self.creator_key) + (f":{self.creator_password}" if self.creator_password else "")
        return {"keys": keys, "creator_key": creator}

    def config(self, stage_name="stage-0-built"):
        return json.loads((self.stage(stage_name).opt / "train_config.json").read_text())

    def trust(self):
        """The genuine keys, in the form of a trust file, every section closed."""
        config = self.config()
        return {"creators": {str(config["creator"]["id"]): config["creator"]["rsa_public_key"]},
                "builders": [config["build"]["rsa_public_key"]],
                "stations": {str(stop["station"]): stop["rsa_public_key"] for stop in config["route"]},
                "routes": {config["@id"]: [stop.station for stop in self.stops]}}


TRAIN_NAMES = ["basic", "builder-like", "edges", "empty-results", "five-mixed-rsa", "int-station", "links", "unicode",
               "walkorder"]


@functools.cache
def train(name):
    return Train(name)


class Tampered:
    """One tampered variant of `basic`."""

    def __init__(self, folder):
        case = json.loads((folder / "case.json").read_text())
        self.name = case["name"]
        self.opt = folder / "opt"
        self.base = train("basic").stage(case["base"])
        self.verifier = case["verifier"]


def tampered():
    """Every tampered case by name."""
    folder = _unpack("tampered")
    return {path.parent.name: Tampered(path.parent) for path in sorted(folder.glob("*/case.json"))}

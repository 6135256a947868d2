"""Trains that we propose and build ourselves, and their journeys."""
import json
from dataclasses import dataclass

from support import scratch, vectors
from support.party import Party

# Where keys of each size come from: (a train of the reference, one of its stations).
KEYS = {
    2048: [("five-mixed-rsa", "s-c"), ("basic", "station_1"), ("basic", "station_2"), ("basic", "station_3"),
           ("edges", "station_1"), ("edges", "station_2"), ("links", "station_1"), ("links", "station_2")],
    3072: [("five-mixed-rsa", "s-b"), ("five-mixed-rsa", "s-d")],
    4096: [("five-mixed-rsa", "s-a"), ("five-mixed-rsa", "s-e")],
}


@dataclass(frozen=True)
class Key:
    """A key that both the referee (as a file) and a station (on its token) have."""
    train: str
    role: str

    @property
    def token(self):
        return vectors.train(self.train).token(self.role)

    @property
    def file(self):
        train = vectors.train(self.train)
        return {"creator": train.creator_key, "builder": train.builder_key}.get(self.role) or train.stop_of(self.role).key_file

    def party(self, name, station=None, **settings):
        """Somebody who has this key, with a home of their own."""
        return Party(name, self.token, station, **settings)


def keys_of_sizes(sizes):
    """One key for each size, no key twice."""
    sources = {bits: iter(keys) for bits, keys in KEYS.items()}
    return [Key(*next(sources[bits])) for bits in sizes]


class OwnTrain:
    """A train from its proposal to its end. `keys`: one for each stop; `files`: name in bytes → content. A key has `party`,
    and a `file` for the referee or None."""

    def __init__(self, test, keys, files, stations=None, query=None, listed=None, creator_id=42, train_rules=None,
                 creator_key=Key("basic", "creator"), builder_key=Key("basic", "builder")):
        self.test = test
        self.home = test.fresh("own")
        self.keys = keys
        self.rules = train_rules or {}
        self.stations = stations or [str(index + 1) for index in range(len(keys))]
        self.creator_key, self.builder_key = creator_key, builder_key
        self.files = self.home / "files"
        self.files.mkdir()
        write_files(self.files, files)
        if query is not None:
            (self.files / "query.json").write_bytes(query)
        self.spec = {"version": 1, "id": "t-17", "proposal_id": 17,
                     "source": {"type": "docker_repository", "address": "registry.example/project/t-17"},
                     "creator": {"id": creator_id},
                     "route": [{"station": station, "eco_system": "tue", "public_key": f"station-{index}.pem"}
                               for index, station in enumerate(self.stations)],
                     "files": listed if listed is not None else [name.decode() for name in sorted(files)]}
        if query is not None:
            self.spec["query"] = "query.json"
        self.train = self.home / "train"
        self.earlier = []

    def station(self, index, **settings):
        return self.keys[index].party("station", self.stations[index], train=self.rules, **settings)

    def creator(self):
        return self.creator_key.party("creator", train=self.rules)

    def builder(self):
        return self.builder_key.party("builder", train=self.rules)

    def propose(self):
        """The creator's part; returns the outcome. The proposal is in `proposal.json`."""
        for index, key in enumerate(self.keys):
            key.party("keys").export_key(self.home / f"station-{index}.pem")
        (self.home / "spec.json").write_text(json.dumps(self.spec))
        return self.creator().run("propose", self.home / "spec.json", "--files", self.files,
                                  "--out", self.home / "proposal.json")

    def build(self):
        """Proposal and building, judged."""
        self.test.assert_done(self.propose())
        self.test.assert_done(self.builder().run("build", self.home / "proposal.json", "--files", self.files,
                                                 "--to", self.train))
        self.judge(0)
        text = (self.train / "train_config.json").read_text()
        self.test.assertEqual(text, json.dumps(json.loads(text), indent=2))
        self.earlier.append(scratch.copy(self.train, self.home / "stage-0"))

    def judge(self, completed, results=None):
        """The referee on the sealed train, with everybody's keys and all earlier stages."""
        readers = self.keys if completed else self.keys[:1]
        keys = {station: key.file for station, key in zip(self.stations, readers) if key.file}
        self.test.assert_passes(self.train, completed=completed, previous=self.earlier, plain_train=self.files,
                                plain_results=results, keys=keys, creator_key=self.creator_key.file)

    def visit(self, index, results, out=False):
        """One stop's turn: release, a run that leaves exactly `results` (name → content), sealing; all of it judged."""
        station = self.station(index)
        plain = self.home / f"out-{index}" if out else self.train
        before = scratch.contents(self.earlier[-1])
        self.test.assert_done(station.run("pre-run", self.train, *(["--out", plain] if out else [])))
        self.test.assert_same_contents(plain / "pht_train", self.files)
        if out:
            self.test.assertEqual(scratch.contents(self.train), before)
        scratch.remove(plain / "pht_results")
        (plain / "pht_results").mkdir()
        write_files(plain / "pht_results", results)
        expected = scratch.copy(plain / "pht_results", self.home / f"results-{index}")
        outcome = self.test.assert_done(station.run("post-run", self.train, *(["--results", plain, "--wipe"] if out else [])))
        self.judge(index + 1, expected)
        self.earlier.append(scratch.copy(self.train, self.home / f"stage-{index + 1}"))
        return outcome

    def open(self):
        """The creator's end: the last results, as they were."""
        out = self.home / "opened"
        self.test.assert_done(self.creator().run("open", self.train, "--out", out))
        self.test.assert_same_contents(out / "pht_train", self.files)
        self.test.assert_same_contents(out / "pht_results", self.home / f"results-{len(self.keys) - 1}")


def write_files(folder, files):
    """Writes name (bytes) → content below `folder`; a content of None makes an empty folder."""
    for name, content in files.items():
        path = folder / bytes(name).decode("utf-8", "surrogateescape")
        if content is None:
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

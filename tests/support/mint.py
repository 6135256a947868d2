"""Many distinct small trains, made from one that creator and builder have made, in the time that RSA takes."""
import copy
import json
import os
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from support import forge

OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA512()), algorithm=hashes.SHA512(), label=None)


class Mint:
    """`train`: an `OwnTrain` with one stop that was built."""

    def __init__(self, train):
        self.config = json.loads((train.train / "train_config.json").read_text())
        self.station_key = train.keys[0].file
        self.creator_key = train.creator_key.file
        self.station = forge.load_key(self.station_key).public_key()
        self.creator = forge.load_key(train.creator_key.file)
        self.builder = forge.load_key(train.builder_key.file)

    def make(self, folder, number, files=None):
        """The sealed train `t-NUMBER` in the new folder; `files`: name → content, one of its own where it is left out. Returns
        what the files are."""
        files = files or {"entrypoint.py": f"print({number})\n".encode()}
        config = copy.deepcopy(self.config)
        config["@id"] = f"t-{number}"
        config["session_id"] = os.urandom(64).hex()
        config["file_list"] = sorted(files)
        forge.sign_immutable(config, [files[name] for name in sorted(files)], self.creator, self.builder)
        key = os.urandom(32)
        config["route"][0]["encrypted_key"] = self.station.encrypt(key, OAEP).hex()
        folder = Path(folder)
        (folder / "pht_train").mkdir(parents=True)
        (folder / "pht_results").mkdir()
        for name, content in files.items():
            (folder / "pht_train" / name).write_bytes(forge.encrypt(key, content))
        (folder / "train_config.json").write_text(json.dumps(config, indent=2))
        return files

    def judge(self, train, results, station):
        """The referee's line for the sealed train; `results`: the folder that was sealed."""
        from support import judge
        return judge.verdict(train, completed=1, plain_results=results, keys={station: self.station_key},
                             creator_key=self.creator_key)

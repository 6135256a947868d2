"""SoftHSM: a token in files."""
from support.party import SOFTHSM, make_softhsm_token
from tokens.bring_up import TokenKind


class SoftHsm(TokenKind):
    needs = (SOFTHSM, "/usr/bin/softhsm2-util")
    settings = {"module": SOFTHSM}
    paths = {**TokenKind.paths, "unwrap": "raw"}  # C_DecryptInit refuses OAEP with SHA-512

    def start(self):
        self.environment = make_softhsm_token(self.folder, self.label, self.pin)

"""NSS softokn: Firefox's and Thunderbird's key database. Its first slot has no log-in, its second one holds the keys."""
from tokens.bring_up import TokenKind, execute

MODULE = "/usr/lib/x86_64-linux-gnu/libsoftokn3.so"


class Nss(TokenKind):
    needs = (MODULE, "/usr/bin/certutil")
    says_local = False

    def __init__(self):
        super().__init__("NSS Certificate DB")

    def start(self):
        database = self.folder / "db"
        database.mkdir()
        self.settings = {"module": MODULE,
                         "init_args": f"configdir='sql:{database}' certPrefix='' keyPrefix='' secmod='secmod.db' flags="}
        # One iteration instead of 10,000: each log-in and each use of a private key derives a key from the PIN.
        self.environment = {"NSS_MAX_MP_PBE_ITERATION_COUNT": "1"}
        execute(["certutil", "-N", "-d", f"sql:{database}", "-f", self.pin_file], self.environment)

"""opencryptoki's software token, with a pkcsslotd of its own: each instance lives in mount and IPC namespaces of its own,
because paths, socket and shared memory are compiled in."""
import os
from pathlib import Path

from support import scratch
from support.party import PIN, SO_PIN
from tokens.bring_up import CannotBringUp, TokenKind, execute

MODULE = "/usr/lib/x86_64-linux-gnu/opencryptoki/libopencryptoki.so.0"
NAMESPACE = Path(__file__).with_name("opencryptoki-namespace.sh")


class Opencryptoki(TokenKind):
    needs = (MODULE, "/usr/sbin/pkcsslotd", "/usr/sbin/pkcsconf")
    settings = {"module": MODULE}
    imported_never_left = True
    wrong_pins_that_lock = 3
    tries_until_warned = 2

    # The module leaks, and once it is unloaded nobody can tell its leaks from ours.
    environment = {"LSAN_OPTIONS": "detect_leaks=0"}

    def start(self):
        if os.geteuid() != 0:
            raise CannotBringUp("opencryptoki's namespace needs root")
        daemon = self.daemon(["unshare", "--mount", "--ipc", "--propagation", "private", NAMESPACE, self.folder, scratch.ROOT])
        daemon.wait_until((self.folder / "run/pkcsslotd.socket").exists)
        self.enter = ("nsenter", "--target", str(daemon.pid), "--mount", "--ipc", "--")
        first_so_pin, first_pin = "87654321", "11111111"  # the factory's, and one that has to be changed at once
        self.configure("-I", "-S", first_so_pin, stdin=f"{self.label}\n")
        self.configure("-P", "-S", first_so_pin, "-n", SO_PIN)
        self.configure("-u", "-S", SO_PIN, "-n", first_pin)
        self.configure("-p", "-U", first_pin, "-n", PIN)

    def configure(self, *arguments, stdin=""):
        execute([*self.enter, "pkcsconf", "-c", "0", *arguments], stdin=stdin)

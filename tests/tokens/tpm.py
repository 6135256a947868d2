"""tpm2-pkcs11 on a TPM in software: swtpm, the resource manager tpm2-abrmd on a bus of its own, and a store."""
import os
import socket
from pathlib import Path

from support.party import PIN, SO_PIN
from tokens.bring_up import CannotBringUp, TokenKind, execute

MODULE = "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so"
TCTI = "tabrmd:bus_type=session"
MOST_PORT_TRIES = 5
BUS_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
"""


def two_free_ports():
    """A port that is free and whose successor is: libtss2's way to swtpm wants them so."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            try:
                second.bind(("127.0.0.1", first.getsockname()[1] + 1))
            except OSError:
                continue
            return first.getsockname()[1]


class Tpm(TokenKind):
    needs = (MODULE, "/usr/bin/swtpm", "/usr/bin/swtpm_setup", "/usr/sbin/tpm2-abrmd", "/usr/bin/tpm2_ptool", "/usr/bin/tpm2_getcap",
             "/usr/bin/dbus-daemon", "/usr/bin/dbus-send", "/usr/lib/x86_64-linux-gnu/libtss2-tcti-tabrmd.so.0")
    settings = {"module": MODULE}
    sizes = (2048, 3072)
    imports = False
    paths = {**TokenKind.paths, "sign_protocol": "raw"}  # PSS in a TPM has a salt of the hash's length
    wrong_pins_that_lock = 3

    def start(self):
        self.store = self.folder / "store"
        self.store.mkdir()
        self.environment = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.folder}/bus", "TPM2_PKCS11_STORE": str(self.store),
                            "TPM2_PKCS11_TCTI": TCTI, "TPM2TOOLS_TCTI": TCTI}
        self.tool_environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.environment}
        self.start_bus()
        self.start_resource_manager(self.start_tpm())
        self.tool("init")
        self.tool("addtoken", "--pid", "1", "--label", self.label, "--sopin", SO_PIN, "--userpin", PIN)

    def start_bus(self):
        configuration = self.folder / "bus.conf"
        configuration.write_text(BUS_CONFIGURATION.format(socket=self.folder / "bus"))
        bus = self.daemon(["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile"])
        bus.wait_until((self.folder / "bus").exists)

    def start_tpm(self):
        """Starts swtpm on free ports, on others if somebody took them meanwhile; returns the first."""
        state = self.folder / "tpm"
        state.mkdir()
        execute(["swtpm_setup", "--tpm2", "--tpmstate", state, "--overwrite"], self.tool_environment)
        for attempt in range(MOST_PORT_TRIES):
            port = two_free_ports()
            ready = self.folder / f"swtpm-{attempt}.pid"  # written after the ports were taken
            tpm = self.daemon(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}",
                               "--server", f"type=tcp,port={port},bindaddr=127.0.0.1",
                               "--ctrl", f"type=tcp,port={port + 1},bindaddr=127.0.0.1",
                               "--flags", "not-need-init,startup-clear", "--pid", f"file={ready}"])
            try:
                tpm.wait_until(ready.exists)
                return port
            except CannotBringUp as error:
                failure = error
        raise failure

    def start_resource_manager(self, port):
        manager = self.daemon(["tpm2-abrmd", "--session", *(["--allow-root"] if os.geteuid() == 0 else []),
                               f"--tcti=swtpm:host=127.0.0.1,port={port}"], self.tool_environment)
        asked = ["dbus-send", "--session", "--print-reply=literal", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus",
                 "org.freedesktop.DBus.NameHasOwner", "string:com.intel.tss2.Tabrmd"]
        manager.wait_until(lambda: "true" in execute(asked, self.tool_environment))

    def tool(self, *arguments):
        return execute(["tpm2_ptool", *arguments], self.tool_environment)

    def put_key(self, pem, label):
        self.tool("import", "--label", self.label, "--key-label", label, "--userpin", PIN, "--privkey", pem, "--algorithm", "rsa")
        self.keys.append(self.key_uri(label))
        return self.keys[-1]

    def failed_pins(self):
        """How many wrong PINs the TPM has counted."""
        lines = execute(["tpm2_getcap", "properties-variable"], self.tool_environment).splitlines()
        return next(int(line.split(":")[1], 16) for line in lines if line.startswith("TPM2_PT_LOCKOUT_COUNTER"))

"""config/Containerfile and .dockerignore held against this tree. The image is not built here: that needs a base image from a registry."""
import re
import subprocess
import unittest
from pathlib import Path

from support.case import TrainsealTest, unless_sanitized
from support.party import PROGRAM, run

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "config" / "Containerfile").read_text().replace("\\\n", " ")
# What Debian's smallest image has.
ESSENTIAL = {"libc6", "libgcc-s1", "libstdc++6"}


class Containerfile(TrainsealTest):
    def test_what_is_copied_is_there(self):
        copied = [word for line in TEXT.splitlines() if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]]
        self.assertGreater(len(copied), 2)
        for path in copied:
            self.assertTrue((ROOT / path).exists(), path)

    def test_nothing_else_goes_along(self):
        """What .dockerignore lets through: what CMake reads, and what is copied; no build, no history, no secrets that lie about."""
        lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
        self.assertEqual(lines[0], "*")
        sent = {line.removeprefix("!") for line in lines[1:] if line.startswith("!")}
        self.assertEqual(len(sent), len(lines) - 1)
        cmake = (ROOT / "CMakeLists.txt").read_text()
        wanted = {"CMakeLists.txt", *re.findall(r"add_subdirectory\((\w+)\)", cmake), *re.findall(r"\b(src|pkcs11)/", cmake),
                  *(path.split("/")[0] for path in re.findall(r"^COPY ([^ -][^ ]*) ", TEXT, re.M) if path != ".")}
        self.assertLessEqual(wanted, sent)
        for path in sent:
            self.assertTrue((ROOT / path).exists(), path)

    def test_the_base_can_be_pinned(self):
        self.assertEqual(set(re.findall(r"^FROM (\S+)", TEXT, re.M)), {"${BASE}"})
        self.assertRegex(TEXT, r"(?m)^ARG BASE=debian:12-slim$")

    @unless_sanitized
    def test_the_libraries_that_the_program_needs(self):
        installed, = re.findall(r"apt-get install -y --no-install-recommends ([a-z0-9 .+-]+)", TEXT)
        dynamic = subprocess.run(["readelf", "-d", PROGRAM], check=True, capture_output=True, text=True).stdout
        for library in re.findall(r"NEEDED.*\[(.+)\]", dynamic):
            if library.startswith("ld-linux"):
                continue
            owner = subprocess.run(["dpkg", "-S", f"*/{library}"], check=True, capture_output=True, text=True).stdout
            packages = {line.split(":")[0] for line in owner.splitlines()}
            self.assertTrue(packages & (ESSENTIAL | set(installed.split())), f"{library} is in {packages}")

    def test_the_packages_that_building_needs(self):
        """The first section of the list is cut out by the comment behind it."""
        pattern, = re.findall(r"sed '/\^(.+)/,\$d'", TEXT)
        building = (ROOT / "scripts" / "packages.txt").read_text().split("\n" + pattern)
        self.assertEqual(len(building), 2)
        for package in ("g++", "cmake", "libcurl4-openssl-dev", "libarchive-dev"):
            self.assertIn(package, building[0].split())
        self.assertNotIn("podman", building[0].split())

    def test_the_settings_are_good(self):
        home = self.fresh()
        outcome = run(["ledger", "list"], {"PATH": "/usr/bin:/bin", "HOME": str(home), "TRAINSEAL_STATE": str(home / "state"),
                                           "TRAINSEAL_SETTINGS": str(ROOT / "config" / "container-settings.json")})
        self.assert_done(outcome)

    def test_the_state_is_a_volume(self):
        self.assertIn("\nVOLUME /var/lib/trainseal\n", TEXT)
        self.assertIn('"state_dir": "/var/lib/trainseal"', (ROOT / "config" / "container-settings.json").read_text())
        self.assertIn('\nENTRYPOINT ["/usr/local/bin/trainseal"]\n', TEXT)


if __name__ == "__main__":
    unittest.main()

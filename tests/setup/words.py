"""What the program says of itself: version, help, mistakes in a call, completion in a shell; and keys as other programs read them."""
import json
import os
import subprocess
import unittest

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from support import scratch
from support.case import TrainsealTest
from support.party import PROGRAM, Party, Token, environment, run

COMPLETE = """
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_trainseal
printf '%s\\n' "${COMPREPLY[@]}"
"""


class Words(TrainsealTest):
    def run_bare(self, *arguments, **options):
        return run(arguments, environment(scratch.fresh("home")), **options)

    def test_the_version_by_the_usual_flags(self):
        command = self.run_bare("version")
        for flag in ("--version", "-V"):
            self.assertEqual(self.assert_done(self.run_bare(flag)).report["version"], command.report["version"])
            self.assertEqual(self.run_bare(flag, json_report=False).stdout, self.run_bare("version", json_report=False).stdout)

    def test_help_is_in_the_report_as_well(self):
        for call in (("help", "pre-run"), ("pre-run", "--help")):
            text = self.assert_done(self.run_bare(*call)).report["text"]
            self.assertIn("trainseal pre-run", text)
            self.assertIn("oci-archive:FILE:TAG", text)
        self.assertNotIn("oci-archive:", self.run_bare("trust", "add", "route", "--help").report["text"])

    def test_a_word_that_is_no_command(self):
        for call in (("frobnicate",), ("--json", "frobnicate"), ("-v", "frobnicate")):
            error = self.assert_refused(self.run_bare(*call), "usage")
            self.assertEqual(error["message"], 'there is no command "frobnicate"')
        error = self.assert_refused(self.run_bare("help", "key", "imp"), "usage")
        self.assertEqual(error["message"], 'there is no command "key imp"')

    def test_a_file_that_is_named_like_an_image(self):
        folder = scratch.fresh("names")
        (folder / "t-18").mkdir()
        done = subprocess.run([PROGRAM, "verify", "t-18", "--json"], cwd=folder, env=environment(folder), capture_output=True)
        error = json.loads(done.stdout)["error"]
        self.assertEqual(error["code"], "usage")
        self.assertIn("./t-18", error["hint"])
        self.assertIn("docker-daemon:t-18", error["hint"])

    def test_names_that_are_another_program_s(self):
        for name in ("dir:/srv/t", "containers-storage:t", "t-17@sha256:" + "0" * 64):
            self.assert_refused(self.run_bare("verify", name), "usage")

    def test_a_key_is_exported_as_other_programs_read_it(self):
        token = Token()
        party = Party("owner", token, uris=[token.generate_key("station")])
        pem = self.assert_done(party.run("key", "export")).report["public_key"]
        self.assertEqual(load_pem_public_key(pem.encode()).key_size, 2048)


class Completion(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = scratch.fresh("completion")
        cls.script = cls.folder / "trainseal.bash"
        cls.script.write_bytes(run(["completion", "bash"], environment(cls.folder), json_report=False).stdout)

    def offered(self, *words):
        """What bash offers for the last of `words`."""
        done = subprocess.run(["bash", "-c", COMPLETE, "bash", os.fspath(self.script), "trainseal", *words], cwd=self.folder,
                              capture_output=True, text=True, check=True)
        return done.stdout.split()

    def test_commands(self):
        self.assertIn("pre-run", self.offered(""))
        self.assertEqual(self.offered("pre"), ["pre-run"])
        self.assertEqual(self.offered("key", "exp"), ["export"])
        self.assertIn("key", self.offered("help", "k"))

    def test_options_where_one_is_begun(self):
        self.assertIn("--out", self.offered("pre-run", "--"))
        self.assertIn("--station", self.offered("pre-run", "--st"))
        self.assertNotIn("--out", self.offered("post-run", "--"))

    def test_nothing_but_files_where_a_value_belongs(self):
        self.assertEqual(self.offered("pre-run", ""), [])
        self.assertEqual(self.offered("verify", "--master", ""), [])
        self.assertEqual(self.offered("verify", "--master", "--"), [])

    def test_a_shell_for_the_script(self):
        self.assertEqual(self.offered("completion", ""), ["bash", "zsh", "fish"])


if __name__ == "__main__":
    unittest.main()

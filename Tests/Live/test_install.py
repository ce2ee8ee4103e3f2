# SPDX-License-Identifier: GPL-3.0-or-later
"""`make install` into a directory: what README says that it puts in place, and what it leaves alone."""

import glob
import os
import stat
import subprocess
import tempfile
import unittest

from agent import binaries

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class InstallTests(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="portreeve-install.")
        self.addCleanup(directory.cleanup)
        self.root = directory.name

    def install(self):
        """As `make install` does, with the programs that the other tests use."""
        subprocess.run(
            ["make", "-s", "install", f"DESTDIR={self.root}", f"BIN={binaries()}", "PREBUILT=yes",
             f"GENERATED={self.root}/generated"],
            cwd=REPOSITORY, check=True, capture_output=True, timeout=120)

    def path(self, name):
        return os.path.join(self.root, name)

    def run_installed(self, name, *words):
        done = subprocess.run([self.path(name), *words], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_programs_policy_and_examples_are_in_place(self):
        self.install()
        for program in ("usr/sbin/portreeved", "usr/bin/portreeve"):
            self.assertEqual(stat.S_IMODE(os.stat(self.path(program)).st_mode), 0o755)
            self.assertTrue(self.run_installed(program, "--version").strip())
        policies = [self.path("etc/portreeve/policy.yaml"), *glob.glob(self.path("etc/portreeve/examples/*.yaml"))]
        self.assertGreaterEqual(len(policies), 5)
        self.assertIn("no warnings", self.run_installed("usr/bin/portreeve", "check", policies[0]))
        for policy in policies:
            self.assertEqual(stat.S_IMODE(os.stat(policy).st_mode), 0o644)
        # Every page and completion that was made is installed, and none is empty.
        for name in ("usr/share/man/man8/portreeve.8", "usr/share/bash-completion/completions/portreeve"):
            self.assertGreater(os.path.getsize(self.path(name)), 1000)

    def test_a_policy_that_was_there_stays(self):
        policy = self.path("etc/portreeve/policy.yaml")
        os.makedirs(os.path.dirname(policy))
        with open(policy, "w") as file:
            file.write("version: 1\nmode: tap\n")
        self.install()
        with open(policy) as file:
            self.assertEqual(file.read(), "version: 1\nmode: tap\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: GPL-3.0-or-later
"""What builds and tests the package works for ordinary users, or says what they lack."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from package import REPOSITORY

# Debian's for who is not root.
PATH = "/usr/local/bin:/usr/bin:/bin"


class InstallPackagesTests(unittest.TestCase):
    def setUp(self):
        self.programs = self.enterContext(tempfile.TemporaryDirectory(prefix="portreeve-programs."))
        for name in ("grep", "sh"):
            os.symlink(shutil.which(name), os.path.join(self.programs, name))
        self.script("dpkg-query", 'test "$4" = there && echo "install ok installed"')
        self.script("id", "echo 1000")

    def script(self, name, text):
        path = os.path.join(self.programs, name)
        with open(path, "w") as file:
            file.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o755)

    def install(self, *names):
        done = subprocess.run(
            [os.path.join(REPOSITORY, "Packaging/install-packages"), *names], env={"PATH": self.programs},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        return done.returncode, done.stdout

    def test_nothing_is_missing(self):
        self.assertEqual(self.install("there"), (0, ""))

    def test_without_root_and_sudo_it_says_what_to_run(self):
        status, output = self.install("there", "one", "two")
        self.assertEqual(status, 1)
        self.assertEqual(output.splitlines()[-1].strip(), "apt-get install --no-install-recommends one two")

    def test_with_sudo_it_installs(self):
        self.script("sudo", 'echo "sudo: $1 $2 … $5 $6"')
        self.assertEqual(self.install("there", "one", "two"), (0, "installing: one two\nsudo: sh -eu … sh one\n"))


class VirtualMachineTests(unittest.TestCase):
    def test_programs_of_the_administrator_are_found_on_anybodys_path(self):
        program = "import base, shutil; base.require('mke2fs'); print(shutil.which('mke2fs'))"
        done = subprocess.run(
            [sys.executable, "-B", "-c", program], env={"PATH": PATH}, cwd=os.path.join(REPOSITORY, "Packaging/vm"),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("sbin/mke2fs", done.stdout)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Every run of tests ends with the names of what failed, and with its numbers alone on the last line."""

import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

LIVE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(LIVE)
PROJECT = os.path.dirname(TESTS)

MODULE = """
import unittest

class Some(unittest.TestCase):
    def test_a(self): pass
    def test_b(self):
        for value in (1, 2):
            with self.subTest(value): self.fail()
    @unittest.skip("not here")
    def test_c(self): pass

class Others(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise OSError
    def test_d(self): pass

class Deadly(unittest.TestCase):
    def test_e(self):
        import os
        os._exit(7)
"""

# As `swift test` prints it; the second test of three names is one of a function.
SWIFT = """\
◇ Test run started.
◇ Suite "A suite," started.
◇ Test "it works" started.
◇ Test "it says "no", alas" started.
◇ Test plain() started.
◇ Test "known" started.
➜ Test "elsewhere" skipped: "not here"
◇ Test case passing 1 argument x → 2 to "it says "no", alas" started.
✘ Test "it says "no", alas" recorded an issue with 1 argument x → 2 at Some.swift:4:73: Expectation failed: (x → 2) != 2
✘ Test "it says "no", alas" recorded an issue with 1 argument x → 3 at Some.swift:5:91: Expectation failed: (x → 3) != 3
✘ Test plain() recorded an issue at Other.swift:5:4: Caught error: E()
✘ Test plain() failed after 0.001 seconds with 1 issue.
✘ Test "it says "no", alas" with 3 test cases failed after 0.001 seconds with 2 issues.
✔ Test "it works" passed after 0.001 seconds.
━ Test "known" recorded a known issue at T.swift:8:44: Expectation failed: 1 == 2
━ Test "known" passed after 0.002 seconds with 1 known issue.
✘ Suite "A suite," failed after 0.002 seconds with 3 issues.
✘ Test run with 5 tests in 1 suite failed after 0.003 seconds with 4 issues (including 1 known issue).
"""


class ClosingTests(unittest.TestCase):
    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory(prefix="portreeve-closing."))

    def script(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def last_lines(self, *words, status=1, **environment):
        """The lines that name failures and all after them."""
        done = subprocess.run(
            words, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stdout)
        lines = done.stdout.splitlines()
        begin = next((place for place, line in enumerate(lines) if line.startswith("failed: ")), len(lines) - 1)
        return lines[begin:]

    def test_of_a_class(self):
        self.script("sample.py", MODULE)
        run = [sys.executable, "-B", os.path.join(LIVE, "run.py"), "--share"]
        self.assertEqual(
            self.last_lines(*run, "sample.Some", PYTHONPATH=self.directory),
            ["failed: sample.Some.test_b", "1 passed, 1 failed, 1 skipped"])
        self.assertEqual(
            self.last_lines(*run, "sample.Others", PYTHONPATH=self.directory),
            ["failed: setUpClass (sample.Others)", "0 passed, 1 failed, 0 skipped"])
        self.assertEqual(
            self.last_lines(*run, "sample.Some.test_a", status=0, PYTHONPATH=self.directory),
            ["1 passed, 0 failed, 0 skipped"])

    def test_of_several_classes_at_a_time(self):
        self.script("sample.py", MODULE)
        program = textwrap.dedent(f"""
            import sys
            sys.path[:0] = [{LIVE!r}, {TESTS!r}]
            import shares
            from closing import close
            close(*shares.run(["sample.Some", "sample.Others", "sample.Deadly"], [], 1))
            """)
        lines = self.last_lines(sys.executable, "-B", "-c", program, PYTHONPATH=self.directory)
        self.assertEqual(lines, [
            "failed: sample.Some.test_b", "failed: setUpClass (sample.Others)",
            "failed: sample.Deadly, whose process ended with status 7", "1 passed, 3 failed, 1 skipped"])

    def swift(self, text, status):
        path = self.script("swift", f"#!/bin/sh\ncat <<'end'\n{text}end\nexit {status}\n")
        return self.last_lines(sys.executable, "-B", os.path.join(TESTS, "swift_tests.py"), path, status=int(status > 0))

    def test_of_swift(self):
        self.assertEqual(self.swift(SWIFT, 1), [
            "failed: Swift test plain() (Other.swift:5)", 'failed: Swift test "it says "no", alas" (Some.swift:4)',
            "2 passed, 2 failed, 1 skipped"])
        passing = "".join(line for line in SWIFT.splitlines(True) if not line.startswith("✘"))
        self.assertEqual(self.swift(passing, 0), ["2 passed, 0 failed, 1 skipped"])

    def test_of_swift_that_dies_or_is_not_built(self):
        begin = SWIFT[:SWIFT.index("✘")]
        self.assertIn('failed: Swift test plain(), in which the run ended with status 4', self.swift(begin, 4))
        self.assertEqual(
            self.swift("error: no such module\n", 1),
            ["failed: the run of Swift tests ended with status 1", "0 passed, 1 failed, 0 skipped"])

    def test_of_ci(self):
        """Everything once more at the very end, with the target that failed."""
        output = ("failed: Swift test plain() (Other.swift:5)\n8 passed, 1 failed, 0 skipped\nmore\n"
                  "failed: sample.Some.test_b\n1 passed, 1 failed, 1 skipped\n"
                  "make: *** [Makefile:70: test-live] Error 1\nand more\n")
        self.script("make", f"#!/bin/sh\ncat <<'end'\n{output}end\nexit 2\n")
        lines = self.last_lines(
            os.path.join(PROJECT, ".ci", "run"), status=2, PATH=f"{self.directory}:{os.environ['PATH']}")
        wanted = [line for line in output.splitlines() if "more" not in line]
        self.assertEqual(lines[-len(wanted):], wanted)


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: GPL-3.0-or-later
"""How every run of tests ends: a line for each test that failed, then the numbers, alone on the last line."""

import re
import sys
import unittest

#: The last line, for programs that read it.
NUMBERS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
#: One of those before it.
FAILED = re.compile(r"^failed: (.+)$", re.MULTILINE)


def close(passed, failed, skipped):
    """Prints both and ends the program; `failed` are the names."""
    sys.stderr.flush()
    for name in failed:
        print(f"failed: {name}")
    print(f"{passed} passed, {len(failed)} failed, {skipped} skipped", flush=True)
    sys.exit(bool(failed))


class Counting(unittest.TextTestResult):
    """Counts a test once, however many of its subtests failed; a class that could not be set up counts as one."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.passed, self.names_of_failed = 0, {}

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._fails(test)

    def addError(self, test, err):
        super().addError(test, err)
        self._fails(test)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._fails(test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._fails(test)

    def _fails(self, test):
        # In order, each once.
        self.names_of_failed[test.id()] = True

    def close(self):
        close(self.passed, list(self.names_of_failed), len(self.skipped))

# SPDX-License-Identifier: GPL-3.0-or-later
"""run.py [PATTERN...]: looks at the Debian package that `make deb` has built, and installs, upgrades and purges it in a
root of its own. The last line says how many tests passed, failed and were skipped; the exit status is 1 if one failed."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


class Counting(unittest.TextTestResult):
    """Counts a test once, however many of its subtests failed."""

    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main():
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{pattern}*" for pattern in sys.argv[1:]] or None
    outcome = unittest.TextTestRunner(verbosity=2, resultclass=Counting).run(loader.discover(HERE, "test_*.py", HERE))
    failed = {getattr(test, "test_case", test).id() for test, _ in outcome.failures + outcome.errors}
    sys.stderr.flush()
    print(f"{outcome.passed} passed, {len(failed)} failed, {len(outcome.skipped)} skipped", flush=True)
    sys.exit(bool(failed))


main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""run.py [PATTERN...]: looks at the Debian package that `make deb` has built, and installs, upgrades and purges it in a
root of its own. The last lines name the tests that failed and say how many passed, failed and were skipped; the exit status is
1 if one failed."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from closing import Counting


def main():
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{pattern}*" for pattern in sys.argv[1:]] or None
    tests = loader.discover(HERE, "test_*.py", HERE)
    unittest.TextTestRunner(verbosity=2, resultclass=Counting).run(tests).close()


main()

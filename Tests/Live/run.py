# SPDX-License-Identifier: GPL-3.0-or-later
"""run.py [--bin DIRECTORY] [PATTERN...]: the live tests, all or those whose name matches a pattern (`*Reload*`).

Without root it makes itself one in a user namespace. Exits with 77 where no namespaces can be made.
"""

import argparse
import os
import sys
import unittest

import isolation

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", help="where portreeved and portreeve are; default .build/release")
    parser.add_argument("--failfast", action="store_true")
    parser.add_argument("patterns", nargs="*")
    arguments = parser.parse_args()
    try:
        isolation.isolate()
    except isolation.Unavailable as why:
        print(f"skipped: {why}", file=sys.stderr)
        sys.exit(77)
    if arguments.bin:
        os.environ["PORTREEVE_BIN"] = os.path.abspath(arguments.bin)
    sys.path.insert(0, HERE)
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{pattern}*" for pattern in arguments.patterns] or None
    suite = loader.discover(HERE, "test_*.py", HERE)
    outcome = unittest.TextTestRunner(verbosity=2, failfast=arguments.failfast).run(suite)
    sys.exit(not outcome.wasSuccessful())


main()

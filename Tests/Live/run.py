# SPDX-License-Identifier: GPL-3.0-or-later
"""run.py [--bin DIRECTORY] [--jobs N] [PATTERN...]: the live tests, all or those whose name matches a pattern (`*Reload*`).

Without root it makes itself one in a user namespace. Several classes of tests run at a time, each in namespaces of its own:
most of a test is waiting. The last lines name the tests that failed and say how many passed, failed and were skipped; the
exit status is 1 if one failed. Where no namespaces can be made everything is skipped.
"""

import argparse
import collections
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import isolation
import shares
from closing import Counting, close


def classes(suite):
    """Names of the test classes in `suite`, each with how long it takes, as far as is known: by the number of its tests, or what it says itself
    in `seconds`. Without modules that cannot be imported."""
    found = collections.Counter()
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            found.update(classes(item))
        elif not isinstance(item, unittest.loader._FailedTest):
            found[f"{type(item).__module__}.{type(item).__qualname__}"] += max(
                1, getattr(type(item), "seconds", 0) // suite.countTestCases())
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", help="where portreeved and portreeve are; default .build/release")
    parser.add_argument("--failfast", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() + 1,
                        help="classes at a time; default: one more than there are processors, since most of what they do is waiting")
    parser.add_argument("--share", help=argparse.SUPPRESS)
    parser.add_argument("patterns", nargs="*")
    arguments = parser.parse_args()
    sys.path.insert(0, HERE)
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{pattern}*" for pattern in arguments.patterns] or None
    if arguments.bin:
        os.environ["PORTREEVE_BIN"] = os.path.abspath(arguments.bin)
    if arguments.jobs > 1 and not arguments.share:
        with isolation.left_out():
            found = classes(loader.discover(HERE, "test_*.py", HERE))
        options = ["--failfast"] if arguments.failfast else []
        passed, failed, skipped = shares.run(
            [name for name, _ in found.most_common()], [*options, *arguments.patterns], arguments.jobs)
        close(passed, failed + [error.strip().splitlines()[0] for error in loader.errors], skipped)
    try:
        isolation.isolate()
    except isolation.Unavailable as why:
        print(f"skipped: {why}", file=sys.stderr)
        close(0, [], 1)
    if arguments.share:
        suite = loader.loadTestsFromName(arguments.share)
    else:
        suite = loader.discover(HERE, "test_*.py", HERE)
    unittest.TextTestRunner(verbosity=2, failfast=arguments.failfast, resultclass=Counting).run(suite).close()


main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""run.py [--bin DIRECTORY] [--jobs N] [PATTERN...]: the live tests, all or those whose name matches a pattern (`*Reload*`).

Without root it makes itself one in a user namespace. Several classes of tests run at a time, each in namespaces of its own:
most of a test is waiting. The last line says how many tests passed, failed and were skipped; the exit status is 1 if one
failed. Where no namespaces can be made everything is skipped.
"""

import argparse
import collections
import os
import sys
import unittest

import isolation
import shares

HERE = os.path.dirname(os.path.abspath(__file__))


def close(passed, failed, skipped):
    """The closing line, and the end."""
    sys.stderr.flush()
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    sys.exit(failed > 0)


class Counting(unittest.TextTestResult):
    """Counts a test once, however many of its subtests failed; a class that could not be set up counts as one."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.passed, self.failed_tests = 0, set()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.failed_tests.add(test.id())

    def addError(self, test, err):
        super().addError(test, err)
        self.failed_tests.add(test.id())

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.failed_tests.add(test.id())

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.failed_tests.add(test.id())


def classes(suite):
    """Names of the test classes in `suite`, with the number of their tests."""
    found = collections.Counter()
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            found.update(classes(item))
        else:
            found[f"{type(item).__module__}.{type(item).__qualname__}"] += 1
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", help="where portreeved and portreeve are; default .build/release")
    parser.add_argument("--failfast", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="classes at a time; default: one for each processor")
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
        close(*shares.run([name for name, _ in found.most_common()], [*options, *arguments.patterns], arguments.jobs))
    try:
        isolation.isolate()
    except isolation.Unavailable as why:
        print(f"skipped: {why}", file=sys.stderr)
        close(0, 0, 1)
    if arguments.share:
        suite = loader.loadTestsFromName(arguments.share)
    else:
        suite = loader.discover(HERE, "test_*.py", HERE)
    outcome = unittest.TextTestRunner(
        verbosity=2, failfast=arguments.failfast, resultclass=Counting).run(suite)
    close(outcome.passed, len(outcome.failed_tests), len(outcome.skipped))


main()

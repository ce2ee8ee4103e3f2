# SPDX-License-Identifier: GPL-3.0-or-later
"""swift_tests.py COMMAND...: runs `swift test`, passes on what it prints, and ends as the other runs of tests do.

The last lines name the tests that failed, with the place of the first issue of each, and say how many passed, failed and
were skipped. A run that dies names the tests that it was in. The exit status is 1 if one failed.
"""

import re
import subprocess
import sys

from closing import close

# `✘ Test "what it shows" with 3 test cases failed after 0.1 seconds with 2 issues.`, or its function's name without quotes.
# A known issue (━) is none.
NAME = r'(?P<name>".*"|\S+\(\S*\))'
STARTED = re.compile(rf"^◇ Test {NAME} started\.$")
ENDED = re.compile(rf"^(?P<mark>[✔✘━]) Test {NAME}(?: with \d+ test cases?)? (?:passed|failed) after ")
ISSUE = re.compile(rf"^✘ Test {NAME} recorded an issue.*? at (?P<place>\S+\.swift:\d+):\d+: ")
# `✔ Test run with 12 tests in 3 suites passed after 0.1 seconds.`: the one line that knows how many there were.
TOTAL = re.compile(r"^[✔✘] Test run with (?P<count>\d+) tests? in ")
SKIPPED = re.compile(rf"^➜ Test {NAME} skipped")


class Run:
    """What the lines tell, as they come."""

    def __init__(self):
        self.passed, self.failed, self.skipped, self.running, self.places = 0, [], 0, [], {}

    def read(self, line):
        if match := STARTED.match(line):
            self.running.append(match["name"])
        elif match := ENDED.match(line):
            if match["name"] in self.running:
                self.running.remove(match["name"])
            if match["mark"] == "✘":
                self.failed.append(match["name"])
            else:
                self.passed += 1
        elif match := ISSUE.match(line):
            self.places.setdefault(match["name"], match["place"])
        elif match := TOTAL.match(line):
            # Lines of single tests get lost where many tests end at once and nobody reads fast enough.
            self.passed = max(self.passed, int(match["count"]) - len(self.failed) - self.skipped)
        elif SKIPPED.match(line):
            self.skipped += 1

    def failures(self, status):
        """Names, also where the run ended before its tests did."""
        names = [f"Swift test {name}" + (f" ({self.places[name]})" if name in self.places else "") for name in self.failed]
        if status and self.running:
            names += [f"Swift test {name}, in which the run ended with status {status}" for name in self.running]
        if status and not names:
            names = [f"the run of Swift tests ended with status {status}"]
        return names


def main(command):
    run = Run()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as tests:
        for line in tests.stdout:
            print(line, end="", flush=True)
            run.read(line.rstrip("\n"))
    close(run.passed, run.failures(tests.returncode), run.skipped)


if __name__ == "__main__":
    main(sys.argv[1:])

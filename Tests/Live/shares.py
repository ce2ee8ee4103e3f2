# SPDX-License-Identifier: GPL-3.0-or-later
"""The live tests class by class, several at a time, each in a process and namespaces of its own."""

import os
import subprocess
import sys
import tempfile
import time

from closing import FAILED, NUMBERS
from isolation import end_with_parent

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run.py")


class Share:
    """One class of tests that is running."""

    def __init__(self, name, options):
        self.name, self.begin = name, time.monotonic()
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            [sys.executable, "-B", RUN, "--share", name, *options], stdin=subprocess.DEVNULL, stdout=self.output,
            stderr=subprocess.STDOUT, preexec_fn=end_with_parent)

    def close(self):
        """Prints what it wrote but its closing lines; returns what those say: how many tests passed, which failed, how many
        were skipped. A process that died counts as a test that failed."""
        self.output.seek(0)
        text = self.output.read()
        numbers = NUMBERS.search(text)
        print(NUMBERS.sub("", FAILED.sub("", text)).rstrip(), f"{self.name}: {time.monotonic() - self.begin:.0f} s", sep="\n",
              flush=True)
        failed = FAILED.findall(text)
        if self.process.returncode and not (numbers and failed):
            failed.append(f"{self.name}, whose process ended with status {self.process.returncode}")
        return int(numbers[1]) if numbers else 0, failed, int(numbers[3]) if numbers else 0


def run(names, options, jobs):
    """How many tests of the classes `names` passed, which failed, and how many were skipped."""
    total, running = (0, [], 0), []
    while names or running:
        while names and len(running) < jobs:
            running.append(Share(names.pop(0), options))
        for share in [share for share in running if share.process.poll() is not None]:
            running.remove(share)
            total = tuple(before + more for before, more in zip(total, share.close()))
        time.sleep(0.1)
    return total

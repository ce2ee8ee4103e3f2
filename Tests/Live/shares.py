# SPDX-License-Identifier: GPL-3.0-or-later
"""The live tests class by class, several at a time, each in a process and namespaces of its own."""

import os
import re
import subprocess
import sys
import tempfile
import time

from isolation import end_with_parent

CLOSING = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
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
        """Prints what it wrote but its closing line; returns the numbers of that. A process that died counts as a failure."""
        self.output.seek(0)
        text = self.output.read()
        closing = CLOSING.search(text)
        print(CLOSING.sub("", text).rstrip(), f"{self.name}: {time.monotonic() - self.begin:.0f} s", sep="\n", flush=True)
        counts = [int(number) for number in closing.groups()] if closing else [0, 1, 0]
        if self.process.returncode and not counts[1]:
            counts[1] = 1
        return counts


def run(names, options, jobs):
    """Numbers of tests passed, failed and skipped in all of the classes `names`."""
    total, running = [0, 0, 0], []
    while names or running:
        while names and len(running) < jobs:
            running.append(Share(names.pop(0), options))
        for share in [share for share in running if share.process.poll() is not None]:
            running.remove(share)
            total = [sum(pair) for pair in zip(total, share.close())]
        time.sleep(0.1)
    return total

# SPDX-License-Identifier: GPL-3.0-or-later
"""Floods of forged packets from a cable's end, at a rate or as fast as it goes: Tests/Benchmarks/queue/src/flood.c."""

import json
import os
import shutil
import signal
import subprocess

SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "Benchmarks", "queue", "src", "flood.c")
# Where they come from, by chance: nobody has these addresses.
SOURCES = "198.18.64.0/20"


def program(lab):
    """The generator, built for this lab."""
    path = os.path.join(lab.directory, "flood")
    if not os.path.exists(path):
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", path, SOURCE], check=True)
    return path


class Flood:
    """Runs until `stop`, or until its `packets` are sent; never longer than `seconds`."""

    def __init__(self, sender, interface, receiver, receiver_interface, kinds, rate=0, seconds=60, packets=None, sources=SOURCES,
                 name="flood", prefix=()):
        words = [*prefix, program(sender.lab), "-k", ",".join(kinds), "-i", interface, "-m", receiver.mac(receiver_interface), "-d",
                 receiver.ip4, "-s", sources, "-r", rate, "-t", seconds]
        if packets:
            words += ["-n", packets]
        self.process = sender.start(*words, name=name)

    def stop(self):
        """Ends it; see `wait`."""
        if self.process.is_running:
            self.process.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, seconds=30):
        """When it has ended: {"sent", "err", "sec"}."""
        self.process.wait(seconds)
        return json.loads(self.process.output())

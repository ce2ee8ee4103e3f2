# SPDX-License-Identifier: GPL-3.0-or-later
"""run.py PACKAGE.deb [PATTERN...]: installs the package in a virtual Debian machine and tries everything it promises there.

The steps are in guest/. With patterns (`*restart*`) only the steps whose names match are run, besides the installation.
The last lines name the steps that failed and say how many passed, failed and were skipped; the exit status is 1 if one failed.
Where qemu cannot be installed or Debian's archive cannot be reached, the run counts as skipped.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from base import HERE, RELEASE, Broken, Unavailable, base, require
from machine import QEMU, Machine

PROJECT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(PROJECT, "Tests"))

from closing import close


def dependencies(package):
    """Names of the packages that `package` depends on, the first of alternatives."""
    fields = subprocess.run(
        ["dpkg-deb", "-f", package, "Depends", "Pre-Depends"], capture_output=True, text=True, check=True).stdout
    fields = re.sub(r"(?m)^[\w-]+:", ",", fields)
    names = [re.split(r"[\s(|:]", item.strip())[0] for item in fields.split(",")]
    return sorted({name for name in names if name})


def stage(directory, package, patterns):
    """What the machine sees in /opt/tests."""
    shutil.copytree(os.path.join(HERE, "guest"), directory, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(package, directory)
    repack(package, os.path.join(directory, "portreeve-next.deb"))
    shutil.copy(os.path.join(PROJECT, "README.md"), directory)
    with open(os.path.join(directory, "patterns"), "w") as file:
        file.write("\n".join(patterns))


def repack(package, target):
    """The same package as a later version, so that apt has something to upgrade to."""
    with tempfile.TemporaryDirectory() as tree:
        subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
        control = os.path.join(tree, "DEBIAN", "control")
        with open(control) as file:
            text = re.sub(r"(?m)^(Version: .*)$", r"\1+upgrade", file.read())
        with open(control, "w") as file:
            file.write(text)
        subprocess.run(
            ["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "-b", tree, target], check=True, stdout=subprocess.DEVNULL)


class Table:
    """The steps and what became of them."""

    MARKS = {"ok": "ok", "failed": "FAILED", "skipped": "skipped"}

    def __init__(self):
        self.rows = []
        self.running = None
        self.finished = False

    def take(self, message):
        """One line of the machine's report."""
        kind = message["kind"]
        if kind == "begin":
            self.running = message["step"]
        elif kind == "end":
            self.running = None
            self.rows.append(message)
            print(f"{self.MARKS[message['result']]:8}{message['seconds']:6.1f} s  {message['step']}", flush=True)
            if message["detail"]:
                print(message["detail"].rstrip(), flush=True)
        elif kind == "finished":
            self.finished = True

    def fail(self, why):
        """The machine ended, or did not end, in the middle of a step."""
        self.rows.append({"step": self.running or "the machine", "result": "failed", "detail": why, "seconds": 0.0})

    def steps(self, result):
        return [row["step"] for row in self.rows if row["result"] == result]

    def show(self):
        width = max((len(row["step"]) for row in self.rows), default=0)
        print()
        for row in self.rows:
            detail = row["detail"].strip().splitlines()
            print(f"{row['step']:{width}}  {self.MARKS[row['result']]:8}{detail[0] if detail else ''}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", default=os.path.join(PROJECT, ".build-vm"), help="where disks are kept")
    parser.add_argument("--short", action="store_true", help="leave out the steps that are variants of others")
    parser.add_argument("--limit", type=float, default=3600, help="seconds after which the machine is switched off")
    parser.add_argument("--release", default=RELEASE, help="of Debian, with its own kernel")
    parser.add_argument("package")
    parser.add_argument("patterns", nargs="*")
    arguments = parser.parse_args()
    begin = time.monotonic()
    # So that the machine ends with this program.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.makedirs(arguments.cache, exist_ok=True)
    table = Table()
    with tempfile.TemporaryDirectory(prefix="run.", dir=arguments.cache) as directory:
        tests = os.path.join(directory, "tests")
        stage(tests, arguments.package, arguments.patterns + ["--short"] * arguments.short)
        try:
            require(QEMU)
            disk = base(arguments.cache, dependencies(arguments.package), arguments.release)
            print(f"the base disk is there after {time.monotonic() - begin:.0f} s", flush=True)
            with Machine(disk, tests, directory) as machine:
                for message in machine.report(until=time.monotonic() + arguments.limit):
                    table.take(message)
                    if table.finished:
                        break
                else:
                    table.fail(f"the machine did not report its end\n{machine.console()}")
                    print(table.rows[-1]["detail"])
        except Unavailable as why:
            print(f"skipped: {why}", file=sys.stderr)
            close(0, [], 1)
        except Broken as why:
            print(f"no base disk: {why}", file=sys.stderr)
            close(0, ["in the virtual machine: its base disk"], 0)
    table.show()
    print(f"after {time.monotonic() - begin:.0f} s:")
    failed = [f"in the virtual machine: {step}" for step in table.steps("failed")]
    close(len(table.steps("ok")), failed, len(table.steps("skipped")))


main()

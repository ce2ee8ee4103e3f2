# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the steps one after the other, in the order of the modules below, and reports each on the machine's second port.

Which steps are done is kept on the disk: a step may end with a reboot, and the next boot goes on after it.
"""

import fnmatch
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback

import step as steps
import wire
from step import Failed, Skip

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = "/dev/virtio-ports/report"
DONE = "/var/lib/portreeve-test.done"
MODULES = ("install", "paths", "rules", "traffic", "lifecycle", "failure", "nftables", "offload", "reply", "senders", "fast_path",
           "bridge", "safety", "reboot", "removal")


class Expired(Exception):
    """The step took too long."""


def expire(*_):
    raise Expired


def report(**message):
    with open(PORT, "w") as port:
        port.write(json.dumps(message) + "\n")


def diagnosis():
    """What helps to understand a failure."""
    parts = []
    for command in ("journalctl -b --no-pager -o short-monotonic -n 25 -u portreeve*", "portreeve status",
                    "journalctl -b -k --no-pager -o short-monotonic -n 3 -g type=1326"):
        try:
            said = subprocess.run(
                command.split(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=60).stdout
        except (OSError, subprocess.TimeoutExpired) as why:
            # Nothing is installed in the first steps.
            said = f"{why}\n"
        parts.append(f"-- {command}\n{said}")
    return "\n".join(parts)


def run(step):
    """One step; returns (result, detail)."""
    signal.signal(signal.SIGALRM, expire)
    signal.alarm(step.seconds)
    try:
        return "ok", step.function() or ""
    except Skip as why:
        return "skipped", str(why)
    except Expired:
        where = traceback.extract_tb(sys.exc_info()[2])
        lines = [f"line {frame.lineno} of {frame.name}" for frame in where if frame.filename.startswith(HERE)]
        return "failed", f"not done after {step.seconds} s: {', '.join(lines[-3:])}"
    except Exception as error:
        signal.alarm(0)
        text = str(error) if isinstance(error, Failed) else traceback.format_exc()
        return "failed", f"{text}\n{diagnosis()}"
    finally:
        signal.alarm(0)
        wire.Peer.kill_all()


def done():
    try:
        with open(DONE) as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def main():
    patterns = open(os.path.join(HERE, "patterns")).read().split("\n")
    is_short = "--short" in patterns
    wanted = [pattern for pattern in patterns if pattern and pattern != "--short"]
    for module in MODULES:
        importlib.import_module(f"steps_{module}")
    before = done()
    for one in steps.ALL:
        chosen = one.always or not wanted or any(fnmatch.fnmatch(one.name, pattern) for pattern in wanted)
        if one.name in before or not chosen or (is_short and one.variant):
            continue
        report(kind="begin", step=one.name)
        begin = time.monotonic()
        result, detail = run(one)
        with open(DONE, "a") as file:
            file.write(one.name + "\n")
            os.fsync(file)
        report(kind="end", step=one.name, result=result, detail=detail, seconds=time.monotonic() - begin)
        if one.reboots:
            subprocess.run(["systemctl", "reboot"])
            time.sleep(600)
    report(kind="finished")
    subprocess.run(["systemctl", "poweroff"])


main()

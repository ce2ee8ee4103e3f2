# SPDX-License-Identifier: GPL-3.0-or-later
"""evasion_run.py [--bin DIRECTORY] [--results FILE]: every row of the checklist of evasions in every place. `make evasion` keeps the
outcome in EVASION.md; the exit status is 1 if a row does not hold."""

import argparse
import datetime
import os
import subprocess
import sys

import kept

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default=".build/release", help="where portreeved and portreeve are; default .build/release")
    parser.add_argument("--results", help="where to write the outcome")
    arguments = parser.parse_args()
    began = datetime.datetime.now()
    status = subprocess.run(
        [sys.executable, os.path.join(HERE, "run.py"), "--bin", arguments.bin, "--jobs", "1", "test_evasion"],
        env={**os.environ, "PORTREEVE_EVASION": "all"}).returncode
    if status or not arguments.results:
        sys.exit(status)
    seconds = (datetime.datetime.now() - began).seconds
    with open(arguments.results, "w") as results:
        results.write(outcome(kept.head("make evasion", began, seconds, arguments.bin)))


def outcome(head):
    import isolation
    with isolation.left_out():
        import checklist
        checklist.load()
        return (
            "# The checklist of evasions\n\n"
            f"{head}: {len(checklist.ROWS)} plays of the rows E01 to E{checklist.LAST}, each at PREROUTING, at INPUT beside conntrack and at "
            "FORWARD, with segmentation offload and without. No legitimate packet was dropped, nothing that the host received "
            "passed unseen, the agent's picture of each connection was that of the host's socket after each packet, each packet was "
            "dropped for one reason, and the agent's memory stayed bounded.\n\n"
            f"{checklist.text(6)}\n")


if __name__ == "__main__":
    sys.path[:0] = [HERE]
    main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""streams_run.py (model|kernels) [--bin DIRECTORY] [--results FILE]: a million segments of honest streams over a bad path, judged strictly.

`model` has two ends of the test's own speak through an engine (BulkModelTests), `kernels` two kernels through an agent (test_strict.py).
`make model-bulk` and `make strict` keep what came of each in its section of STREAMS.md; the exit status is 1 if there was an event."""

import argparse
import datetime
import os
import re
import subprocess
import sys

import kept

SEGMENTS = 1_000_000
TITLE = "# Honest streams over a bad path, judged strictly\n"
HEADINGS = {"model": "## Two ends through an engine", "kernels": "## Two kernels through an agent"}


def run(command, **variables):
    """Its output, which is shown as well."""
    done = subprocess.run(command, env={**os.environ, **variables}, cwd=os.path.join(kept.HERE, "..", ".."), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, flush=True)
    if done.returncode:
        sys.exit(1)
    return done.stdout


def model():
    output = run([os.environ.get("SWIFT", "swift"), "test", "--skip-build", "--disable-xctest", "--filter", "BulkModelTests"],
                 PORTREEVE_BULK_SEGMENTS=str(SEGMENTS))
    rows = re.findall(r"(\d+) segments of (\d+) connections, (\d+) of them cut anew: no event, (\d+) bytes kept", output)
    segments, connections, again, bytes_kept = (sum(map(int, column)) for column in zip(*rows))
    return (
        f"{segments:,} segments of {connections:,} connections, IPv4 and IPv6 by halves, whose sequence numbers wrap; on each side of the engine one "
        "of 40 is lost, one of 50 comes twice, one of 12 takes a detour of up to 15 ms. Of what was lost "
        f"{again:,} segments were sent again, cut in another way. FTP was followed, retransmissions were compared ({bytes_kept:,} bytes copied), "
        "every row of `engine.anti-evasion` was strict: no packet was dropped, none told of, and every byte arrived.")


def kernels(programs):
    output = run([sys.executable, os.path.join(kept.HERE, "run.py"), "--bin", programs, "--jobs", "1", "test_strict.StrictTests"],
                 PORTREEVE_SEGMENTS=str(SEGMENTS))
    (judged,) = re.findall(r"([\d,]+) packets judged, no event", output)
    return (
        f"{judged} packets of two kernels, in network namespaces, of HTTP, FTP (active and passive) and streams of segments of 200 bytes whose "
        "sequence numbers wrap, IPv4 and IPv6, over a router that loses, doubles and reorders; before them the same transfers with segmentation "
        "offload and losses of 2 %. FTP was followed, retransmissions were compared, every row of `engine.anti-evasion` was strict: no packet "
        "was dropped, none told of, and every byte arrived.")


def replace(text, which, section):
    """The kept text with another section."""
    parts = dict(re.findall(r"^(## .*)\n\n((?:(?!## ).*\n?)*)", text, re.M))
    parts[HEADINGS[which]] = section + "\n"
    return TITLE + "".join(f"\n{heading}\n\n{parts[heading].strip()}\n" for heading in HEADINGS.values() if heading in parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=HEADINGS)
    parser.add_argument("--bin", default=".build/release", help="where portreeved and portreeve are; default .build/release")
    parser.add_argument("--results", help="where to write the outcome")
    arguments = parser.parse_args()
    began = datetime.datetime.now()
    text = model() if arguments.which == "model" else kernels(os.path.abspath(arguments.bin))
    seconds = (datetime.datetime.now() - began).seconds
    if not arguments.results:
        return
    head = (kept.head("make model-bulk", began, seconds, "debug") if arguments.which == "model"
            else kept.head("make strict", began, seconds, arguments.bin))
    before = open(arguments.results).read() if os.path.exists(arguments.results) else ""
    with open(arguments.results, "w") as results:
        results.write(replace(before, arguments.which, f"{head}: {text}"))


if __name__ == "__main__":
    main()

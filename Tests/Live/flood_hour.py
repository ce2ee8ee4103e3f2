# SPDX-License-Identifier: GPL-3.0-or-later
"""flood_hour.py [--bin DIRECTORY] [--seconds N] [--rate N] [--results FILE]: a flood of everything, for an hour.

SYNs, fragments, refused and admitted datagrams and ACKs in turn, from 1,024 computers, at `rate` packets a second in all. Memory,
disk and what each computer holds must be bounded all the time, and right a second after it; the exit status is 1 if something was
not. `make flood-hour` plays an hour and keeps the outcome in FLOOD-HOUR.md; SECONDS=… and RATE=… change it.
"""

import argparse
import datetime
import os
import platform
import sys

import isolation


def text(run, seconds, rate):
    mebibytes = [value / (1 << 20) for value in run.memory]
    tenth = max(2, len(mebibytes) // 10)
    summary = run.summary
    lines = [
        "# A flood for an hour", "",
        f"`make flood-hour SECONDS={seconds:g} RATE={rate:g}`, {datetime.date.today()}, Linux {platform.release()}, two workers: "
        f"{run.sent['sent']:,} packets in {run.sent['sec']:,.0f} s ({run.sent['sent'] / run.sent['sec']:,.0f} a second), a fifth each of "
        "SYNs, fragments, refused datagrams, admitted ones, and ACKs of no connection, from 1,024 computers by chance.", "",
        "| what | during | bound |", "|---|---|---|",
        f"| resident memory, first tenth | {min(mebibytes[:tenth]):.1f}–{max(mebibytes[:tenth]):.1f} MiB | |",
        f"| … the rest | {min(mebibytes[tenth:] or mebibytes):.1f}–{max(mebibytes[tenth:] or mebibytes):.1f} MiB | 1.1 times that "
        "and 16 MiB |",
        f"| events and the rest on disk | at most {max(run.disk) / (1 << 20):.1f} MiB | 17 MiB |",
        f"| entries over TCP and UDP | {min(run.entries):,}–{max(run.entries):,} | 3,080: 2 half-open ones a computer, 1,000 over UDP |",
        "",
        f"{len(run.memory):,} looks; at each a download and a query besides, of which {run.served:,} of {run.asked:,} came within "
        "their time. A second after the last entry's time nothing was left of the flood, and each of ten of its computers opened three "
        "connections.", "",
        f"Arrived {summary['arrived']:,} = judged {summary['judged']:,} + queue full {summary['queue full']:,} + socket full "
        f"{summary['socket full']:,}. Dropped {summary['dropped']:,}, of each reason as many as written ({summary['written']:,} in all), "
        f"pending ({summary['pending']:,}) and silenced.", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", help="where portreeved and portreeve are; default .build/release")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--rate", type=float, default=30_000)
    parser.add_argument("--results", help="where to write the outcome")
    arguments = parser.parse_args()
    if arguments.bin:
        os.environ["PORTREEVE_BIN"] = os.path.abspath(arguments.bin)
    isolation.isolate()
    from lab import Lab
    from long_flood import LongFlood
    with Lab() as lab:
        run = LongFlood(lab).run(arguments.seconds, arguments.rate)
        run.agent.stop()
    outcome = text(run, arguments.seconds, arguments.rate)
    print(outcome, *run.problems, sep="\n")
    if arguments.results and not run.problems:
        with open(arguments.results, "w") as results:
            results.write(outcome)
    sys.exit(1 if run.problems else 0)


if __name__ == "__main__":
    main()

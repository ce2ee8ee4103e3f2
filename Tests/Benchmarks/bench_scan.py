#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a scan is, between two machines of the lab (make bench-scan).

    65,535 closed TCP ports        in under a minute
    16,000 open ones               at the same rate; a reflector needs a descriptor for each, of which this system allows 20,000
    1,000 silently dropped ones    in at most 1.2 × timeout × ceil(n / parallel)

Ends with 1 where a limit is not kept.
"""

import argparse
import json
import math
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Live"))

import isolation


def timed(namespace, tool, category, count, *options):
    """Seconds that a scan takes, all of whose results are of one category."""
    began = time.monotonic()
    output = namespace.run(tool, "scan", "--json", "--retries", "0", *options, seconds=300)
    seconds = time.monotonic() - began
    rows = [json.loads(line) for line in output.splitlines()]
    found = sum(row["category"] == category for row in rows)
    if (len(rows), found) != (count, count):
        sys.exit(f"{count} × {category} expected, {found} of {len(rows)} found: {[r for r in rows if r['category'] != category][:3]}")
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default=".build/release", help="where portreeve is")
    arguments = parser.parse_args()
    os.environ["PORTREEVE_BIN"] = os.path.abspath(arguments.bin)
    isolation.isolate()
    from lab import Lab
    from paths import TOOL, Reflector

    kept = True

    def report(what, seconds, limit, rest=""):
        nonlocal kept
        kept = kept and seconds <= limit
        print(f"{what:<34}{seconds:7.2f} s   {seconds / limit:5.2f} of the limit of {limit:.1f} s   {rest}", flush=True)

    with Lab() as lab:
        host = lab.host.ip4
        closed = timed(lab.client, TOOL, "handshake_refused", 65535, "--target", host, "-t", "1-65535")
        report("65,535 closed TCP ports", closed, 60, f"{65535 / closed:,.0f}/s")
        with Reflector(lab.host) as reflector:
            key = ("--key", reflector.key, host)
            seconds = timed(lab.client, TOOL, "open", 16000, "-t", "8000-23999", *key)
            report("16,000 open TCP ports", seconds, 60 * 16000 / 65535, f"{16000 / seconds:,.0f}/s")
            with open(f"/proc/{reflector.process.pid}/status") as status:
                peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
            print(f"{'':<34}the reflector's peak: {peak / 1024:.0f} MiB resident")
            lab.router.rules("*filter\n-A FORWARD -p tcp --dport 30000:30999 -j DROP\n", [4])
            for parallel, timeout in ((64, 1000), (250, 2000), (1000, 5000)):
                limit = 1.2 * timeout / 1000 * math.ceil(1000 / parallel)
                seconds = timed(lab.client, TOOL, "handshake_timeout", 1000, "-t", "30000-30999", "-i", str(timeout), "--parallel",
                                str(parallel), *key)
                report(f"1,000 dropped, {parallel} at a time, {timeout // 1000} s", seconds, limit)
    sys.exit(not kept)


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""repeat_scan.py [--times N] [--labs N] [--loss PERCENT]: the plan of Tests/Live/repeats.py, a thousand times (make repeat-scan).

Every processor is kept busy, and each packet that the router forwards is lost with that chance. Ends with 1 if any result
differs from what its cause must give.
"""

import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Live"))

import isolation


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default=".build/release", help="where portreeve is")
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--labs", type=int, default=16)
    parser.add_argument("--loss", type=float, default=2)
    arguments = parser.parse_args()
    os.environ["PORTREEVE_BIN"] = os.path.abspath(arguments.bin)
    isolation.isolate()
    import repeats

    began = time.monotonic()
    wrong, results = repeats.run(arguments.times, arguments.labs, arguments.loss)
    for differences, output in wrong:
        print(differences, output, sep="\n")
    print(f"{arguments.times} runs in {arguments.labs} labs at {arguments.loss} % loss: {results} results, {len(wrong)} runs "
          f"differ, {time.monotonic() - began:.0f} s")
    sys.exit(bool(wrong))


main()

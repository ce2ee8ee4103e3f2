# SPDX-License-Identifier: GPL-3.0-or-later
"""attack_stack.py [--bin DIRECTORY] [--sequences N] [--seed S] [--first N] [--results FILE]: hostile segments, and what a real stack makes
of them.

Up to four of them are woven into each connection; after each the agent's picture of it is held against the host's socket
(stack_judge.py). The exit status is 1 if a sequence does harm, blinds the agent or leaves a ghost. `make attack-stack` plays 100,000 and
keeps the outcome in STACK.md.
"""

import argparse
import datetime
import os
import sys

import isolation
import kept

BATCH = 250


def play(count, seed, first=0, most=20, tell=lambda text: None, numbers=None):
    """Plays so many sequences, or those of these numbers; returns how many were played, and what they violated. `tell` is told of
    both in between."""
    from lab import Lab
    from stack_judge import Host
    violations, played = [], 0
    with Lab() as lab:
        host = Host(lab)
        try:
            numbers = numbers or range(first, first + count)
            for start in range(0, len(numbers), BATCH):
                batch = numbers[start:start + BATCH]
                found = host.play(seed, batch)
                violations += found
                played += len(batch)
                for text in found + [f"{played:,} played"] * (played % 5_000 == 0):
                    tell(text)
                if len(violations) >= most:
                    break
        finally:
            host.close()
    return played, violations


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", help="where portreeved and portreeve are; default .build/release")
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first sequence")
    parser.add_argument("--results", help="where to write the outcome")
    arguments = parser.parse_args()
    if arguments.bin:
        os.environ["PORTREEVE_BIN"] = os.path.abspath(arguments.bin)
    isolation.isolate()
    began = datetime.datetime.now()
    played, violations = play(
        arguments.sequences, arguments.seed, arguments.first, tell=lambda text: print(text, flush=True))
    seconds = (datetime.datetime.now() - began).seconds
    print(f"{played:,} sequences, {len(violations)} violations, {seconds} seconds")
    if violations:
        sys.exit(1)
    if arguments.results:
        head = kept.head("make attack-stack", began, seconds, arguments.bin or "release")
        with open(arguments.results, "w") as results:
            results.write(
                "# Hostile segments beside a real stack\n\n"
                f"{head}: {played:,} sequences (seed {arguments.seed}) of up to four hostile segments, each woven into a connection of its own. None did harm to what the "
                "two ends honestly said, let a socket receive what the agent took to belong to nothing, or left the agent with another "
                "picture of the connection than the socket's.\n")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""attack_conntrack.py [--bin DIRECTORY] [--conversations N] [--seed S] [--results FILE]: mutated conversations beside conntrack.

The same packets come to two routers: one is judged by the agent, the other drops what the kernel's connection tracking calls
INVALID. A packet that passes the agent although conntrack refuses it has to fall into one of the classes that `classes.py` names
and argues; the exit status is 1 if one falls into none. `make attack-conntrack` plays 100,000 and keeps the outcome in
CONNTRACK.md.
"""

import argparse
import collections
import os
import platform
import sys

import isolation

STEP = 4000


class Outcome:
    """What became of all packets so far."""

    def __init__(self):
        self.conversations = 0
        self.counts = collections.Counter()
        self.classes = collections.Counter()
        self.unclassed = []

    def add(self, conversation, by_agent, by_kernel):
        from classes import classify, describe
        self.conversations += 1
        self.counts.update(zip(by_agent, by_kernel))
        for place, name in classify(conversation, by_agent, by_kernel):
            self.classes[name] += 1
            if name is None and len(self.unclassed) < 20:
                self.unclassed.append(f"{conversation.number}:\n{describe(conversation, by_agent, by_kernel, place)}")

    @property
    def is_argued(self):
        return not self.classes[None]

    def text(self, seed):
        from classes import ARGUMENTS
        both, neither = self.counts[True, True], self.counts[False, False]
        lines = [
            "# Mutated conversations beside conntrack", "",
            f"`make attack-conntrack`, seed {seed}, Linux {platform.release()}: {self.conversations:,} conversations, "
            f"{sum(self.counts.values()):,} packets. Of these both let {both:,} pass and refuse {neither:,}; "
            f"{self.counts[False, True]:,} are refused by the agent alone. The other {self.counts[True, False]:,} pass the agent and "
            "are INVALID to conntrack:", "", "| class | packets | why they pass |", "|---|---|---|"]
        lines += [f"| {name} | {self.classes[name]:,} | {why} |" for name, why in ARGUMENTS.items()]
        lines += [f"| none | {self.classes[None]:,} | |", ""]
        return "\n".join(lines)


def play(count, seed, lab):
    """Plays so many conversations to both judges; returns the outcome."""
    from agent import Agent
    from classes import POLICY
    from conversations import conversation
    from judges import Beside
    outcome = Outcome()
    judges = Beside(lab)
    try:
        with Agent(judges.agents.namespace, POLICY) as agent:
            agent.namespace.rules("*mangle\n-A FORWARD -j NFQUEUE --queue-num 0\n", [4])
            for start in range(0, count, STEP):
                conversations = [conversation(seed, number) for number in range(start, min(count, start + STEP))]
                for one, (by_agent, by_kernel) in zip(conversations, judges.play(conversations)):
                    outcome.add(one, by_agent, by_kernel)
    finally:
        judges.close()
    return outcome


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", help="where portreeved and portreeve are; default .build/release")
    parser.add_argument("--conversations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", help="where to write the outcome")
    arguments = parser.parse_args()
    if arguments.bin:
        os.environ["PORTREEVE_BIN"] = os.path.abspath(arguments.bin)
    isolation.isolate()
    from lab import Lab
    with Lab() as lab:
        outcome = play(arguments.conversations, arguments.seed, lab)
    text = outcome.text(arguments.seed)
    print(text, *outcome.unclassed, sep="\n")
    if arguments.results and outcome.is_argued:
        with open(arguments.results, "w") as results:
            results.write(text)
    sys.exit(0 if outcome.is_argued else 1)


if __name__ == "__main__":
    main()

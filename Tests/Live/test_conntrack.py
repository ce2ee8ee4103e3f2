# SPDX-License-Identifier: GPL-3.0-or-later
"""The short form of attack_conntrack.py: what passes the agent although conntrack refuses it is argued, packet by packet."""

import unittest

import isolation

isolation.isolate()

from attack_conntrack import play
from classes import ARGUMENTS, classify
from conversations import conversation
from lab import Lab

COUNT, SEED = 2_000, 7


class ConntrackTests(unittest.TestCase):
    def test_what_only_the_agent_passes_is_of_a_class(self):
        with Lab() as lab:
            outcome = play(COUNT, SEED, lab)
        self.assertEqual(outcome.conversations, COUNT)
        self.assertEqual(outcome.unclassed, [])
        self.assertLessEqual(set(outcome.classes), set(ARGUMENTS))
        # Both judges saw them: most packets are honest, and some that are not are refused by both.
        self.assertGreater(outcome.counts[True, True], outcome.conversations * 5)
        self.assertGreater(outcome.counts[False, False], outcome.conversations // 2)

    def test_a_packet_of_no_class_is_found(self):
        """Were the agent to pass everything, the classes would not cover it."""
        unclassed = 0
        for number in range(200):
            one = conversation(SEED, number)
            everything, nothing = [True] * len(one.packets), [False] * len(one.packets)
            unclassed += sum(name is None for _, name in classify(one, everything, nothing))
        self.assertGreater(unclassed, 50)


if __name__ == "__main__":
    unittest.main(verbosity=2)

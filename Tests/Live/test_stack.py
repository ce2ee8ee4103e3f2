# SPDX-License-Identifier: GPL-3.0-or-later
"""The short form of attack_stack.py: what hostile segments do to a connection is the same to the agent and to the host's stack."""

import unittest

import isolation

isolation.isolate()

from attack_stack import play
from stack_judge import Picture

COUNT, SEED = 2_000, 7
# Of `make attack-stack`'s seed: sequences in which the two once differed. A RST with the number of the FIN; a FIN beyond a gap, over which
# the client went on; a FIN in the place of a byte or before bytes that were forged; options that cannot be read to their end; a SYN before an exact RST;
# a RST at what the host has acknowledged, while it has more; a SYN after a RST, which opens a connection of its own;
# a FIN ahead of data that is ahead as well, or in the place of a byte that came ahead; a SYN with an MD5 option, and a FIN with one; a byte in the place of
# the SYN that completes no opening.
ONCE = (438, 514, 682, 805, 933, 1_087, 1_562, 2_038, 2_166, 2_264, 2_484, 6_963, 9_429, 9_739, 12_584, 15_578,
        4_141, 7_345, 7_470, 7_476, 10_936, 15_484, 32_788, 55_059, 56_395, 93_393, 97_711)


class StackTests(unittest.TestCase):
    def test_nothing_is_violated(self):
        self.assertEqual(play(COUNT, SEED), (COUNT, []))

    def test_what_was_violated_once(self):
        self.assertEqual(play(0, 1, numbers=ONCE), (len(ONCE), []))

    def test_another_picture_is_found(self):
        for stack, agent, is_same in (
                ("ESTAB", "ESTABLISHED", True), ("ESTAB", "CLOSED", False), ("ESTAB", None, False), ("CLOSE-WAIT", "ESTABLISHED", False),
                ("CLOSE-WAIT", "FIN-WAIT-2", True), (None, "ESTABLISHED", False), (None, "CLOSED", True)):
            self.assertEqual(Picture(stack, 0, agent).is_same, is_same, (stack, agent))


if __name__ == "__main__":
    unittest.main(verbosity=2)

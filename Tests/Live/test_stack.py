# SPDX-License-Identifier: GPL-3.0-or-later
"""What attack_stack.py takes for the same picture of a connection, and what not."""

import unittest

import isolation

isolation.isolate()

from stack_judge import Picture


class StackTests(unittest.TestCase):
    def test_another_picture_is_found(self):
        for stack, agent, is_same in (
                ("ESTAB", "ESTABLISHED", True), ("ESTAB", "CLOSED", False), ("ESTAB", None, False), ("CLOSE-WAIT", "ESTABLISHED", False),
                ("CLOSE-WAIT", "FIN-WAIT-2", True), (None, "ESTABLISHED", False), (None, "CLOSED", True)):
            self.assertEqual(Picture(stack, 0, agent).is_same, is_same, (stack, agent))


if __name__ == "__main__":
    unittest.main(verbosity=2)

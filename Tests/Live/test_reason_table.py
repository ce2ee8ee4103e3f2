# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of all reasons is whole, and its tests exist. `make test` prints it."""

import unittest

import isolation

isolation.isolate()

import reason_table


class ReasonTableTests(unittest.TestCase):
    def test_nothing_is_missing(self):
        self.assertEqual(reason_table.faults(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)

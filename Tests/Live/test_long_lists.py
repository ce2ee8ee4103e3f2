# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of 20,000 addresses in `check`, `diff` and `explain`; `make prove-analysis` asks the same of a million."""

import os
import sys
import tempfile
import unittest

import isolation

isolation.isolate()

from agent import binaries

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "Oracles"))
import long_lists


class LongListTests(unittest.TestCase):
    def test_each_address_of_a_long_list_counts(self):
        with tempfile.TemporaryDirectory(prefix="portreeve-lists.") as folder:
            wrong, _ = long_lists.ask(os.path.join(binaries(), "portreeve"), folder, 20_000)
        self.assertEqual(wrong, [])

    def test_many_rules_with_long_lists_that_differ(self):
        """It took minutes: what any two lists have in common was found by walking along both."""
        with tempfile.TemporaryDirectory(prefix="portreeve-lists.") as folder:
            wrong, _ = long_lists.ask_of_many(os.path.join(binaries(), "portreeve"), folder, 4_000, 40)
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)

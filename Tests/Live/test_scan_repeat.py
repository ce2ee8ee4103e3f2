# SPDX-License-Identifier: GPL-3.0-or-later
"""The same plan gives the same results, on a loaded machine and a path that loses packets. `make repeat-scan` does it a thousand
times."""

import unittest

import isolation

isolation.isolate()

import repeats


class RepeatTests(unittest.TestCase):
    seconds = 37

    def test_twenty_times_the_same(self):
        wrong, results = repeats.run(20, labs=4)
        self.assertEqual([each[0] for each in wrong], [], "\n".join(each[1] for each in wrong))
        self.assertEqual(results, 20 * len(repeats.EXPECTED))


if __name__ == "__main__":
    unittest.main(verbosity=2)

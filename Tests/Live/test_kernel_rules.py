# SPDX-License-Identifier: GPL-3.0-or-later
"""The same rules, written as iptables rules, decide alike in the kernel. `make prove-analysis` asks of 100,000 packets."""

import os
import unittest

import isolation

isolation.isolate()

import tempfile

import kernel_rules
from agent import binaries


class KernelRulesTests(unittest.TestCase):
    def test_the_kernel_decides_alike(self):
        with tempfile.TemporaryDirectory(prefix="portreeve-rules.") as folder:
            wrong, passed, refused = kernel_rules.compare(os.path.join(binaries(), "portreeve"), 6, 250, folder, seed=1000)
        self.assertEqual(wrong, [])
        self.assertGreater(passed, 100)
        self.assertGreater(refused, 100)


if __name__ == "__main__":
    unittest.main(verbosity=2)

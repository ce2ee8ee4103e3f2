# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve scan` and `portreeve reflect`: the control channel, leases, and what a scan says."""

import unittest

import isolation

isolation.isolate()

from lab import Lab
from paths import Reflector, scan


class ScanTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.router, cls.host = cls.lab.client, cls.lab.router, cls.lab.host
        cls.reflector = cls.enterClassContext(Reflector(cls.host))

    def scan(self, address, *options, **more):
        return scan(self.client, address, *options, key=self.reflector.key, **more)

    def test_open_and_dropped(self):
        for family, tool, address in ((4, "iptables", self.host.ip4), (6, "ip6tables", self.host.ip6)):
            with self.subTest(family=family):
                self.router.run(tool, "-A", "FORWARD", "-p", "tcp", "--dport", "81", "-j", "DROP")
                found = self.scan(address, "-t", "80-81", "-u", "53", "-i", "1500", "--retries", "0")
                print(found.output)
                self.assertEqual(found.word(80), ("open", "answered"))
                self.assertEqual(found.word(81), ("handshake_timeout", "syn_sent=2"))
                self.assertEqual(found.word(53, "udp"), ("open", "answered"))


if __name__ == "__main__":
    unittest.main(verbosity=2)

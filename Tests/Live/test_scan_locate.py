# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve scan --locate`: which hop answered last, and which did not, behind two routers."""

import unittest

import isolation

isolation.isolate()

from paths import LongLab, Reflector, scan

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all")


class LocateTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(LongLab())
        cls.reflector = cls.enterClassContext(Reflector(cls.lab.far))
        for machine, port in ((cls.lab.router, 81), (cls.lab.host, 82)):
            machine.rules(f"*filter\n-A FORWARD -p tcp --dport {port} -j DROP\n-A FORWARD -p udp --dport {port} -j DROP\n")
        cls.lab.host.rules("*raw\n-A PREROUTING -p tcp --dport 83 -j DROP\n")
        cls.lab.router.rules("*filter\n-A FORWARD -p tcp --dport 84 -j REJECT --reject-with tcp-reset\n"
                             "-A FORWARD -p tcp --dport 85 --tcp-flags PSH PSH -j DROP\n")

    def ways(self):
        """(target, first router, second router)"""
        return ((self.lab.far.ip4, self.lab.router.ip4, "198.18.2.2"), (self.lab.far.ip6, self.lab.router.ip6, "fd00:2::2"))

    def check(self, hop, answered, silent):
        self.assertEqual((hop["answered"], hop["silent"]), (
            {"number": answered[0], "address": answered[1]}, {"number": silent[0], "address": silent[1]}), hop)

    def test_the_right_router_is_named(self):
        for target, first, second in self.ways():
            found = scan(self.lab.client, target, "-t", "80-85", "-u", "81-82", "-i", "700", "--retries", "0", "--locate",
                         key=self.reflector.key)
            self.assertEqual(found.word(80), ("open", "answered"))
            self.assertNotIn("hop", found.of(80))
            for proto in ("tcp", "udp"):
                # A filter in FORWARD drops what the router has let pass its look at the hop limit.
                self.check(found.of(81, proto)["hop"], (1, first), (2, second))
                self.check(found.of(82, proto)["hop"], (2, second), (3, target))
            self.check(found.of(83)["hop"], (1, first), (2, second))
            self.assertEqual((found.of(84)["hop"]["refused"]["number"], found.of(84)["hop"]["is_target"]), (2, False))
            self.assertIn("hop unknown", found.of(85)["hop"]["text"])

    def test_it_takes_no_rights(self):
        """As a user that may do nothing, without a reflector."""
        target, first, second = self.ways()[0]
        found = scan(self.lab.client, None, "--target", target, "-t", "7411,82", "-i", "700", "--retries", "0", "--locate",
                     wrapper=NOBODY)
        self.assertEqual(found.word(7411), ("open", "connected"), found.output)
        self.check(found.of(82)["hop"], (2, second), (3, target))


if __name__ == "__main__":
    unittest.main(verbosity=2)

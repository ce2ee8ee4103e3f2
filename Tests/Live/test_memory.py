# SPDX-License-Identifier: GPL-3.0-or-later
"""engine.limits.memory: what the tables take is counted, and no more than the bound."""

import re
import unittest

import isolation

isolation.isolate()

from agent import Agent, reasons
from lab import Lab

POLICY = """
version: 1
engine:
  timeouts: { cold-start: 0s, boot-start: 0s, udp: 10m }
  limits: { memory: 4MiB, fragmented-datagrams: 1 }
"""
# Nobody answers: the router drops what it forwards to the port, and says nothing.
ASK = """
import socket, sys
for i in range(int(sys.argv[1])):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('', 2000 + i))
    try: s.sendto(b'x', (sys.argv[2], 9999))
    except PermissionError: pass
    s.close()
"""


class MemoryTests(unittest.TestCase):
    def test_an_opening_beyond_the_memory(self):
        lab = self.enterContext(Lab())
        lab.router.run("iptables", "-A", "FORWARD", "-p", "udp", "--dport", "9999", "-j", "DROP")
        agent = self.enterContext(Agent(lab.host, POLICY, fold="1s"))
        agent.feed()
        lab.host.python(ASK, 1_000, lab.client.ip4)
        report = agent.settled_report()
        self.assertEqual(report["connections"]["udp"], 1_000)
        self.assertEqual(agent.events(), [])
        lab.host.python(ASK, 15_000, lab.client.ip4, seconds=120)
        report = agent.settled_report()
        dropped = {row["reason"]: row["dropped"] for row in report["reasons"]}
        known = report["connections"]["udp"]
        self.assertEqual(dropped["out-of-memory"], 15_000 - known)
        self.assertGreater(known, 5_000)
        self.assertEqual(reasons(agent.events()), {"out-of-memory": 15_000 - known})

    def test_a_bound_that_leaves_no_room(self):
        lab = self.enterContext(Lab())
        agent = Agent(lab.host, "version: 1\nengine: { limits: { memory: 4MiB } }\n")
        status, output = agent.tool_status("check")
        self.assertEqual(status, 1)
        self.assertRegex(output, r"policy.yaml:2:\d+: error: found a memory of 4 MiB for all tables, expected at least \d+ MiB")


if __name__ == "__main__":
    unittest.main(verbosity=2)

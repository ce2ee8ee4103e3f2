# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel itself says about a packet that it lets go no further reaches whoever sent that packet, also where
connections are tracked and the agent judges what this machine sends."""

import unittest

import isolation

isolation.isolate()

from agent import Agent
from lab import Lab

POLICY = """
version: 1
stateful: { udp: { admit: allow } }
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
"""
REJECTING = """
*filter
-A INPUT -p tcp -m tcp --dport 113 -j REJECT --reject-with tcp-reset
-A INPUT -p udp -m udp --dport 113 -j REJECT
"""
# Any rule that asks for connection tracking switches it on.
TRACKING = "-A INPUT -m conntrack --ctstate INVALID -j DROP\n"
ASK = """
import socket, sys
address, kind = sys.argv[1], int(sys.argv[2])
asking = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, kind)
asking.settimeout(10)
try:
    asking.connect((address, 113))
    asking.send(b'who is it')
    asking.recv(100)
except ConnectionRefusedError:
    print('refused')
except TimeoutError:
    print('no answer')
"""
STREAM, DATAGRAM = 1, 2


class RefusalTests(unittest.TestCase):
    def answers(self, rules):
        """What comes back over each family and protocol."""
        with Lab() as lab, Agent(lab.host, POLICY) as agent:
            for family in (4, 6):
                lab.host.rules(rules, [family])
            agent.feed_as_printed()
            answers = {
                lab.client.python(ASK, address, kind).strip()
                for address in (lab.host.ip4, lab.host.ip6) for kind in (STREAM, DATAGRAM)}
            self.assertEqual(agent.events(), [])
            self.assertGreater(sum(queue["packets"] for queue in agent.report()["queues"]), 3)
            return answers

    def test_rejections_are_heard(self):
        self.assertEqual(self.answers(REJECTING), {"refused"})

    def test_rejections_are_heard_where_connections_are_tracked(self):
        self.assertEqual(self.answers(REJECTING + TRACKING), {"refused"})


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Where no interface is ignored, what a host says to itself comes to the queue twice: it goes out and comes in."""

import unittest

import isolation

isolation.isolate()

from agent import Agent, hand_written_rules, reasons
from lab import Lab, wait_until

# Datagrams and pings are admitted by the host's own openings alone; a SYN is put to the incoming rules when it comes in.
POLICY = """
version: 1
interfaces: { ignore: [] }
rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: [80, 7002] } }]
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
"""

# From one port to another and back, and from a port to itself.
SPEAK = """
import socket, sys
kind, address = socket.SOCK_STREAM if sys.argv[1] == 'tcp' else socket.SOCK_DGRAM, sys.argv[2]
family = socket.AF_INET6 if ':' in address else socket.AF_INET
def at(port):
    s = socket.socket(family, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.settimeout(10)
    s.bind((address, port))
    return s
a, b = at(7001), at(7002)
if sys.argv[1] == 'tcp':
    b.listen()
    a.connect((address, 7002))
    b = b.accept()[0]
else:
    a.connect((address, 7002))
    b.connect((address, 7001))
itself = at(7003)
itself.connect((address, 7003))
for one, other in ((a, b), (b, a), (itself, itself)):
    for text in (b'there', b'again'):
        one.sendall(text)
        assert other.recv(10) == text
for s in (a, b, itself):
    s.close()
"""


class LoopbackTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = cls.enterClassContext(Lab()).host
        cls.agent = cls.enterClassContext(Agent(cls.host, POLICY))
        for family, text in hand_written_rules().items():
            cls.host.rules(text.replace("! -i lo ", "").replace("! -o lo ", ""), [family])
        cls.addresses = ["127.0.0.1", "127.0.0.2", cls.host.ip4, "::1", cls.host.ip6]

    def assert_passes(self, *command):
        for address in self.addresses:
            with self.subTest(address):
                self.host.run(*command, address)
        self.agent.settled_report()
        self.assertEqual(self.agent.events(), [])

    def test_ping(self):
        self.assert_passes("ping", "-q", "-c", "3", "-i", "0.2", "-W", "5", "-s", "3000")

    def test_datagrams(self):
        self.assert_passes("/usr/bin/python3", "-c", SPEAK, "udp")

    def test_connections(self):
        self.assert_passes("/usr/bin/python3", "-c", SPEAK, "tcp")

    def test_a_port_that_no_rule_opens_is_closed_to_the_host_itself(self):
        seen = len(self.agent.events())
        listener = self.host.start("/usr/bin/python3", "-m", "http.server", "8080", name="forbidden")
        self.addCleanup(listener.stop)
        wait_until(lambda: self.host.listens(8080), "the server listens")
        for address in ("127.0.0.1", self.host.ip4):
            status = self.host.status("curl", "-s", "-m", "3", f"http://{address}:8080/")[0]
            self.assertEqual(status, 28, "no answer within the time")
        self.agent.settled_report()
        events = self.agent.events()[seen:]
        self.assertTrue(events)
        self.assertLessEqual(set(reasons(events)), {"out-of-allowed-policy", "out-of-allowed-policy-open-port"})
        self.assertEqual({event["dest_port"] for event in events}, {8080})


if __name__ == "__main__":
    unittest.main()

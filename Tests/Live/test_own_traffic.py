# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent itself sends passes whatever the rules say: its mark and its user together tell, never the mark alone."""

import shutil
import unittest

import isolation

isolation.isolate()

from agent import Agent, reasons
from lab import Lab, wait_until

PORT = 601
MARK = 0x01000000
POLICY = f"""
version: 1
rules:
  - {{ name: Out, action: deny, direction: outgoing, priority: 4, protocol: tcp+udp, destination: {{ ports: {PORT} }} }}
  - {{ name: In, action: deny, direction: incoming, priority: 4, protocol: tcp+udp, source: {{ ports: {PORT} }} }}
engine: {{ timeouts: {{ cold-start: 0s, boot-start: 0s }} }}
"""
ECHO = f"""
import socket, sys, threading
def answer(address):
    datagrams = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((address, {PORT}))
    while True:
        data, sender = datagrams.recvfrom(100)
        datagrams.sendto(data, sender)
for address in sys.argv[1:]:
    threading.Thread(target=answer, args=[address], daemon=True).start()
listener = socket.create_server(("::", {PORT}), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    connection, _ = listener.accept()
    connection.sendall(connection.recv(100))
    connection.recv(100)
    connection.close()
"""
# Prints whether the answer came.
ASK = f"""
import socket, sys
kind, address, mark = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
if mark:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
s.settimeout(1.5)
try:
    s.connect((address, {PORT}))
    s.sendall(b"event")
    print(s.recv(100) == b"event")
except OSError:
    print(False)
s.close()
"""
NOBODY = "65534"


class OwnTrafficTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host
        echo = cls.client.start("/usr/bin/python3", "-c", ECHO, cls.client.ip4, cls.client.ip6, name="echo")
        wait_until(lambda: cls.client.listens(PORT) and cls.client.listens(PORT, "u"), "the echo listens", process=echo)
        cls.agent = cls.enterClassContext(Agent(cls.host, POLICY))
        cls.agent.feed_as_printed()

    def is_answered(self, kind, address, mark, user=None):
        words = ["/usr/bin/python3", "-c", ASK, kind, address, mark]
        if user:
            words = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--inh-caps=+net_admin,+net_raw",
                     "--ambient-caps=+net_admin,+net_raw", *words]
        return self.host.run(*words).strip() == "True"

    def each(self):
        for kind in ("tcp", "udp"):
            for address in (self.client.ip4, self.client.ip6):
                with self.subTest(kind=kind, address=address):
                    yield kind, address

    def test_the_agent_is_answered(self):
        for kind, address in self.each():
            self.assertTrue(self.is_answered(kind, address, MARK))
            self.assertEqual(self.agent.events(), [])

    def test_its_user_without_the_mark_is_not(self):
        for kind, address in self.each():
            self.assertFalse(self.is_answered(kind, address, MARK << 1))
            self.assertEqual(set(reasons(self.agent.wait_for_events())), {"deny"})

    @unittest.skipIf(isolation.is_user_namespace(), "there is no other user in this namespace")
    @unittest.skipUnless(shutil.which("setpriv"), "setpriv is missing")
    def test_another_user_with_the_mark_is_not(self):
        """As somebody who may run a program that sets any mark."""
        for kind, address in self.each():
            self.assertFalse(self.is_answered(kind, address, MARK, NOBODY))
            events = self.agent.wait_for_events()
            self.assertEqual(set(reasons(events)), {"deny"})
            self.assertEqual({event["portreeve"]["uid"] for event in events}, {int(NOBODY)})

    def test_no_printed_rule_asks_for_a_mark(self):
        self.assertNotIn("mark", self.agent.tool("iptables", "--print"))


if __name__ == "__main__":
    unittest.main(verbosity=2)

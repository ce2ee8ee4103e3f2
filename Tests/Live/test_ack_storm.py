# SPDX-License-Identifier: GPL-3.0-or-later
"""An ACK storm of two real stacks: data forged in the name of each makes them answer each other's acknowledgements without
end. The threshold ends it, and the connection lives on."""

import json
import unittest

import isolation

isolation.isolate()

from agent import Agent, reasons
from forge import Injector, Originator
from lab import Lab, wait_until
from scapy.layers.inet import IP, TCP
from test_forgeries import ECHO, Victim

QUIET = "version: 1\nengine: { timeouts: { cold-start: 0s, boot-start: 0s } }\n"
STORM = QUIET + "stateful: { tcp: { ack-storm: { threshold: 100, drop-connection: %s } } }\n"
FORGED = 100

# Reads, and never says anything.
SERVER = """
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('0.0.0.0', int(sys.argv[1])))
s.listen(1)
print('ready', flush=True)
c, _ = s.accept()
while c.recv(65536):
    pass
"""


class AckStormTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.host, cls.client = cls.lab.host, cls.lab.client
        for namespace in (cls.host, cls.client):
            # Linux answers twice a second otherwise: so much it has against storms itself.
            namespace.sysctl(net__ipv4__tcp_invalid_ratelimit=0)
        cls.injector = Injector(cls.lab.router, "out0", cls.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)
        cls.originator = Originator(cls.host)
        cls.addClassCleanup(cls.originator.close)

    def setUp(self):
        self.server = self.host.start("/usr/bin/python3", "-c", SERVER, ECHO, name="server")
        self.addCleanup(self.server.stop)
        wait_until(lambda: "ready" in self.server.output(), "the server listens", process=self.server)
        self.agent = self.enterContext(Agent(self.host, QUIET))
        self.addCleanup(self.host.flush_rules)
        self.agent.feed()
        self.victim = Victim(self.client, self.host.ip4)
        self.addCleanup(self.victim.socket.close)

    def packets(self):
        return sum(queue["packets"] for queue in self.agent.report()["queues"])

    def begin(self):
        """Each side believes that the other has sent what it has not."""
        try:
            sent, received = self.victim.numbers
        except PermissionError as why:
            self.skipTest(f"the numbers of a connection cannot be read here: {why}")
        data = b"f" * FORGED
        segment = {"flags": "PA", "window": 500}
        before = self.packets()
        self.originator.send(IP(src=self.victim.host, dst=self.victim.address) / TCP(
            sport=ECHO, dport=self.victim.port, seq=received, ack=sent, **segment) / data)
        wait_until(lambda: self.victim.numbers[1] == (received + FORGED) % (1 << 32), "the client has taken it")
        wait_until(lambda: self.packets() >= before + 2, "its answer was judged")
        self.injector.send(IP(src=self.victim.address, dst=self.victim.host) / TCP(
            sport=self.victim.port, dport=ECHO, seq=sent, ack=received, **segment) / data)
        before = self.packets()
        wait_until(lambda: self.packets() > before + 1000, "the storm goes on and on")
        self.assertEqual(self.agent.events(), [])

    def put_in_force(self, policy):
        self.agent.write_policy(policy)
        self.agent.tool("reload")

    def states(self):
        rows = self.agent.tool("connections", "--json", "--port", ECHO).splitlines()
        return [json.loads(row)["state"] for row in rows]

    def test_it_ends_and_the_connection_lives(self):
        self.begin()
        self.put_in_force(STORM % "false")
        events = self.agent.wait_for_events(1)
        self.assertEqual(set(reasons(events)), {"maximum-ack-retransmit"})
        self.assertEqual(events[0]["portreeve"]["explain"], ["stateful.tcp.ack-storm.threshold: 100"])

        def is_quiet():
            before = self.packets()
            return self.agent.settled_report() and self.packets() == before

        wait_until(is_quiet, "nothing is sent any more")
        self.assertEqual(self.states(), ["ESTABLISHED"])
        for namespace, side in ((self.host, "sport"), (self.client, "dport")):
            self.assertTrue(namespace.run("ss", "-Htn", "state", "established", f"( {side} = :{ECHO} )").strip(),
                            "neither stack has given it up")
        others = [event for event in self.agent.events() if event["portreeve"]["reason"] != "maximum-ack-retransmit"]
        self.assertEqual(others, [])

    def test_drop_connection(self):
        self.begin()
        self.put_in_force(STORM % "true")
        self.agent.wait_for_events(1)
        self.assertEqual(self.states(), ["CLOSED"])
        self.victim.socket.sendall(b"." * FORGED + b"more")
        found = []
        wait_until(lambda: found.extend(self.agent.events()) or "packet-on-closed-connection" in reasons(found),
                   "what is new is of a closed connection")


if __name__ == "__main__":
    unittest.main(verbosity=2)

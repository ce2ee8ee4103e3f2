# SPDX-License-Identifier: GPL-3.0-or-later
"""A flood at the queue of one worker takes nothing away from the others."""

import json
import os
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent
from forge import Injector
from lab import Lab, wait_until
from long_flood import LongFlood
from scapy.layers.inet import IP, TCP, UDP

POLICY = """
version: 1
engine: { limits: { tcp: 320, udp: 320 }, timeouts: { syn-sent: 1h, syn-received: 1h, udp: 1h } }
stateful: { udp: { admit: allow } }
"""
FLOOD = "198.18.66.6"
HONEST = "198.18.77.7"
# Which queue a packet goes to is no matter of the kernel's hash here.
RULES = f"""*mangle
-A PREROUTING ! -i lo -s {FLOOD} -j NFQUEUE --queue-num 0
-A PREROUTING ! -i lo -m addrtype --dst-type LOCAL -j NFQUEUE --queue-num 1
-A OUTPUT ! -o lo -d {FLOOD} -j NFQUEUE --queue-num 0
-A OUTPUT ! -o lo -j NFQUEUE --queue-num 1
COMMIT
"""


class FloodTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.router, cls.host = cls.lab.client, cls.lab.router, cls.lab.host
        cls.enterClassContext(services.nginx(cls.host))
        cls.injector = Injector(cls.router, "out0", cls.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)

    def setUp(self):
        self.agent = Agent(self.host, POLICY, queues=(0, 1), name=os.path.basename(self.lab.file("agent"))).start()
        self.addCleanup(self.agent.stop)
        self.addCleanup(self.host.flush_rules)
        self.host.rules(RULES, [4])

    def connections(self, *words):
        return [json.loads(line) for line in self.agent.tool("connections", "--json", *words).splitlines()]

    def held_by(self, address):
        return sum(row["src_ip"] == address for row in self.connections())

    def packets(self):
        return {queue["number"]: queue["packets"] for queue in self.agent.report()["queues"]}

    def test_handshakes_and_datagrams_of_others_stay(self):
        to_host = IP(src=HONEST, dst=self.host.ip4)
        self.injector.burst(to_host / TCP(dport=80, flags="S"), 10, self.host, checksum=16)
        self.injector.burst(to_host / UDP(dport=53), 10, self.host, checksum=6)
        wait_until(lambda: self.held_by(HONEST) == 20, "the honest openings are known")
        before = self.packets()
        flood = IP(src=FLOOD, dst=self.host.ip4)
        self.injector.burst(flood / TCP(dport=80, flags="S"), 3000, self.host, checksum=16)
        self.injector.burst(flood / UDP(dport=53), 3000, self.host, checksum=6)
        wait_until(lambda: self.packets()[0] - before[0] >= 6000, "the flood is judged")
        self.assertEqual(self.held_by(HONEST), 20)
        # What is left of the limit is for those who hold less than their share.
        self.assertEqual(self.held_by(FLOOD), 2 * 300 - 20)
        for _ in range(10):
            self.client.run("curl", "-sSf", "-m", 30, f"http://{self.host.ip4}/")
        self.assertEqual(self.held_by(HONEST), 20)
        counts = self.agent.report()["connections"]
        self.assertLessEqual(counts["tcp"], 320)
        self.assertLessEqual(counts["udp"], 320)


class LongFloodTests(unittest.TestCase):
    def test_all_that_must_be_bounded_is_and_nothing_stays(self):
        """What `make flood-hour` plays for an hour."""
        lab = self.enterContext(Lab())
        run = LongFlood(lab)
        self.addCleanup(run.agent.stop)
        run.run(seconds=6, rate=3000, every=2)
        self.assertEqual(run.problems, [])
        self.assertGreater(run.sent["sent"], 0)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""What moves the agent's picture of a connection, although the host's stack ignores it: each attack is made on living
connections of real stacks, which must neither suffer from it nor be forgotten by the limits."""

import json
import random
import socket
import struct
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from forge import Injector, inside
from lab import Lab, wait_until
from scapy.layers.inet import IP, TCP
from test_forgeries import ECHO, Victim

COLD_START = """
version: 1
engine: { timeouts: { cold-start: 5m, boot-start: 0s } }
rules: [{ name: Echo, action: allow, direction: incoming, protocol: tcp, destination: { ports: 7 } }]
"""
LIMITED = """
version: 1
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
stateful: { tcp: { limits: { incoming-per-computer: 2, half-open-per-computer: 2 } } }
"""


class StateAttackTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.enterClassContext(services.echo(cls.lab.host))
        cls.injector = Injector(cls.lab.router, "out0", cls.lab.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)

    def tearDown(self):
        self.lab.host.flush_rules()

    def victim(self):
        victim = Victim(self.lab.client, self.lab.host.ip4)
        # Its end leaves no TIME-WAIT behind: the counts of the next test begin with none.
        victim.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.addCleanup(victim.socket.close)
        return victim

    def numbers(self, victim):
        try:
            return victim.numbers
        except PermissionError as why:
            self.skipTest(f"the numbers of a connection cannot be read here: {why}")

    def agent(self, policy):
        agent = self.enterContext(Agent(self.lab.host, policy, queues=(0, 0)))
        agent.feed()
        return agent

    def inject(self, agent, *packets):
        judged = lambda: sum(queue["packets"] for queue in agent.report()["queues"])
        before = judged()
        for packet in packets:
            self.injector.send(packet)
        wait_until(lambda: judged() >= before + len(packets), "the agent has judged them")

    def segment(self, victim, flags, sequence=0, acknowledgement=0, data=b"", **fields):
        return IP(src=victim.address, dst=victim.host) / TCP(
            sport=victim.port, dport=ECHO, flags=flags, seq=sequence % (1 << 32), ack=acknowledgement % (1 << 32),
            window=500, **fields) / data

    def phases(self, agent):
        lines = agent.tool("connections", "--json", "--protocol", "tcp").splitlines()
        return sorted(json.loads(line)["state"] for line in lines)

    def test_one_forged_segment_each_in_a_cold_start(self):
        victims = [self.victim() for _ in range(20)]
        for victim in victims:
            self.assertTrue(victim.is_echoed())
        agent = self.agent(COLD_START)
        for number, victim in enumerate(victims):
            flags = ("A", "PA", "FA", "SA", "R", "RA")[number % 6]
            self.inject(agent, self.segment(
                victim, flags, random.getrandbits(32), random.getrandbits(32), b"evil" if flags == "PA" else b""))
        for _ in range(3):
            for victim in victims:
                self.assertTrue(victim.is_echoed())
        agent.settled_report()
        self.assertEqual(reasons(agent.events()), {})
        self.assertEqual(self.phases(agent), ["ESTABLISHED"] * 20)

    def test_a_reset_that_the_host_challenges_gives_no_place_free(self):
        agent = self.agent(LIMITED)
        for _ in range(2):
            victim = self.victim()
            self.assertTrue(victim.is_echoed())
            sequence, acknowledgement = self.numbers(victim)
            self.inject(agent, self.segment(victim, "PA", sequence + 100, acknowledgement, b"x" * 500))
            self.inject(agent, self.segment(victim, "R", sequence + 601, acknowledgement))
        agent.settled_report()
        self.assertEqual(self.phases(agent), ["ESTABLISHED"] * 2)
        with inside(self.lab.client), socket.socket() as third:
            third.settimeout(1)
            with self.assertRaises(TimeoutError):
                third.connect((self.lab.host.ip4, ECHO))
        self.assertLessEqual(set(reasons(agent.events())), {"max-incoming-connections"})

    def test_a_wrong_checksum_moves_nothing(self):
        agent = self.agent(LIMITED)
        victim = self.victim()
        self.assertTrue(victim.is_echoed())
        sequence, acknowledgement = self.numbers(victim)
        for flags in ("R", "RA", "FA", "PA"):
            self.inject(agent, self.segment(
                victim, flags, sequence, acknowledgement, b"x" if flags == "PA" else b"", chksum=0x1234))
        self.inject(agent, *(IP(src="198.18.1.77", dst=self.lab.host.ip4) / TCP(
            sport=2000 + number, dport=ECHO, flags="S", seq=number, chksum=0x1234) for number in range(50)))
        self.assertEqual(self.phases(agent), ["ESTABLISHED"])
        self.assertTrue(victim.is_echoed())
        self.assertEqual(reasons(agent.events()), {})

    def test_a_conversation_is_not_said_again_after_a_new_syn(self):
        agent = self.agent(LIMITED)
        # The client answers nothing that it did not begin.
        self.lab.client.rules("*filter\n-A OUTPUT -p tcp --tcp-flags RST RST -j DROP", [4])
        self.addCleanup(self.lab.client.flush_rules)
        victim = Victim(self.lab.client, self.lab.host.ip4)
        sequence, acknowledgement = self.numbers(victim)
        for _ in range(3):
            self.assertTrue(victim.is_echoed(b"said once"))
        victim.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(victim.socket.recv(10), b"")
        victim.socket.close()
        wait_until(lambda: self.phases(agent) in (["TIME-WAIT"], ["CLOSED"]), "the connection is over")
        self.assertEqual(reasons(agent.events()), {})
        old = [self.segment(victim, "PA", sequence + at, acknowledgement + at, b"said once") for at in (0, 9, 18)]
        old += [self.segment(victim, "A", sequence + 9, acknowledgement + 9),
                self.segment(victim, "FA", sequence + 27, acknowledgement + 27)]
        self.inject(agent, self.segment(victim, "S", sequence + (1 << 20)))
        self.inject(agent, *old)
        self.assertEqual(reasons(agent.wait_for_events(len(old))), {"packet-on-closed-connection": len(old)})


if __name__ == "__main__":
    unittest.main()

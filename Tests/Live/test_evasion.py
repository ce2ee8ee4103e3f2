# SPDX-License-Identifier: GPL-3.0-or-later
"""The checklist of evasions (evasions.py), played on connections of real stacks wherever the agent may stand. For each packet: one
reason or none, and the agent's picture of the connection stays that of the host's socket. Afterwards the connection goes on.

PORTREEVE_EVASION=all plays every row everywhere; without it each row is played in one of the places."""

import json
import os
import unittest

import isolation

isolation.isolate()

import evasions
import services
from agent import Agent
from forge import Injector
from lab import Lab, wait_until
from scapy.layers.inet import IP, TCP
from scapy.packet import Padding
from test_forgeries import ECHO, Victim

POLICY = """
version: 1
interfaces: { inside: [%s] }
engine: { anti-evasion: strict, timeouts: { cold-start: 0s, boot-start: 0s } }
"""
TCP_TIMESTAMP = 24
# What the host's socket is in, and what the agent may call that: its names are those of the side that opened.
PICTURE = {"ESTAB": {"ESTABLISHED"}, "CLOSE-WAIT": {"FIN-WAIT-1", "FIN-WAIT-2"}, None: {"CLOSED", "TIME-WAIT", None}}
MOST_GROWTH = 64 << 20


class Scene:
    """One connection, and what is woven into it."""

    def __init__(self, test):
        self.test = test
        self.victim = Victim(test.lab.client, test.lab.host.ip4)
        test.addCleanup(self.victim.socket.close)
        self.exchange(b"hello")
        try:
            self.victim.numbers
        except PermissionError as why:
            test.skipTest(f"the numbers of a connection cannot be read here: {why}")
        self.compare()

    def exchange(self, data):
        self.test.assertTrue(self.victim.is_echoed(data))

    def stamp(self, shift):
        """A time stamp that differs by so much from the client's next one; None: zero."""
        now = self.victim.socket.getsockopt(6, TCP_TIMESTAMP) & 0xFFFFFFFF
        return [("NOP", None), ("NOP", None), ("Timestamp", (0 if shift is None else (now + shift) % (1 << 32), 0))]

    def sack(self, *edges):
        acknowledgement = self.victim.numbers[1]
        return [("NOP", None), ("NOP", None), ("SAck", tuple((acknowledgement + edge) % (1 << 32) for edge in edges))]

    def passes(self, flags, **packet):
        self._inject(flags, **packet)
        self._check([])

    def drops(self, flags, reason, **packet):
        self._inject(flags, **packet)
        self._check([reason])

    def ignored(self, flags, reason, **packet):
        """Either is right: strict posture drops what the host ignores, where it sees what the host does not believe."""
        self._inject(flags, **packet)
        found = self.test.found(self.victim.port, 1, seconds=2)
        self.test.assertLessEqual(set(found), {reason})
        self.compare()

    def _inject(self, flags, by=0, acknowledging=0, data=b"", trailer=b"", window=500, options=(), **fields):
        sequence, acknowledgement = self.victim.numbers
        fields.setdefault("sport", self.victim.port)
        packet = IP(src=self.victim.address, dst=self.victim.host) / TCP(
            dport=ECHO, flags=flags, seq=(sequence + by) % (1 << 32), window=window, options=list(options),
            ack=(acknowledgement + acknowledging) % (1 << 32) if "A" in flags else 0, **fields) / data
        if trailer:
            packet = packet / Padding(trailer)
        before = self.test.judged()
        self.test.injector.send(packet)
        wait_until(lambda: self.test.judged() > before, "the agent has judged it")

    def _check(self, reasons):
        found = self.test.found(self.victim.port, len(reasons))
        self.test.assertEqual(found, reasons)
        self.compare()

    def compare(self):
        """The agent and the host's socket take the connection for the same."""
        wait_until(lambda: self.agents() in PICTURE.get(self.hosts(), set()), "the agent's picture is the socket's", 10)

    def agents(self):
        for line in self.test.agent.tool("connections", "--json", "--protocol", "tcp").splitlines():
            row = json.loads(line)
            if row["src_port"] == self.victim.port:
                return row["state"]
        return None

    def hosts(self):
        listing = self.test.lab.host.run("ss", "-Htan", f"sport = :{ECHO} and dport = :{self.victim.port}").split()
        return listing[0] if listing else None


class EvasionPlace:
    """Where the agent stands."""

    offload = True
    number = 0

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab(offload=cls.offload))
        cls.enterClassContext(services.echo(cls.lab.host))
        machine, interface, target = cls.place()
        cls.injector = Injector(machine, interface, target)
        cls.addClassCleanup(cls.injector.close)
        cls.agent = cls.enterClassContext(Agent(cls.machine(), POLICY % cls.inside(), queues=(0, 1)))
        cls.feed()

    @classmethod
    def machine(cls):
        return cls.lab.host

    @classmethod
    def inside(cls):
        return ""

    @classmethod
    def place(cls):
        return cls.lab.router, "out0", cls.lab.host.mac("eth0")

    @classmethod
    def feed(cls):
        cls.agent.feed()

    def judged(self):
        return sum(queue["packets"] for queue in self.agent.report()["queues"])

    def found(self, port, count, seconds=30):
        """The reasons of new events of the connection, when so many have come."""
        events = self.agent.wait_for_events(count, seconds) if count else self.agent.events()
        # Port 0 is one of the rows.
        return [e["portreeve"]["reason"] for e in events if {port, 0} & {e.get("src_port"), e.get("dest_port")}]

    def test_every_row(self):
        before = self.agent.resident_bytes()
        for place, play in enumerate(evasions.ROWS):
            if os.environ.get("PORTREEVE_EVASION") != "all" and place % 3 != self.number:
                continue
            with self.subTest(f"{play.number} {play.__name__}"):
                scene = Scene(self)
                play(scene)
                if not play.ends:
                    scene.exchange(b"and it goes on")
                    scene.compare()
                    self.assertEqual(self.found(scene.victim.port, 0), [])
                scene.victim.socket.close()
        self.assertLess(self.agent.resident_bytes() - before, MOST_GROWTH)


class PreroutingTests(EvasionPlace, unittest.TestCase):
    pass


class InputBesideConntrackTests(EvasionPlace, unittest.TestCase):
    number = 1

    @classmethod
    def feed(cls):
        cls.lab.host.rules("*filter\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT")
        cls.agent.feed(incoming="INPUT")


class ForwardTests(EvasionPlace, unittest.TestCase):
    number = 2

    @classmethod
    def machine(cls):
        return cls.lab.router

    @classmethod
    def inside(cls):
        return "out0"

    @classmethod
    def place(cls):
        return cls.lab.client, "eth0", cls.lab.router.mac("in0")

    @classmethod
    def feed(cls):
        cls.agent.feed(forward=True)


if os.environ.get("PORTREEVE_EVASION") == "all":
    class PreroutingWithoutOffloadTests(PreroutingTests):
        offload = False

    class InputWithoutOffloadTests(InputBesideConntrackTests):
        offload = False

    class ForwardWithoutOffloadTests(ForwardTests):
        offload = False


if __name__ == "__main__":
    unittest.main()

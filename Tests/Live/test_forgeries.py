# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody who knows or guesses a living connection's numbers forges into it, while both ends are real stacks. What
passes is answered as RFC 5961 says and does no harm; the rest is dropped for its reason; the connection goes on."""

import socket
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from forge import Injector, inside
from lab import Lab, wait_until
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

POLICY = """
version: 1
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
"""
ECHO = 7
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21
RECEIVE_QUEUE, SEND_QUEUE = 1, 2

# Flags, distances from the next sequence number and from the right acknowledgement, data; what it is dropped for.
FORGERIES = [
    ("R", 1, 0, b"", None),
    ("R", 1000, 0, b"", None),
    ("RA", 30, 0, b"", None),
    ("R", -5000, 0, b"", "invalid-sequence"),
    ("R", 1 << 31, 0, b"", "invalid-sequence"),
    ("S", 5, 0, b"", None),
    ("S", 1 << 30, 0, b"", None),
    ("SA", 1 << 30, 0, b"", "invalid-flags"),
    ("PA", -3, 0, b"old", None),
    ("PA", 1 << 24, 0, b"new", "invalid-sequence"),
    ("PA", 0, 1000, b"evil", "invalid-ack"),
    ("PA", 0, -(1 << 28), b"evil", "invalid-ack"),
    ("FA", 1 << 24, 0, b"", "invalid-sequence"),
    ("F", 0, 0, b"", "invalid-flags"),
    ("", 0, 0, b"", "invalid-flags"),
    ("FPU", 0, 0, b"", "invalid-flags"),
]


class Victim:
    """The client's end of a real connection to the host's echo service."""

    def __init__(self, namespace, address):
        with inside(namespace):
            self.socket = socket.create_connection((address, ECHO), 10)
        self.host = address
        self.address, self.port = self.socket.getsockname()[:2]

    def is_echoed(self, data=b"still there"):
        self.socket.sendall(data)
        self.socket.settimeout(10)
        received = b""
        while len(received) < len(data):
            piece = self.socket.recv(65536)
            if not piece:
                return False
            received += piece
        return received == data

    @property
    def numbers(self):
        """(next sequence number, next acknowledgement), as the kernel says that it has them."""
        option = lambda name, value: self.socket.setsockopt(socket.IPPROTO_TCP, name, value)
        queue = lambda: self.socket.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ) & 0xFFFFFFFF
        option(TCP_REPAIR, 1)
        option(TCP_REPAIR_QUEUE, SEND_QUEUE)
        sent = queue()
        option(TCP_REPAIR_QUEUE, RECEIVE_QUEUE)
        received = queue()
        # Leaves the mode without a window probe.
        option(TCP_REPAIR, -1)
        return sent, received

    def forge(self, flags, ahead, beyond, data=b""):
        sequence, acknowledgement = self.numbers
        header = IPv6 if ":" in self.host else IP
        return header(src=self.address, dst=self.host) / TCP(
            sport=self.port, dport=ECHO, flags=flags, seq=(sequence + ahead) % (1 << 32), window=500,
            ack=(acknowledgement + beyond) % (1 << 32) if "A" in flags else 0) / data


class ForgeryTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.enterClassContext(services.echo(cls.lab.host))
        cls.injector = Injector(cls.lab.router, "out0", cls.lab.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)
        cls.agent = cls.enterClassContext(Agent(cls.lab.host, POLICY, queues=(0, 1)))
        cls.agent.feed()

    def victim(self, address):
        try:
            victim = Victim(self.lab.client, address)
            self.addCleanup(victim.socket.close)
            self.assertTrue(victim.is_echoed())
            victim.numbers
        except PermissionError as why:
            self.skipTest(f"the numbers of a connection cannot be read here: {why}")
        return victim

    def judged(self):
        """How many packets the agent has judged."""
        return sum(queue["packets"] for queue in self.agent.report()["queues"])

    def inject(self, packet):
        before = self.judged()
        self.injector.send(packet)
        wait_until(lambda: self.judged() > before, "the agent has judged it")

    def refusals(self, victim, seconds):
        """Why packets of the connection were dropped: the first reason that comes within some time."""
        found = []

        def is_found():
            found.extend(e for e in self.agent.events() if victim.port in (e.get("src_port"), e.get("dest_port")))
            return found

        try:
            wait_until(is_found, "an event of the connection", seconds)
        except TimeoutError:
            pass
        return sorted(reasons(found))

    def test_a_connection_survives(self):
        for address in (self.lab.host.ip4, self.lab.host.ip6):
            victim = self.victim(address)
            for *forgery, reason in FORGERIES:
                with self.subTest(address=address, forgery=forgery):
                    self.inject(victim.forge(*forgery))
                    self.assertTrue(victim.is_echoed())
                    self.assertEqual(self.refusals(victim, 10 if reason else 0.1), [reason] if reason else [])

    def test_urgent_data_passes(self):
        for address in (self.lab.host.ip4, self.lab.host.ip6):
            with self.subTest(address=address):
                victim = self.victim(address)
                victim.socket.send(b"!", socket.MSG_OOB)
                self.assertTrue(victim.is_echoed())
                self.assertEqual(self.refusals(victim, 0.1), [])

    def test_a_reset_with_the_exact_number_ends_it(self):
        """As it must, since the host believes it."""
        for address in (self.lab.host.ip4, self.lab.host.ip6):
            with self.subTest(address=address):
                victim = self.victim(address)
                self.inject(victim.forge("R", 0, 0))
                victim.socket.sendall(b"is anybody there")
                self.assertEqual(self.refusals(victim, 10), ["packet-on-closed-connection"])


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile packets in the midst of what two real stacks say to each other: they are sent as the client's, and for each is asked
what the agent says of it, and whether its picture of the connection is still that of the host's socket."""

import contextlib
import json
import select
import socket
import struct
import time

from forge import inside
from lab import wait_until
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Padding
from test_forgeries import ECHO, Victim

ETH_P_ALL = 3
TCP_TIMESTAMP = 24
PORT = 7777
SYN, SYN_ACK = ("-p", "tcp", "--syn"), ("-p", "tcp", "--tcp-flags", "SYN,ACK", "SYN,ACK")
# What the host's socket is in, and what the agent may call that: its names are those of the side that opened.
OPENED_BY = {
    "client": {
        "SYN-RECV": {"SYN-RECEIVED"}, "ESTAB": {"ESTABLISHED"}, "CLOSE-WAIT": {"FIN-WAIT-1", "FIN-WAIT-2"},
        "FIN-WAIT-1": {"CLOSE-WAIT"}, "FIN-WAIT-2": {"CLOSE-WAIT"}, "LAST-ACK": {"CLOSING"}, "TIME-WAIT": {"CLOSED", "TIME-WAIT"}},
    "host": {
        "SYN-SENT": {"SYN-SENT", "SYN-RECEIVED"}, "SYN-RECV": {"SYN-RECEIVED"}, "ESTAB": {"ESTABLISHED"},
        "CLOSE-WAIT": {"CLOSE-WAIT"}, "FIN-WAIT-1": {"FIN-WAIT-1"}, "FIN-WAIT-2": {"FIN-WAIT-2"}, "LAST-ACK": {"LAST-ACK"},
        "TIME-WAIT": {"TIME-WAIT"}}}
OVER = {"CLOSED", "TIME-WAIT", None}


class Segments:
    """The TCP segments that come to the client's interface and leave it, before its own rules drop any."""

    def __init__(self, namespace):
        with inside(namespace):
            # Only a socket for every protocol hears what leaves.
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.socket.bind(("eth0", ETH_P_ALL))

    def next(self, wanted, seconds=20):
        """The IPv4 packet for which `wanted` holds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0]:
                frame = self.socket.recv(1 << 17)
                packet = IP(frame[14:])
                if frame[12:14] == b"\x08\x00" and wanted(packet):
                    return packet
        raise TimeoutError("the packet that was waited for did not come")

    def close(self):
        self.socket.close()


def end(connection):
    """Closes a socket by a RST: nothing of it is sent again."""
    if connection.fileno() < 0:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Weaving:
    """One row, as it is played."""

    opener = "client"

    def __init__(self, test):
        self.test, self.lab, self.place = test, test.lab, test.hook
        self.client, self.host, self.is_whole = test.lab.client, test.lab.host, test.is_whole
        self.address = self.client.ip4

    # What is woven in

    def segment(self, flags, seq, ack=0, data=b"", window=500, **fields):
        """A segment of the client's to the host."""
        fields = {"sport": self.ports[0], "dport": self.ports[1], **fields}
        ip = IP(src=self.address, dst=self.host.ip4)
        if "ttl" in fields:
            ip.ttl = fields.pop("ttl")
        return ip / TCP(flags=flags, seq=seq % (1 << 32), ack=ack % (1 << 32) if "A" in flags else 0, window=window, **fields) / data

    def inject(self, packet):
        before = self.test.judged()
        self.test.injector.send(packet)
        wait_until(lambda: self.test.judged() > before, "the agent has judged it")

    def judge(self, packet, *reasons):
        """The packet is refused for this reason, or for none."""
        self.inject(packet)
        self.finds(*reasons)

    def finds(self, *reasons):
        """Just these are the reasons of all events since the last time."""
        found = self.found(len(reasons))
        self.test.assertEqual(sorted(found), sorted(reasons), self.events)

    def told(self, packets, *reasons):
        """The same of packets that the kernel may hide from the agent."""
        for packet in packets:
            self.test.injector.send(packet)
        self.goes_on()
        self.finds(*reasons)

    def found(self, count):
        """The reasons of all events since the last time, when so many have come."""
        self.events = self.test.agent.wait_for_events(count) if count else []
        self.test.agent.settled_report()
        self.events += self.test.agent.events()
        return [e["portreeve"]["reason"] for e in self.events]

    # The pictures

    def compare(self):
        """The agent and the host's socket take the connection for the same."""
        def are_same():
            hosts = self.hosts()
            return self.agents() in (OVER if hosts is None else OPENED_BY[self.opener][hosts])

        try:
            wait_until(are_same, "the agent's picture is the socket's", 10)
        except TimeoutError:
            self.test.fail(f"the agent says {self.agents()}, the socket {self.hosts()}")

    def agents(self):
        for line in self.test.agent.tool("connections", "--json", "--protocol", "tcp").splitlines():
            row = json.loads(line)
            if sorted((row["src_port"], row["dest_port"])) == sorted(self.ports) and self.address in (row["src_ip"], row["dest_ip"]):
                return row["state"]
        return None

    def hosts(self):
        client, host = self.ports
        address = f"[{self.address}]" if ":" in self.address else self.address
        listing = self.host.run("ss", "-Htan", f"sport = :{host} and dport = :{client} and dst {address}").split()
        return listing[0] if listing else None

    @contextlib.contextmanager
    def held(self, machine, chain, *words):
        """What these words of iptables describe goes no further in this block: at the client before its stack or behind it,
        at the host behind the agent."""
        where = ["iptables", "-w", "-t", "filter" if chain == "INPUT" else "raw"]
        rule = [chain, *words, "-j", "DROP"]
        machine.run(*where, "-I", *rule)
        try:
            yield
        finally:
            machine.run(*where, "-D", *rule)


class Scene(Weaving):
    """One connection of the client's with the host's echo service."""

    def __init__(self, test, family=4):
        super().__init__(test)
        self.family = family
        self.begin()

    def begin(self):
        self.victim = Victim(self.client, self.host.ip4 if self.family == 4 else self.host.ip6)
        self.address, self.ports = self.victim.address, (self.victim.port, ECHO)
        self.test.addCleanup(self.victim.socket.close)
        self.goes_on()
        try:
            self.victim.numbers
        except PermissionError as why:
            self.test.skipTest(f"the numbers of a connection cannot be read here: {why}")
        self.compare()

    def exchange(self, data):
        self.test.assertTrue(self.victim.is_echoed(data))

    def goes_on(self):
        self.exchange(b"and it goes on")

    def close(self):
        end(self.victim.socket)

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

    def forged(self, flags, by=0, acknowledging=0, data=b"", trailer=b"", options=(), **fields):
        sequence, acknowledgement = self.victim.numbers
        packet = self.segment(
            flags, sequence + by, acknowledgement + acknowledging, data, options=list(options), **fields)
        return packet / Padding(trailer) if trailer else packet

    def _inject(self, flags, **packet):
        self.inject(self.forged(flags, **packet))

    def _check(self, reasons):
        found = self.test.found(self.victim.port, len(reasons))
        self.test.assertEqual(found, reasons)
        self.compare()


class Ends(Weaving):
    """A connection of which both ends' sockets are held here, so that each step of it can be."""

    def __init__(self, test):
        super().__init__(test)
        self.segments = Segments(self.client)
        self.sockets = []

    def close(self):
        self.segments.close()
        for one in self.sockets:
            end(one)

    def socket(self, machine, port=0):
        with inside(machine):
            one = socket.socket()
        self.sockets.append(one)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((machine.ip4, port))
        return one

    def listen(self, machine, port=PORT):
        one = self.socket(machine, port)
        one.listen()
        one.settimeout(30)
        return one

    def connect(self, machine, port=0, to=PORT):
        """Has the socket send its SYN; returns it."""
        one = self.socket(machine, port)
        one.setblocking(False)
        other = self.host if machine is self.client else self.client
        own = one.getsockname()[1]
        self.opener = "client" if machine is self.client else "host"
        self.ports = (own, to) if machine is self.client else (to, own)
        one.connect_ex((other.ip4, to))
        return one

    def opens(self, machine, port=0):
        """Begins a connection of this machine to the other; see `completes`."""
        self.listener = self.listen(self.host if machine is self.client else self.client)
        self.caller = self.connect(machine, port)

    def completes(self):
        """The connection opens, although a SYN or an answer may have to be sent again."""
        callee = self.listener.accept()[0]
        self.sockets.append(callee)
        self.listener.close()
        self.ends = {self.opener: self.caller, "host" if self.opener == "client" else "client": callee}
        for one in self.ends.values():
            one.setblocking(True)
            one.settimeout(30)
        self.goes_on()
        self.compare()
        self.finds()

    def goes_on(self, size=100):
        """So many bytes each way."""
        for sender, receiver in (("client", "host"), ("host", "client")):
            left = size
            data = bytes(range(250)) * 100
            while left:
                sent = self.ends[sender].send(data[:left])
                received = 0
                while received < sent:
                    piece = self.ends[receiver].recv(65536)
                    self.test.assertNotEqual(piece, b"", "the connection has ended")
                    received += len(piece)
                left -= sent

    def seen(self, flags, of="host"):
        """The next segment with these flags that came from this machine."""
        source = self.host.ip4 if of == "host" else self.address
        ports = self.ports if of == "client" else self.ports[::-1]
        return self.segments.next(lambda p: TCP in p and p.src == source and (p[TCP].sport, p[TCP].dport) == ports
                                  and p[TCP].flags == flags)[TCP]

    def becomes(self, hosts):
        """Waits until the host's socket is in this state."""
        wait_until(lambda: self.hosts() == hosts, f"the host's socket is in {hosts}")

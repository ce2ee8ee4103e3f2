# SPDX-License-Identifier: GPL-3.0-or-later
"""Forged packets: what no honest stack sends, from where no honest stack would stop it.

Needs scapy to build them; they are sent by sockets that the test itself holds inside the lab's namespaces.
"""

import contextlib
import ctypes
import json
import os
import socket

from lab import wait_until
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether

CLONE_NEWNET = 0x40000000
IPV6_HDRINCL = 36


@contextlib.contextmanager
def inside(namespace):
    """Sockets made in this block belong to the namespace, for as long as they live."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{namespace.name}") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace.name}")
        try:
            yield
        finally:
            libc.setns(here.fileno(), CLONE_NEWNET)


@contextlib.contextmanager
def one_cpu():
    """What is sent in this block arrives in the order of sending: a virtual cable carries it on the sender's CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Injector:
    """Puts packets on a cable, whatever addresses they bear: no route, filter or stack of the sender sees them."""

    def __init__(self, namespace, interface, target_mac):
        self.header = {kind: bytes(Ether(src=namespace.mac(interface), dst=target_mac, type=kind))
                       for kind in (0x0800, 0x86DD)}
        with inside(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self.socket.bind((interface, 0))

    def send(self, packet):
        """One packet arrives after the other."""
        with one_cpu():
            self.socket.send(self.header[0x0800 if packet.name == "IP" else 0x86DD] + bytes(packet))

    def burst(self, packet, count, receiver, first_port=1024, checksum=None):
        """The IPv4 packet so many times, each from another source port; never more than the queues of the machine
        `receiver` have room for. With the place of its checksum in the transport header each has the right one."""
        frame = bytearray(self.header[0x0800] + bytes(packet))
        with one_cpu():
            for number in range(count):
                old, port = int.from_bytes(frame[34:36], "big"), first_port + number % 60_000
                frame[34:36] = port.to_bytes(2, "big")
                if checksum is not None:
                    # RFC 1624 section 3.
                    place = slice(34 + checksum, 36 + checksum)
                    total = (~int.from_bytes(frame[place], "big") & 0xffff) + (~old & 0xffff) + port
                    total = (total & 0xffff) + (total >> 16)
                    frame[place] = (~((total & 0xffff) + (total >> 16)) & 0xffff).to_bytes(2, "big")
                self.socket.send(frame)
                if number % 250 == 249:
                    wait_until(lambda: all(row["waiting"] < 1000 for row in receiver.queues().values()), "the queues have room")

    def close(self):
        self.socket.close()


class Originator:
    """Sends packets as this machine's own: they pass its OUTPUT hook as they are."""

    def __init__(self, namespace):
        with inside(namespace):
            self.v4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self.v6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.v6.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)

    def send(self, packet):
        with contextlib.suppress(PermissionError):
            # EPERM says that a hook has dropped it.
            (self.v4 if packet.name == "IP" else self.v6).sendto(bytes(packet), (packet.dst, 0))

    def close(self):
        self.v4.close()
        self.v6.close()


class Passage:
    """Counts the packets of an interface that have passed the queue's hooks, but not what the kernel sends by itself:
    neighbour discovery, and that it could not reassemble a datagram. Datagrams to the discard port are not counted."""

    TABLE = """
        table inet passage {{
            counter in {{}}
            counter out {{}}
            chain before {{
                type filter hook prerouting priority 100;
                iifname {interface} icmpv6 type {{ 133, 134, 135, 136, 143 }} return
                iifname {interface} udp dport 9 return
                iifname {interface} counter name in
            }}
            chain after {{
                type filter hook output priority 100;
                oifname {interface} icmpv6 type {{ 3, 133, 134, 135, 136, 143 }} return
                oifname {interface} icmp type time-exceeded return
                oifname {interface} counter name out
            }}
        }}"""

    def __init__(self, namespace, interface):
        self.namespace = namespace
        namespace.run("nft", "-f", "-", input=self.TABLE.format(interface=interface))

    def counts(self):
        """(packets that came in, packets that went out)"""
        listing = json.loads(self.namespace.run("nft", "-j", "list", "counters", "table", "inet", "passage"))
        counters = {row["counter"]["name"]: row["counter"]["packets"] for row in listing["nftables"] if "counter" in row}
        return counters["in"], counters["out"]


class Flow:
    """A TCP connection that is forged from both ends.

    `peer` and `host` send what they are told and count sequence numbers as an honest stack would; numbers given by name
    (`seq`, `ack`) go into this segment only.
    """

    def __init__(self, scene, port=6000, peer_port=40000, opener="peer"):
        self.scene, self.opener = scene, opener
        self.ports = {"peer": peer_port, "host": port}
        if opener == "host":
            self.ports = {"peer": port, "host": peer_port}
        self.next = {"peer": 1_000_000, "host": 5_000_000}

    def peer(self, flags, data=b"", **fields):
        self._send("peer", "host", self.scene.incoming, self.scene.ip(), flags, data, fields)
        return self

    def host(self, flags, data=b"", **fields):
        self._send("host", "peer", self.scene.outgoing, self.scene.ip_out(), flags, data, fields)
        return self

    def _send(self, one, other, send, ip, flags, data, fields):
        is_forged = "seq" in fields or "ack" in fields
        fields.setdefault("seq", self.next[one])
        fields.setdefault("ack", self.next[other] if "A" in flags else 0)
        fields.setdefault("window", 1000)
        send(ip / TCP(sport=self.ports[one], dport=self.ports[other], flags=flags, **fields) / data)
        if not is_forged:
            self.next[one] += len(data) + ("S" in flags) + ("F" in flags)

    def send(self, side, *arguments, **fields):
        return (self.peer if side == "peer" else self.host)(*arguments, **fields)

    def established(self, **fields):
        """The three segments that open it."""
        other = "host" if self.opener == "peer" else "peer"
        self.send(self.opener, "S", **fields)
        self.send(other, "SA", **fields)
        return self.send(self.opener, "A", **fields)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets to groups whose source is the host's own address: its own copies that the kernel loops back, and forgeries."""

import contextlib
import fcntl
import os
import struct
import unittest

import isolation

isolation.isolate()

from agent import Agent, reasons
from forge import Injector, inside, one_cpu
from lab import Lab, wait_until
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6

POLICY = """
version: 1
interfaces: { ignore: [lo] }
rules: [{ name: Fence, action: deny, direction: incoming, priority: 4, protocol: udp, destination: { ports: 9 } }]
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
"""
PORT, FENCE = 7060, 9
TUNSETIFF, IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x0001, 0x1000, 0x4000
# struct virtio_net_hdr: the checksum of UDP is still to be filled in, which the kernel takes for a promise that it is right.
NEEDS_CHECKSUM = {4: struct.pack("<BBHHHH", 1, 0, 0, 0, 20, 6), 6: struct.pack("<BBHHHH", 1, 0, 0, 0, 40, 6)}
# Every host is a member of 224.0.0.1 and ff02::1.
GROUPS = {4: ["224.0.0.1", "255.255.255.255", "198.18.2.255", "239.1.2.3"], 6: ["ff02::1", "ff05::123"]}

# Sends to each group or broadcast address, of which it is a member itself, and gets its own datagram back.
TO_ITSELF = """
import socket, struct, sys
interface, near, port, *groups = sys.argv[1:]
index = socket.if_nametoindex(interface)
family = socket.AF_INET6 if ':' in near else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
s.bind(('', int(port)))
s.settimeout(10)
for group in groups:
    if family == socket.AF_INET6:
        member = socket.inet_pton(family, group) + struct.pack('@I', index)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    elif group[:2] == '22' or group[:2] == '23':
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(near))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(near))
    s.sendto(group.encode(), (group, int(port)))
    assert s.recv(100) == group.encode(), group
"""


class GroupTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.host = cls.lab.host
        cls.own = ((4, cls.host.ip4), (6, cls.host.ip6))
        cls.injector = Injector(cls.lab.router, "out0", cls.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)
        cls.agent = cls.enterClassContext(Agent(cls.host, POLICY))

    def feed(self, incoming):
        self.addCleanup(self.host.flush_rules)
        self.agent.feed(incoming)

    def send(self, version, source):
        """Sends a datagram to each group; returns the events that they raise."""
        header = IP if version == 4 else IPv6
        for group in GROUPS[version]:
            self.injector.send(header(src=source, dst=group) / UDP(sport=PORT, dport=PORT) / b"not looped back")
        return self.before_fence()

    def before_fence(self):
        """The events of all that was sent until now."""
        self.injector.send(IP(src="198.18.2.1", dst=self.host.ip4) / UDP(sport=PORT, dport=FENCE))
        events = []

        def is_reached():
            events.extend(self.agent.events())
            return events and events[-1].get("dest_port") == FENCE

        wait_until(is_reached, "the fence's event", process=self.agent.process)
        return events[:-1]

    def assert_refused(self, events, groups):
        self.assertEqual([event["dest_ip"] for event in events], groups)
        self.assertEqual(set(reasons(events)), {"unsolicited-udp"})
        self.assertEqual({event["frame"]["src_mac"] for event in events}, {self.lab.router.mac("out0")})

    def test_forged_ones_are_refused(self):
        self.feed("PREROUTING")
        for version, own in self.own:
            with self.subTest(version=version):
                self.assert_refused(self.send(version, own), GROUPS[version])
                # Also while the host itself speaks to the groups from the same port.
                self.host.python(TO_ITSELF, "eth0", own, PORT, *GROUPS[version])
                self.assert_refused(self.send(version, own), GROUPS[version])

    def test_at_input_the_kernel_has_dropped_forged_ones_of_ipv4(self):
        """The routing decision ends what has a martian source (RFC 1812 section 5.3.7), also where the reverse-path filter
        is off, and what goes to a group without a member here. IPv6 does not look at the source."""
        self.feed("INPUT")
        self.assert_refused(self.send(4, "198.18.2.1"), GROUPS[4][:3])
        before = self.host.rule_packets("INPUT", "mangle")
        self.assertEqual(self.send(4, self.host.ip4), [])
        after = self.host.rule_packets("INPUT", "mangle")
        self.assertEqual([now - then for then, now in zip(before, after)], [1], "nothing but the fence")
        self.assert_refused(self.send(6, self.host.ip6), GROUPS[6][:1])

    def test_own_ones_pass(self):
        for incoming in ("PREROUTING", "INPUT"):
            self.feed(incoming)
            for version, own in self.own:
                with self.subTest(incoming=incoming, version=version):
                    self.host.python(TO_ITSELF, "eth0", own, PORT, *GROUPS[version])
                    self.assertEqual(self.before_fence(), [])
            self.host.flush_rules()

    def test_on_a_device_without_a_link_header(self):
        """No MAC address tells; but the kernel trusts its own checksums only."""
        with self.tunnel("tun9") as tunnel:
            self.host.run("ip", "addr", "add", "198.18.9.2/24", "dev", "tun9")
            self.host.run("ip", "addr", "add", "fd00:9::2/64", "dev", "tun9", "nodad")
            self.host.run("ip", "link", "set", "tun9", "up")
            for version, header, own, group in ((4, IP, "198.18.9.2", "224.0.0.1"), (6, IPv6, "fd00:9::2", "ff02::1")):
                with self.subTest(version=version):
                    self.host.python(TO_ITSELF, "tun9", own, PORT, group)
                    forged = bytes(header(src=own, dst=group) / UDP(sport=PORT, dport=PORT) / b"forged")
                    # An address is known a second after it came up at the latest.
                    wait_until(lambda: self.is_refused(tunnel, forged, own), "forged ones are refused")
                    self.host.python(TO_ITSELF, "tun9", own, PORT, group)
                    self.assertEqual(self.before_fence(), [])
                    self.assertTrue(self.is_refused(tunnel, forged, own))

    def test_on_a_device_that_vouches_for_checksums(self):
        """Not even the checksum tells. What the host has sent does, once."""
        with self.tunnel("tun8", IFF_VNET_HDR) as tunnel:
            self.host.run("ip", "addr", "add", "198.18.8.2/24", "dev", "tun8")
            self.host.run("ip", "addr", "add", "fd00:8::2/64", "dev", "tun8", "nodad")
            self.host.run("ip", "link", "set", "tun8", "up")
            for version, header, own, group in ((4, IP, "198.18.8.2", "224.0.0.1"), (6, IPv6, "fd00:8::2", "ff02::1")):
                with self.subTest(version=version):
                    datagram = header(src=own, dst=group) / UDP(sport=PORT, dport=PORT)
                    forged = bytes(datagram / b"forged")
                    self.host.python(TO_ITSELF, "tun8", own, PORT, group)
                    # An address is known a second after it came up at the latest.
                    wait_until(lambda: self.is_refused(tunnel, forged, own, NEEDS_CHECKSUM[version]), "forged ones are refused")
                    self.host.python(TO_ITSELF, "tun8", own, PORT, group)
                    self.assertEqual(self.before_fence(), [])
                    self.assertTrue(self.is_refused(tunnel, forged, own, NEEDS_CHECKSUM[version]))
                    again = bytes(datagram / group.encode())
                    # The copy of the first one came while the address was not known yet, and is still to come.
                    self.is_refused(tunnel, again, own, NEEDS_CHECKSUM[version])
                    self.assertTrue(self.is_refused(tunnel, again, own, NEEDS_CHECKSUM[version]), "its own, again")

    def is_refused(self, tunnel, packet, source, header=b""):
        with one_cpu():
            os.write(tunnel, header + packet)
            events = self.before_fence()
        return [(event["portreeve"]["reason"], event["src_ip"]) for event in events] == [("unsolicited-udp", source)]

    @contextlib.contextmanager
    def tunnel(self, name, flags=0):
        """A tun device of the host; what is written to it comes in there."""
        with inside(self.host):
            try:
                tunnel = os.open("/dev/net/tun", os.O_RDWR)
            except OSError as why:
                self.skipTest(f"no tunnel can be made here: {why}")
            fcntl.ioctl(tunnel, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI | flags))
        try:
            self.feed("PREROUTING")
            yield tunnel
        finally:
            os.close(tunnel)


if __name__ == "__main__":
    unittest.main()

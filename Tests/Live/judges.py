# SPDX-License-Identifier: GPL-3.0-or-later
"""Two routers that see the same packets: one is judged by the agent, the other by the kernel's connection tracking.

    left end ── left │ router │ right ── right end

The test holds both ends: what it puts in at one comes out at the other, or does not.
"""

import socket
import subprocess

from conversations import SERVER, UDP, ip_header, summed
from forge import inside, one_cpu
from lab import Namespace, wait_until

SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
NET4 = b"\x08\x00"
BATCH = 400


class Router:
    """A namespace between two ends, and the sockets at the ends."""

    def __init__(self, lab, name):
        self.namespace = Namespace(lab, f"{lab.host.name}-{name}")
        subprocess.run(["ip", "netns", "add", self.namespace.name], check=True)
        self.ends = {}
        for side, address in (("left", "10.255.255.1/8"), ("right", "198.18.2.1/24")):
            end = f"{side}-{name}"
            subprocess.run(["ip", "link", "add", side, "netns", self.namespace.name, "type", "veth", "peer", "name", end,
                            "netns", lab.client.name], check=True)
            lab.client.run("ip", "link", "set", end, "up")
            self.namespace.run("ip", "link", "set", side, "up")
            self.namespace.run("ip", "addr", "add", address, "dev", side)
            for namespace, interface in ((lab.client, end), (self.namespace, side)):
                namespace.status("ethtool", "-K", interface, "gro", "off", "gso", "off", "tso", "off", "tx", "off", "rx", "off")
            self.ends[side] = (end, self._open(lab.client, end), bytes.fromhex(self.namespace.mac(side).replace(":", "")))
        self.namespace.sysctl(
            net__ipv4__ip_forward=1, net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__left__rp_filter=0,
            net__ipv4__conf__right__rp_filter=0, net__ipv4__conf__all__send_redirects=0,
            net__ipv4__conf__left__send_redirects=0, net__ipv4__conf__right__send_redirects=0)
        # All clients are behind one neighbour.
        self.namespace.run("ip", "route", "replace", "10.0.0.0/8", "via", "10.255.255.2", "dev", "left", "onlink")
        for side, neighbour in (("left", "10.255.255.2"), ("right", "198.18.2.2")):
            self.namespace.run("ip", "neigh", "replace", neighbour, "lladdr", "02:00:00:00:00:02", "nud", "permanent", "dev",
                               side)

    @staticmethod
    def _open(namespace, interface):
        with inside(namespace):
            end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
            end.bind((interface, 0x0800))
        end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        for option in (socket.SO_RCVBUF, 33):  # SO_RCVBUFFORCE
            try:
                end.setsockopt(socket.SOL_SOCKET, option, 64 << 20)
            except PermissionError:
                pass
        return end

    def put(self, packet, from_client):
        end, target = self.ends["left" if from_client else "right"][1:]
        end.send(target + b"\x02\0\0\0\0\x02" + NET4 + packet)

    def passed(self):
        """(client address, place) of all that has come out since the last call."""
        found = set()
        for side, at in (("right", 26), ("left", 30)):
            end = self.ends[side][1]
            while True:
                try:
                    frame = end.recv(256, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                # The client is the source of what comes out at the right, and the destination at the left.
                if frame[12:14] == NET4:
                    found.add((frame[at:at + 4], int.from_bytes(frame[18:20], "big") - 1))
        return found

    def close(self):
        for _, end, _ in self.ends.values():
            end.close()
        subprocess.run(["ip", "netns", "del", self.namespace.name], stderr=subprocess.DEVNULL)


class Beside:
    """Plays conversations to both judges. `agent` is made by the caller: it needs the namespace of the judge first."""

    def __init__(self, lab):
        self.agents, self.kernels = Router(lab, "agent"), Router(lab, "kernel")
        self.fence = 0
        kernel = self.kernels.namespace
        kernel.run("iptables", "-w", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")
        # What opened nothing belongs to nothing, as without a cold start.
        kernel.sysctl(net__netfilter__nf_conntrack_tcp_loose=0, net__netfilter__nf_conntrack_tcp_be_liberal=0)

    def play(self, conversations):
        """Returns, for each conversation, two lists of booleans: what the agent passed, what the kernel did."""
        outcome = []
        for start in range(0, len(conversations), BATCH):
            batch = conversations[start:start + BATCH]
            with one_cpu():
                for one in batch:
                    for place, packet in enumerate(one.packets):
                        data = one.bytes(place)
                        self.agents.put(data, packet.from_client)
                        self.kernels.put(data, packet.from_client)
            by_agent, by_kernel = self._collect(self.agents), self._collect(self.kernels)
            for one in batch:
                places = range(len(one.packets))
                outcome.append(([(one.client, place) in by_agent for place in places],
                                [(one.client, place) in by_kernel for place in places]))
            self.kernels.namespace.run("conntrack", "-F")
        return outcome

    def _collect(self, router):
        """All that comes out before a datagram that every judge passes."""
        self.fence += 1
        source = (11 << 24 | self.fence).to_bytes(4, "big")
        payload = summed(b"\x03\xe8\x00\x35\x00\x0c\0\0" + b"last", 6, source, SERVER, UDP, False)
        found = set()
        with one_cpu():
            router.put(ip_header(source, SERVER, UDP, len(payload), 1) + payload, True)

        def is_last():
            found.update(router.passed())
            return (source, 0) in found

        wait_until(is_last, "all has come out", 60)
        return found

    def close(self):
        self.agents.close()
        self.kernels.close()

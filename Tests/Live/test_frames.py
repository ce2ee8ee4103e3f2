# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame guard: what the kernel discards before any hook is told of, by its reason; what is whole is not."""

import os
import typing
import unittest

import isolation

isolation.isolate()

from agent import Agent, binaries, reasons
from forge import Injector
from lab import Lab, wait_until
from manager import ManagedAgent
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

POLICY = "version: 1\ninterfaces: {{ ignore: [lo, {}] }}\n"
IPV4, IPV6 = 0x0800, 0x86DD


class Frame(typing.NamedTuple):
    """What is wrong, the frame, the nearest whole one, and the event's cause."""

    reason: str
    name: str
    kind: int
    bad: bytes
    good: bytes
    cause: str = "malformed"


def frames(host, host6):
    """Those of the table of reasons that the guard alone can see. `host` and `host6` are whom they are to."""
    def v4(**fields):
        return bytes(IP(src="198.18.3.9", dst=host, **fields) / UDP(sport=40000, dport=6000) / b"datagram")

    def v6(**fields):
        return bytes(IPv6(**{"src": "fd00:3::9", "dst": host6, **fields}) / UDP(sport=40000, dport=6000) / b"datagram")

    def changed(frame, place, value):
        return frame[:place] + bytes([value]) + frame[place + 1:]

    return [
        Frame("invalid-ip-datagram-length", "one byte too much said", IPV4, v4(len=37), v4(len=36)),
        Frame("ip-version-unknown", "version 5", IPV4, changed(v4(), 0, 0x55), v4()),
        Frame("ip-version-unknown", "version 7 under IPv6", IPV6, changed(v6(), 0, 0x70), v6()),
        Frame("unreadable-ipv4-header", "19 bytes", IPV4, v4()[:19], v4()),
        Frame("unreadable-ipv4-header", "a header beyond the frame", IPV4, v4(ihl=15), v4(ihl=5)),
        Frame("unreadable-ipv4-header", "a total length within the header", IPV4, v4(len=19), v4()),
        Frame("unknown-ip-version", "IPv6 in an IPv4 frame", IPV4, v6(), v4()),
        Frame("unknown-ip-version", "IPv4 in an IPv6 frame", IPV6, v4() + bytes(4), v6()),
        Frame("invalid-checksum", "of the header", IPV4, v4(chksum=1), v4(), "header-checksum"),
        Frame("ipv6-source-is-multicast", "from a group", IPV6, v6(src="ff02::1"), v6(), "multicast-source"),
        Frame("invalid-ipv6-address", "from ::1", IPV6, v6(src="::1"), v6(), "ipv6-bogon"),
        Frame("invalid-ip-header-length", "four words", IPV4, v4(ihl=4), v4()),
        Frame("unreadable-ipv6-header", "one byte too much said", IPV6, v6(plen=17), v6(plen=16)),
        Frame("unreadable-ipv6-header", "39 bytes", IPV6, v6()[:39], v6()),
    ]


FRAMES = frames("198.18.2.2", "fd00:2::2")


class FrameCase(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.host, cls.router = cls.lab.host, cls.lab.router
        # Nothing answers what is whole.
        for family in (4, 6):
            cls.host.rules("*filter\n-A INPUT -i eth0 -p udp -j DROP\n", [family])
        cls.injector = Injector(cls.router, "out0", cls.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)
        cls.fences = 0

    def send(self, kind, packet, mac=None):
        header = Ether(src=self.router.mac("out0"), dst=mac or self.host.mac("eth0"), type=kind)
        self.injector.socket.send(bytes(header) + packet)

    def fence(self, agent):
        """Sends a frame that is told of to each of the guard's sockets; returns what was told before."""
        type(self).fences += 1
        length = 1000 + self.fences
        self.send(IPV4, bytes(IP(src="198.18.3.8", dst=self.host.ip4, len=length) / UDP()))
        self.send(IPV6, bytes(IPv6(src="fd00:3::8", dst=self.host.ip6, plen=length) / UDP()))
        found = []

        def both_came():
            found.extend(agent.events())
            return sum(event.get("src_ip") in ("198.18.3.8", "fd00:3::8") for event in found) == 2

        wait_until(both_came, "the fences' events", process=agent.process)
        return [event for event in found if event.get("src_ip") not in ("198.18.3.8", "fd00:3::8")]

    def agent(self, policy=POLICY.format("none0*"), extra="", kind=Agent, **options):
        agent = kind(self.host, policy + extra, name=os.path.basename(self.lab.file("agent")), **options).start()
        self.addCleanup(agent.stop)
        return agent


class FrameTests(FrameCase):
    def test_each_is_told_of_and_the_nearest_whole_one_is_not(self):
        agent = self.agent().feed()
        self.addCleanup(self.host.flush_rules)
        for frame in FRAMES:
            with self.subTest(frame.reason, frame=frame.name):
                self.send(frame.kind, frame.bad)
                events = self.fence(agent)
                self.assertEqual(reasons(events), {frame.reason: 1})
                event, facts = events[0], events[0]["portreeve"]
                self.assertEqual(
                    (event["event_type"], event["verdict"], facts["action"], facts["stage"], facts["direction"],
                     facts["cause"], event["in_iface"], event["frame"]["src_mac"]),
                    ("drop", {"action": "drop"}, "observed", "V", "incoming", frame.cause, "eth0",
                     self.router.mac("out0")))
                self.assertNotIn("hook", facts)
                self.assertEqual(facts.get("note"), "ip-header" if frame.reason == "invalid-checksum" else None)
                self.send(frame.kind, frame.good)
                self.assertEqual([e for e in self.fence(agent) if e["portreeve"]["action"] == "observed"], [])

    def test_whatever_the_mode_and_the_failure_settings(self):
        for settings in ("mode: tap\n", "failure: { engine: open, sanity: open }\n"):
            with self.subTest(settings):
                agent = self.agent(extra=settings)
                self.send(IPV4, FRAMES[0].bad)
                self.assertEqual([e["portreeve"]["action"] for e in self.fence(agent)], ["observed"])
                agent.stop()

    def test_what_is_none_of_its_business(self):
        """Frames for other hosts, and what a setting silences."""
        agent = self.agent(extra="events: { ignore: [ip-version-unknown] }\n")
        self.send(IPV4, FRAMES[0].bad, mac="02:00:00:00:00:77")
        self.send(IPV4, FRAMES[1].bad)
        self.assertEqual(self.fence(agent), [])

    def test_a_bridge_and_its_port_see_a_frame_and_it_is_told_of_once(self):
        host = self.host
        host.run("ip", "link", "add", "bridge0", "type", "bridge")
        self.addCleanup(host.status, "ip", "link", "del", "bridge0")
        host.run("ip", "link", "set", "bridge0", "address", host.mac("eth0"), "up")
        host.run("ip", "link", "set", "eth0", "master", "bridge0")
        # It would discard them too, between the two.
        for kind in ("iptables", "ip6tables"):
            host.status("sysctl", "-qw", f"net.bridge.bridge-nf-call-{kind}=0")
        agent = self.agent()
        self.send(IPV4, FRAMES[0].bad)
        self.send(IPV6, FRAMES[-2].bad)
        events = self.fence(agent)
        self.assertEqual(reasons(events), {FRAMES[0].reason: 1, FRAMES[-2].reason: 1})
        self.assertEqual({event["in_iface"] for event in events}, {"bridge0"})

    def test_a_flood_of_them(self):
        """It holds nothing up, and what found no room is said to be missing."""
        agent = self.agent()
        header = bytes(Ether(src=self.router.mac("out0"), dst=self.host.mac("eth0"), type=IPV4))
        for _ in range(5000):
            self.injector.socket.send(header + FRAMES[0].bad)
        wait_until(lambda: "too many to be told of" in agent.log(), "the loss is said")
        # The housekeeper looks once a second, at a socket that is emptied in a tenth of that.
        wait_until(lambda: not agent.events(), "what had room is told of")
        self.assertEqual(self.fence(agent), [])

    def test_ignored_interfaces(self):
        agent = self.agent(POLICY.format("eth0"))
        self.send(IPV4, FRAMES[0].bad)
        agent.write_policy(POLICY.format("none0*"))
        agent.tool("reload")
        self.assertEqual(self.fence(agent), [])
        self.send(IPV4, FRAMES[0].bad)
        self.assertEqual(reasons(self.fence(agent)), {FRAMES[0].reason: 1})


class HandOverTests(FrameCase):
    def test_without_the_right_to_open_its_sockets_the_agent_says_so_and_goes_on(self):
        agent = self.agent(environment={})
        agent.stop()
        agent.environment = ["setpriv", "--bounding-set", "-net_raw"]
        agent.start()
        self.assertIn("no frame guard", agent.log())
        self.assertNotIn("no frame guard", self.agent(queues=(8, 8)).log())
        self.assertIn("policy", agent.tool("status", "--agent-only"))

    def test_handed_over_by_who_starts_the_service(self):
        agent = ManagedAgent(self.host, POLICY.format("none0*"), user=65534, name=os.path.basename(self.lab.file("agent")))
        self.addCleanup(agent.end)
        for _ in range(2):
            self.host.run("env", f"NOTIFY_SOCKET={agent.manager.address}", os.path.join(binaries(), "portreeved"),
                          "--hand-over-frame-sockets")
            self.assertEqual({name: len(kept) for name, kept in agent.manager.kept.items()}, {"frames-ipv4": 1, "frames-ipv6": 1})
        agent.start()
        self.assertNotIn("no frame guard", agent.log())
        self.send(IPV4, FRAMES[0].bad)
        self.assertEqual(reasons(self.fence(agent)), {FRAMES[0].reason: 1})


if __name__ == "__main__":
    unittest.main(verbosity=2)

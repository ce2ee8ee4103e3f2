# SPDX-License-Identifier: GPL-3.0-or-later
"""What common criteria demand of a stateful packet filter, as docs/common-criteria.md lists it, where no other test shows it."""

import unittest

import isolation

isolation.isolate()

import test_reasons
from agent import reasons
from forge import one_cpu
from scapy.layers.inet import ICMP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, in6_chksum
from scapy.packet import Raw
from scapy.utils import checksum
from test_reasons import SPARE, Scene

# Headers of IPv6 itself, behind which the protocol follows (RFC 8200 section 4); after 59 nothing does.
EXTENSIONS = {0, 43, 44, 51, 59, 60}
ICMPV6 = 58


class Criteria(test_reasons.Bench):
    """Its policies are texts, not names. Nothing passes that no rule admits."""

    HEAD = "default: { incoming: deny, outgoing: deny }\n"

    def force(self, text):
        """A new agent with this policy; its tables are empty."""
        test_reasons.POLICIES["criteria"] = self.HEAD + text
        self.use("criteria")

    fresh = ("criteria",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Only what the policy of a test admits.
        cls.common, test_reasons.COMMON = test_reasons.COMMON, "".join(
            line for line in test_reasons.COMMON.splitlines(True) if "Datagrams" not in line)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        test_reasons.COMMON = cls.common

    def scene(self, version):
        scene = Scene(self, version, self.scenes)
        type(self).scenes += 1
        return scene

    def told(self, send):
        """The events of what `send` sends."""
        with one_cpu():
            send()
            return self.fence()


class RuleTests(Criteria):
    def packet(self, scene, number):
        """One of this protocol, as whole as its header is known."""
        header = scene.ip(**test_reasons.protocol_of(scene, number))
        if number == 6:
            return header / TCP(sport=40000, dport=6000)
        if number == 17:
            return header / UDP(sport=40000, dport=6000) / b"datagram"
        if number == 1 and scene.version == 4:
            return header / ICMP(type="echo-request")
        if number == ICMPV6 and scene.version == 6:
            return header / ICMPv6EchoRequest()
        return header / Raw(bytes(64))

    def test_every_protocol_number_permitted_and_denied(self):
        """FFW_RUL_EXT.1.2 and 1.9: half of them by a rule each, the others by none; then the other way round."""
        for odd in (0, 1):
            rules = "\n".join(
                f"  - {{ name: Protocol {n}, action: force-allow, direction: incoming, protocol: {n} }}"
                for n in range(256) if n % 2 == odd)
            # IGMP and ICMPv6 are refused by rules that name them, and by nothing else.
            exempt = {4: 2, 6: ICMPV6}
            if odd:
                rules += "\n  - { name: No IGMP, action: deny, direction: incoming, frame: ipv4, protocol: igmp }"
                rules += "\n  - { name: No ICMPv6, action: deny, direction: incoming, protocol: icmpv6, icmp: { type: echo-request } }"
            self.force(f"rules:\n{rules}\n")
            for version in (4, 6):
                with self.subTest(odd=odd, version=version):
                    scene = self.scene(version)
                    numbers = [n for n in range(256) if version == 4 or n not in EXTENSIONS]
                    before = self.passage.counts()[0]
                    events = self.told(lambda: [scene.incoming(self.packet(scene, n)) for n in numbers])
                    implicitly = sum(n % 2 != odd and n != exempt[version] for n in numbers)
                    self.assertEqual(reasons(events), {"out-of-allowed-policy": implicitly, **({"deny": 1} if odd else {})})
                    self.assertEqual(self.passage.counts()[0] - before, len(numbers) - implicitly - odd)

    def test_types_and_codes_of_icmp(self):
        """Each type in one family's rules with code 0, and the next types with no rule."""
        for version, protocol, action in ((4, "icmp", "force-allow"), (6, "icmpv6", "deny")):
            rules = "\n".join(
                f"  - {{ name: Type {t}, action: {action}, direction: incoming, protocol: {protocol}, icmp: {{ type: {t}, code: 0 }} }}"
                for t in range(0, 256, 2))
            self.force(f"rules:\n{rules}\n")
            scene = self.scene(version)
            kinds = [(t, c) for t in range(256) for c in (0, 1, 255)]

            def send():
                for kind, code in kinds:
                    header = scene.ip(**test_reasons.protocol_of(scene, 1 if version == 4 else ICMPV6))
                    scene.incoming(header / Raw(self.icmp(header, kind, code)))

            refused = {(e["icmp_type"], e["icmp_code"]) for e in self.told(send)}
            named = {(t, c) for t, c in kinds if t % 2 == 0 and c == 0}
            if version == 4:
                self.assertEqual(refused, set(kinds) - named)
            else:
                # Errors and redirects that quote nothing of this host's are refused without a rule.
                errors = {(t, c) for t, c in kinds if t in (1, 2, 3, 4, 137)}
                self.assertEqual(refused, named | errors)

    def icmp(self, header, kind, code):
        """With an identifier of its own, so that none is of another's exchange."""
        body = bytes([kind, code, 0, 0, kind, code]) + bytes(26)
        total = checksum(body) if header.name == "IP" else in6_chksum(ICMPV6, header, body)
        return body[:2] + total.to_bytes(2, "big") + body[4:]

    def test_the_borders_of_ports(self):
        self.force("rules:\n" + "\n".join(
            f"  - {{ name: {name}, action: {action}, direction: incoming, protocol: {protocol}, destination: {{ ports: [1-1023, 65535] }} }}"
            for name, action, protocol in (("TCP", "allow", "tcp"), ("UDP", "force-allow", "udp"))))
        for version in (4, 6):
            scene = self.scene(version)
            for protocol in (TCP, UDP):
                with self.subTest(version=version, protocol=protocol.__name__):
                    events = self.told(lambda: [
                        scene.incoming(scene.ip() / protocol(sport=40000, dport=port) / (b"" if protocol is TCP else b"x"))
                        for port in (0, 1, 1023, 1024, 65534, 65535)])
                    self.assertEqual([event["dest_port"] for event in events], [0, 1024, 65534])
                    self.assertEqual(reasons(events), {"out-of-allowed-policy": 3})


ONE = "rules: [{ name: One, action: allow, direction: incoming, protocol: tcp, source: { ports: 40000 }, destination: { ports: 6000 } }]\n"


class StateTests(Criteria):
    def test_each_attribute_of_an_established_flow_altered_in_turn(self):
        """FFW_RUL_EXT.1.5: the flow goes on without a rule for its answers, and what differs from it in one thing does not."""
        self.force(ONE)
        for version in (4, 6):
            scene = self.scene(version)

            def segment(flags="PA", ip=None, **fields):
                fields = {"sport": 40000, "dport": 6000, "seq": 1_000_001, "ack": 5_000_001, "window": 1000, **fields}
                return (ip or scene.ip()) / TCP(flags=flags, **fields) / b"x"

            flow = scene.flow().established()
            other = "198.18.4.250" if version == 4 else "fd00:3::fa"
            altered = {
                "source address": (segment(ip=scene.ip(src=other)), {"out-of-connection", "out-of-allowed-policy"}),
                "destination address": (segment(ip=scene.ip(dst=SPARE[version])), {"out-of-connection", "out-of-allowed-policy"}),
                "source port": (segment(sport=40001), {"out-of-connection", "out-of-allowed-policy"}),
                "destination port": (segment(dport=6001), {"out-of-connection", "out-of-allowed-policy"}),
                "protocol": (scene.ip() / UDP(sport=40000, dport=6000) / b"x", {"out-of-allowed-policy", "unsolicited-udp"}),
                "sequence": (segment(seq=1_002_000), {"invalid-sequence"}),
                "acknowledgement": (segment(ack=5_002_000), {"invalid-ack"}),
                "flags": (segment(flags="SF"), {"invalid-flags"}),
            }
            for what, (packet, wanted) in altered.items():
                with self.subTest(version=version, what=what):
                    found = reasons(self.told(lambda: scene.incoming(packet)))
                    self.assertEqual(sum(found.values()), 1, found)
                    self.assertLessEqual(set(found), wanted)
            self.assertEqual(self.told(lambda: flow.peer("PA", b"goes on").host("A").host("PA", b"answer")), [])

    def test_removed_at_once_after_both_fins_and_after_a_reset(self):
        self.force(ONE + "engine: { timeouts: { closed: 0s, time-wait: 0s } }\n")
        for version in (4, 6):
            for how in ("FIN", "RST"):
                with self.subTest(version=version, how=how):
                    flow = self.scene(version).flow().established()

                    def close():
                        if how == "RST":
                            flow.peer("R")
                        else:
                            flow.peer("FA").host("FA").peer("A")

                    self.assertEqual(self.told(close), [])
                    found = reasons(self.told(lambda: flow.peer("PA", b"late")))
                    self.assertEqual(sum(found.values()), 1)
                    self.assertLessEqual(set(found), {"out-of-connection", "out-of-allowed-policy"})

    def test_the_half_open_limit_to_the_packet(self):
        """FFW_RUL_EXT.1.10: the one beyond is refused; once one is complete, the next passes, and again one too many does not."""
        self.force("rules: [{ name: In, action: allow, direction: incoming, protocol: tcp }]\n"
                   "stateful: { tcp: { limits: { half-open-per-computer: 3 } } }\n")
        for version in (4, 6):
            with self.subTest(version=version):
                scene = self.scene(version)
                flows = [scene.flow(peer_port=port) for port in range(40000, 40006)]
                self.assertEqual(self.told(lambda: [flow.peer("S") for flow in flows[:3]]), [])
                self.assertEqual(reasons(self.told(lambda: flows[3].peer("S"))), {"max-syn-sent": 1})
                self.assertEqual(self.told(lambda: flows[0].host("SA").peer("A")), [])
                self.assertEqual(self.told(lambda: flows[4].peer("S")), [])
                self.assertEqual(reasons(self.told(lambda: flows[5].peer("S"))), {"max-syn-sent": 1})

    def test_neither_a_start_nor_a_crash_leaves_a_gap(self):
        """FFW_RUL_EXT.1.1: where the rules are, nothing passes while no agent is there, nor what its policy refuses after."""
        self.force(ONE)
        scene = self.scene(4)

        def passed():
            before = self.passage.counts()[0]
            for packet in (scene.tcp(sport=40001), scene.tcp(sport=40000)):
                scene.incoming(packet)
            return self.passage.counts()[0] - before

        self.assertEqual(self.told(lambda: scene.incoming(scene.tcp(sport=40002)))[0]["portreeve"]["reason"], "out-of-allowed-policy")
        self.agent.kill()
        self.assertEqual(passed(), 0)
        self.agent.start()
        before = self.passage.counts()[0]
        events = self.told(lambda: [scene.incoming(scene.tcp(sport=port)) for port in (40001, 40000)])
        self.assertEqual(reasons(events), {"out-of-allowed-policy": 1})
        self.assertEqual(self.passage.counts()[0] - before, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)

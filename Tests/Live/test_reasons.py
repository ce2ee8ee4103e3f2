# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reason that a packet can have on a live queue: a packet that raises it, and the nearest one that does not.

A case sends its packets with addresses that no other case uses. Of what it sends exactly one packet does not arrive
behind the queue, and exactly one event says why, with the fields of that packet. Its counter-test's packets all arrive
and raise nothing. Nothing answers the forged packets: the host drops them behind the queue.
"""

import base64
import os
import re
import time
import typing
import unittest

import isolation

isolation.isolate()

import causes
import services
from agent import Agent, reasons
from forge import Flow, Injector, Originator, Passage, one_cpu
from lab import Lab, wait_until
from scapy.layers.inet import ICMP, IP, IPOption_LSRR, IPOption_RR, IPOption_SSRR, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest, ICMPv6ND_NS, ICMPv6ND_Redirect, ICMPv6NDOptRedirectedHdr, ICMPv6PacketTooBig, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,
    PadN)
from scapy.packet import Raw

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FENCE = 9
# Another interface of the host, and somebody beyond it.
SPARE = {4: "203.0.113.1", 6: "fd00:a::1"}
BEYOND = {4: "203.0.113.7", 6: "fd00:a::7"}
LISTENING = 7

# Datagrams to 6000–6999 are let in, as are TCP connections, for want of Allow rules.
POLICIES = {
    "plain": """
rules:
  - { name: Noted, action: log-only, direction: incoming, protocol: tcp, destination: { ports: 6500 } }
  - { name: No telnet, action: deny, direction: incoming, priority: 2, protocol: tcp, destination: { ports: 23 }, packet-data: true }
  - { name: No telnet out, action: deny, direction: outgoing, protocol: tcp, destination: { ports: 23 } }
  - { name: Told, action: force-allow, direction: incoming, protocol: tcp, destination: { ports: 6600 }, log: true }
""",
    "connection log": "events: { new-connections: [tcp] }",
    "restrictive": """
rules:
  - { name: In, action: allow, direction: incoming, protocol: tcp, destination: { ports: 6000 } }
  - { name: Office, action: allow, direction: incoming, protocol: tcp, source: { ports: 41000 }, destination: { ports: 7 } }
  - { name: Out, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 6000 } }
""",
    "whole packets only": "stateful: { ip: { fragments: deny } }",
    "small fragments": "engine: { sanity: { minimum-fragment-size: 0, ipv6: { small-fragments: allow } } }",
    "no ipv6": "engine: { sanity: { block-ipv6: true } }",
    "limits": """
stateful: { tcp: { limits: { incoming-per-computer: 3, outgoing-per-computer: 3, half-open-per-computer: 2 } } }
""",
    "strict": "engine: { anti-evasion: strict }",
    "ack storms": "stateful: { tcp: { ack-storm: { threshold: 4 } } }",
    "ftp": "stateful: { ftp: { incoming-active: true } }",
    "no congestion flags": "stateful: { tcp: { congestion-flags: deny } }",
    "no null ip": """
rules:
  - { name: DHCP server, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 67 } }
engine: { sanity: { allow-null-ip: false } }
""",
    "checksums": "engine: { sanity: { verify-tcp-checksum: true } }",
    "no site-local": "engine: { sanity: { ipv6: { site-local: deny } } }",
    "small tables": "engine: { limits: { tcp: 4, udp: 4, icmp: 4 } }",
    "part of the packet": "queue: { copy-bytes: 128 }",
    "part of the packet, open": """
queue: { copy-bytes: 128 }
failure: { engine: open }
rules:
  - { name: No telnet, action: deny, direction: incoming, priority: 4, protocol: tcp, destination: { ports: 23 } }
""",
    "common criteria": """
engine: { sanity: { df-fragments: deny, record-route: deny, own-source: deny, link-local: deny, reverse-path: deny,
                    broadcast-source: deny } }
""",
    "no icmp": """
rules:
  - { name: No ICMP, action: deny, direction: incoming, priority: 3, protocol: icmp }
  - { name: No ICMPv6, action: deny, direction: incoming, priority: 3, protocol: icmpv6, icmp: { type: packet-too-big } }
""",
    "zero payloads": """
rules:
  - { name: No telnet, action: deny, direction: incoming, priority: 4, protocol: tcp, destination: { ports: 6000 } }
engine: { sanity: { drop-zero-payload: false } }
""",
    "tap": """
mode: tap
rules:
  - { name: No telnet, action: deny, direction: incoming, priority: 2, protocol: tcp, destination: { ports: 23 } }
""",
    "open": """
failure: { engine: open, sanity: open }
engine: { limits: { tcp: 4 } }
rules:
  - { name: No telnet, action: deny, direction: incoming, priority: 2, protocol: tcp, destination: { ports: 23 } }
""",
}

COMMON = """
rules:
  - {{ name: Fence, action: deny, direction: incoming, priority: 4, protocol: udp, destination: {{ ports: {FENCE} }} }}
  - {{ name: Datagrams, action: force-allow, direction: incoming, protocol: udp, destination: {{ ports: 6000-6999 }} }}
engine: {{ timeouts: {{ cold-start: 0s, boot-start: 0s }} }}
""".format(FENCE=FENCE)


class Row(typing.NamedTuple):
    """A row of the program's table of reasons."""

    id: int
    slug: str
    name: str
    stage: str
    seen: str
    is_available: bool


def table():
    """The rows of Sources/FirewallEngine/Reasons/ReasonRow+All.swift, by slug."""
    with open(os.path.join(ROOT, "Sources", "FirewallEngine", "Reasons", "ReasonRow+All.swift")) as source:
        text = source.read()
    stages = {"sanity": "V", "fragments": "F", "rules": "R", "tracking": "T", "unsolicited": "U", "connections": "C",
              "agent": "E", "notice": "notice"}
    rows = {}
    for part in text.split("ReasonRow(")[1:]:
        head = re.match(r'\s*\.\w+, (\d+), "([^"]+)", "([^"]+)",\s*\.(\w+),', part)
        row = Row(
            int(head[1]), head[2], head[3], stages[head[4]], re.search(r'seen: "([^"]+)"', part)[1],
            "isAvailable: false" not in part)
        rows[row.slug] = row
    return rows


# Raised by no packet while the program is right: it is what the state machine says of a state that contradicts itself. The
# engine's own tests damage an entry and see the event. And what is asked for by the control socket, or takes a flood or as many
# openings as a rate: test_blocks, test_cookies and test_rate do that.
NOT_BY_PACKETS = {"internal-states-error", "blocked-source", "syn-cookie-error", "connection-rate"}


class Scene:
    """One run of a case: what it sends, from addresses of its own."""

    def __init__(self, bench, version, number):
        self.bench, self.version = bench, version
        self.peer = f"198.18.{3 + number // 250}.{1 + number % 250}" if version == 4 else f"fd00:3::{number + 1:x}"
        self.host = bench.lab.host.ip4 if version == 4 else bench.lab.host.ip6
        self.sent_in = self.sent_out = 0
        self.last = None

    def ip(self, **fields):
        """The header of a packet from the peer to the host."""
        return self._header(self.peer, self.host, fields)

    def ip_out(self, **fields):
        return self._header(self.host, self.peer, fields)

    def _header(self, source, destination, fields):
        fields = {"src": source, "dst": destination, **fields}
        return IP(**fields) if self.version == 4 else IPv6(**fields)

    def tcp(self, flags="S", ip=None, **fields):
        """A segment from the peer."""
        fields = {"sport": 40000, "dport": 6000, "seq": 1_000_000, "window": 1000, **fields}
        return (ip or self.ip()) / TCP(flags=flags, **fields)

    def udp(self, ip=None, **fields):
        return (ip or self.ip()) / UDP(**{"sport": 40000, "dport": 6000, **fields}) / b"datagram"

    def flow(self, **options):
        return Flow(self, **options)

    def fragment(self, offset, data, more=True, number=77, protocol="udp", **fields):
        """A piece of a datagram whose payload is `data`, from byte `offset` on."""
        kind = {"udp": 17, "tcp": 6}[protocol]
        if self.version == 4:
            fields = {"id": number, "flags": "MF" if more else 0, "frag": offset // 8, "proto": kind, **fields}
            return self.ip(**fields) / Raw(data)
        return self.ip(**fields) / IPv6ExtHdrFragment(nh=kind, id=number, offset=offset // 8, m=int(more)) / Raw(data)

    def incoming(self, packet):
        self.bench.injector.send(packet)
        self.sent_in += 1
        self.last = packet, "incoming"

    def outgoing(self, packet):
        self.bench.originator.send(packet)
        self.sent_out += 1
        self.last = packet, "outgoing"


Steps = typing.Callable[[Scene], None]


class Case(typing.NamedTuple):
    reason: str
    name: str
    policy: str
    versions: tuple
    raises: Steps
    quiet: Steps
    #: Fields of the record that do not follow from the last packet sent; None: the record has no such field.
    fields: dict
    #: The event comes only after this many seconds.
    after: float

    @property
    def is_drop(self):
        return self.fields.get("action", "deny") == "deny"


CASES = []


def case(reason, name, raises, quiet, policy="plain", versions=(4, 6), after=0, **fields):
    CASES.append(Case(reason, name, policy, versions, raises, quiet, fields, after))


# R: rules

case("log-only", "a Log Only rule", lambda s: s.incoming(s.tcp(dport=6500)), lambda s: s.incoming(s.tcp(dport=6501)),
     rule="Noted", priority=4, action="log-only")
case("deny", "a Deny rule", lambda s: s.incoming(s.tcp(dport=23)), lambda s: s.incoming(s.tcp(dport=24)),
     rule="No telnet", priority=2, packet=True)
case("deny", "a Deny rule going out", lambda s: s.flow(port=23, opener="host").host("S"),
     lambda s: s.flow(port=24, opener="host").host("S"), rule="No telnet out", priority=0)
case("out-of-allowed-policy", "no Allow rule matches", lambda s: s.incoming(s.tcp(dport=6001)),
     lambda s: s.incoming(s.tcp()), policy="restrictive")
case("out-of-allowed-policy", "no Allow rule matches going out", lambda s: s.flow(port=6001, opener="host").host("S"),
     lambda s: s.flow(opener="host").host("S"), policy="restrictive")
case("out-of-allowed-policy-open-port", "a socket listens where no Allow rule matches",
     lambda s: s.incoming(s.tcp(dport=LISTENING)), lambda s: s.incoming(s.tcp(dport=LISTENING, sport=41000)),
     policy="restrictive")


# C: the log of connections

case("new-connection", "a SYN that the rules admit", lambda s: s.incoming(s.tcp()), lambda s: s.incoming(s.tcp("R")),
     policy="connection log", action="notice")
case("new-connection", "of a rule that says so", lambda s: s.incoming(s.tcp(dport=6600)),
     lambda s: s.incoming(s.tcp(dport=6601)), rule="Told", priority=0, action="notice")


# T: flags


def flags_case(name, flags, honest="S", data=b"", policy="plain", **honest_fields):
    case("invalid-flags", name, lambda s: s.incoming(s.tcp(flags) / data),
         lambda s: s.incoming(s.tcp(honest, **honest_fields) / data), policy=policy)


flags_case("none at all", "")
flags_case("SYN and FIN", "SF")
flags_case("SYN and RST", "SR")
flags_case("RST and FIN", "RF", honest="R")
flags_case("all of them", "FSRPAU")
flags_case("FIN, PSH and URG, strictly", "FPU", policy="strict")
flags_case("data on a SYN", "S", data=b"early", options=[("TFO", (1, 2))])


def urgent(s, flags):
    s.flow().established().peer(flags, b"urgent", urgptr=1)


case("invalid-flags", "urgent data, strictly", lambda s: urgent(s, "PAU"), lambda s: urgent(s, "PA"), policy="strict")
case("invalid-flags", "SYN+ACK from the opener", lambda s: s.flow().peer("S").peer("SA", ack=5_000_001),
     lambda s: s.flow().peer("S").host("SA"))
case("invalid-flags", "split handshake", lambda s: s.flow().peer("S").host("A").host("S"),
     lambda s: s.flow().peer("S").host("S").peer("SA", seq=1_000_000).host("SA", seq=5_000_000))
case("ce-flags", "an ECN opening", lambda s: s.incoming(s.tcp("SEC")), lambda s: s.incoming(s.tcp()),
     policy="no congestion flags")
case("ce-flags", "ECE in a connection", lambda s: s.flow().established().peer("AE"),
     lambda s: s.flow().established().peer("A"), policy="no congestion flags")

# T: state

case("out-of-connection", "an ACK from nowhere", lambda s: s.incoming(s.tcp("A", ack=1)),
     lambda s: s.flow().established().peer("A"))
case("out-of-connection", "a SYN+ACK from nowhere", lambda s: s.incoming(s.tcp("SA", ack=1)),
     lambda s: s.flow(opener="host").host("S").peer("SA"))
case("out-of-connection", "a RST from nowhere, strictly", lambda s: s.incoming(s.tcp("R")),
     lambda s: s.flow().peer("S").peer("R"), policy="strict")
case("out-of-connection", "a FIN from nowhere, strictly", lambda s: s.incoming(s.tcp("FA", ack=1)),
     lambda s: s.flow().established().peer("FA"), policy="strict")
case("out-of-connection", "data from this host of no connection, strictly",
     lambda s: s.flow(opener="host").host("PA", b"data"), lambda s: s.flow().established().host("PA", b"data"),
     policy="strict")
case("out-of-connection", "data behind a RST and a FIN of no connection",
     lambda s: s.incoming(s.tcp("PA", ack=1) / b"data"),
     lambda s: (s.incoming(s.tcp("R")), s.incoming(s.tcp("FA", ack=1)), s.flow(peer_port=40001).host("PA", b"data")))
case("invalid-sequence", "data beyond the window", lambda s: s.flow().established().peer("PA", b"x", seq=1_001_001),
     lambda s: s.flow().established().peer("PA", b"x", seq=1_001_000))
case("invalid-sequence", "older than any window", lambda s: s.flow().established().peer("PA", b"x", seq=900_000),
     lambda s: s.flow().established().peer("PA", b"x" * 100).peer("PA", b"x" * 100, seq=1_000_001))
case("invalid-sequence", "a RST outside the window", lambda s: s.flow().established().peer("R", seq=1_001_003),
     lambda s: s.flow().established().peer("R", seq=1_001_002))
case("invalid-sequence", "a RST out of the blue against a quiet connection",
     lambda s: s.flow().established().peer("R", seq=1_000_000),
     lambda s: s.flow().established().peer("R", seq=1_000_500).peer("PA", b"still open").host("A"))
case("invalid-ack", "acknowledges what was never sent", lambda s: s.flow().established().peer("A", ack=5_000_002),
     lambda s: s.flow().established().host("PA", b"x").peer("A", ack=5_000_002))
case("invalid-ack", "a SYN+ACK for another SYN", lambda s: s.flow().peer("S").host("SA", ack=1_000_002),
     lambda s: s.flow().peer("S").host("SA", ack=1_000_001))
case("packet-on-closed-connection", "data behind a RST",
     lambda s: s.flow().established().peer("R").host("PA", b"late").peer("PA", b"later"),
     lambda s: s.flow().established().peer("R").host("PA", b"late").peer("S", seq=2_000_000))


def announced(s, address, port=51_213):
    kind = 2 if ":" in address else 1
    s.flow(port=21).established().peer("PA", f"EPRT |{kind}|{address}|{port}|\r\n".encode())


case("invalid-port-command", "the port of a third computer", lambda s: announced(s, s.ip().dst),
     lambda s: announced(s, s.ip().src), policy="ftp")
case("invalid-port-command", "a port of services", lambda s: announced(s, s.ip().src, 1_023),
     lambda s: announced(s, s.ip().src, 1_024), policy="ftp")
case("dropped-retransmit", "other bytes in the place of those first seen",
     lambda s: s.flow().established().peer("PA", b"genuine").peer("PA", b"garbage", seq=1_000_001),
     lambda s: s.flow().established().peer("PA", b"genuine").peer("PA", b"nuine", seq=1_000_003), policy="strict",
     note="prev-full")
case("dropped-retransmit", "from this host, over two segments",
     lambda s: s.flow().established().host("PA", b"one").host("PA", b"two").host("PA", b"oneTwo", seq=5_000_001),
     lambda s: s.flow().established().host("PA", b"one").host("PA", b"two").host("PA", b"onetwo", seq=5_000_001),
     policy="strict", note="next-full")
case("invalid-flags", "an MD5 option that the SYN had not",
     lambda s: s.flow().established().peer("R", options=[(19, bytes(16))]),
     lambda s: s.flow().established(options=[(19, bytes(16))]).peer("R", options=[(19, bytes(16))]))

case("maximum-ack-retransmit", "a fifth acknowledgement like the four before", lambda s: acknowledges(s, 5),
     lambda s: acknowledges(s, 4), policy="ack storms")


def acknowledges(s, count):
    """Once both sides have sent something; the first of them answers what the host has sent."""
    flow = s.flow().established().peer("PA", b"question").host("PA", b"answer")
    for _ in range(count + 1):
        flow.peer("A")


def stamped(s, first, second):
    def options(value):
        return [("NOP", None), ("NOP", None), ("Timestamp", (value, 1))]

    s.flow().established(options=options(first)).peer("PA", b"x", options=options(second))


case("invalid-sequence", "a time stamp older than PAWS allows, strictly", lambda s: stamped(s, 100_000, 90_000),
     lambda s: stamped(s, 100_000, 100_100), policy="strict")

# U: unsolicited datagrams

case("unsolicited-udp", "nobody asked", lambda s: s.incoming(s.udp(dport=5000)),
     lambda s: (s.outgoing(s.ip_out() / UDP(sport=5000, dport=40000) / b"?"), s.incoming(s.udp(dport=5000))))


def echo(kind, number=7):
    return ICMP(type=kind, id=number, seq=1) / b"echo"


case("unsolicited-icmp", "an echo reply without a request", lambda s: s.incoming(s.ip() / echo("echo-reply")),
     lambda s: (s.outgoing(s.ip_out() / echo("echo-request")), s.incoming(s.ip() / echo("echo-reply"))),
     versions=(4,))
case("unsolicited-icmp", "an echo request that no rule lets in", lambda s: s.incoming(s.ip() / echo("echo-request")),
     lambda s: s.outgoing(s.ip_out() / echo("echo-request")), versions=(4,))


def unreachable(s, sequence):
    """The peer says that a segment of the host's could not be delivered."""
    s.flow(opener="host").host("S").peer("SA").host("A").host("PA", b"lost")
    quoted = s.ip_out() / TCP(sport=40000, dport=6000, flags="PA", seq=sequence, ack=1_000_001) / b"lost"
    s.incoming(s.ip() / ICMP(type=3, code=1) / quoted)


case("unsolicited-icmp", "an error about an implausible sequence number", lambda s: unreachable(s, 4_000_000),
     lambda s: unreachable(s, 5_000_001), versions=(4,))
case("unsolicited-icmp", "an error about no connection", lambda s: s.incoming(
    s.ip() / ICMP(type=3, code=1) / s.ip_out() / TCP(sport=40000, dport=6000)), lambda s: unreachable(s, 5_000_001),
     versions=(4,))


def redirect(s, quoted):
    """The peer says that another router is nearer. With IPv6 the packet is quoted in an option (RFC 4861 section 4.6.3)."""
    if s.version == 4:
        s.incoming(s.ip() / ICMP(type=5, code=1, gw=s.peer) / quoted)
    else:
        s.incoming(s.ip(hlim=255) / ICMPv6ND_Redirect(tgt=s.peer, dst=s.peer) / ICMPv6NDOptRedirectedHdr(pkt=quoted))


def about_datagram(s, error):
    sent = s.ip_out() / UDP(sport=40000, dport=6000) / b"datagram"
    s.outgoing(sent)
    error(s, sent)


def too_big(s, quoted, mtu=1280):
    s.incoming(s.ip() / (ICMP(type=3, code=4, nexthopmtu=mtu) if s.version == 4 else ICMPv6PacketTooBig(mtu=mtu)) / quoted)


def far_too_big(s, quoted):
    """Below what every link of IPv6 carries (RFC 8200 section 5). Whoever gets it takes 1,280 for it."""
    too_big(s, quoted, 600)


def unsent(s):
    return s.ip_out() / UDP(sport=41000, dport=6000) / b"datagram"


def tunnel(s):
    fields = {"proto": 47} if s.version == 4 else {"nh": 47}
    return s.ip_out(**fields) / Raw(bytes(40))


REDIRECT = {4: {"icmp_type": 5, "icmp_code": 1, "proto": "ICMP"}, 6: {"icmp_type": 137, "icmp_code": 0, "proto": "IPv6-ICMP"}}
TOO_BIG = {4: {"icmp_type": 3, "icmp_code": 4, "proto": "ICMP"}, 6: {"icmp_type": 2, "icmp_code": 0, "proto": "IPv6-ICMP"}}
for version in (4, 6):
    case("unsolicited-icmp", f"a redirect of IPv{version} about no connection", lambda s: redirect(s, unsent(s)),
         lambda s: about_datagram(s, redirect), versions=(version,), ports=False, tcp=None, **REDIRECT[version])
    case("unsolicited-icmp", f"a redirect of IPv{version} about a tunnel", lambda s: redirect(s, tunnel(s)),
         lambda s: about_datagram(s, redirect), versions=(version,), ports=False, tcp=None, **REDIRECT[version])
    case("unsolicited-icmp", f"a path MTU of IPv{version} about no connection", lambda s: too_big(s, unsent(s)),
         lambda s: about_datagram(s, too_big), versions=(version,), ports=False, tcp=None, **TOO_BIG[version])
    case("unsolicited-icmp", f"a path MTU of IPv{version} that quotes too little",
         lambda s: too_big(s, Raw(bytes(tunnel(s))[:-33])), lambda s: too_big(s, tunnel(s)), versions=(version,),
         ports=False, tcp=None, **TOO_BIG[version])
    case("unsolicited-icmp", f"a path MTU of IPv{version} below 1,280 about no connection",
         lambda s: far_too_big(s, unsent(s)), lambda s: about_datagram(s, far_too_big), versions=(version,), ports=False,
         tcp=None, **TOO_BIG[version])
    case("deny", f"a path MTU of IPv{version} about no connection, where a rule denies what the built-in one does not admit",
         lambda s: too_big(s, unsent(s)), lambda s: about_datagram(s, too_big), versions=(version,), policy="no icmp",
         rule="No ICMP" if version == 4 else "No ICMPv6", priority=3, ports=False, tcp=None, **TOO_BIG[version])

# C: limits


def openings(s, count, complete=True):
    for port in range(40000, 40000 + count):
        flow = s.flow(peer_port=port)
        flow.established() if complete else flow.peer("S")
    return s


def openings_out(s, count):
    for port in range(40000, 40000 + count):
        s.flow(peer_port=port, opener="host").established()
    return s


case("max-incoming-connections", "one too many from a computer",
     lambda s: openings(s, 3).incoming(s.tcp(sport=41000)),
     lambda s: openings(s, 2).incoming(s.tcp(sport=41000)), policy="limits")
case("max-outgoing-connections", "one too many to a computer",
     lambda s: openings_out(s, 3).flow(peer_port=41000, opener="host").host("S"),
     lambda s: openings_out(s, 2).flow(peer_port=41000, opener="host").host("S"), policy="limits")
case("max-syn-sent", "one half-open connection too many",
     lambda s: openings(s, 2, complete=False).incoming(s.tcp(sport=41000)),
     lambda s: openings(openings(s, 1, complete=False), 1).incoming(s.tcp(sport=41000)), policy="limits")
case("max-tcp-connections", "the table is full", lambda s: openings(s, 4).incoming(s.tcp(sport=41000)),
     lambda s: openings(s, 3).incoming(s.tcp(sport=41000)), policy="small tables")


def datagrams(s, count):
    for port in range(40000, 40000 + count):
        s.outgoing(s.udp(ip=s.ip_out(), sport=port))


def requests(s, count):
    for number in range(count):
        s.outgoing(s.ip_out() / echo("echo-request", number))


case("max-udp-connections", "the table is full", lambda s: datagrams(s, 5), lambda s: datagrams(s, 4),
     policy="small tables")
case("max-icmp-connections", "the table is full", lambda s: requests(s, 5), lambda s: requests(s, 4),
     policy="small tables", versions=(4,))

# V: sanity

for address in ("224.0.0.1", "255.255.255.255", "240.0.0.1", "127.0.0.1"):
    case("invalid-ip", f"from {address}", lambda s, address=address: s.incoming(s.tcp(ip=s.ip(src=address))),
         lambda s: s.incoming(s.tcp(ip=s.ip(src="223.255.255.255"))), versions=(4,))
case("ipv6-packet", "while IPv6 is blocked", lambda s: s.incoming(s.tcp()),
     lambda s: s.incoming(IP(src="198.18.3.254", dst=s.bench.lab.host.ip4) / TCP(dport=6000)), policy="no ipv6",
     versions=(6,))
case("same-source-and-destination-ip", "LAND", lambda s: s.incoming(s.tcp(ip=s.ip(src=s.host), sport=6000)),
     lambda s: s.incoming(s.tcp(sport=6000)))
for source, policy in (("2001:db8::1", "plain"), ("4000::1", "plain"), ("2002:7f00:1::1", "plain"), ("::5", "plain"),
                       ("fec0::1", "no site-local")):
    case("invalid-ipv6-address", f"from {source}",
         lambda s, source=source: s.incoming(s.tcp(ip=s.ip(src=source))),
         lambda s: [s.incoming(s.tcp(ip=s.ip(src=source))) for source in ("2600::1", "64:ff9b::1", "2002:101:1::1")],
         policy=policy, versions=(6,))
case("null-ip", "from nobody", lambda s: s.incoming(s.tcp(ip=s.ip(src="0.0.0.0"))),
     lambda s: s.incoming(IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / b"DISCOVER"),
     policy="no null ip", versions=(4,))
case("null-ip", "from ::", lambda s: s.incoming(s.tcp(ip=s.ip(src="::"))),
     lambda s: s.bench.injector.send(
         IPv6(src="::", dst="ff02::1:ff00:2", hlim=255) / ICMPv6ND_NS(tgt=s.host)), policy="no null ip", versions=(6,))
case("ip-zero-payload", "TCP without a byte of it", lambda s: s.incoming(s.ip(**protocol_of(s, 6))),
     lambda s: s.incoming(s.ip(**protocol_of(s, 253)) / b"x"))
case("ip-zero-payload", "no next header", lambda s: s.incoming(s.ip(nh=59)),
     lambda s: s.incoming(s.ip(nh=253) / b"x"), versions=(6,))


def protocol_of(s, number):
    return {"proto": number} if s.version == 4 else {"nh": number}


def short(number, length):
    """The first bytes of a header whose type or ports are 0."""
    return lambda s: s.incoming(s.ip(**protocol_of(s, number)) / Raw(bytes(length)))


case("unreadable-protocol-header", "19 bytes of TCP", short(6, 19), lambda s: s.incoming(s.tcp()), ports=False,
     tcp=None)
case("unreadable-protocol-header", "7 bytes of UDP", short(17, 7), lambda s: s.incoming(s.udp()), ports=False)
case("unreadable-protocol-header", "7 bytes of ICMP", short(1, 7),
     lambda s: s.outgoing(s.ip_out() / echo("echo-request")), versions=(4,), icmp_type=None, icmp_code=None)
case("unreadable-protocol-header", "7 bytes of ICMPv6", short(58, 7),
     lambda s: s.incoming(s.ip() / ICMPv6EchoRequest()), versions=(6,), icmp_type=None, icmp_code=None)
case("invalid-tcp-header-length", "data offset 4", lambda s: s.incoming(s.tcp(dataofs=4)),
     lambda s: s.incoming(s.tcp(dataofs=5)))
case("invalid-data-offset", "beyond the packet", lambda s: s.incoming(s.tcp(dataofs=6)),
     lambda s: s.incoming(s.tcp(dataofs=6, options=[("MSS", 1400)])))
case("invalid-transport-header-length", "a UDP length of 7", lambda s: s.incoming(s.udp(len=7)),
     lambda s: s.incoming(s.udp(len=8)))
case("invalid-transport-header-length", "a UDP length beyond the packet", lambda s: s.incoming(s.udp(len=17)),
     lambda s: s.incoming(s.udp(len=16)))
case("invalid-checksum", "a wrong TCP checksum", lambda s: s.incoming(s.tcp(chksum=1)), lambda s: s.incoming(s.tcp()),
     policy="checksums")


case("invalid-ip", "to 240.0.0.1", lambda s: s.outgoing(s.ip_out(dst="240.0.0.1") / TCP(sport=40000, dport=6000)),
     lambda s: s.outgoing(s.ip_out() / TCP(sport=40000, dport=6000)), versions=(4,))


def with_options(s, *options):
    s.incoming(s.tcp(ip=s.ip(options=list(options))))


ROUTERS = ["198.18.2.1"]
for policy, action in (("plain", "deny"), ("tap", "tap:deny"), ("open", "fail-open")):
    case("source-routed", f"loosely, {policy}", lambda s: with_options(s, IPOption_LSRR(routers=ROUTERS)),
         lambda s: with_options(s, IPOption_RR(routers=ROUTERS)), versions=(4,), policy=policy, action=action)
case("source-routed", "strictly", lambda s: with_options(s, b"\x01", IPOption_SSRR(routers=ROUTERS)),
     lambda s: with_options(s, *[b"\x01"] * 8), versions=(4,))
case("record-route", "refused", lambda s: with_options(s, IPOption_RR(routers=ROUTERS)),
     lambda s: with_options(s, *[b"\x01"] * 8), versions=(4,), policy="common criteria")
case("spoofed-own-address", "to another address of this host",
     lambda s: s.incoming(s.tcp(ip=s.ip(src=s.host, dst=SPARE[s.version]))),
     lambda s: s.incoming(s.tcp(ip=s.ip(dst=SPARE[s.version]))), policy="common criteria")
case("link-local-address", "from 169.254.0.9", lambda s: s.incoming(s.tcp(ip=s.ip(src="169.254.0.9"))),
     lambda s: s.incoming(s.tcp(ip=s.ip(src="169.253.0.9"))), versions=(4,), policy="common criteria")
case("link-local-address", "to 169.254.169.254",
     lambda s: s.outgoing(s.ip_out(dst="169.254.169.254") / TCP(sport=40000, dport=6000)),
     lambda s: s.outgoing(s.ip_out() / TCP(sport=40000, dport=6000)), versions=(4,), policy="common criteria")
case("link-local-address", "from fe80::9", lambda s: s.incoming(s.tcp(ip=s.ip(src="fe80::9"))),
     lambda s: s.bench.injector.send(IPv6(src="fe80::9", dst="ff02::1:ff00:2", hlim=255) / ICMPv6ND_NS(tgt=s.host)),
     versions=(6,), policy="common criteria")
case("reverse-path", "of the other interface's network", lambda s: s.incoming(s.tcp(ip=s.ip(src=BEYOND[s.version]))),
     lambda s: s.incoming(s.tcp()), policy="common criteria")
case("broadcast-source", "of the host's network", lambda s: s.incoming(s.tcp(ip=s.ip(src="198.18.2.255"))),
     lambda s: s.incoming(s.tcp(ip=s.ip(src="198.18.2.254"))), versions=(4,), policy="common criteria")


def routed(s, kind, left=0):
    return s.ip() / IPv6ExtHdrRouting(type=kind, addresses=["fd00:9::1"], segleft=left) / TCP(sport=40000, dport=6000)


case("ipv6-routing-header-0", "type 0", lambda s: s.incoming(routed(s, 0)), lambda s: s.incoming(routed(s, 2)),
     versions=(6,))
case("invalid-extension-chain", "hop-by-hop options not first",
     lambda s: s.incoming(s.ip() / IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop() / TCP(sport=40000, dport=6000)),
     lambda s: s.incoming(s.ip() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / TCP(sport=40000, dport=6000)),
     versions=(6,), ports=False, tcp=None, proto="000")


case("invalid-extension-chain", "a fragment within a fragment",
     lambda s: s.incoming(s.ip() / IPv6ExtHdrFragment(nh=44) / IPv6ExtHdrFragment(nh=6, m=1) / Raw(bytes(1400))),
     lambda s: s.incoming(s.ip() / IPv6ExtHdrFragment(nh=6) / TCP(sport=40000, dport=6000)), versions=(6,),
     ports=False, tcp=None, proto="044")


def chain(s, count):
    packet = s.ip()
    for _ in range(count):
        packet /= IPv6ExtHdrDestOpt()
    s.incoming(packet / TCP(sport=40000, dport=6000))


case("invalid-extension-chain", "17 headers", lambda s: chain(s, 17), lambda s: chain(s, 16), versions=(6,),
     ports=False, tcp=None, proto="060")
case("invalid-extension-chain", "cut short", lambda s: s.incoming(s.ip(nh=60) / Raw(b"\x06\x01" + bytes(8))),
     lambda s: s.incoming(s.ip(nh=60) / Raw(b"\xfd\x01" + bytes(14) + b"x")), versions=(6,), ports=False, tcp=None,
     proto="060")


def padded(s, length):
    options = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(length))])
    s.incoming(s.ip() / options / TCP(sport=40000, dport=6000))


case("invalid-packet-info", "headers beyond what was copied", lambda s: padded(s, 92), lambda s: padded(s, 60),
     policy="part of the packet", versions=(6,), ports=False, tcp=None, proto="060")


def padded_options(s, port):
    """The ports are among what is copied, the options are not."""
    options = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(52))])
    s.incoming(s.ip() / options / TCP(sport=40000, dport=port, options=[("MSS", 1400), ("NOP", None), ("WScale", 7)]))


case("deny", "the rest of the header beyond what was copied, failing open", lambda s: padded_options(s, 23),
     lambda s: s.incoming(s.tcp(dport=24)), policy="part of the packet, open", versions=(6,), rule="No telnet", priority=4)
case("unreadable-ipv6-header", "payload length 0 before hop-by-hop options",
     lambda s: s.incoming(s.ip(plen=0) / IPv6ExtHdrHopByHop() / TCP(sport=40000, dport=6000)),
     lambda s: s.incoming(s.ip() / IPv6ExtHdrHopByHop() / TCP(sport=40000, dport=6001)), policy="zero payloads",
     versions=(6,), ports=False, tcp=None, proto="000")

# F: fragments

PAYLOAD = bytes(UDP(sport=40000, dport=6000, len=4096, chksum=0)) + bytes(4088)


def first(s, end=None, **fields):
    """The first fragment of a datagram: as small as may be, or up to byte `end` of the payload."""
    end = end or (104 if s.version == 4 else 1232)
    s.incoming(s.fragment(0, PAYLOAD[:end], **fields))
    return end


def rest(s, start, end=None, more=False, **fields):
    s.incoming(s.fragment(start, PAYLOAD[start:end or start + 16], more=more, **fields))


def two(s, start=None, **options):
    """The first fragment and one that begins at `start`; without it, where the first ends."""
    end = first(s)
    rest(s, end if start is None else start, **options)


case("fragmented", "a first fragment while fragments are refused", lambda s: first(s),
     lambda s: s.incoming(s.udp(ip=s.ip(flags="DF") if s.version == 4 else None)), policy="whole packets only")
case("fragmented", "a later fragment while fragments are refused", lambda s: rest(s, 104),
     lambda s: s.incoming(s.ip() / IPv6ExtHdrFragment(m=0, offset=0) / UDP(dport=6000)) if s.version == 6
     else s.incoming(s.udp()), policy="whole packets only")
case("invalid-fragment-offset", "DF and MF", lambda s: first(s, flags="DF+MF"), lambda s: first(s), versions=(4,),
     policy="common criteria")
case("invalid-fragment-offset", "DF and an offset", lambda s: (first(s), rest(s, 104, flags="DF")), two, versions=(4,),
     policy="common criteria")
case("first-fragment-too-small", "119 bytes",
     lambda s: s.incoming(s.fragment(0, PAYLOAD[:96 if s.version == 4 else 64])),
     lambda s: s.incoming(s.fragment(0, PAYLOAD[:96], options=[b"\x01"] * 4) if s.version == 4
                          else s.fragment(0, PAYLOAD[:1232])))
case("fragment-out-of-bounds", "ping of death", lambda s: (first(s), s.incoming(s.fragment(65528, bytes(16), more=False))),
     lambda s: (first(s), s.incoming(s.fragment(65504, bytes(8), more=False))))
case("fragment-offset-too-small", "byte 56", lambda s: (first(s, 56), rest(s, 56)),
     lambda s: (first(s, 64), rest(s, 64)), policy="small fragments")
case("ipv6-fragment-too-small", "1,272 bytes that are not the last", lambda s: first(s, 1224), lambda s: first(s, 1232),
     versions=(6,))
case("ipv6-fragment-too-small", "a piece in the middle", lambda s: (first(s), rest(s, 1232, more=True)),
     lambda s: two(s), versions=(6,))
case("overlapping-fragment", "the second begins in the first",
     lambda s: two(s, start=96 if s.version == 4 else 1224), lambda s: two(s))
case("overlapping-fragment", "the same place, another length", lambda s: (two(s, more=True), rest(s, *again(s))),
     lambda s: (two(s, more=True), two(s, more=True)), policy="small fragments")
case("incomplete-datagram", "the first never comes", lambda s: rest(s, 104 if s.version == 4 else 1232),
     lambda s: (rest(s, 104 if s.version == 4 else 1232), first(s)), after=1)


def again(s):
    start = 104 if s.version == 4 else 1232
    return start, start + 8


# Refused, and passed all the same

case("deny", "in tap mode", lambda s: s.incoming(s.tcp(dport=23)), lambda s: s.incoming(s.tcp(dport=24)), policy="tap",
     rule="No telnet", priority=2, action="tap:deny")
case("unsolicited-udp", "in tap mode", lambda s: s.incoming(s.udp(dport=5000)), lambda s: s.incoming(s.udp()),
     policy="tap", action="tap:deny")
case("out-of-connection", "in tap mode", lambda s: s.incoming(s.tcp("A", ack=1)),
     lambda s: s.flow().established().peer("A"), policy="tap", action="tap:deny")
case("same-source-and-destination-ip", "failing open", lambda s: s.incoming(s.tcp(ip=s.ip(src=s.host), sport=6000)),
     lambda s: s.incoming(s.tcp()), policy="open", action="fail-open")
case("invalid-flags", "failing open", lambda s: s.incoming(s.tcp("SF")), lambda s: s.incoming(s.tcp()), policy="open",
     action="fail-open")
case("first-fragment-too-small", "failing open", lambda s: s.incoming(s.fragment(0, PAYLOAD[:64])), lambda s: first(s),
     policy="open", action="fail-open")
case("max-tcp-connections", "failing open", lambda s: openings(s, 4).incoming(s.tcp(sport=41000)),
     lambda s: openings(s, 3).incoming(s.tcp(sport=41000)), policy="open", action="fail-open")
case("deny", "denies when the rest fails open", lambda s: s.incoming(s.tcp(dport=23)),
     lambda s: s.incoming(s.tcp(dport=24)), policy="open", rule="No telnet", priority=2)

PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "IPv6-ICMP"}
FLAG_ORDER = "FSRPAUEC"


def dissected(packet):
    return type(packet)(bytes(packet))


def expected(row, case, scene):
    """The record's fields that follow from the packet, as scapy reads it, and from the table of reasons."""
    packet, direction = scene.last
    packet = dissected(packet)
    incoming = direction == "incoming"
    fields = {
        "event_type": "drop", "src_ip": packet.src, "dest_ip": packet.dst, "proto": protocol(packet),
        "in_iface": "eth0" if incoming else None, "out_iface": None if incoming else "eth0",
        "src_port": None, "dest_port": None, "icmp_type": None, "icmp_code": None, "tcp": None,
        "portreeve": {
            "reason": row.slug, "id": row.id, "action": "deny",
            "name": case.fields.get("rule") if row.slug in ("deny", "log-only") else row.name,
            "direction": direction, "stage": row.stage, "rule": case.fields.get("rule"),
            "priority": case.fields.get("priority"), "count": 1,
            "mode": "tap" if case.policy == "tap" else "inline",
            "hook": "prerouting" if incoming else "output", "queue": 0, "policy_epoch": 1, "note": case.fields.get("note")},
        "frame": {
            "type": "IPv4" if scene.version == 4 else "IPv6", "length": len(bytes(packet)),
            "ttl": packet.ttl if scene.version == 4 else packet.hlim, "fragment": fragment(packet),
            "src_mac": scene.bench.router_mac if incoming else None}}
    if TCP in packet or UDP in packet:
        transport = packet[TCP if TCP in packet else UDP]
        fields |= {"src_port": transport.sport, "dest_port": transport.dport}
    if TCP in packet:
        segment = packet[TCP]
        fields["tcp"] = {
            "flags": "".join(letter for letter in FLAG_ORDER if letter in str(segment.flags)) or "0",
            "seq": segment.seq, "ack": segment.ack, "window": segment.window}
    if ICMP in packet:
        fields |= {"icmp_type": packet[ICMP].type, "icmp_code": packet[ICMP].code}
    if case.fields.get("ports") is False:
        fields |= {"src_port": None, "dest_port": None}
    action = fields["portreeve"]["action"] = case.fields.get("action", "deny")
    if action in ("log-only", "notice"):
        fields["event_type"] = "portreeve"
    return fields | {key: value for key, value in case.fields.items() if key in fields and key != "portreeve"}


def protocol(packet):
    number = packet.proto if packet.name == "IP" else packet.nh
    layer = packet.payload
    while packet.name == "IPv6" and number in (0, 43, 44, 60) and hasattr(layer, "nh"):
        number, layer = layer.nh, layer.payload
    return PROTOCOLS.get(number, f"{number:03}")


def fragment(packet):
    if packet.name == "IP":
        bits = [bit for bit in ("DF", "MF") if bit in str(packet.flags)]
        return " ".join(bits) or ("last" if packet.frag else None)
    header = packet.getlayer(IPv6ExtHdrFragment)
    return None if header is None or not (header.m or header.offset) else "MF" if header.m else "last"


class Bench(unittest.TestCase):
    """A lab in which packets are played to an agent, and counted behind its queue."""

    maxDiff = None
    #: More text of every policy.
    extra = ""
    #: Policies under which a case leaves something behind for the next.
    fresh = ("small tables", "open")

    @classmethod
    def setUpClass(cls):
        cls.rows = table()
        cls.lab = cls.enterClassContext(Lab())
        host, router = cls.lab.host, cls.lab.router
        cls.enterClassContext(services.echo(host, LISTENING))
        host.run("ip", "link", "add", "spare0", "type", "veth", "peer", "name", "spare1")
        for interface in ("spare0", "spare1"):
            host.run("ip", "link", "set", interface, "up")
        host.run("ip", "addr", "add", f"{SPARE[4]}/24", "dev", "spare0")
        host.run("ip", "addr", "add", f"{SPARE[6]}/64", "dev", "spare0", "nodad")
        # What passes the queue ends here; nothing answers it, on neither side.
        host.rules("*filter\n-A INPUT -i eth0 -j DROP\n", [4])
        host.rules("*filter\n-A INPUT -i eth0 ! -p icmpv6 -j DROP\n"
                   "-A INPUT -i eth0 -p icmpv6 --icmpv6-type echo-request -j DROP\n", [6])
        for prefix in ("198.18.3.0/24", "198.18.4.0/24"):
            router.run("ip", "route", "add", "blackhole", prefix)
        router.run("ip", "-6", "route", "add", "blackhole", "fd00:3::/64")
        cls.lab.host_link.introduce()
        cls.router_mac = router.mac("out0")
        cls.injector = Injector(router, "out0", host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)
        cls.originator = Originator(host)
        cls.addClassCleanup(cls.originator.close)
        cls.passage = Passage(host, "eth0")
        cls.agent = cls.policy = None
        cls.fences = cls.scenes = 0
        cls.are_fed = False

    @classmethod
    def use(cls, policy):
        """An agent with this policy; its tables are empty where that matters."""
        if policy == cls.policy and policy not in cls.fresh:
            return
        if cls.agent is not None:
            cls.agent.stop()
        cls.policy = policy
        cls.agent = Agent(
            cls.lab.host, f"version: 1\n{POLICIES[policy]}", extra=COMMON, name=cls.lab.file("agent"))
        if cls.extra:
            cls.lab.file(f"{cls.agent.directory}/policy.d/more.yaml", f"version: 1\n{cls.extra}")
        cls.agent.start()
        if not cls.are_fed:
            cls.agent.feed()
            cls.are_fed = True

    @classmethod
    def tearDownClass(cls):
        if cls.agent is not None:
            cls.agent.stop()

    def fence(self):
        """Sends a packet that a rule denies, and returns the events that were written before its own."""
        type(self).fences += 1
        port = 10_000 + self.fences
        self.injector.send(IP(src="198.18.2.1", dst=self.lab.host.ip4) / UDP(sport=port, dport=FENCE))
        found = []

        def is_reached():
            found.extend(self.agent.events())
            return found and found[-1].get("src_port") == port and found[-1].get("dest_port") == FENCE

        try:
            wait_until(is_reached, "the fence's event", process=self.agent.process)
        except TimeoutError:
            self.fail(f"the fence raised no event; before it: {found}\n{self.agent.log()}")
        return found[:-1]

    def play(self, case, version, steps):
        """Runs one half of a case; returns its scene, the events, and how many packets did not pass."""
        scene = Scene(self, version, self.scenes)
        type(self).scenes += 1
        before = self.passage.counts()
        with one_cpu():
            steps(scene)
            events = self.fence()
        if case.after:
            deadline = time.monotonic() + case.after + 30
            while not events and steps is case.raises and time.monotonic() < deadline:
                time.sleep(0.1)
                events += self.agent.events()
            events += self.fence()
        after = self.passage.counts()
        return scene, events, scene.sent_in - (after[0] - before[0]) + scene.sent_out - (after[1] - before[1])


class ReasonTests(Bench):
    """One method per case, made below."""

    def check(self, case):
        for version in case.versions:
            with self.subTest(version=version):
                self.use(case.policy)
                scene, events, dropped = self.play(case, version, case.raises)
                self.assertEqual(dict(reasons(events)), {case.reason: 1}, events)
                self.assert_fields(events[0], expected(self.rows[case.reason], case, scene))
                self.assertEqual(events[0]["portreeve"].get("cause"), causes.of(case), "the cause")
                self.assertEqual(dropped, int(case.is_drop), "packets dropped")
                if case.fields.get("packet"):
                    self.assertEqual(base64.b64decode(events[0]["packet"]), bytes(scene.last[0]))
                self.use(case.policy)
                _, events, dropped = self.play(case, version, case.quiet)
                self.assertEqual(events, [], "the counter-test")
                self.assertEqual(dropped, 0, "packets dropped in the counter-test")

    def assert_fields(self, event, wanted):
        """Every field that is wanted is there, and those wanted as None are not."""
        got = {key: event.get(key) for key in wanted}
        for part in ("portreeve", "frame", "tcp"):
            if wanted.get(part):
                got[part] = {key: event.get(part, {}).get(key) for key in wanted[part]}
        self.assertEqual(got, wanted)
        self.assert_explained(event, event["portreeve"])
        self.assertEqual(event["portreeve"]["first"], event["timestamp"])
        self.assertEqual(event["portreeve"]["last"], event["timestamp"])

    def assert_explained(self, event, facts):
        """What decided is named, and where a rule did its place."""
        if "rule" in facts:
            place = f"{facts['rule_file']}:{facts['rule_line']}"
            self.assertRegex(place, r"policy\.yaml:\d+$")
        if facts["reason"] == "deny":
            self.assertEqual(len(facts["explain"]), 1)
            self.assertTrue(facts["explain"][0].startswith(f'rule "{facts["rule"]}" ({place}:'), facts)
        if event["event_type"] == "drop":
            self.assertEqual(event["verdict"], {"action": "drop" if facts["action"] == "deny" else "pass"})

    def test_every_reason_has_a_case(self):
        wanted = {row.slug for row in self.rows.values()
                  if row.is_available and "queue" in row.seen and row.stage in ("V", "F", "R", "T", "U", "C")}
        self.assertEqual(wanted - NOT_BY_PACKETS, {case.reason for case in CASES} - {"invalid-packet-info"})


def method_name(case):
    return "test_" + re.sub(r"\W+", "_", f"{case.policy}_{case.reason}_{case.name}".lower()).strip("_")


def _add(case):

    def method(self):
        self.check(case)

    method.__doc__ = None
    assert not hasattr(ReasonTests, method_name(case)), method_name(case)
    setattr(ReasonTests, method_name(case), method)


for one in CASES:
    _add(one)

class CureTests(Bench):
    """What the vendor's text names as cures: setting an event to ignored, bypass rules, and where those do not help."""

    # The others are played by ReasonTests alone: what they leave open passes anyway, or waits.
    CASES = [case for case in CASES if case.is_drop and not case.after and case.policy not in (
        "tap", "open", "part of the packet", "part of the packet, open", "small tables")]

    def each(self, cases):
        for case in cases:
            for version in case.versions:
                with self.subTest(case.reason, what=case.name, policy=case.policy, version=version):
                    self.use(case.policy)
                    _, events, dropped = self.play(case, version, case.raises)
                    yield case, dict(reasons(events)), dropped


class IgnoredTests(CureTests):
    """The fence's own reason stays."""

    extra = f"events: {{ ignore: [{', '.join(sorted({case.reason for case in CASES} - {'deny', 'log-only'}))}] }}"

    def test_ignored_it_is_dropped_without_a_word(self):
        for case, found, dropped in self.each([case for case in self.CASES if case.reason != "deny"]):
            self.assertEqual((found, dropped), ({}, 1))


class BypassedTests(CureTests):
    extra = """rules:
  - { name: All that comes in, action: bypass, priority: 3, direction: incoming, frame: any, protocol: any }
  - { name: All that goes out, action: bypass, priority: 3, direction: outgoing, frame: any, protocol: any }
"""

    def test_bypass_rules_help_where_a_rule_or_the_state_refuses_and_not_before(self):
        for case, found, dropped in self.each(self.CASES):
            is_first = self.rows[case.reason].stage in ("V", "F")
            self.assertEqual((found, dropped), ({case.reason: 1}, 1) if is_first else ({}, 0))


class SilenceTests(Bench):
    fresh = tuple(POLICIES)

    def silent(self, extra, reason, steps, policy="plain"):
        type(self).extra = extra
        self.use(policy)
        _, events, dropped = self.play(next(case for case in CASES if not case.after), 4, steps)
        self.assertEqual((events, dropped), ([], 1))
        row = next(row for row in self.agent.settled_report()["reasons"] if row["reason"] == reason)
        self.assertEqual((row["dropped"], row["silenced"]), (1, 1))

    def test_rows_that_say_deny_silent_and_logs_that_are_off(self):
        for extra, reason, steps in (
                ("engine: { anti-evasion: { syn-fin: deny-silent } }", "invalid-flags", lambda s: s.incoming(s.tcp("SF"))),
                ("stateful: { tcp: { log: false } }", "out-of-connection", lambda s: s.incoming(s.tcp("A", ack=1))),
                ("stateful: { udp: { log: false } }", "unsolicited-udp", lambda s: s.incoming(s.udp(dport=5000))),
                ("stateful: { icmp: { log: false } }", "unsolicited-icmp", lambda s: s.incoming(s.ip() / echo("echo-request")))):
            with self.subTest(extra):
                self.silent(extra, reason, steps)


if __name__ == "__main__":
    unittest.main(verbosity=2)

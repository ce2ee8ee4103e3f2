# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the checklist of evasions about packets beside the connection, which goes on: pieces of datagrams, extension headers,
options, lengths, errors and answers. Some the kernel puts together or discards before the agent's hook; the row says where."""

from checklist import row
from lab import wait_until
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6PacketTooBig, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting)
from scapy.packet import Raw
from test_forgeries import ECHO

# Answered by nobody, and denied by no rule.
DATAGRAM = bytes(UDP(sport=40_000, dport=ECHO, len=1_208, chksum=0)) + bytes(1_200)


def told(s, packets, *reasons, hidden=()):
    """Refused for these reasons, but where the kernel hides them."""
    s.told(packets, *(() if s.place in hidden else reasons))


class Pieces:
    """Of datagrams of the client's, one after the other."""

    number = 0

    def __init__(self, s):
        self.s = s

    def of(self, *places, data=DATAGRAM, flags=0, **fields):
        """`(begin, end)` each; what does not end with the data is not the last."""
        Pieces.number += 1
        return [IP(src=self.s.address, dst=self.s.host.ip4, id=Pieces.number, proto=17, frag=begin // 8,
                   flags=flags | (1 if end < len(data) else 0), **fields) / Raw(data[begin:end]) for begin, end in places]


@row("E24", hidden="FORWARD: the router discards what lives no longer before its hook")
def a_reset_that_lives_for_one_more_link(s):
    """At the host it is as any other; what a router behind the agent discards, the agent on a router takes for delivered."""
    s.test.injector.send(s.forged("R", ttl=1))
    if s.place != "forward":
        wait_until(lambda: s.hosts() is None, "the host believes it")
        s.compare()
        s.begin()


@row("E37", hidden="INPUT: the kernel has put the datagram together, or has discarded it")
def pieces_of_datagrams(s):
    """Where the kernel puts datagrams together before the hook, it takes or discards them itself."""
    end, p = len(DATAGRAM), Pieces(s)
    for places in (((0, 104), (104, end)), ((104, end), (0, 104)), ((600, end), (104, 600), (0, 104)), ((0, 104), (0, 104), (104, end))):
        told(s, p.of(*places))
    told(s, p.of((0, 104), (104, end), flags=2))
    told(s, p.of((0, 96)), "first-fragment-too-small", hidden=["input"])
    for places in (((0, 104), (96, end)), ((0, 600), (104, 200))):
        told(s, p.of(*places), "overlapping-fragment", hidden=["input"])
    # The one that has waited for the first goes with it.
    told(s, p.of((104, 600), (0, 200)), *["overlapping-fragment"] * 2, hidden=["input"])
    told(s, p.of((0, 104)) + [IP(src=s.address, dst=s.host.ip4, id=Pieces.number, proto=17, frag=8191) / Raw(bytes(16))],
         "fragment-out-of-bounds", hidden=["input"])


@row("E37")
def thousands_of_pieces_with_a_hole(s):
    count = 8_000 if s.test.is_whole else 300
    data = DATAGRAM[:8] + bytes(104 + 8 * count)
    s.told(Pieces(s).of((0, 104), *((at, at + 8) for at in range(112, 104 + 8 * count, 8)), data=data))


@row("E38", family=6, hidden="INPUT beside conntrack: it has put the datagram together; a fragment within one it discards")
def headers_of_ipv6(s):
    def ip(**fields):
        return IPv6(src=s.address, dst=s.host.ip6, **fields)

    tail = TCP(sport=40_001, dport=6_000, flags="S")
    for extension in (IPv6ExtHdrFragment(nh=6), IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt()):
        told(s, [ip() / extension / tail])
    told(s, [ip() / IPv6ExtHdrFragment(nh=44) / IPv6ExtHdrFragment(nh=17, m=1) / Raw(DATAGRAM + bytes(104))], "invalid-extension-chain",
         hidden=["input"])
    told(s, [ip() / IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop() / tail], "invalid-extension-chain")
    chain = ip()
    for _ in range(17):
        chain /= IPv6ExtHdrDestOpt()
    told(s, [chain / tail], "invalid-extension-chain")
    told(s, [ip() / IPv6ExtHdrRouting(type=0, addresses=["fd00:9::1"], segleft=0) / tail], "ipv6-routing-header-0")


@row("E39", hidden="INPUT and FORWARD: routing discards source routes before")
def options_of_ipv4(s):
    """The kernel looks at them when it routes a packet, which is behind the first hook."""
    behind = ["input", "forward"]

    def options(text):
        return [IP(src=s.address, dst=s.host.ip4, options=[bytes.fromhex(text)]) / TCP(sport=40_002, dport=6_000, flags="S")]

    address = "c6120201"
    for text in (f"8307 04{address} 00", f"8907 04{address} 00"):
        told(s, options(text), "source-routed", hidden=behind)
    for text in (f"0707 04{address} 00", "4408 0500 00000000", "94040000"):
        told(s, options(text))


@row("E40")
def lengths_and_ports_of_datagrams(s):
    def datagram(**fields):
        return [IP(src=s.address, dst=s.host.ip4) / UDP(**{"sport": 40_003, "dport": ECHO, **fields}) / b"datagram"]

    for length in (0, 1, 7, 17):
        told(s, datagram(len=length), "invalid-transport-header-length")
    told(s, datagram(len=16))
    told(s, datagram(dport=0), "unsolicited-udp")


@row("E40")
def port_zero(s):
    s.drops("PA", "out-of-connection", data=b"evil", sport=0)


def quoting(s, kind, code, by=0, cut=None, **fields):
    """An error about a segment that the host has sent."""
    sequence, acknowledgement = s.victim.numbers
    segment = IP(src=s.host.ip4, dst=s.address, **fields) / TCP(
        sport=ECHO, dport=s.victim.port, flags="PA", seq=(acknowledgement - 10 + by) % (1 << 32), ack=sequence) / b"data"
    return [IP(src="198.18.1.25", dst=s.host.ip4) / ICMP(type=kind, code=code, nexthopmtu=1_400) / Raw(bytes(segment)[:cut])]


@row("E41")
def errors(s):
    s.exchange(b"0123456789")
    for kind, code in ((3, 1), (3, 4), (11, 0), (12, 0)):
        told(s, quoting(s, kind, code, by=1 << 28), "unsolicited-icmp")
        told(s, quoting(s, kind, code))
        told(s, quoting(s, kind, code, cut=28))
        told(s, quoting(s, kind, code, ttl=3))
    told(s, quoting(s, 3, 1, frag=100), "unsolicited-icmp")
    told(s, quoting(s, 5, 1, by=1 << 28), "unsolicited-icmp")
    inner = quoting(s, 3, 1)[0]
    told(s, [IP(src=s.address, dst=s.host.ip4) / ICMP(type=3, code=1) / IP(src=s.host.ip4, dst=s.address) / inner[ICMP]],
         "unsolicited-icmp")


@row("E41", family=6)
def errors_about_the_path_of_ipv6(s):
    def too_big(mtu, sport):
        return [IPv6(src="fd00:1::25", dst=s.host.ip6) / ICMPv6PacketTooBig(mtu=mtu) / IPv6(src=s.host.ip6, dst=s.address) / TCP(
            sport=sport, dport=s.victim.port, flags="A", seq=s.victim.numbers[1], ack=s.victim.numbers[0])]

    told(s, too_big(1_400, ECHO + 1), "unsolicited-icmp")
    told(s, too_big(600, ECHO + 1), "unsolicited-icmp")
    told(s, too_big(1_400, ECHO))


@row("E42")
def answers_to_a_ping(s):
    s.host.run("ping", "-c", "1", "-W", "5", "-e", "4711", s.address)

    def answer(**fields):
        source = fields.pop("src", s.address)
        return [IP(src=source, dst=s.host.ip4) / ICMP(type=0, **{"id": 4_711, "seq": 1, **fields}) / b"answer"]

    told(s, answer())
    told(s, answer(seq=9))
    told(s, answer(id=4_712), "unsolicited-icmp")
    told(s, answer(src="198.18.1.77"), "unsolicited-icmp")


@row("E44")
def a_flood_of_one_connection_seen_from_another(s):
    """Who floods one connection learns nothing of another by it, and takes nothing from it."""
    from weaving import Scene
    other = Scene(s.test)
    flood = [other.forged("R", by=(number + 3) << 24) for number in range(200)]
    s.told(flood, *["invalid-sequence"] * len(flood))
    s.drops("R", "invalid-sequence", by=1 << 24)
    s.passes("R", by=1_000)
    other.goes_on()
    other.compare()
    other.close()

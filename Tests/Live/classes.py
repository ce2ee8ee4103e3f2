# SPDX-License-Identifier: GPL-3.0-or-later
"""Why the agent passes what the kernel's connection tracking calls INVALID: each such packet falls into a class, by what has
reached the two ends until then, or into none, and then the run fails."""

import struct

from conversations import ACK, FIN, ICMP, RST, SYN, TCP, UDP, WRAP

POLICY = """
version: 1
interfaces: { inside: [right] }
rules:
  - { name: Datagrams, action: force-allow, direction: incoming, protocol: udp }
  - { name: Queries, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
engine:
  timeouts: { cold-start: 0s, boot-start: 0s }
  anti-evasion: { outgoing-out-of-connection: deny, rst-out-of-connection: deny, fin-out-of-connection: deny }
"""

# Name: why passing it is right, or does no harm.
ARGUMENTS = {
    "wrong checksum": "Its receiver discards it (RFC 768, RFC 792, RFC 9293 section 3.1). In the agent a segment with one moves "
                      "nothing; conntrack refuses every packet with one that comes in.",
    "outgoing ICMP": "The inside speaks. What it may say is for the rules; stage U is about what comes in unasked.",
    "answer to a query": "It answers a query that the inside has sent, with a checksum that conntrack takes for wrong. What comes from "
                         "the inside is not forged from outside.",
    "SYN": "Only its receiver knows whether the connection still lives: it answers with a challenge ACK (RFC 5961 section 4). The "
           "SYN changes nothing until it is answered.",
    "reset in the window": "Its receiver resets at the exact number alone, and answers any other with a challenge ACK (RFC 5961 "
                           "section 3). Here, too, it closes at the exact number alone.",
    "reset of a challenge": "It stands at the number that a bare ACK has acknowledged: so an opener answers the challenge of an end "
                            "that has an older connection (RFC 9293 section 3.10.7.3). It ends no connection that is open.",
    "under way at a reset": "It is of an opening that was reset meanwhile, or resets it again: its receiver knows no connection, and "
                            "answers with a RST or not at all. Nothing here is renewed by it.",
    "repeat": "Nothing in it is new to its receiver, which acknowledges it again (RFC 9293 section 3.10.7.4): what has arrived late, "
              "twice, or for want of an ACK. It changes nothing.",
    "in the windows": "Its numbers fit what each end has sent and offered, so its receiver takes it. Conntrack has lost the "
                      "connection, or its windows, to a packet before it that both receivers ignore.",
    "begins too early": "It begins before its sender's first byte, which no honest stack does, and ends where the windows allow: its "
                        "receiver takes the part that lies there (RFC 9293 section 3.10.7.4), as from a segment that begins there.",
    "acknowledges ahead": "It acknowledges no more than its sender has offered. While not both ends have acknowledged what the other "
                          "sent, more may have been sent than was seen here.",
    "answer to a SYN": "It acknowledges the SYN that passed, and carries nothing: its opener takes it, or resets it.",
    "challenge": "A SYN has passed, and this bare ACK may be the challenge of an end that has an older connection on these ports, "
                 "whatever its numbers are (RFC 5961 section 4). The opener resets that, and opens again.",
    "older connection": "One end has answered a SYN out of an older connection on these ports, such as by repeating its FIN. What "
                        "acknowledges that ends the older one, and the SYN opens anew (RFC 9293 section 3.10.7.4).",
    "error about what was sent": "It quotes a packet of a connection that was admitted, with a number that was in use, so it "
                                 "may be about it (RFC 5927 section 4.1). Conntrack has lost the connection.",
    "error about a protocol without state": "It quotes a packet that the rules would have let out; nobody here knows more of "
                                            "such protocols, and a tunnel needs its path MTU.",
}


def ahead(a, b):
    """How far `a` lies beyond `b`."""
    return (a - b + (WRAP >> 1)) % WRAP - (WRAP >> 1)


class Span:
    """A range of sequence numbers that one end has used, from its SYN on, and how far the other end lets it go."""

    def __init__(self, packet, window, is_older=False):
        self.low, self.high, self.is_older = packet.seq, packet.end, is_older
        self.edge = (self.high + window) % WRAP

    def takes(self, number):
        return ahead(number, self.low) >= -1 and ahead(number, self.edge) <= 1


class Ends:
    """What the two ends have got from each other so far."""

    def __init__(self):
        self.spans = {True: [], False: []}
        self.scale = {True: 0, False: 0}
        # What a SYN has offered.
        self.window = {True: 0, False: 0}
        self.has_datagrams = False
        # Identifiers of queries, and what bare ACKs of each end have acknowledged.
        self.queries = set()
        self.challenged = {True: set(), False: set()}
        self.is_reset = False

    def note(self, packet):
        """A packet that has passed, and that its receiver reads."""
        self.has_datagrams |= packet.protocol == UDP
        if packet.protocol == ICMP and not hasattr(packet, "quoted"):
            self.queries.add(packet.kind[2][:2])
        if packet.protocol != TCP or packet.bad_checksum:
            return
        own, others = self.spans[packet.from_client], self.spans[not packet.from_client]
        if packet.flags & SYN and not packet.flags & (RST | FIN):
            if all(span.low != packet.seq or span.is_older for span in own):
                own.append(Span(packet, self.window[not packet.from_client]))
            self.window[packet.from_client] = max(self.window[packet.from_client], packet.window)
            for span in others:
                span.edge = max(span.edge, (span.high + packet.window) % WRAP, key=lambda number: ahead(number, span.low))
            self.scale[packet.from_client] = max(self.scale[packet.from_client], scale(packet.options))
        elif answers_syn(packet, others) and not packet.flags & (SYN | RST) and self.span(packet.from_client, packet.seq) is None:
            own.append(Span(packet, 0, is_older=True))
        for span in own:
            if span.takes(packet.seq) and not packet.flags & RST and ahead(packet.end, span.high) > 0:
                span.high = packet.end
                span.edge = max(span.edge, span.high, key=lambda number: ahead(number, span.low))
        self.is_reset |= bool(packet.flags & RST)
        if packet.flags & (SYN | ACK | RST | FIN) == ACK and not packet.data:
            self.challenged[not packet.from_client].add(packet.ack)
        if packet.flags & ACK and not packet.flags & RST:
            shift = 0 if packet.flags & SYN else self.scale[packet.from_client]
            edge = (packet.ack + (packet.window << shift)) % WRAP
            for span in others:
                if 0 <= ahead(packet.ack, span.low) <= ahead(span.high, span.low) and ahead(edge, span.edge) > 0:
                    span.edge = edge

    def span(self, from_client, number):
        return next((span for span in reversed(self.spans[from_client]) if span.takes(number)), None)

    def sent(self, from_client, number):
        """The span whose numbers up to this one may be acknowledged to that end; preferably one that a SYN began."""
        found = [span for span in self.spans[from_client] if 0 <= ahead(number, span.low) <= ahead(span.high, span.low)]
        return min(found, key=lambda span: span.is_older, default=None)

    def may_have_sent(self, from_client, number):
        """The same of what is not known to have been sent, and was offered."""
        return any(0 <= ahead(number, span.low) <= ahead(span.edge, span.low) for span in self.spans[from_client])


def answers_syn(packet, others):
    return packet.flags & ACK and any(ahead(packet.ack, span.low) == 1 for span in others)


def scale(options):
    place = options.find(b"\x03\x03")
    return options[place + 2] if place >= 0 else 0


def begins_early(packet, span):
    return -66_000 < ahead(packet.seq, span.low) < 0 < ahead(packet.end, span.low) and span.takes(packet.end)


def of_segment(packet, ends):
    flags = packet.flags & (SYN | ACK | RST | FIN)
    if flags == SYN:
        return "SYN"
    span = ends.span(packet.from_client, packet.seq)
    answers = answers_syn(packet, ends.spans[not packet.from_client])
    if flags & RST:
        if span or answers:
            return "reset in the window"
        if packet.seq in ends.challenged[packet.from_client]:
            return "reset of a challenge"
        is_near = any(-1 <= ahead(packet.seq, span.low) < 66_000 for span in ends.spans[packet.from_client])
        return "under way at a reset" if ends.is_reset and is_near else None
    if span and flags & ACK and span.takes(packet.end):
        acknowledged = ends.sent(not packet.from_client, packet.ack)
        if acknowledged and (span.is_older or acknowledged.is_older):
            return "older connection"
        if acknowledged:
            return "repeat" if ahead(packet.end, span.high) <= 0 else "in the windows"
        if ends.may_have_sent(not packet.from_client, packet.ack):
            return "acknowledges ahead"
    early = next((span for span in ends.spans[packet.from_client] if begins_early(packet, span)), None)
    if early and flags & ACK and ends.sent(not packet.from_client, packet.ack):
        return "begins too early"
    if answers and not packet.data:
        return "answer to a SYN"
    if ends.is_reset and (answers or span and flags & ACK and ends.sent(not packet.from_client, packet.ack)):
        return "under way at a reset"
    is_opening = ends.spans[not packet.from_client] and all(span.is_older for span in ends.spans[packet.from_client])
    return "challenge" if flags == ACK and not packet.data and is_opening else None


def of_error(packet, ends):
    quoted = packet.quoted
    if packet.quoted_bytes < 28 or quoted.from_client == packet.from_client:
        return None
    if getattr(quoted, "protocol_number", quoted.protocol) != quoted.protocol:
        return "error about a protocol without state" if packet.kind[0] != 5 else None
    if quoted.protocol == UDP:
        return "error about what was sent" if ends.has_datagrams else None
    if quoted.protocol == TCP:
        return "error about what was sent" if ends.span(quoted.from_client, quoted.seq) else None
    is_query = quoted.protocol == ICMP and not hasattr(quoted, "quoted") and quoted.kind[2][:2] in ends.queries
    return "error about what was sent" if is_query else None


def of_packet(packet, ends):
    """The class of a packet that has passed although conntrack refuses it; None: of none."""
    if packet.bad_checksum:
        return "wrong checksum"
    if packet.protocol == TCP:
        return of_segment(packet, ends)
    if packet.protocol == ICMP and not packet.from_client:
        return "outgoing ICMP"
    if packet.protocol == ICMP and hasattr(packet, "quoted"):
        return of_error(packet, ends)
    if packet.protocol == ICMP and packet.kind[0] == 0 and packet.kind[2][:2] in ends.queries:
        return "answer to a query"
    return None


def classify(conversation, by_agent, by_kernel):
    """(place, class) of each packet that the agent passed and the kernel refused."""
    ends = Ends()
    for place, packet in enumerate(conversation.packets):
        if not by_agent[place]:
            continue
        if not by_kernel[place]:
            yield place, of_packet(packet, ends)
        ends.note(packet)


# For who reads what fell into no class


def describe(conversation, by_agent, by_kernel, place):
    """The conversation, one packet in a line: passed by the agent, by the kernel, and what it is; `>` marks the place."""
    base = {side: next((p.seq for p in conversation.packets if p.protocol == TCP and p.from_client == side and not p.forged), 0)
            for side in (True, False)}
    return "\n".join(
        f"{'>' if number == place else ' '}{number:3} {'A' if by_agent[number] else '-'}{'K' if by_kernel[number] else '-'} "
        f"{line(packet, base)}" for number, packet in enumerate(conversation.packets))


def line(packet, base):
    way = "client" if packet.from_client else "server"
    made = f" ({packet.forged})" if packet.forged else ""
    if packet.protocol == TCP:
        flags = "".join(letter for bit, letter in enumerate("FSRPAU") if packet.flags >> bit & 1) or "0"
        return (f"{way} {flags} {ahead(packet.seq, base[packet.from_client])}+{len(packet.data)} ack "
                f"{ahead(packet.ack, base[not packet.from_client])} window {packet.window} {packet.options.hex()}{made}")
    if hasattr(packet, "quoted"):
        return f"{way} ICMP {packet.kind[0]}/{packet.kind[1]} quoting {packet.quoted_bytes} of [{line(packet.quoted, base)}]{made}"
    if packet.protocol == ICMP:
        return f"{way} ICMP {packet.kind[0]}/{packet.kind[1]} {struct.unpack('>I', packet.kind[2])[0]:x}{made}"
    return f"{way} UDP {len(packet.data)}{made}"

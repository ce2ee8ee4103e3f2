# SPDX-License-Identifier: GPL-3.0-or-later
"""Conversations as two honest stacks would have them, and what a hostile hand makes of them.

Everything follows from a seed. A conversation is a list of `Packet`s, in the order in which they reach the firewall; its client
has an address of its own, and the IP identification is the packet's place in it.
"""

import random
import struct

SERVER = bytes((198, 18, 2, 2))
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
ICMP, TCP, UDP = 1, 6, 17
WRAP = 1 << 32


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Packet:
    """One packet of a conversation. `forged` names what was done to it; empty for one that an honest stack has sent so."""

    def __init__(self, from_client, protocol, **fields):
        self.from_client, self.protocol, self.forged = from_client, protocol, ""
        self.flags = self.seq = self.ack = self.window = 0
        self.data, self.options, self.bad_checksum = b"", b"", False
        self.kind, self.body = None, b""
        self.__dict__.update(fields)

    def copy(self, forged, **changes):
        other = Packet(self.from_client, self.protocol)
        other.__dict__.update(self.__dict__)
        other.forged = f"{self.forged}+{forged}" if self.forged else forged
        other.__dict__.update(changes)
        return other

    @property
    def end(self):
        return (self.seq + len(self.data) + bool(self.flags & SYN) + bool(self.flags & FIN)) % WRAP


class Conversation:
    """Packets between a client of its own and the server."""

    def __init__(self, number, packets, ports):
        self.number, self.packets, self.ports = number, packets, ports
        self.client = struct.pack(">I", (10 << 24) + number + 1)

    def bytes(self, place):
        packet = self.packets[place]
        source, target = (self.client, SERVER) if packet.from_client else (SERVER, self.client)
        payload = getattr(self, f"_{ {TCP: 'tcp', UDP: 'udp', ICMP: 'icmp'}[packet.protocol] }")(packet, source, target)
        return ip_header(source, target, packet.protocol, len(payload), place + 1) + payload

    def _ports(self, packet):
        return self.ports if packet.from_client else self.ports[::-1]

    def _tcp(self, packet, source, target):
        options = packet.options + bytes(-len(packet.options) % 4)
        words = 5 + len(options) // 4
        header = struct.pack(">HHIIBBHHH", *self._ports(packet), packet.seq, packet.ack, words << 4, packet.flags,
                             packet.window, 0, 0) + options
        return summed(header + packet.data, 16, source, target, TCP, packet.bad_checksum)

    def _udp(self, packet, source, target):
        header = struct.pack(">HHHH", *self._ports(packet), 8 + len(packet.data), 0)
        return summed(header + packet.data, 6, source, target, UDP, packet.bad_checksum)

    def _icmp(self, packet, source, target):
        """`kind` is type, code and the four bytes after the checksum; an error quotes the packet `quoted`."""
        body = packet.body
        quoted = getattr(packet, "quoted", None)
        if quoted is not None:
            # It travelled the other way: the error goes back to who sent it.
            inner = self._quote(quoted)
            body = inner[:packet.quoted_bytes]
        message = struct.pack(">BBH4s", packet.kind[0], packet.kind[1], 0, packet.kind[2]) + body
        value = checksum(message) ^ (0x5555 if packet.bad_checksum else 0)
        return message[:2] + struct.pack(">H", value) + message[4:]

    def _quote(self, packet):
        source, target = (self.client, SERVER) if packet.from_client else (SERVER, self.client)
        payload = getattr(self, f"_{ {TCP: 'tcp', UDP: 'udp', ICMP: 'icmp'}[packet.protocol] }")(packet, source, target)
        number = getattr(packet, "protocol_number", packet.protocol)
        return ip_header(source, target, number, len(payload), 1) + payload


def ip_header(source, target, number, length, identification):
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + length, identification, 0x4000, 64, number, 0, source, target)
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:]


def summed(segment, offset, source, target, number, is_bad):
    pseudo = source + target + struct.pack(">HH", number, len(segment))
    value = checksum(pseudo + segment) ^ (0x5555 if is_bad else 0)
    return segment[:offset] + struct.pack(">H", value or 0xFFFF) + segment[offset + 2:]


# Honest ones


class Talk:
    """Two TCP stacks in conversation; everything arrives at once."""

    def __init__(self, chance):
        self.chance = chance
        self.next = {True: chance.randrange(WRAP), False: chance.randrange(WRAP)}
        self.scale = {side: chance.choice((0, 2, 7, 9)) for side in (True, False)}
        self.has_scale = chance.random() < 0.8
        self.stamps = chance.random() < 0.5
        self.clock = {side: chance.randrange(WRAP) for side in (True, False)}
        self.packets = []

    def segment(self, from_client, flags, data=b""):
        self.clock[from_client] = (self.clock[from_client] + self.chance.randrange(1, 50)) % WRAP
        options = b""
        if flags & SYN:
            options = b"\x02\x04\x05\xb4\x04\x02" + (b"\x03\x03" + bytes((self.scale[from_client],)) if self.has_scale else b"")
        if self.stamps:
            echo = 0 if flags == SYN else self.clock[not from_client]
            options += b"\x08\x0a" + struct.pack(">II", self.clock[from_client], echo)
        self.packets.append(Packet(
            from_client, TCP, flags=flags, seq=self.next[from_client], ack=self.next[not from_client] if flags & ACK else 0,
            window=self.chance.choice((229, 502, 8192, 65535)), data=data, options=options))
        self.next[from_client] = self.packets[-1].end

    def play(self):
        self.segment(True, SYN)
        if self.chance.random() < 0.04:
            self.segment(False, RST | ACK)
            return self.packets
        self.segment(False, SYN | ACK)
        self.segment(True, ACK)
        for _ in range(self.chance.randrange(1, 5)):
            side = self.chance.random() < 0.5
            for _ in range(self.chance.randrange(1, 3)):
                self.segment(side, PSH | ACK, bytes(self.chance.randrange(1, 400)))
            self.segment(not side, ACK)
        side = self.chance.random() < 0.5
        ending = self.chance.choice(("fin", "fin", "fin", "reset", "none"))
        if ending == "fin":
            self.segment(side, FIN | ACK)
            if self.chance.random() < 0.5:
                self.segment(not side, ACK)
            self.segment(not side, FIN | ACK)
            self.segment(side, ACK)
        elif ending == "reset":
            self.segment(side, RST | ACK)
        return self.packets


def datagrams(chance):
    packets = []
    for _ in range(chance.randrange(1, 4)):
        packets.append(Packet(True, UDP, data=bytes(chance.randrange(1, 60))))
        packets.append(Packet(False, UDP, data=bytes(chance.randrange(1, 60))))
    return packets


def queries(chance):
    packets = []
    number = chance.randrange(1 << 16)
    for sequence in range(chance.randrange(1, 4)):
        rest = struct.pack(">HH", number, sequence)
        packets.append(Packet(True, ICMP, kind=(8, 0, rest), body=bytes(20)))
        packets.append(Packet(False, ICMP, kind=(0, 0, rest), body=bytes(20)))
    return packets


# What is made of them


def shift(chance):
    return chance.choice((1, -1, 2, 100, -100, 1460, 30_000, -30_000, 70_000, -70_000, 1 << 20, -(1 << 20), 1 << 31,
                          chance.randrange(WRAP)))


def mutate_number(chance, packet):
    field = chance.choice(("seq", "ack", "both"))
    changes = {}
    if field != "ack":
        changes["seq"] = (packet.seq + shift(chance)) % WRAP
    if field != "seq":
        changes["ack"] = (packet.ack + shift(chance)) % WRAP
    return packet.copy(f"moved {field}", **changes)


def mutate_flags(chance, packet):
    flags = chance.choice((0, SYN, SYN | ACK, RST, RST | ACK, FIN, FIN | ACK, ACK, PSH | ACK, SYN | FIN, SYN | RST, PSH, URG,
                           FIN | PSH | URG, 0x3F, packet.flags ^ (1 << chance.randrange(6))))
    return packet.copy("other flags", flags=flags)


def mutate_time(chance, packet):
    if len(packet.options) < 10 or packet.options[-10:-8] != b"\x08\x0a":
        return packet.copy("no time stamp", options=b"")
    value = (struct.unpack(">I", packet.options[-8:-4])[0] + shift(chance)) % WRAP
    return packet.copy("moved time stamp", options=packet.options[:-8] + struct.pack(">I", value) + packet.options[-4:])


def forge(chance, packet):
    """Another packet made of this one: usually one thing is wrong with it."""
    if packet.protocol != TCP:
        choice = chance.randrange(3)
        if choice == 0:
            return packet.copy("bad checksum", bad_checksum=True)
        if choice == 1 or packet.kind is None:
            return packet.copy("other side", from_client=not packet.from_client)
        kind = (chance.choice((0, 8, 13, 14, 5, 42)), 0, struct.pack(">I", chance.randrange(WRAP)))
        return packet.copy("other query", kind=kind)
    choice = chance.randrange(8)
    if choice < 2:
        return mutate_number(chance, packet)
    if choice < 4:
        return mutate_flags(chance, packet)
    if choice == 4:
        return mutate_flags(chance, mutate_number(chance, packet))
    if choice == 5:
        return packet.copy("bad checksum", bad_checksum=True)
    if choice == 6:
        return mutate_time(chance, packet)
    return chance.choice((
        packet.copy("other window", window=chance.choice((0, 1, 65535))),
        packet.copy("other data", data=bytes((7,)) * chance.randrange(1, 1400)),
        packet.copy("other side", from_client=not packet.from_client)))


def error(chance, packets):
    """An ICMP error about one of the packets, or about one that was never sent."""
    quoted = chance.choice(packets)
    what = "error"
    if chance.random() < 0.4:
        quoted = forge(chance, quoted)
        what = "error about a forged packet"
    fields = {}
    if chance.random() < 0.15:
        fields["protocol_number"] = chance.choice((0, 47, 132, 253))
        quoted = quoted.copy("", **fields)
        what = "error about a protocol without state"
    kind = chance.choice(((3, 1), (3, 3), (3, 4), (11, 0), (12, 0), (5, 1)))
    made = Packet(not quoted.from_client, ICMP, kind=(*kind, struct.pack(">HH", 0, 1280)))
    made.quoted, made.quoted_bytes, made.forged = quoted, chance.choice((28, 28, 40, 60, 27, 20, 8)), what
    return made


def mutate(chance, packets):
    """One change of the conversation, in place."""
    place = chance.randrange(len(packets))
    choice = chance.randrange(10)
    if choice < 4:
        # Beside the honest ones, mostly later.
        packets.insert(chance.randrange(place, len(packets) + 1), forge(chance, packets[place]))
    elif choice == 4:
        packets[place] = forge(chance, packets[place])
    elif choice == 5:
        packets.insert(chance.randrange(place, len(packets) + 1), packets[place].copy("")
                       if packets[place].forged else packets[place])
    elif choice == 6 and place + 1 < len(packets):
        packets[place], packets[place + 1] = packets[place + 1], packets[place]
    elif choice == 7:
        packets.insert(chance.randrange(len(packets) + 1), error(chance, packets))
    elif choice == 8 and len(packets) > 1:
        del packets[place]
    else:
        other = chance.randrange(len(packets))
        packets.insert(other, packets[place])


def conversation(seed, number):
    """The conversation of this number in the run of this seed."""
    chance = random.Random(f"{seed} {number}")
    kind = chance.random()
    packets = list(Talk(chance).play() if kind < 0.86 else datagrams(chance) if kind < 0.93 else queries(chance))
    for _ in range(chance.randrange(1, 5)):
        mutate(chance, packets)
    # What is there twice is twice on the wire: each place has an identification of its own.
    return Conversation(number, packets, (chance.randrange(1024, 65536), chance.choice((22, 80, 443))))

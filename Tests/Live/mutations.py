# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile segments for a connection of a real stack: each is what the client would say next, changed in some ways. A sequence of up
to four follows from a seed; its numbers are those that the connection has when it is played."""

import random
import struct

from conversations import ACK, FIN, PSH, RST, SYN, TCP, URG, WRAP, checksum, summed

SERVER, PORT = bytes((10, 255, 255, 1)), 7000
ECE, CWR = 64, 128
MD5, AO = b"\x13\x12" + bytes(16), b"\x1d\x10\x01\x01" + bytes(12)
# A step to the side, by name where the window gives it.
SHIFTS = (0, 0, 0, 1, -1, 10, -10, 1_000, "window", "-window", 1 << 31, -(1 << 20))
FLAGS = (ACK, PSH | ACK, PSH | ACK, FIN | ACK, FIN | ACK, FIN, SYN, SYN | ACK, RST, RST | ACK, RST | ACK, 0, PSH, URG | PSH | ACK, FIN | PSH | URG,
         SYN | FIN, SYN | RST, RST | FIN | ACK, ACK | ECE, ACK | CWR)
OPTIONS = ("none", "none", "none", "none", "own", "own", "own", "own", "md5", "ao", "old stamp", "zero stamp", "scale", "cut", "unknown")


def content(seq, initial, count, garbled=False):
    """The bytes of the stream from a sequence number on; the client sends these, and somebody else may send others."""
    flip = 0x55 if garbled else 0
    return bytes((((seq - initial + at) % WRAP) * 7 + 13) & 0xFF ^ flip for at in range(count))


class Mutation:
    """One hostile segment, before its numbers are known."""

    def __init__(self, chance):
        self.flags = chance.choice(FLAGS)
        self.seq, self.ack = chance.choice(SHIFTS), chance.choice(SHIFTS)
        if chance.random() < 0.5:
            # Where it hurts.
            self.seq, self.ack = 0, chance.choice((0, 0, 1, -1))
        self.length = chance.choice((0, 0, 0, 1, 10, 100, 1_000)) if not self.flags & RST else 0
        self.garbled = chance.random() < 0.2
        self.options = chance.choice(OPTIONS)
        self.window = chance.choice((500, 500, 500, 0, 65_535))
        self.bad_checksum = chance.random() < 0.12
        self.ttl = chance.choice((64, 64, 64, 1, 255))
        self.trailing = chance.random() < 0.06
        self.offset = chance.choice((4, 15)) if chance.random() < 0.04 else None
        self.twice = chance.random() < 0.12
        self.split = self.length > 1 and chance.random() < 0.15

    def __repr__(self):
        return " ".join(f"{key}={value}" for key, value in vars(self).items() if value not in (None, False))


def sequence(seed, number):
    chance = random.Random(f"stack {seed} {number}")
    return [Mutation(chance) for _ in range(chance.randrange(1, 5))], chance.random() < 0.5, chance.randrange(WRAP)


class Client:
    """The client's end of a connection: what it has sent, and what it has of the server."""

    def __init__(self, seed, number, address):
        self.number, self.address = number, struct.pack(">I", address)
        self.mutations, self.has_stamps, self.initial = sequence(seed, number)
        self.port = 20_000 + number % 40_000
        self.next, self.expected, self.window = (self.initial + 1) % WRAP, 0, 64_240
        self.clock, self.echo = 100_000_000, 0
        self.place = 0

    def packet(self, flags, seq=None, ack=None, data=b"", window=500, options=None, ttl=64, bad_checksum=False, offset=None, trailing=False):
        """An IPv4 packet of the client's; its identification is its place among these."""
        self.place += 1
        options = self.own_options(flags) if options is None else options
        options += b"\1" * (-len(options) % 4)
        words = 5 + len(options) // 4
        header = struct.pack(
            ">HHIIBBHHH", self.port, PORT, self.next if seq is None else seq % WRAP,
            (self.expected if ack is None else ack % WRAP) if flags & ACK else 0, (offset or words) << 4, flags, window, 0, 0)
        segment = summed(header + options + data, 16, self.address, SERVER, TCP, bad_checksum)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), self.place, 0x4000, ttl, TCP, 0, self.address, SERVER)
        return ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:] + segment + (b"evil" if trailing else b"")

    def own_options(self, flags):
        found = b"\x02\x04\x05\xb4\x03\x03\x07\x04\x02" if flags & SYN else b""
        return found + (b"\1\1" * bool(found == b"") + self.stamp(0) if self.has_stamps else b"")

    def stamp(self, shift):
        self.clock += 1
        return b"\x08\x0a" + struct.pack(">II", (self.clock + shift) % WRAP if shift is not None else 0, self.echo)

    def hostile(self, m):
        """The packets of a mutation."""
        steps = {"window": self.window, "-window": -self.window}
        seq = (self.next + steps.get(m.seq, m.seq)) % WRAP
        ack = (self.expected + steps.get(m.ack, m.ack)) % WRAP
        options = {
            "none": b"", "own": self.own_options(m.flags), "md5": MD5, "ao": AO, "old stamp": self.stamp(-50_000_000),
            "zero stamp": self.stamp(None), "scale": b"\x03\x03\xff", "cut": b"\x08\x0a\0\0", "unknown": b"\xfd\x04\xab\xcd"}[m.options]
        data = content(seq, self.initial, m.length, m.garbled)
        fields = dict(window=m.window, options=options, ttl=m.ttl, bad_checksum=m.bad_checksum, offset=m.offset, trailing=m.trailing)
        if m.split:
            half = len(data) // 2
            packets = [self.packet(m.flags & ~FIN, seq, ack, data[:half], **fields),
                       self.packet(m.flags, seq + half, ack, data[half:], **fields)]
        else:
            packets = [self.packet(m.flags, seq, ack, data, **fields)]
        return packets * 2 if m.twice else packets

    @property
    def text(self):
        return ".".join(map(str, self.address))

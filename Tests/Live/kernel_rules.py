# SPDX-License-Identifier: GPL-3.0-or-later
"""The same rules for the engine and, written as iptables rules, for the kernel: a router that forwards what they admit.

Stateful inspection is off, so that rules are all there is. Each set of rules is random; so are the packets, which meet most of them.
"""

import ipaddress
import json
import os
import random
import socket
import struct
import subprocess
import sys

import isolation

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "Oracles"))

HEAD = """version: 1
interfaces: { ignore: [lo] }
engine: { built-in-rules: { dhcp-dns: off, path-mtu: false } }
stateful: { tcp: { enabled: false }, udp: { enabled: false }, icmp: { enabled: false } }
events: { fold: 0 }
"""
SOURCES, DESTINATIONS = 172 << 24 | 16 << 16, 10 << 24
PORTS = (20, 22, 23, 53, 80, 443, 1024, 40000, 65535)
# The packet behind which no other of its batch comes.
LAST = 253
BATCH = 250


def network(rng, base):
    length = rng.choice([8, 15, 16, 22, 24, 29, 30, 31, 32])
    number = (base | rng.randrange(2) << 16 | rng.randrange(4) << 8 | rng.randrange(8)) & 0xFFFFFFFF << 32 - length
    return f"{ipaddress.ip_address(number & 0xFFFFFFFF)}/{length}"


def ports(rng):
    first = rng.choice(PORTS)
    return f"{first}-{min(65535, first + rng.choice([1, 60, 1000, 40000]))}" if rng.random() < 0.4 else str(first)


def some(rng, make, *arguments):
    """A list, at times of what it is not."""
    text = "[" + ", ".join(dict.fromkeys(make(rng, *arguments) for _ in range(rng.randint(1, 3)))) + "]"
    return f"{{ not: {text} }}" if rng.random() < 0.2 else text


def rule(rng, number):
    action = rng.choice(["allow", "allow", "allow", "deny", "deny", "force-allow", "bypass"])
    protocol = rng.choice(["tcp", "tcp", "udp", "tcp+udp", "icmp", "any", "{ not: tcp }"])
    words = [f"name: R{number}", f"action: {action}", "direction: incoming", "frame: ipv4", f"protocol: {protocol}"]
    if action != "allow":
        words.append(f"priority: {rng.choice([0, 0, 1, 2, 4])}")
    for side, base in (("source", SOURCES), ("destination", DESTINATIONS)):
        criteria = [f"addresses: {some(rng, network, base)}"] if rng.random() < 0.7 else []
        if protocol in ("tcp", "udp", "tcp+udp") and rng.random() < (0.7 if side == "destination" else 0.2):
            criteria.append(f"ports: {some(rng, ports)}")
        if criteria:
            words.append(f"{side}: {{ {', '.join(criteria)} }}")
    return "  - { " + ", ".join(words) + " }\n"


def packet(rng, identifier):
    """An IPv4 packet between the networks, with everything right but the sum of what it carries."""
    source, destination = (base | rng.randrange(2) << 16 | rng.randrange(4) << 8 | rng.randrange(8) for base in (SOURCES, DESTINATIONS))
    protocol = rng.choice([6, 6, 6, 17, 17, 1, 47])
    near = [port + step for port in PORTS for step in (-1, 0, 1, 60, 61) if 0 < port + step < 65536]
    ends = struct.pack("!HH", rng.choice(near), rng.choice(near))
    body = {6: ends + struct.pack("!IIBBHHH", 1, 0, 0x50, 2, 0xFFFF, 0, 0), 17: ends + struct.pack("!HH", 8, 0),
            1: struct.pack("!BBHHH", 8, 0, 0, 1, 1), 47: bytes(8)}[protocol]
    return datagram(source, destination, protocol, identifier, body)


def datagram(source, destination, protocol, identifier, body):
    header = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(body), identifier, 0x4000, 64, protocol, 0, source, destination)
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return header[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + header[12:] + body


# MARK: the engine's decisions

def by_engine(tool, policy, packets, folder):
    """Of each packet whether it passes: a capture, with one packet a second."""
    path = os.path.join(folder, "packets.pcap")
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for place, data in enumerate(packets):
            file.write(struct.pack("<IIII", 1_700_000_000 + place, 0, len(data), len(data)) + data)
    result = subprocess.run(
        [tool, "replay", "--policy", policy, "--local", "10.0.0.0/8", "--no-fold", path], capture_output=True, text=True)
    if result.returncode:
        raise AssertionError(result.stdout[-500:] + result.stderr)
    import datetime
    passed = [True] * len(packets)
    for line in result.stdout.splitlines():
        event = json.loads(line)
        if event["portreeve"]["reason"] not in ("deny", "out-of-allowed-policy"):
            raise AssertionError(line)
        passed[int(datetime.datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00")).timestamp()) - 1_700_000_000] = False
    return passed


# MARK: the kernel's

class Router:
    """A network namespace that forwards from one device to another what its rules let through."""

    NAME = "kernel-rules"

    def __init__(self):
        for command in (
            f"ip netns add {self.NAME}", f"ip link add kr0 type veth peer name kr1 netns {self.NAME}",
            f"ip link add kr3 type veth peer name kr2 netns {self.NAME}", "ip link set kr0 up", "ip link set kr3 up"):
            self.run(command)
        for command in (
            "ip link set kr1 up", "ip link set kr2 up", "ip address add 192.168.8.1/24 dev kr1", "ip address add 192.168.9.1/24 dev kr2",
            "sysctl -qw net.ipv4.ip_forward=1", "sysctl -qw net.ipv4.conf.all.rp_filter=0", "sysctl -qw net.ipv4.conf.kr1.rp_filter=0",
            "ip neigh add 192.168.9.2 lladdr 02:00:00:00:09:02 dev kr2 nud permanent", "ip route add 10.0.0.0/8 via 192.168.9.2"):
            self.run(f"ip netns exec {self.NAME} {command}")
        target = self.run(f"ip netns exec {self.NAME} cat /sys/class/net/kr1/address").strip()
        self.link = bytes.fromhex(target.replace(":", "")) + bytes.fromhex("020000000802") + b"\x08\x00"
        self.sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sender.bind(("kr0", 0))
        self.receiver = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        self.receiver.bind(("kr3", 0x0800))
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUFFORCE if hasattr(socket, "SO_RCVBUFFORCE") else 33, 1 << 24)
        self.receiver.settimeout(30)

    @staticmethod
    def run(command, input=None):
        return subprocess.run(command.split(), check=True, capture_output=True, text=True, input=input).stdout

    def close(self):
        self.sender.close()
        self.receiver.close()
        self.run("ip link del kr0")
        self.run("ip link del kr3")
        self.run(f"ip netns del {self.NAME}")

    def load(self, policy):
        from meaning import Policy
        self.run(f"ip netns exec {self.NAME} iptables-restore", input="\n".join(translated(Policy(policy))) + "\n")

    def judge(self, packets):
        """Of each packet whether it comes out; their identifiers are their places."""
        passed = [False] * len(packets)
        for start in range(0, len(packets), BATCH):
            for data in packets[start:start + BATCH]:
                self.sender.send(self.link + data)
            self.sender.send(self.link + datagram(SOURCES | 1, DESTINATIONS | 1, LAST, start & 0xFFFF, bytes(8)))
            while True:
                data = self.receiver.recv(2048)
                identifier, protocol = struct.unpack("!H", data[4:6])[0], data[9]
                if protocol == LAST and identifier == start & 0xFFFF:
                    break
                if protocol != LAST:
                    passed[identifier] = True
        return passed


def translated(policy):
    """The rules as iptables-restore reads them: a chain each, for what a rule is not said of leaves it early."""
    rules = policy.rules["incoming"]
    lines = ["*filter", f":FORWARD {'DROP' if policy.restricts('incoming') else 'ACCEPT'} [0:0]"]
    lines += [f":R{number} - [0:0]" for number in range(len(rules))]
    lines.append(f"-A FORWARD -p {LAST} -j ACCEPT")
    lines += [f"-A FORWARD -j R{number}" for number in range(len(rules))]
    for number, rule in enumerate(rules):
        lines += [f"-A R{number} {line}" for line in bodies(rule)]
    return [*lines, "COMMIT"]


def bodies(rule):
    from meaning import PROTOCOLS, addresses, criterion, ports as port_range
    verdict = "DROP" if rule.action == "deny" else "ACCEPT"
    names, inverted = criterion(rule.entry.get("protocol", "any"))
    numbers = [None] if names == ["any"] else [number for name in names for number in PROTOCOLS[name]]
    early, combinations = [], [""]
    if inverted:
        early += [f"-p {number} -j RETURN" for number in numbers]
        numbers = [None]
    combinations = [f"-p {number} " if number else "" for number in numbers]
    for side, option in (("source", "s"), ("destination", "d")):
        if (found := rule.ranges(side, "addresses", addresses)) is not None:
            word = "--src-range" if side == "source" else "--dst-range"
            texts = ["-m iprange {} {}-{} ".format(word, *map(ipaddress.ip_address, ends)) for ends in found[0]]
            if found[1]:
                early += [f"{text}-j RETURN" for text in texts]
            else:
                combinations = [one + text for one in combinations for text in texts]
        if (found := rule.ranges(side, "ports", port_range)) is not None:
            # Ports stand beside tcp and udp alone, whose modules know them.
            texts = [f"--{option}port {first}:{last} " for first, last in found[0]]
            if found[1]:
                early += [f"-p {number} {text}-j RETURN" for number in numbers for text in texts]
            else:
                combinations = [one + text for one in combinations for text in texts]
    return early + [f"{text}-j {verdict}" for text in combinations]


def compare(tool, sets, count, folder, seed=1):
    """Disagreements, and how many packets both let pass and refused."""
    router, wrong, passed, refused = Router(), [], 0, 0
    try:
        for number in range(seed, seed + sets):
            rng = random.Random(number)
            policy = os.path.join(folder, "policy.yaml")
            with open(policy, "w") as file:
                file.write(HEAD + "rules:\n" + "".join(rule(rng, place) for place in range(20)))
            packets = [packet(rng, place) for place in range(count)]
            router.load(policy)
            for place, (engine, kernel) in enumerate(zip(by_engine(tool, policy, packets, folder), router.judge(packets))):
                passed, refused = passed + (engine and kernel), refused + (not engine and not kernel)
                if engine != kernel:
                    wrong.append(f"set {number}, packet {place}: {packets[place].hex()} passes {'the engine' if engine else 'the kernel'} alone")
    finally:
        router.close()
    return wrong, passed, refused

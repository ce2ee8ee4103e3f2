# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything at once: what is judged at once, what waits for other workers and what waits for its first fragment, in full
batches. Of each kind exactly what must pass arrives behind the queue, and there is one event for each of the others."""

import json
import random
import time
import unittest

import isolation

isolation.isolate()

from agent import Agent, reasons
from forge import Injector
from lab import Lab, wait_until
from scapy.layers.inet import ICMP, IP, TCP, UDP

POLICY = """
version: 1
rules:
  - { name: No telnet, action: deny, direction: incoming, protocol: tcp, destination: { ports: 23 } }
  - { name: Datagrams, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 6000 } }
engine:
  timeouts: { cold-start: 0s, boot-start: 0s, fragment-hold: 5s }     # a busy machine may stop the sender between two packets
  built-in-rules: { path-mtu: false }
"""
# Counts what comes through, and ends it there: nothing answers.
BEHIND = """
table inet behind {
    counter syn { }
    counter telnet { }
    counter error { }
    counter datagram { }
    counter unsolicited { }
    counter overtaken { }
    counter orphan { }
    chain arrivals {
        type filter hook prerouting priority 100;
        iifname eth0 ip saddr 198.19.1.0/24 ip frag-off & 0x1fff != 0 counter name overtaken drop
        iifname eth0 ip saddr 198.19.2.0/24 ip frag-off & 0x1fff != 0 counter name orphan drop
        iifname eth0 tcp dport 80 counter name syn drop
        iifname eth0 tcp dport 23 counter name telnet drop
        iifname eth0 icmp type destination-unreachable counter name error drop
        iifname eth0 udp dport 6000 counter name datagram drop
        iifname eth0 udp dport 6001 counter name unsolicited drop
    }
}
"""
PASSING = ("syn", "datagram", "overtaken")
REFUSED = {"telnet": "deny", "error": "unsolicited-icmp", "unsolicited": "unsolicited-udp", "orphan": "incomplete-datagram"}
SEED = 7


class Storm:
    """Sends packets of all kinds in random order and counts them."""

    WEIGHTS = {"syn": 6, "telnet": 1, "error": 2, "datagram": 1, "unsolicited": 1, "overtaken": 2, "orphan": 4}

    def __init__(self, injector, host):
        self.injector, self.host = injector, host
        self.random = random.Random(SEED)
        self.sent = dict.fromkeys(self.WEIGHTS, 0)
        self.number = 0
        self.whole = bytes(UDP(sport=5, dport=6000, len=1608) / bytes(1600))

    def blow(self, count):
        for kind in self.random.choices(list(self.WEIGHTS), self.WEIGHTS.values(), k=count):
            self.number += 1
            self.sent[kind] += 1
            getattr(self, kind)()

    def ip(self, net=0, **fields):
        source = f"198.19.{net or self.random.randint(10, 20)}.{self.random.randint(1, 250)}"
        return IP(src=source, dst=self.host, id=self.number % 65536, **fields)

    def port(self):
        return self.random.randint(1024, 65535)

    def syn(self, port=80):
        self.injector.send(self.ip() / TCP(sport=self.port(), dport=port, flags="S", seq=self.number))

    def telnet(self):
        self.syn(23)

    def error(self):
        """About a datagram that nobody sent: every worker is asked for it."""
        quoted = IP(src=self.host, dst=f"198.19.30.{self.random.randint(1, 250)}") / UDP(sport=self.port(), dport=53)
        self.injector.send(self.ip() / ICMP(type=3, code=3) / quoted / b"data")

    def datagram(self, port=6000):
        self.injector.send(self.ip() / UDP(sport=self.port(), dport=port) / b"data")

    def unsolicited(self):
        self.datagram(6001)

    def overtaken(self):
        """The second fragment comes before the first, which lets it in."""
        header = self.ip(1, proto=17)
        second, first = header.copy(), header.copy()
        second.frag, first.flags = 1480 // 8, "MF"
        self.injector.send(second / self.whole[1480:])
        self.injector.send(first / self.whole[:1480])
        self.sent["datagram"] += 1

    def orphan(self):
        """A fragment whose first never comes."""
        self.injector.send(self.ip(2, proto=17, frag=1480 // 8) / self.whole[1480:])


class StormTests(unittest.TestCase):
    seconds = 33

    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.host = self.lab.host
        self.host.run("nft", "-f", "-", input=BEHIND)
        injector = Injector(self.lab.router, "out0", self.host.mac("eth0"))
        self.addCleanup(injector.close)
        self.storm = Storm(injector, self.host.ip4)
        self.agent = self.enterContext(Agent(self.host, POLICY, queues=(0, 1)))
        self.agent.feed()

    def passed(self):
        listing = json.loads(self.host.run("nft", "-j", "list", "counters", "table", "inet", "behind"))
        return {row["counter"]["name"]: row["counter"]["packets"] for row in listing["nftables"] if "counter" in row}

    def test_each_packet_gets_its_own_verdict(self):
        for _ in range(3):
            for _ in range(60):
                self.storm.blow(25)
                time.sleep(0.005)
            # What came while it stood still it receives in full batches.
            with self.agent.halted():
                self.storm.blow(1500)
            wait_until(lambda: not any(row["waiting"] for row in self.host.queues().values()), "all are judged", 30)
        sent = self.storm.sent
        refused = {reason: sent[kind] for kind, reason in REFUSED.items()}
        self.assertEqual(dict(reasons(self.agent.wait_for_events(sum(refused.values()), 20))), refused)
        self.assertEqual(
            self.passed(), {kind: sent[kind] if kind in PASSING else 0 for kind in sent}, f"seed {SEED}")


if __name__ == "__main__":
    unittest.main(verbosity=2)

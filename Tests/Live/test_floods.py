# SPDX-License-Identifier: GPL-3.0-or-later
"""A flood at the queue of one worker takes nothing away from the others."""

import json
import os
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent
from flooding import Flood
from forge import Injector
from lab import Lab, wait_until
from long_flood import LongFlood
from scapy.layers.inet import IP, TCP, UDP

POLICY = """
version: 1
engine: { limits: { tcp: 320, udp: 320 }, timeouts: { syn-sent: 1h, syn-received: 1h, udp: 1h } }
stateful: { udp: { admit: allow } }
"""
FLOOD = "198.18.66.6"
HONEST = "198.18.77.7"
# Which queue a packet goes to is no matter of the kernel's hash here.
RULES = f"""*mangle
-A PREROUTING ! -i lo -s {FLOOD} -j NFQUEUE --queue-num 0
-A PREROUTING ! -i lo -m addrtype --dst-type LOCAL -j NFQUEUE --queue-num 1
-A OUTPUT ! -o lo -d {FLOOD} -j NFQUEUE --queue-num 0
-A OUTPUT ! -o lo -j NFQUEUE --queue-num 1
COMMIT
"""


class FloodTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.router, cls.host = cls.lab.client, cls.lab.router, cls.lab.host
        cls.enterClassContext(services.nginx(cls.host))
        cls.injector = Injector(cls.router, "out0", cls.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)

    def setUp(self):
        self.agent = Agent(self.host, POLICY, queues=(0, 1), name=os.path.basename(self.lab.file("agent"))).start()
        self.addCleanup(self.agent.stop)
        self.addCleanup(self.host.flush_rules)
        self.host.rules(RULES, [4])

    def connections(self, *words):
        return [json.loads(line) for line in self.agent.tool("connections", "--json", *words).splitlines()]

    def held_by(self, address):
        return sum(row["src_ip"] == address for row in self.connections())

    def packets(self):
        return {queue["number"]: queue["packets"] for queue in self.agent.report()["queues"]}

    def test_handshakes_and_datagrams_of_others_stay(self):
        to_host = IP(src=HONEST, dst=self.host.ip4)
        self.injector.burst(to_host / TCP(dport=80, flags="S"), 10, self.host, checksum=16)
        self.injector.burst(to_host / UDP(dport=53), 10, self.host, checksum=6)
        wait_until(lambda: self.held_by(HONEST) == 20, "the honest openings are known")
        before = self.packets()
        flood = IP(src=FLOOD, dst=self.host.ip4)
        self.injector.burst(flood / TCP(dport=80, flags="S"), 3000, self.host, checksum=16)
        self.injector.burst(flood / UDP(dport=53), 3000, self.host, checksum=6)
        wait_until(lambda: self.packets()[0] - before[0] >= 6000, "the flood is judged")
        self.assertEqual(self.held_by(HONEST), 20)
        # What is left of the limit is for those who hold less than their share.
        self.assertEqual(self.held_by(FLOOD), 2 * 300 - 20)
        for _ in range(10):
            self.client.run("curl", "-sSf", "-m", 30, f"http://{self.host.ip4}/")
        self.assertEqual(self.held_by(HONEST), 20)
        counts = self.agent.report()["connections"]
        self.assertLessEqual(counts["tcp"], 320)
        self.assertLessEqual(counts["udp"], 320)


KINDS_POLICY = """
version: 1
queue: { numbers: "0-1" }
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
  - { name: Names, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
"""


def rules_by_source():
    """As `portreeve iptables --print` has them for two workers, but the flood's packets come to the first and all others to
    the second."""
    lines = ["*mangle", "-A OUTPUT ! -o lo -p udp -m recent --set --name portreeve --rdest"]
    for place, source, target in ((0, f"-s {FLOOD}", f"-d {FLOOD}"), (1, "", "")):
        arriving = f"-A PREROUTING ! -i lo {source} -m addrtype --dst-type LOCAL"
        lines += [
            f'{arriving} -m u32 --u32 "0x4&0x3fff=0x1:0x3fff" -j NFQUEUE --queue-num {4 + place}',
            f"{arriving} -p tcp --tcp-flags SYN,ACK,RST SYN -j NFQUEUE --queue-num {2 + place}",
            f"{arriving} -p udp -m recent --rcheck --seconds 180 --name portreeve --rsource -j NFQUEUE --queue-num {place}",
            f"{arriving} -p udp -j NFQUEUE --queue-num {6 + place}",
            f"{arriving} -j NFQUEUE --queue-num {place}",
            f"-A OUTPUT ! -o lo {target} -j NFQUEUE --queue-num {place}"]
    return "\n".join([*lines, "COMMIT", ""])


class KindTests(unittest.TestCase):
    """What can be sent in floods comes to queues of its own."""

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.router, cls.host = cls.lab.client, cls.lab.router, cls.lab.host
        cls.enterClassContext(services.nginx(cls.host))
        cls.enterClassContext(services.dnsmasq(cls.host, {"lab.test": "198.18.2.9"}))
        cls.router.run("ip", "route", "add", "blackhole", "198.18.66.0/24")

    def setUp(self):
        self.agent = Agent(self.host, KINDS_POLICY, queues=(0, 1), fold="1s", name=os.path.basename(self.lab.file("agent"))).start()
        self.addCleanup(self.agent.stop)
        self.addCleanup(self.host.flush_rules)

    def by_kind(self):
        counts = dict.fromkeys(("established", "openings", "fragments", "datagrams"), 0)
        for queue in self.agent.report()["queues"]:
            counts[queue["kind"]] += queue["packets"]
        return counts

    def added(self, action):
        """How many packets of each kind the action brings."""
        before = self.by_kind()
        action()
        wait_until(lambda: not any(row["waiting"] for row in self.host.queues().values()), "the queues are empty")
        after = self.by_kind()
        return {kind: after[kind] - before[kind] for kind in after}

    def download(self):
        self.client.run("curl", "-sSf", "-m", 30, f"http://{self.host.ip4}/")

    def resolve(self):
        answer = self.client.run("dig", "+short", "+tries=3", "+time=9", f"@{self.host.ip4}", "lab.test")
        self.assertIn("198.18.2.9", answer)

    def test_each_kind_goes_to_the_queue_of_its_kind(self):
        for hook in ("prerouting", "input"):
            with self.subTest(hook=hook):
                self.host.flush_rules()
                self.agent.feed_as_printed("--hook", hook)
                self.assert_kinds(hook)
                self.assertEqual(self.agent.report()["warnings"], [])

    def assert_kinds(self, hook):
        added = self.added(self.download)
        self.assertEqual((added["openings"], added["fragments"], added["datagrams"]), (1, 0, 0))
        self.assertGreaterEqual(added["established"], 5)
        # IPv6 as well, and an answer that this host waits for is no opening.
        added = self.added(lambda: self.client.run("curl", "-sSf", "-m", 30, f"http://[{self.host.ip6}]/"))
        self.assertEqual(added["openings"], 1)
        # By its first datagram a computer becomes known: what it asks next goes with the established.
        added = self.added(self.resolve)
        self.assertEqual((added["datagrams"], added["openings"]), (1, 0))
        added = self.added(self.resolve)
        self.assertEqual((added["datagrams"], added["openings"]), (0, 0))
        self.assertGreaterEqual(added["established"], 2)
        for words in (("ping", "-c1", "-W9", "-s3000", self.host.ip4), ("ping", "-c1", "-W9", "-s3000", self.host.ip6)):
            added = self.added(lambda: self.client.status(*words))
            self.assertEqual(added["fragments"], 3 if hook == "prerouting" else 0)

    def test_floods_at_one_worker_and_honest_traffic_at_the_other(self):
        self.host.rules(rules_by_source(), [4])
        flood = Flood(self.router, "out0", self.host, "eth0", ("syn", "fragment", "refused", "admitted", "ack"), rate=4000,
                      seconds=60, sources=f"{FLOOD}/32")
        for _ in range(10):
            self.download()
            self.resolve()
        self.assertTrue(flood.process.is_running)
        self.assertEqual(flood.stop()["err"], 0)
        wait_until(self.is_sum_exact, "every packet that a rule gave to a queue was judged or lost to it")

    def is_sum_exact(self):
        """Queue by queue."""
        numbers = [4, 2, 0, 6, 0, 5, 3, 1, 7, 1, 0, 1]
        arrived = dict.fromkeys(range(8), 0)
        packets = self.host.rule_packets("PREROUTING", "mangle") + self.host.rule_packets("OUTPUT", "mangle")[1:]
        for number, count in zip(numbers, packets):
            arrived[number] += count
        return arrived == {queue["number"]: queue["packets"] + queue["kernel_queue_drops"] + queue["kernel_socket_drops"]
                           for queue in self.agent.report()["queues"]}


class LongFloodTests(unittest.TestCase):
    def test_all_that_must_be_bounded_is_and_nothing_stays(self):
        """What `make flood-hour` plays for an hour."""
        lab = self.enterContext(Lab())
        run = LongFlood(lab)
        self.addCleanup(run.agent.stop)
        run.run(seconds=6, rate=3000, every=2)
        self.assertEqual(run.problems, [])
        self.assertGreater(run.sent["sent"], 0)


if __name__ == "__main__":
    unittest.main()

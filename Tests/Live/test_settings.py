# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of `queue` and `events`, each seen to do what it says, beside the same without it."""

import base64
import os
import unittest

import isolation

isolation.isolate()

from agent import Agent, reasons, thread_named
from forge import Injector, one_cpu
from lab import Lab, wait_until
from scapy.layers.inet import IP, TCP, UDP

POLICY = """
version: 1
rules:
  - { name: No telnet, action: deny, direction: incoming, protocol: tcp, destination: { ports: 23 }, packet-data: true }
  - { name: No ping, action: deny, direction: outgoing, protocol: icmp, icmp: { type: echo-request } }
"""
# The kernel's table: number, port, waiting, copy mode, copy range, …
COPY_RANGE = 4


class SettingTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host
        cls.injector = Injector(cls.lab.router, "out0", cls.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)

    def setUp(self):
        self.addCleanup(self.host.flush_rules)

    def agent(self, settings="", policy=POLICY, **options):
        agent = Agent(
            self.host, f"{policy}{settings}\n", name=os.path.basename(self.lab.file("agent")), **options).start()
        self.addCleanup(agent.stop)
        return agent

    def telnet(self, count=1, payload=b""):
        """So many equal packets that the policy refuses."""
        for _ in range(count):
            self.injector.send(IP(src=self.client.ip4, dst=self.host.ip4) / TCP(sport=1023, dport=23) / payload)

    def datagram(self):
        """One that nobody asked for."""
        self.injector.send(IP(src=self.client.ip4, dst=self.host.ip4) / UDP(sport=1023, dport=1024) / b"hello")

    def copy_range(self):
        return int(self.host.run("cat", "/proc/net/netfilter/nfnetlink_queue").split()[COPY_RANGE])

    def test_copy_bytes(self):
        for settings, copied in (("queue: { copy-bytes: 128 }", 128), ("", 65_531)):
            with self.subTest(settings):
                self.host.flush_rules()
                agent = self.agent(settings).feed()
                self.assertEqual(self.copy_range(), copied)
                self.telnet(payload=bytes(400))
                event, = agent.wait_for_events()
                self.assertEqual(event["frame"]["length"], 440)
                self.assertEqual(len(base64.b64decode(event["packet"])), min(copied, 440))
                agent.stop()

    def test_length(self):
        """With places for 16, a queue that nobody reads loses the rest."""
        for settings, places in (("queue: { length: 16 }", 16), ("", 8192)):
            with self.subTest(settings):
                self.host.flush_rules()
                agent = self.agent(settings).feed()
                with agent.halted():
                    self.telnet(40)
                    # Neighbour discovery may come too.
                    wait_until(lambda: sum(self.fate_of_packets()) >= 40, "40 packets came")
                    waiting, refused = self.fate_of_packets()
                self.assertEqual((waiting <= 16, refused >= 24), (places == 16, places == 16))
                agent.stop()

    def fate_of_packets(self):
        """(waiting, refused for want of a place)"""
        queue = self.host.queues()[0]
        return queue["waiting"], queue["full"]

    def test_busy_poll(self):
        """One worker spins and one sleeps, side by side, and nothing comes to either."""
        spinning = self.agent("queue: { busy-poll: 200ms }")
        sleeping = self.agent(queues=(8, 8))
        before = processor_time(sleeping, "queue 8")
        wait_until(lambda: processor_time(spinning, "queue 0") > before + 50, "half a second of CPU time", 60)
        self.assertLess(processor_time(sleeping, "queue 8"), before + 10)

    def test_mark_mask(self):
        """What bears the agent's own bit, the lowest one of the mask, and is its user's is the agent's own."""
        for settings, own, foreign in (
                ("queue: { mark-mask: 0x00f00000 }", 0x00100000, 0x01000000), ("", 0x01000000, 0x00100000)):
            with self.subTest(settings):
                self.host.flush_rules()
                agent = self.agent(settings).feed_as_printed()
                ping = ["ping", "-c", 1, "-W", 1, self.client.ip4, "-m"]
                self.assertEqual(self.host.status(*ping, own)[0], 0)
                self.assertEqual(agent.events(), [])
                self.assertNotEqual(self.host.status(*ping, foreign)[0], 0)
                self.assertEqual(reasons(agent.wait_for_events()), {"deny": 1})
                agent.stop()

    def test_fold(self):
        for fold, lines in (("1h", 1), ("0", 20)):
            with self.subTest(fold):
                self.host.flush_rules()
                agent = self.agent(fold=fold).feed()
                self.telnet(20)
                wait_until(lambda: agent.report()["queues"][0]["dropped"] == 20, "20 packets are dropped")
                agent.stop()
                events = agent.events()
                self.assertEqual(len(events), lines)
                self.assertEqual(reasons(events), {"deny": 20})

    def syn(self, port):
        self.injector.send(IP(src=self.client.ip4, dst=self.host.ip4) / TCP(sport=1023, dport=port))

    def test_default(self):
        """What no rule decides about, with an Allow rule beside it and without one; what a rule denies comes after it."""
        web = "  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }\n"
        for settings, refused in (
                ("", False), (web, True), ("default: { incoming: deny }", True), (web + "default: { incoming: allow }", False),
                (web.replace("allow, direction", "allow, enabled: false, direction"), False),
                ("default: { outgoing: deny }", False)):
            with self.subTest(settings):
                self.host.flush_rules()
                agent = self.agent(settings).feed()
                with one_cpu():
                    self.syn(81)
                    self.telnet()
                wanted = {"deny": 1, "out-of-allowed-policy": 1} if refused else {"deny": 1}
                self.assertEqual(reasons(agent.wait_for_events(2 if refused else 1)), wanted)
                agent.stop()

    def test_a_rule_that_is_off(self):
        for state, wanted in (("true", {"deny": 1}), ("false", {"unsolicited-udp": 1})):
            with self.subTest(state):
                self.host.flush_rules()
                agent = self.agent(policy=POLICY.replace("packet-data: true", f"enabled: {state}")).feed()
                with one_cpu():
                    self.telnet()
                    if state == "false":
                        self.datagram()
                self.assertEqual(reasons(agent.wait_for_events()), wanted)
                agent.stop()

    def test_ignore(self):
        for settings, silenced in (("events: { ignore: [unsolicited-udp] }", 3), ("", 0)):
            with self.subTest(settings):
                self.host.flush_rules()
                agent = self.agent(settings).feed()
                for _ in range(3):
                    self.datagram()
                self.telnet()
                events = agent.wait_for_events(4 - silenced)
                wanted = {"deny": 1} if silenced else {"deny": 1, "unsolicited-udp": 3}
                self.assertEqual(reasons(events), wanted)
                row, = (row for row in agent.settled_report()["reasons"] if row["reason"] == "unsolicited-udp")
                self.assertEqual((row["dropped"], row["silenced"], row["written"]), (3, silenced, 3 - silenced))
                agent.stop()


def processor_time(agent, thread):
    """In hundredths of a second: user and system time, fields 14 and 15 of proc(5)'s stat."""
    path = f"/proc/{agent.process.pid}/task/{thread_named(agent.process.pid, thread)}/stat"
    with open(path) as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    unittest.main(verbosity=2)

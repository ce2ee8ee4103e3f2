# SPDX-License-Identifier: GPL-3.0-or-later
"""Invalid Adapter Configuration: what the policy names and the host does not have, and queues that no rule feeds."""

import time
import unittest

import isolation

isolation.isolate()

from agent import Agent, reasons
from lab import Lab, wait_until

POLICY = """
version: 1
interfaces: { ignore: [lo, "wg*"] }
rules:
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
  - { name: Backup, action: force-allow, direction: incoming, protocol: udp, interfaces: [spare0] }
"""


class WarningTests(unittest.TestCase):
    seconds = 62

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        for machine in (cls.lab.host, cls.lab.router):
            machine.run("ip", "link", "add", "spare0", "type", "veth", "peer", "name", "spare1")
        cls.began = time.monotonic()
        cls.agent = cls.enterClassContext(Agent(cls.lab.host, POLICY))
        cls.agent.feed()
        cls.idle = cls.enterClassContext(Agent(cls.lab.router, POLICY, name="idle"))

    def test_an_interface_that_never_was(self):
        agent = Agent(self.lab.host, POLICY.replace("lo,", "lo, eth7,"), queues=(5, 5), name="missing").start()
        self.addCleanup(agent.stop)
        events = agent.wait_for_events()
        self.assertEqual(reasons(events), {"invalid-adapter-configuration": 1})
        facts = events[0]["portreeve"]
        self.assertEqual((facts["id"], facts["stage"], facts["action"]), (135, "E", "notice"))
        sentence = "interface eth7, named by interfaces.ignore, does not exist"
        self.assertIn(sentence, facts["note"])
        self.assertIn(sentence, agent.log())
        self.assertIn(sentence, agent.tool("status", "--agent-only"))

    def test_an_interface_without_a_hardware_address(self):
        status, why = self.lab.host.status("ip", "tuntap", "add", "tun9", "mode", "tun")
        if status:
            self.skipTest(f"no tunnel can be made here: {why}")
        self.addCleanup(self.lab.host.run, "ip", "link", "del", "tun9")
        agent = Agent(self.lab.host, POLICY.replace("lo,", "lo, tun9, eth7,"), queues=(6, 6), name="tun").start()
        self.addCleanup(agent.stop)
        note = agent.wait_for_events()[0]["portreeve"]["note"]
        self.assertIn("interface eth7", note)
        self.assertNotIn("tun9", note + agent.log() + agent.tool("status", "--agent-only"))

    def test_an_interface_that_disappears(self):
        self.assertEqual(self.agent.events(), [])
        sentence = 'interface spare0, named by rule "Backup"'
        for _ in range(2):
            self.lab.host.run("ip", "link", "del", "spare0")
            events = self.agent.wait_for_events()
            self.assertEqual(reasons(events), {"invalid-adapter-configuration": 1})
            self.assertIn(sentence, events[0]["portreeve"]["note"])
            self.assertIn(f"{self.agent.policy}:6", events[0]["portreeve"]["note"])
            self.assertIn(sentence, self.agent.tool("status", "--agent-only"))
            self.lab.host.run("ip", "link", "add", "spare0", "type", "veth", "peer", "name", "spare1")
            wait_until(lambda: sentence not in self.agent.tool("status", "--agent-only"), "the complaint is over")
        self.assertEqual(self.agent.events(), [])

    def test_queues_that_no_rule_feeds_for_a_minute(self):
        self.lab.client.run("ping", "-c", 1, self.lab.host.ip4)
        events = self.idle.wait_for_events(seconds=90)
        self.assertEqual(reasons(events), {"invalid-adapter-configuration": 1})
        self.assertIn("no rule gives packets to a queue", events[0]["portreeve"]["note"])
        self.assertIn("portreeve iptables --apply", self.idle.tool("status", "--agent-only"))
        # The other agent is older, and its queue was fed.
        self.assertGreater(time.monotonic() - self.began, 60)
        self.assertNotIn("no rule gives packets", self.agent.tool("status", "--agent-only"))
        self.assertEqual(self.agent.events(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent in the lab: packets, verdicts, events, and its life."""

import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from lab import CommandFailed, Lab

POLICY = """
version: 1
interfaces: { ignore: [lo] }
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
"""


class AgentTests(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.client, self.host = self.lab.client, self.lab.host

    def test_judges_packets_and_writes_events(self):
        with Agent(self.host, POLICY) as agent, services.nginx(self.host):
            agent.feed()
            self.assertIn("portreeve lab", self.client.run("curl", "-sS", f"http://{self.host.ip4}/"))
            self.assertIn(" 0% packet loss", self.client.run("ping", "-c", 1, self.host.ip4))
            self.assertEqual(agent.events(), [])
            with self.assertRaises(CommandFailed):
                self.client.run("curl", "-sS", "-m", 1, f"http://{self.host.ip4}:81/")
            events = agent.wait_for_events()
            self.assertEqual(set(reasons(events)), {"out-of-allowed-policy"})
            event = events[0]
            self.assertEqual((event["src_ip"], event["dest_ip"]), (self.client.ip4, self.host.ip4))
            self.assertEqual((event["dest_port"], event["proto"]), (81, "TCP"))
            self.assertEqual(agent.stop(), 0)

    def test_a_second_agent_names_the_first(self):
        with Agent(self.host, POLICY) as first:
            second = Agent(self.host, POLICY, name="second")
            with self.assertRaises(CommandFailed) as failure:
                second.queues = (0, 1)
                second.start()
            self.assertNotEqual(failure.exception.status, 0)
            self.assertIn(f"queue 0 is held by process {first.process.pid}", failure.exception.output)
            self.assertIn("portreeved", failure.exception.output)


if __name__ == "__main__":
    unittest.main(verbosity=2)

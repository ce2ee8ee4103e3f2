# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows that a Bypass rule with `offload` gives to the fast path: no connection tracking, no mark, and what ends them."""

import json
import unittest

import isolation

isolation.isolate()

from agent import Agent, reasons
from lab import wait_until
from test_fast_path import OBJECT, PINS, FastPathLab

POLICY = """
version: 1
engine: { fast-path: auto, timeouts: { cold-start: 0s, boot-start: 0s } }
rules:
  - { name: In, action: bypass, direction: incoming, protocol: tcp, destination: { ports: [5201, 5300] }, offload: true }
  - { name: Out, action: bypass, direction: outgoing, protocol: tcp, source: { ports: [5201, 5300] }, offload: true }
"""
REFUSING = """
version: 1
engine: { fast-path: auto, timeouts: { cold-start: 0s, boot-start: 0s } }
rules:
  - { name: No more, action: deny, direction: incoming, protocol: tcp }
  - { name: No answers, action: deny, direction: outgoing, protocol: tcp }
"""


class BypassTests(FastPathLab):
    seconds = 15

    def rule_packets(self, agent):
        return {row["rule"]: row["packets"] for row in map(json.loads, agent.tool("rules", "--json").splitlines())}

    def test_bulk_passes_in_the_kernel_and_nothing_tracks_it(self):
        server = self.lab.host.start("iperf3", "--server")
        wait_until(lambda: self.lab.host.listens(5201), "iperf3 listens", process=server)
        agent = self.agent(POLICY)
        rules = self.lab.host.run("iptables-save") + self.lab.host.run("ip6tables-save")
        self.assertIn(f"{PINS}/fast4", rules)
        self.assertNotIn("connmark", rules.lower())
        self.assertIn("-A PREROUTING", rules)
        self.assertEqual(agent.tool_status("iptables", "--check")[0], 0)
        words = agent.tool(
            "explain", "--policy", agent.policy, "--direction", "incoming", "--tcp", f"{self.lab.client.ip4}:40000",
            f"{self.lab.host.ip4}:5201")
        self.assertIn("offload: the kernel may pass what follows of its flow", words)
        for address in (self.lab.host.ip4, self.lab.host.ip6):
            with self.subTest(address):
                judged, counted = self.judged(agent), sum(self.rule_packets(agent).values())
                self.lab.client.run("iperf3", "--client", address, "--bytes", "100M", seconds=300)
                self.assertLess(self.judged(agent) - judged, 100)
                wait_until(lambda: sum(self.rule_packets(agent).values()) - counted > 1000, "the rules' counts")
        self.assertIn(" 0 flow entries", self.lab.host.run("conntrack", "-L"))
        report = agent.report()["fast_path"]
        self.assertGreater(report["admitted"], 3)
        self.assertEqual(report["full"], 0)
        self.assertEqual([e for e in agent.events() if e.get("proto") == "TCP"], [])

    def test_a_policy_without_the_rule_ends_it_and_one_with_it_begins_it_again(self):
        agent = self.agent(POLICY)
        client = self.lines()
        wait_until(lambda: agent.report()["fast_path"]["bypassed"] == 1, "the flow is on the fast path", process=client)
        self.assertIn("of them by offload: true", agent.tool("status", "--agent-only"))
        before, passed = self.judged(agent), self.passed(agent)
        wait_until(lambda: self.passed(agent) > passed + 40, "lines pass in the kernel", process=client)
        self.assertLess(self.judged(agent) - before, 10)
        agent.write_policy(REFUSING)
        agent.tool("reload")
        self.assertStands(client)
        self.assertIn("deny", reasons(agent.wait_for_events()))
        agent.write_policy(POLICY)
        agent.tool("reload")
        passed = self.passed(agent)
        wait_until(lambda: self.passed(agent) > passed + 20, "lines pass in the kernel again", 60, process=client)
        agent.kill()
        self.assertStands(client)

    def test_without_the_program_connections_are_marked(self):
        agent = self.enterContext(Agent(self.lab.host, POLICY))
        status, output = agent.tool_status("iptables", "--apply", "--program", "/nowhere/fastpath.o", seconds=60)
        self.assertEqual(status, 0, output)
        rules = self.lab.host.run("iptables-save")
        self.assertIn("connmark", rules)
        self.assertNotIn(PINS, rules)
        self.assertEqual(agent.tool_status("iptables", "--check")[0], 0)
        client = self.lines()
        listing = ("conntrack", "-L", "-p", "tcp", "--dport", "5300")
        wait_until(lambda: "mark=100663296" in self.lab.host.status(*listing)[1], "both directions are marked", process=client)
        # Rules of the other kind take the place of these, and the flow goes on.
        self.assertEqual(agent.tool_status("iptables", "--apply", "--program", OBJECT, seconds=60)[0], 0)
        self.assertNotIn("connmark", self.lab.host.run("iptables-save"))
        wait_until(lambda: self.passed(agent) > 20, "lines pass by the program", process=client)


if __name__ == "__main__":
    unittest.main()

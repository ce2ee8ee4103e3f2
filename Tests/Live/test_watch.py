# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that are flushed, that fit no more, or that leave forwarded traffic out while the agent runs: it says so by itself,
within 10 s, and so do status and iptables --check."""

import os
import re
import subprocess
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from lab import Lab, Namespace, wait_until

POLICY = """
version: 1
interfaces: { ignore: [lo] }
rules:
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
  - { name: Echo, action: allow, direction: incoming, protocol: tcp, destination: { ports: 7 } }
"""
NO_COLD_START = POLICY + "engine: { timeouts: { cold-start: 0s, boot-start: 0s } }\n"
NOTHING_FED = "no rule gives packets to a queue"
# What the issue promises, and what a busy machine may add.
SECONDS = 10 + 20


class WatchTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host

    def setUp(self):
        self.addCleanup(self.host.flush_rules)

    def agent(self, policy=POLICY):
        agent = Agent(self.host, policy, name=os.path.basename(self.lab.file("agent"))).start()
        self.addCleanup(agent.stop)
        return agent

    def applied(self, agent):
        output = agent.tool("iptables", "--apply")
        wait_until(lambda: self.complete(agent) == 1, "the agent has seen the rules")
        self.assertEqual(agent.tool_status("status")[0], 0)
        agent.events()
        return output

    def complete(self, agent):
        """The metric; nil while it is not known."""
        path = os.path.join(agent.directory, "metrics.sock")
        page = subprocess.run(["curl", "-s", "--unix-socket", path, "http://localhost/metrics"], capture_output=True, text=True)
        found = re.search(r"^portreeve_rules_complete (\d)", page.stdout, re.M)
        return int(found[1]) if found else None

    def assert_noticed(self, agent, sentence):
        events = agent.wait_for_events(seconds=SECONDS)
        self.assertEqual(reasons(events), {"invalid-adapter-configuration": 1})
        self.assertEqual(events[0]["portreeve"]["id"], 135)
        self.assertIn(sentence, events[0]["portreeve"]["note"])
        self.assertIn(sentence, agent.log())
        self.assertEqual(self.complete(agent), 0)
        self.assertIn(sentence, agent.tool("status", "--agent-only"))
        status, output = agent.tool_status("status")
        self.assertEqual(status, 3)
        self.assertIn(sentence, output)
        status, output = agent.tool_status("iptables", "--check")
        self.assertEqual(status, 1)
        self.assertIn("--apply", output)

    def assert_mended(self, agent, sentence):
        wait_until(lambda: self.complete(agent) == 1, "the rules are there again")
        self.assertNotIn(sentence, agent.tool("status"))
        self.assertEqual(agent.tool_status("iptables", "--check")[0], 0)


class FlushTests(WatchTests):
    seconds = 80

    def test_flushed_by_iptables_or_nft_and_applied_again(self):
        agent = self.agent()
        for flush in (["nft", "flush", "ruleset"],
                      ["sh", "-c", "for tool in iptables ip6tables; do $tool -w -t mangle -F && $tool -w -t mangle -X; done"]):
            with self.subTest(flush):
                self.applied(agent)
                self.host.run(*flush)
                self.assert_noticed(agent, NOTHING_FED)
                agent.tool("iptables", "--apply")
                self.assert_mended(agent, NOTHING_FED)

    def test_only_the_jumps_are_gone(self):
        agent = self.agent()
        self.applied(agent)
        for tool in ("iptables", "ip6tables"):
            for chain in ("PREROUTING", "OUTPUT"):
                self.host.run(tool, "-w", "-t", "mangle", "-F", chain)
        self.assert_noticed(agent, NOTHING_FED)

    def test_rules_for_another_queue_are_none_of_ours(self):
        agent = self.agent()
        self.applied(agent)
        self.host.run("nft", "flush", "ruleset")
        self.host.rules("*mangle\n-A INPUT -p icmp -j NFQUEUE --queue-num 9 --queue-bypass\nCOMMIT\n")
        events = agent.wait_for_events(seconds=SECONDS)
        self.assertIn(NOTHING_FED, events[0]["portreeve"]["note"])

    def test_one_queue_of_two_is_fed_no_more(self):
        agent = Agent(self.host, POLICY + "queue: { numbers: 0-1 }\n", name=os.path.basename(self.lab.file("agent")),
                      queues=(0, 1)).start()
        self.addCleanup(agent.stop)
        self.applied(agent)
        for tool in ("iptables", "ip6tables"):
            rules = self.host.run(f"{tool}-save", "-t", "mangle")
            self.assertIn("--queue-balance 0:1", rules)
            self.host.run(f"{tool}-restore", input=rules.replace("--queue-balance 0:1", "--queue-num 0"))
        events = agent.wait_for_events(seconds=SECONDS)
        self.assertEqual(reasons(events), {"invalid-adapter-configuration": 1})
        sentence = "no rule feeds queue 1 of the policy's queue.numbers"
        self.assertIn(sentence, events[0]["portreeve"]["note"])
        # Every packet comes to the other.
        self.assertEqual(self.complete(agent), 1)
        agent.tool("iptables", "--apply")
        wait_until(lambda: sentence not in agent.tool("status", "--agent-only"), "the complaint is over")

    def test_one_family_is_flushed(self):
        agent = self.agent()
        self.applied(agent)
        self.host.run("ip6tables", "-w", "-t", "mangle", "-F")
        self.assert_noticed(agent, "IPv6 is not protected")

    def test_one_direction_is_flushed(self):
        agent = self.agent()
        self.applied(agent)
        self.host.run("iptables", "-w", "-t", "mangle", "-F", "OUTPUT")
        self.assert_noticed(agent, "outgoing ones do not")

    def test_what_is_as_it_should_be_raises_nothing(self):
        agent = self.agent()
        self.applied(agent)
        for _ in range(5):
            agent.tool("iptables", "--apply")
            self.client.run("ping", "-c", 3, "-i", 0.5, self.host.ip4)
        self.assertEqual(agent.events(), [])
        # To look for the old iptables' tables makes none.
        for family in ("ip", "ip6"):
            self.assertEqual(self.host.status("cat", f"/proc/net/{family}_tables_names")[1].strip(), "")


class LegacyTests(WatchTests):
    def test_rules_of_the_old_iptables(self):
        rules = "*mangle\n:MINE - [0:0]\n-A MINE -j NFQUEUE --queue-num 0\n-A INPUT -j MINE\n-A OUTPUT -j MINE\nCOMMIT\n"
        for tool in ("iptables-legacy-restore", "ip6tables-legacy-restore"):
            if self.host.status(tool, "-n", input=rules)[0]:
                self.skipTest(f"{tool} does not work here")
        flush = "for tool in iptables-legacy ip6tables-legacy; do $tool -w -t mangle -F; $tool -w -t mangle -X; done"
        self.addCleanup(self.host.run, "sh", "-c", flush)
        agent = self.agent()
        wait_until(lambda: self.complete(agent) == 1, "the agent has seen the rules")
        agent.events()
        self.host.run("sh", "-c", flush)
        events = agent.wait_for_events(seconds=SECONDS)
        self.assertIn(NOTHING_FED, events[0]["portreeve"]["note"])
        self.assertEqual(self.complete(agent), 0)


class ChangeTests(WatchTests):
    def test_translation_that_comes_later(self):
        """As with a container service that is started after --apply."""
        agent = self.agent(NO_COLD_START)
        self.assertNotIn("taken at input", self.applied(agent))
        self.enterContext(services.echo(self.host))
        self.host.rules("*nat\n-A PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 7\n-A POSTROUTING -o eth0 -j MASQUERADE\n"
                        "COMMIT\n", (4,))
        self.client.run("ping", "-c", 1, self.host.ip4)
        self.assert_noticed(agent, "they take packets at PREROUTING")
        self.assertIn("taken at input", agent.tool("iptables", "--apply"))
        self.assert_mended(agent, "they take packets at PREROUTING")
        self.assertEqual(self.client.run(
            "/usr/bin/python3", "-c", "import socket,sys\npeer = socket.create_connection((sys.argv[1], 8080), 5)\n"
            "peer.sendall(b'hello')\nprint(peer.recv(5).decode())", self.host.ip4), "hello\n")

    def test_forwarding_that_nobody_judges(self):
        agent = self.agent()
        self.applied(agent)
        self.host.sysctl(net__ipv4__ip_forward=1)
        self.addCleanup(self.host.sysctl, net__ipv4__ip_forward=0)
        sentence = "this host forwards IPv4, and interfaces.inside is empty"
        self.assert_noticed(agent, sentence)
        for words in (("iptables", "--apply"), ("check",)):
            self.assertIn(sentence, agent.tool(*words))
        agent.reload(POLICY.replace("ignore: [lo]", "ignore: [lo], inside: [\"docker*\"]"))
        agent.await_epoch(2)
        self.assertEqual(agent.tool_status("status")[0], 3)
        self.assertNotIn("interfaces.inside is empty", agent.tool("check"))
        self.assertNotIn("interfaces.inside is empty", agent.tool("iptables", "--apply"))
        self.assert_mended(agent, sentence)


if __name__ == "__main__":
    unittest.main(verbosity=2)

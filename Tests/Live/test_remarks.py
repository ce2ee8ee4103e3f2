# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies that load and cut everything, or nothing: check, reload, status and apply say it in a sentence with its cure."""

import os
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent
from lab import Lab, wait_until

HEAD = "version: 1\ninterfaces: { ignore: [lo] }\n"
SSH = "  - { name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }\n"
GOOD = HEAD + "rules:\n" + SSH
NOTHING_IN = GOOD + "  - { name: Nothing in, action: deny, direction: incoming }\n"
ONLY_OUT = HEAD + "rules:\n  - { name: Out, action: allow, direction: outgoing, protocol: tcp }\n"
DNS = GOOD + "  - { name: DNS, action: allow, direction: incoming, protocol: udp, destination: { ports: 53 } }\n"

# (policy, what is said, the cure)
CASES = (
    (NOTHING_IN, 'rule "SSH" admits nothing, because the deny rule "Nothing in"', "remove or narrow the deny rule"),
    (HEAD, "the policy has no rule: every TCP connection to this host is admitted", "add an incoming allow rule"),
    (ONLY_OUT, "no rule restricts what comes in: every TCP connection to this host is admitted", "add an incoming allow rule"),
    (DNS, 'rule "DNS" admits nothing, because datagrams that answer nothing take a force-allow rule', "make it action: force-allow"),
)


class RemarkTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.host = cls.lab.host

    def setUp(self):
        self.addCleanup(self.host.flush_rules)
        self.agent = Agent(self.host, GOOD, name=os.path.basename(self.lab.file("agent"))).start()
        self.addCleanup(self.agent.stop)

    def said(self, output, text, cure):
        lines = [line for line in output.splitlines() if text in line]
        self.assertEqual(len(lines), 1, output)
        self.assertIn(cure, lines[0])

    def test_each(self):
        self.agent.tool("iptables", "--apply")
        for policy, text, cure in CASES:
            with self.subTest(text):
                self.agent.write_policy(policy)
                self.said(self.agent.tool("check"), text, cure)
                self.assertEqual(self.agent.tool_status("check", "--strict")[0], 2)
                self.said(self.agent.tool("reload"), text, cure)
                wait_until(lambda: text in self.agent.tool_status("status")[1], "status says so")
                status, output = self.agent.tool_status("status")
                self.assertIn(cure, output)
                # What lets everybody in protects nothing.
                self.assertEqual(status, 3 if "every TCP connection" in text else 0, output)
                self.said(self.agent.tool("iptables", "--apply"), text, cure)
        self.assertIn("Nothing in", self.agent.log())
        self.agent.write_policy(GOOD)
        self.assertIn("no warnings", self.agent.tool("check"))
        self.assertNotIn("warning", self.agent.tool("reload"))
        wait_until(lambda: "warnings" not in self.agent.tool("status"), "status says nothing any more")

    def test_the_ssh_port_of_this_host(self):
        ssh = services.SSH(self.host, 2222)
        self.addCleanup(ssh.process.stop)
        text = "an SSH server of this host listens on port 2222, and no rule admits a connection to it"
        self.said(self.agent.tool("check"), text, "port 2222")
        self.said(self.agent.tool("reload"), text, "port 2222")
        wait_until(lambda: text in self.agent.tool("status", "--agent-only"), "status says so")
        self.agent.write_policy(GOOD.replace("22 }", "[22, 2222] }"))
        self.assertIn("no warnings", self.agent.tool("check"))
        self.assertNotIn("warning", self.agent.tool("reload"))


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve enable` and `disable`: the rules tried, kept and saved, and gone, as ufw's users would type it."""

import os
import unittest

import isolation

isolation.isolate()

from agent import Agent
from lab import Lab, wait_until

POLICY = """
version: 1
interfaces: { ignore: [lo] }
rules:
  - { name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
"""


class EnableTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host

    def setUp(self):
        self.addCleanup(self.host.flush_rules)
        self.agent = Agent(self.host, POLICY, name=os.path.basename(self.lab.file("agent"))).start()
        self.addCleanup(self.agent.stop)

    def over_ssh(self, port, *words):
        """The tool as in an SSH session from this port, behind a program that has lost its environment, as sudo has."""
        connection = f"{self.client.ip4} {port} {self.host.ip4} 22"
        tool = "env -u SSH_CONNECTION " + self.agent.command(*words)
        return self.host.status("env", f"SSH_CONNECTION={connection}", "sh", "-c", f"{tool}; exit $?", seconds=60)

    def expect(self, outcome, status, *parts):
        self.assertEqual(outcome[0], status, outcome[1])
        for part in parts:
            self.assertIn(part, outcome[1])

    def has_rules(self):
        return "NFQUEUE" in self.host.run("iptables-save") and "NFQUEUE" in self.host.run("ip6tables-save")

    def is_saved(self):
        return any(name.startswith("rules.") for name in os.listdir(self.agent.directory))

    def test_tried_kept_by_another_session_and_saved(self):
        self.expect(self.over_ssh(40112, "enable"), 0, "taken back in 60 s", 'with "portreeve enable"')
        self.assertTrue(self.has_rules())
        self.assertFalse(self.is_saved())
        self.expect(self.over_ssh(40112, "enable"), 1, "this is the session that applied the rules", 'run "portreeve enable"')
        self.assertFalse(self.is_saved())
        self.expect(self.over_ssh(40113, "enable"), 0, "kept: the rules stay", "saved: these rules come back at every boot")
        self.assertTrue(self.has_rules() and self.is_saved())
        # Once more, by any session: there is nothing to try.
        before = self.host.run("iptables-save", "-t", "mangle")
        self.expect(self.over_ssh(40112, "enable"), 0, "saved")
        self.assertEqual(before.count("NFQUEUE"), self.host.run("iptables-save", "-t", "mangle").count("NFQUEUE"))
        self.assertIn("nothing to keep", self.agent.tool_status("iptables", "--keep")[1])
        self.expect(self.agent.tool_status("disable"), 0, "removed: packets pass without the agent, also after the next boot")
        self.assertFalse(self.has_rules() or self.is_saved())
        self.expect(self.agent.tool_status("disable"), 0, "there were no rules to remove")

    def test_not_kept(self):
        self.expect(self.over_ssh(40112, "enable", "--confirm", 2), 0)
        wait_until(lambda: not self.has_rules(), "the rules are taken back", 20)
        self.assertFalse(self.is_saved())

    def test_at_once(self):
        self.expect(self.over_ssh(40112, "enable", "--now"), 0, "applied", "saved")
        self.assertTrue(self.has_rules() and self.is_saved())

    def test_at_once_but_not_over_an_administrators_head(self):
        self.agent.write_policy(POLICY.replace("ports: 22", "ports: 2222"))
        self.expect(self.over_ssh(40112, "enable", "--now"), 1, "would shut out the SSH session that you are in")
        self.assertFalse(self.has_rules() or self.is_saved())

    def test_a_policy_that_needs_other_rules_is_tried_again(self):
        self.expect(self.agent.tool_status("enable", "--now"), 0)
        self.agent.write_policy(POLICY.replace("ignore: [lo]", "ignore: [lo, dummy7]"))
        self.expect(self.over_ssh(40112, "enable"), 0, "taken back in 60 s")
        self.expect(self.over_ssh(40113, "enable"), 0, "kept", "saved")
        self.assertIn("dummy7", self.host.run("iptables-save", "-t", "mangle"))

    def test_without_an_agent_nothing_changes(self):
        self.agent.stop()
        self.expect(self.agent.tool_status("enable"), 1, "nothing was changed")
        self.assertFalse(self.has_rules() or self.is_saved())


if __name__ == "__main__":
    unittest.main()

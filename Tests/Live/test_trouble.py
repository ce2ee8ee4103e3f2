# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that help out of trouble work in it, and say what is wrong: with a bad policy on disk, with an agent that fails
to start, without an agent."""

import json
import os
import re
import unittest

import isolation

isolation.isolate()

from agent import Agent
from lab import CommandFailed, Lab, wait_until
from manager import ManagedAgent

POLICY = """
version: 1
interfaces: { ignore: [lo] }
rules:
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
  - { name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }
"""
BAD = POLICY + "  - { name: Wrong, actoin: deny, direction: incoming }\n  - { name: Worse }\n"


class TroubleTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host

    def setUp(self):
        self.addCleanup(self.host.flush_rules)
        self.agent = Agent(self.host, POLICY, name=os.path.basename(self.lab.file("agent"))).start()
        self.addCleanup(self.agent.stop)
        self.agent.tool("iptables", "--apply")
        self.client.status("nc", "-z", "-w", 1, self.host.ip4, 4242)
        self.agent.wait_for_events(1)

    def tool(self, *words, status=0):
        found, output = self.agent.tool_status(*words)
        self.assertEqual(found, status, output)
        return output

    def test_while_the_policy_on_disk_is_bad(self):
        self.agent.write_policy(BAD)
        wrong = re.compile(r"note: the policy on disk cannot be put in force:\n\S*policy.yaml:7:\d+: error: .*Wrong.*\n", re.S)
        for words, expected in ((("events",), "4242"), (("iptables", "--check"), "fine: iptables mangle")):
            output = self.tool(*words)
            self.assertRegex(output, wrong)
            self.assertIn("more: \"portreeve check\" shows them", output)
            self.assertIn(expected, output)
        self.assertIn("this host is protected", self.tool("status"))
        output = self.tool("iptables", "--remove")
        self.assertRegex(output, wrong)
        self.assertIn("removed: packets pass without the agent", output)

    def test_rules_are_measured_by_the_policy_in_force(self):
        """Not by what stands on the disk and is not, good or bad."""
        self.agent.write_policy(POLICY.replace("[lo]", "[lo, eth7]"))
        self.assertIn("fine: ", self.tool("iptables", "--check"))
        self.assertIn("this host is protected", self.tool("status"))
        self.tool("reload")
        self.assertIn("error", self.agent.tool_status("iptables", "--check")[1])

    def test_without_an_agent(self):
        self.agent.stop()
        output = self.tool("events")
        self.assertIn("note: no agent is running", output)
        self.assertIn("4242", output)
        output = self.tool("iptables", "--check", status=1)
        self.assertIn("note: no agent is running", output)
        self.assertIn("nobody reads queue 0", output)
        self.assertNotIn("fails to start", output)
        self.assertIn("this host is shut", self.tool("status", status=2))
        self.assertIn("removed", self.tool("iptables", "--remove"))

    def test_without_an_agent_and_with_a_bad_policy(self):
        self.agent.stop()
        self.agent.write_policy(BAD)
        for words, status, expected in ((("events",), 0, "4242"), (("iptables", "--check"), 1, "nobody reads queue 0"),
                                        (("iptables", "--remove"), 0, "removed")):
            output = self.tool(*words, status=status)
            self.assertIn("policy.yaml:7:", output)
            self.assertIn(expected, output)

    def test_events_of_a_file_that_is_named_are_nobodys_business(self):
        self.agent.stop()
        self.agent.write_policy(BAD)
        output = self.tool("events", "--file", self.agent.events_file)
        self.assertNotIn("note", output)
        self.assertIn("4242", output)

    def test_while_the_agent_fails_to_start(self):
        self.agent.stop()
        self.agent.write_policy(BAD)
        os.remove(os.path.join(self.agent.directory, "policy.kept"))
        with self.assertRaises(CommandFailed):
            self.agent.start()
        because = re.compile(r"portreeved fails to start \(20\d\d-.*\): \S*policy.yaml:7:\d+: error: ")
        output = self.tool("status", status=2)
        self.assertRegex(output, because)
        self.assertIn("mend what keeps portreeved from starting", output)
        self.assertNotIn("name the control socket", output)
        report = json.loads(self.tool("status", "--json", status=2).splitlines()[0])
        self.assertIn("policy.yaml:7:", report["failure"])
        for words, status in ((("events",), 0), (("iptables", "--check"), 1), (("connections",), 1), (("reload",), 1)):
            with self.subTest(words):
                self.assertRegex(self.tool(*words, status=status), because)
        self.assertRegex(self.tool("iptables", "--remove"), because)
        # Once it runs nothing is left of that.
        self.agent.write_policy(POLICY)
        self.agent.start()
        self.agent.stop()
        self.assertNotIn("fails to start", self.tool("status", status=2))


class CrashLoopTests(unittest.TestCase):
    """Under a manager that keeps the queue's socket, as systemd does while it restarts the agent."""

    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.host = self.lab.host
        self.agent = ManagedAgent(self.host, POLICY)
        self.addCleanup(self.agent.end)
        self.agent.start()
        self.agent.feed()

    def fail(self):
        self.agent.launch()
        return self.agent.process.wait()

    def test_an_agent_that_cannot_start_gives_up_and_says_why(self):
        self.agent.stop()
        self.agent.write_policy(BAD)
        os.remove(os.path.join(self.agent.directory, "policy.kept"))
        for _ in range(5):
            self.assertEqual(self.fail(), 1)
        self.assertEqual(self.fail(), 69)
        self.assertIn("systemctl start portreeved", self.agent.log())
        # Its queues are kept, and nobody else has them.
        self.assertEqual(list(self.host.queues()), [0, 1, 2, 3])
        status, output = self.agent.tool_status("status")
        self.assertEqual(status, 2, output)
        self.assertRegex(output, r"portreeved fails to start .*policy.yaml:7:")
        self.assertIn("its packets wait in queue 0, which the service manager keeps", output)
        self.assertNotIn("name the control socket", output)
        # Whoever starts it then is not refused.
        self.assertEqual(self.fail(), 1)
        self.agent.write_policy(POLICY)
        self.agent.start()

    def test_an_agent_that_is_killed_again_and_again_gives_up_too(self):
        for _ in range(5):
            self.agent.kill()
            self.agent.launch()
            status = None
            wait_until(lambda: "ready: " in self.agent.log() or not self.agent.process.is_running, "it is ready or ended")
        status = self.agent.process.status
        self.assertEqual(status, 69, self.agent.log())
        output = self.agent.tool_status("status")[1]
        self.assertIn("ended unexpectedly 5 times within 60 s", output)

    def test_one_that_is_asked_to_end_never_does(self):
        for _ in range(8):
            self.agent.restart()
        self.assertTrue(self.agent.process.is_running)


if __name__ == "__main__":
    unittest.main()

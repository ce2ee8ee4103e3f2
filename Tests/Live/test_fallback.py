# SPDX-License-Identifier: GPL-3.0-or-later
"""The last policy that was in force is what a start falls back on when the one on disk cannot be taken."""

import os
import unittest

import isolation

isolation.isolate()

from agent import Agent, binaries, reasons
from lab import CommandFailed, Lab, wait_until

HEAD = "version: 1\ninterfaces: { ignore: [lo] }\n"
LISTED = HEAD + """
lists: { bad: { addresses-file: LIST } }
rules:
  - { name: Listed, action: deny, direction: incoming, priority: 4, source: { addresses: bad } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
"""
PING = HEAD + "rules:\n  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp }\n"
BAD = HEAD + "rules:\n  - { name: Ping, actoin: allow, direction: incoming }\n"


class FallbackTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host

    def setUp(self):
        self.addCleanup(self.host.flush_rules)
        self.list = self.lab.file(f"bad-{self.id().rpartition('.')[2]}.txt", f"{self.lab.client_addresses[1]}\n")
        self.agent = Agent(self.host, LISTED.replace("LIST", self.list), name=os.path.basename(self.lab.file("agent")))
        self.agent.start()
        self.addCleanup(self.agent.stop)
        self.agent.feed()

    def answers(self, source):
        """Whether a ping from there is answered: the policy's own list says from where not."""
        ping = ("ping", "-c", 1, "-W", 1, "-I", self.lab.client_addresses[source], self.host.ip4)
        return self.client.status(*ping)[0] == 0

    def assert_kept_policy_rules(self):
        self.assertTrue(self.answers(0))
        self.assertFalse(self.answers(1))

    def metric(self, name):
        text = self.host.run("curl", "-s", "--unix-socket", f"{self.agent.directory}/metrics.sock", "http://localhost/metrics")
        return next(line.split()[1] for line in text.splitlines() if line.startswith(name + " "))

    def restart(self):
        self.agent.stop()
        self.agent.start()

    def test_a_policy_that_does_not_load(self):
        self.assert_kept_policy_rules()
        self.agent.write_policy(BAD)
        # The list is part of the policy: what has become of its file does not matter.
        os.remove(self.list)
        self.agent.events()
        self.restart()
        self.assert_kept_policy_rules()
        log = self.agent.log()
        self.assertRegex(log, r"policy.yaml:4:\d+: error: ")
        self.assertIn("the last policy that was in force, epoch 1, is in force again", log)
        events = self.agent.wait_for_events(1)
        self.assertEqual(events[0]["portreeve"]["reason"], "fallback-policy")
        self.assertEqual(events[0]["portreeve"]["policy_epoch"], 1)
        self.assertIn("policy.yaml:4:", events[0]["portreeve"]["note"])
        status = self.agent.tool("status", "--agent-only")
        self.assertIn("this is the last policy that was in force; the one on disk is not:", status)
        self.assertIn("actoin", status)
        report = self.agent.report()
        self.assertEqual(report["policy"]["epoch"], 1)
        self.assertIn("policy.yaml:4:", report["policy"]["fallback"])
        self.assertEqual(self.metric("portreeve_policy_fallback"), "1")
        # Once more: what it fell back on is still there.
        self.restart()
        self.assert_kept_policy_rules()

    def test_it_ends_with_a_policy_that_loads(self):
        self.agent.write_policy(BAD)
        self.restart()
        self.agent.write_policy(PING)
        self.agent.tool("reload")
        self.assertEqual(self.agent.report()["policy"]["epoch"], 2)
        self.assertIsNone(self.agent.report()["policy"]["fallback"])
        self.assertEqual(self.metric("portreeve_policy_fallback"), "0")
        # That one is kept now.
        self.agent.write_policy(BAD)
        self.restart()
        self.assertEqual(self.agent.report()["policy"]["epoch"], 2)
        self.assertTrue(self.answers(1))

    def test_a_list_that_is_gone(self):
        os.remove(self.list)
        self.restart()
        self.assert_kept_policy_rules()
        self.assertIn(self.list, self.agent.report()["policy"]["fallback"])

    def test_a_good_policy_is_taken_and_its_epoch_goes_on(self):
        self.restart()
        self.assertEqual(self.agent.report()["policy"]["epoch"], 1)
        self.agent.write_policy(PING)
        self.restart()
        report = self.agent.report()
        self.assertEqual((report["policy"]["epoch"], report["policy"]["fallback"]), (2, None))
        self.assertTrue(self.answers(1))
        self.assertEqual(reasons(self.agent.events()), {})

    def test_without_any_good_policy_there_is_no_agent(self):
        self.agent.stop()
        copy = os.path.join(self.agent.directory, "policy.kept")
        for damage in (None, b"", b"portreeve-policy-copy 1\n", os.urandom(2000)):
            if damage is None:
                os.remove(copy)
            else:
                self.lab.file(copy, damage)
            self.agent.write_policy(BAD)
            with self.assertRaises(CommandFailed) as failure:
                self.agent.start()
            self.assertIn("actoin", failure.exception.output)

    def test_a_copy_that_others_may_write_is_not_believed(self):
        self.agent.stop()
        self.agent.write_policy(BAD)
        os.chmod(os.path.join(self.agent.directory, "policy.kept"), 0o666)
        with self.assertRaises(CommandFailed):
            self.agent.start()

    def test_another_policy_file_does_not_fall_back_on_this_one(self):
        self.agent.stop()
        other = self.lab.file(os.path.join(self.agent.directory, "other.yaml"), BAD)
        agent = os.path.join(binaries(), "portreeved")
        status, output = self.host.status(agent, "--policy", other, "--control", self.agent.control)
        self.assertEqual(status, 1, output)
        self.assertIn("actoin", output)

    def test_a_rehearsal_says_which_policy_a_start_would_have(self):
        agent = [os.path.join(binaries(), "portreeved"), "--policy", self.agent.policy, "--control", self.agent.control,
                 "--check-start"]
        self.assertIn("the policy on disk", self.host.run(*agent))
        self.agent.write_policy(BAD)
        output = self.host.run(*agent)
        self.assertIn("the last policy that was in force", output)
        self.assertIn("actoin", output)
        os.remove(os.path.join(self.agent.directory, "policy.kept"))
        status, output = self.host.status(*agent)
        self.assertEqual(status, 1, output)
        # Nobody was disturbed by it.
        self.assertTrue(self.answers(0))

    def test_where_nothing_can_be_kept_status_says_so(self):
        os.remove(os.path.join(self.agent.directory, "policy.kept"))
        os.mkdir(os.path.join(self.agent.directory, "policy.kept"))
        self.agent.tool("reload")
        wait_until(lambda: "cannot be kept" in self.agent.tool("status", "--agent-only"), "status says so")
        self.assertIn("cannot be kept", self.agent.log())


if __name__ == "__main__":
    unittest.main()

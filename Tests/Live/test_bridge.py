# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve iptables` with `queue.family: bridge`: the table in the kernel, through every command."""

import os
import subprocess
import unittest

import isolation

isolation.isolate()

from agent import binaries
from lab import wait_until
from machine import POLICY, TOOL, Machine

BRIDGE = """
version: 1
failure: { engine: open }
interfaces: { inside: [eth1], ignore: [lo, "wg*"] }
queue: { numbers: 0-3, family: bridge }
"""
CLOSED = BRIDGE.replace("engine: open", "engine: closed").replace(', "wg*"', "")


class BridgeTests(unittest.TestCase):
    def setUp(self):
        self.machine = Machine()
        self.addCleanup(self.machine.close)
        self.machine.use_bridge_queue()
        self.machine.policy(BRIDGE)

    def iptables(self, *arguments, status=0):
        got, output = self.machine.iptables(*arguments)
        self.assertEqual(got, status, output)
        return output

    def table(self):
        """As nft lists it; None where there is none."""
        status, listing = self.machine.status("nft", "list", "table", "bridge", "portreeve")
        return None if status else listing

    def read_queues(self):
        for number in range(4):
            self.addCleanup(self.machine.read_queue(number).close)

    def test_the_table_in_the_kernel_is_that_of_the_policy(self):
        output = self.iptables("--apply", "--force")
        self.assertIn("frames of bridges, forward to queues 0-3, passing unchecked without an agent", output)
        self.assertEqual(self.table(), """table bridge portreeve {
	chain forward {
		type filter hook forward priority 0; policy accept;
		iifname "wg*" oifname "wg*" accept
		queue num 0-3 bypass
	}
}
""")

    def test_without_an_agent_nothing_is_changed(self):
        self.assertIn("no agent is running", self.iptables("--apply", status=1))
        self.assertIsNone(self.table())

    def test_it_goes_back_by_itself_to_what_was_there(self):
        for before in (None, CLOSED):
            if before:
                self.machine.policy(before)
                self.iptables("--apply", "--force")
            listing = self.table()
            self.machine.policy(BRIDGE)
            self.assertIn("taken back in 2 s", self.iptables("--apply", "--force", "--confirm", 2))
            wait_until(lambda: self.table() == listing, "the table is as it was", 30)
            wait_until(lambda: "too late" in self.machine.iptables("--keep")[1], "the end is written down", 30)

    def test_kept_it_stays_and_saved_it_comes_back_without_agent_and_policy(self):
        self.iptables("--apply", "--force", "--confirm", 60)
        self.assertIn("not confirmed yet", self.iptables("--save", status=1))
        self.assertIn("kept", self.iptables("--keep"))
        listing = self.table()
        self.assertIn("saved", self.iptables("--save"))
        self.assertIn("rules.bridge", os.listdir(self.machine.directory))
        self.machine.run("nft", "flush", "ruleset")
        self.machine.policy("no policy any more")
        self.assertIn("restored: frames of bridges", self.iptables("--restore"))
        self.assertEqual(self.table(), listing)
        self.assertIn("also after the next boot", self.iptables("--remove"))
        self.assertIsNone(self.table())
        self.assertNotIn("rules.bridge", os.listdir(self.machine.directory))
        self.assertIn("no rules are saved", self.iptables("--restore"))

    def test_a_later_apply_says_that_the_saved_table_is_another(self):
        self.iptables("--apply", "--force")
        self.iptables("--save")
        self.assertNotIn("last --save", self.iptables("--apply", "--force"))
        self.machine.policy(CLOSED)
        self.assertIn("last --save", self.iptables("--apply", "--force"))

    def test_a_policy_of_the_other_family_replaces_it_and_goes_back_to_it(self):
        self.machine.policy(POLICY)
        self.iptables("--apply", "--force")
        rules = self.machine.saved()
        self.machine.policy(BRIDGE)
        self.iptables("--apply", "--force", "--confirm", 10)
        self.assertNotIn("PORTREEVE", self.machine.saved())
        wait_until(lambda: self.table() is None and self.machine.saved() == rules, "all is as it was", 30)
        self.iptables("--apply", "--force")
        self.machine.policy(POLICY)
        self.iptables("--apply", "--force")
        self.assertIsNone(self.table())
        self.assertEqual(self.machine.saved(), rules)

    def test_a_table_that_the_kernel_refuses_changes_nothing(self):
        self.machine.policy(POLICY)
        self.iptables("--apply", "--force")
        rules = self.machine.saved()
        self.machine.policy(BRIDGE)
        self.machine.script("nft", 'test "$1" != -f && exec /usr/sbin/nft "$@"\necho no room >&2\nexit 1\n')
        self.assertIn("nft: no room", self.iptables("--apply", "--force", "--confirm", 60, status=1))
        self.assertEqual(self.machine.saved(), rules)
        self.assertIn("nothing to keep", self.iptables("--keep", status=1))

    def test_the_check_compares_it_with_the_policy(self):
        self.assertIn("this host is not protected", self.iptables("--check", status=1))
        self.iptables("--apply", "--force")
        self.assertIn("nobody reads queue 0-3", self.iptables("--check", status=1))
        self.read_queues()
        self.assertIn("fine: nft bridge portreeve forward: queue num 0-3 bypass", self.iptables("--check"))
        self.machine.policy(CLOSED)
        output = self.iptables("--check", status=1)
        self.assertIn("past the queue that the policy does not ignore", output)
        self.assertIn('nft bridge portreeve forward: iifname "wg*" oifname "wg*" accept', output)
        self.assertIn("the policy fails closed, but this rule has bypass", output)
        self.machine.policy(BRIDGE.replace('"wg*"', '"wg*", "tap*"'))
        self.assertIn("pass before the queue", self.iptables("--check", status=1))

    def test_beside_an_agent(self):
        """It reads the queues of bridges, and `status` says what comes to them."""
        events = f"events: {{ file: {{ path: {self.machine.directory}/events.jsonl }} }}\n"
        self.machine.policy(BRIDGE.replace("numbers: 0-3", "numbers: 0") + events)
        control = f"{self.machine.directory}/control.sock"
        agent = subprocess.Popen([
            "ip", "netns", "exec", self.machine.name, os.path.join(binaries(), "portreeved"), "--policy",
            f"{self.machine.directory}/policy.yaml", "--control", control, "--queue", "0"], stderr=subprocess.DEVNULL)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.kill)
        status = lambda: self.machine.status(TOOL, "status", "--control", control)[1]
        wait_until(lambda: "no rule gives packets to a queue" in status(), "the agent answers")
        self.assertIn("applied", self.iptables("--apply", "--confirm", 60))
        self.assertIn("kept", self.iptables("--keep"))
        self.assertIn("this host is protected: frames of bridges at forward", status())
        self.iptables("--check")


if __name__ == "__main__":
    unittest.main()

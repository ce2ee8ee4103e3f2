# SPDX-License-Identifier: GPL-3.0-or-later
"""No policy comes into force that shuts out an administrator who is connected, unless it is forced or takes itself back."""

import os
import subprocess
import time
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from lab import Lab, wait_until

HEAD = "version: 1\ninterfaces: { ignore: [lo] }\nrules:\n"
PING = "  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }\n"


def allowing(port):
    return HEAD + PING + (
        f"  - {{ name: SSH, action: allow, direction: incoming, protocol: tcp, destination: {{ ports: {port} }} }}\n")


class GuardTests(unittest.TestCase):
    PORT = 22

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host

    def setUp(self):
        self.addCleanup(self.host.flush_rules)
        self.agent = Agent(self.host, allowing(self.PORT), name=os.path.basename(self.lab.file("agent"))).start()
        self.addCleanup(self.agent.stop)
        self.agent.feed()

    def over_ssh(self, *words, port=40112):
        """The tool as in an SSH session, behind a program that has lost the session's environment, as sudo has."""
        connection = f"{self.client.ip4} {port} {self.host.ip4} {self.PORT}"
        tool = "env -u SSH_CONNECTION " + self.agent.command(*words)
        return self.host.status("env", f"SSH_CONNECTION={connection}", "sh", "-c", f"{tool}; exit $?", seconds=60)

    def epoch(self):
        return self.agent.report()["policy"]["epoch"]

    def can_connect(self, port, seconds=1):
        """A refused port answers with a reset, a dropped packet with nothing."""
        status, output = self.client.status("nc", "-w", seconds, "-z", "-v", self.host.ip4, port)
        return status == 0 or "refused" in output


class ReloadGuardTests(GuardTests):
    def test_the_present_session(self):
        self.agent.write_policy(allowing(2222))
        status, output = self.over_ssh("reload")
        self.assertEqual(status, 2, output)
        self.assertIn(
            f"this policy would shut out the SSH session that you are in ({self.client.ip4} port 40112 to {self.host.ip4} "
            "port 22)", output)
        self.assertIn("incoming tcp to port 22", output)
        self.assertIn("the policy was not changed: epoch 1 stays in force", output)
        self.assertEqual(self.epoch(), 1)
        self.assertIn("would shut out", self.agent.tool("status", "--agent-only"))
        # The nearest policy that does not.
        self.agent.write_policy(allowing("[2222, 22]"))
        status, output = self.over_ssh("reload")
        self.assertEqual((status, self.epoch()), (0, 2), output)
        self.assertNotIn("shut out", output)

    def test_a_deny_that_outranks_the_allow(self):
        self.agent.write_policy(allowing(22) + "  - { name: Nothing, action: deny, direction: incoming }\n")
        status, output = self.over_ssh("reload")
        self.assertEqual(status, 2, output)
        self.assertIn("Deny Rule (Nothing)", output)
        self.assertIn("no deny rule outranks it", output)

    def test_force(self):
        self.agent.write_policy(allowing(2222))
        status, output = self.over_ssh("reload", "--force")
        self.assertEqual((status, self.epoch()), (0, 2), output)
        self.assertIn("note: this policy would shut out", output)

    def test_in_tap_nobody_is_shut_out(self):
        self.agent.write_policy("mode: tap\n" + allowing(2222))
        status, output = self.over_ssh("reload")
        self.assertEqual(status, 0, output)

    def test_an_error_comes_first(self):
        self.agent.write_policy(allowing(2222) + "  - { name: Wrong }\n")
        status, output = self.over_ssh("reload")
        self.assertEqual(status, 1, output)
        self.assertNotIn("shut out", output)


class ConfirmTests(GuardTests):
    def taken_back(self, epoch=1, seconds=20):
        wait_until(lambda: self.epoch() == epoch, f"epoch {epoch} is back in force", seconds)

    def test_it_goes_back_by_itself(self):
        self.agent.write_policy(allowing(2222))
        status, output = self.over_ssh("reload", "--confirm", 3)
        self.assertEqual(status, 0, output)
        self.assertIn("note: this policy would shut out", output)
        self.assertIn("epoch 2 is in force for 3 s", output)
        self.assertIn("after that epoch 1 is back in force", output)
        self.assertFalse(self.can_connect(22))
        self.assertIn("taken back in", self.agent.tool("status", "--agent-only"))
        # Nothing else comes into force meanwhile.
        status, output = self.agent.tool_status("reload")
        self.assertEqual(status, 1, output)
        self.assertIn("waits", output)
        self.taken_back()
        self.assertTrue(self.can_connect(22))
        self.assertFalse(self.can_connect(2222))
        status = self.agent.tool("status", "--agent-only")
        self.assertIn("was not confirmed and is taken back", status)
        self.assertNotIn("taken back in", status)
        self.assertIn("was not confirmed", self.agent.log())
        # No epoch comes twice.
        self.agent.write_policy(allowing("[22, 23]"))
        self.agent.tool("reload")
        self.assertEqual(self.epoch(), 3)

    def test_the_session_that_made_it_cannot_confirm_it(self):
        self.agent.write_policy(allowing(2222))
        self.over_ssh("reload", "--confirm", 5)
        status, output = self.over_ssh("reload", "--keep")
        self.assertEqual(status, 1, output)
        self.assertIn("this is the session that put the policy in force", output)
        self.taken_back()
        status, output = self.over_ssh("reload", "--keep", port=40113)
        self.assertEqual(status, 1, output)
        self.assertIn("nothing to keep", output)

    def test_another_session_confirms_it(self):
        self.agent.write_policy(allowing("[22, 2222]"))
        self.over_ssh("reload", "--confirm", 5)
        status, output = self.over_ssh("reload", "--keep", port=40113)
        self.assertEqual(status, 0, output)
        self.assertIn("kept: epoch 2 stays in force", output)
        time.sleep(6)
        self.assertEqual(self.epoch(), 2)
        # It is what a start falls back on now.
        self.agent.write_policy("nonsense")
        self.agent.stop()
        self.agent.start()
        self.assertEqual(self.epoch(), 2)
        self.assertTrue(self.can_connect(2222))

    def test_the_machine_itself_confirms_it(self):
        self.agent.write_policy(allowing("[22, 2222]"))
        self.over_ssh("reload", "--confirm", 30)
        status, output = self.agent.tool_status("reload", "--keep")
        self.assertEqual(status, 0, output)
        self.assertIsNone(self.agent.report()["policy"]["taken_back_in"])

    def test_for_those_who_know(self):
        self.agent.write_policy(allowing("[22, 2222]"))
        self.over_ssh("reload", "--confirm", 30)
        status, output = self.over_ssh("reload", "--keep", "--force")
        self.assertEqual(status, 0, output)

    def test_a_restart_in_between_does_not_bring_it_in(self):
        for again in (lambda: self.agent.stop(), lambda: self.agent.kill()):
            with self.subTest(again):
                self.agent.write_policy(allowing(2222))
                before = self.epoch()
                self.over_ssh("reload", "--confirm", 60)
                again()
                self.agent.start()
                self.assertEqual(self.epoch(), before)
                self.assertTrue(self.can_connect(22))
                self.assertIn("not confirmed", self.agent.report()["policy"]["fallback"])
        # Somebody who knows what he does.
        self.agent.tool("reload")
        self.agent.stop()
        self.agent.start()
        self.assertIsNone(self.agent.report()["policy"]["fallback"])
        self.assertTrue(self.can_connect(2222))

    def test_it_goes_back_for_the_connections_too(self):
        with services.echo(self.host, 2323):
            self.agent.write_policy(allowing("[22, 2323]"))
            self.agent.tool("reload", "--confirm", 3)
            peer = self.client.start(
                "/usr/bin/python3", "-u", "-c",
                "import socket, sys, time\ns = socket.create_connection((sys.argv[1], 2323))\nprint('open')\ntime.sleep(6)\n"
                "s.settimeout(2)\ns.sendall(b'x')\ntry: print(s.recv(1))\nexcept TimeoutError: print('dead')",
                self.host.ip4, name="peer")
            wait_until(lambda: "open" in peer.output(), "the connection is open", process=peer)
            self.taken_back()
            self.agent.events()
            peer.wait()
            self.assertIn("dead", peer.output())
            self.assertEqual(set(reasons(self.agent.wait_for_events(1))), {"out-of-allowed-policy"})


class EstablishedTests(GuardTests):
    """Sessions of others, found by their sockets; the server's port is known from the process that has it."""

    PORT = 2222

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ssh = services.SSH(cls.host, cls.PORT)
        cls.addClassCleanup(cls.ssh.process.stop)

    def setUp(self):
        super().setUp()
        self.session = subprocess.Popen(
            ["ip", "netns", "exec", self.client.name, *map(str, self.ssh.ssh(self.host.ip4, "echo in; sleep 100"))],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(self.session.stdout.close)
        self.addCleanup(self.session.wait)
        self.addCleanup(self.session.kill)
        self.assertEqual(self.session.stdout.readline(), b"in\n")

    def test_a_reload_by_the_tool(self):
        self.agent.write_policy(allowing(23))
        status, output = self.agent.tool_status("reload")
        self.assertEqual(status, 2, output)
        self.assertRegex(
            output, rf"would shut out an SSH session that is established \({self.client.ip4} port \d+ to {self.host.ip4} port 2222\)")
        self.assertEqual(self.epoch(), 1)

    def test_a_reload_by_signal(self):
        self.agent.reload(allowing(23))
        wait_until(lambda: "reload refused" in self.agent.log(), "the log says so")
        self.assertIn("would shut out an SSH session that is established", self.agent.log())
        self.assertEqual(self.epoch(), 1)

    def test_a_start(self):
        self.agent.write_policy(allowing(23))
        self.agent.stop()
        self.agent.start()
        report = self.agent.report()["policy"]
        self.assertEqual(report["epoch"], 1)
        self.assertIn("would shut out an SSH session that is established", report["fallback"])
        self.assertTrue(self.can_connect(2222))
        # Nobody is there any more who could be shut out.
        self.session.kill()
        self.session.wait()
        wait_until(lambda: self.agent.tool_status("reload")[0] == 0, "the policy is taken", 20)
        self.assertFalse(self.can_connect(2222))

    def test_an_apply(self):
        self.host.flush_rules()
        self.agent.write_policy(allowing(23))
        status, output = self.agent.tool_status("iptables", "--apply")
        self.assertEqual(status, 1, output)
        self.assertIn("would shut out an SSH session that is established", output)
        self.assertIn("nothing was changed", output)

    def test_the_client_of_an_ssh_server_elsewhere_is_no_administrator(self):
        """Its session is outgoing, whatever the policy says of incoming ones."""
        self.session.kill()
        self.session.wait()
        self.agent.write_policy(allowing("[2222, 2223]"))
        self.agent.tool("reload")
        other = services.SSH(self.client, 2223)
        self.addCleanup(other.process.stop)
        session = subprocess.Popen(
            ["ip", "netns", "exec", self.host.name, *map(str, other.ssh(self.client.ip4, "echo in; sleep 100"))],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(session.stdout.close)
        self.addCleanup(session.wait)
        self.addCleanup(session.kill)
        self.assertEqual(session.stdout.readline(), b"in\n")
        wait_until(lambda: "ESTAB" not in self.host.run("ss", "-Htn", "sport", "=", ":2222"), "the other session has ended")
        self.agent.write_policy(allowing(23))
        status, output = self.agent.tool_status("reload")
        self.assertEqual(status, 0, output)


class RulesKeepTests(GuardTests):
    """`iptables --apply --confirm` asks for another session too."""

    def setUp(self):
        super().setUp()
        self.host.flush_rules()

    def has_rules(self):
        return "NFQUEUE" in self.host.run("iptables-save")

    def test_the_same_session_cannot_keep_the_rules(self):
        status, output = self.over_ssh("iptables", "--apply", "--confirm", 4)
        self.assertEqual(status, 0, output)
        self.assertIn("from a new SSH session or at the console", output)
        status, output = self.over_ssh("iptables", "--keep")
        self.assertEqual(status, 1, output)
        self.assertIn("this is the session that applied the rules", output)
        wait_until(lambda: not self.has_rules(), "the rules are taken back", 20)

    def test_another_session_keeps_them(self):
        self.over_ssh("iptables", "--apply", "--confirm", 4)
        status, output = self.over_ssh("iptables", "--keep", port=40113)
        self.assertEqual(status, 0, output)
        time.sleep(5)
        self.assertTrue(self.has_rules())

    def test_a_policy_that_shuts_the_session_out_is_tried_and_taken_back(self):
        self.agent.write_policy(allowing(2222))
        status, output = self.over_ssh("iptables", "--apply", "--confirm", 3)
        self.assertEqual(status, 0, output)
        self.assertIn("note: this policy would shut out", output)
        wait_until(lambda: not self.has_rules(), "the rules are taken back", 20)


if __name__ == "__main__":
    unittest.main()

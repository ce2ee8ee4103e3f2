# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tool prints to a terminal of 80 columns, the commonest one."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import unittest

import isolation

isolation.isolate()

from agent import Agent
from lab import Lab
from load import IdleConnections
import services

WIDTH = 80
LONG = "Administrators of the branch office in Frankfurt come in from their bastion host, over SSH"
POLICY = f"""
version: 1
rules:
  - {{ name: "{LONG}", action: allow, direction: incoming, protocol: tcp, destination: {{ ports: [7, 22] }} }}
  - {{ name: No telnet for anybody, action: deny, priority: 1, direction: incoming, protocol: tcp, destination: {{ ports: 23 }} }}
"""


def in_terminal(namespace, words):
    """The lines that a command prints to a terminal."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    with subprocess.Popen(["ip", "netns", "exec", namespace.name, *words], stdin=subprocess.DEVNULL, stdout=its) as process:
        os.close(its)
        text = b""
        while True:
            # The last end that is closed ends the terminal with an error.
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            text += part
        process.wait(30)
    os.close(ours)
    return text.decode().replace("\r\n", "\n").splitlines()


class TerminalTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.enterClassContext(services.echo(cls.lab.host))
        cls.agent = cls.enterClassContext(Agent(cls.lab.host, POLICY))
        cls.addClassCleanup(cls.lab.host.flush_rules)
        cls.agent.tool("iptables", "--apply")
        cls.idle = IdleConnections(cls.lab.client, cls.lab.host.ip6, count=1)
        cls.addClassCleanup(cls.idle.stop)
        for port in (23, 9999):
            cls.lab.client.status("nc", "-z", "-w", 1, cls.lab.host.ip6, port)
        cls.agent.wait_for_events(2)

    def lines(self, *words):
        lines = in_terminal(self.lab.host, self.agent._words(*words))
        self.assertGreater(len(lines), 1)
        for line in lines:
            self.assertLessEqual(len(line), WIDTH, "\n".join(lines))
        return "\n".join(lines)

    def test_status(self):
        text = self.lines("status")
        self.assertIn("out-of-allowed-policy", text)
        self.assertIn(self.agent.events_file, text)

    def test_events(self):
        text = self.lines("events")
        self.assertIn(f"[{self.lab.host.ip6}]:9999", text)
        self.assertIn("No telnet for anybody", text)

    def test_connections(self):
        text = self.lines("connections", "--state", "established")
        self.assertIn(f"[{self.lab.host.ip6}]:7", text)
        self.assertIn("Administrators of", text)

    def test_a_pipe_gets_whole_lines(self):
        self.assertIn(LONG, self.agent.tool("connections"))

    def test_a_rule_that_does_not_exist(self):
        status, text = self.agent.tool_status("events", "--rule", "No telnet for nobody")
        self.assertEqual(status, 1, text)
        self.assertIn("there is no event of a rule 'No telnet for nobody', and the policy in force has no such rule", text)
        self.assertIn(f"it has {LONG}, No telnet for anybody", text)
        self.assertIn('did you mean "No telnet for anybody"?', text)
        self.assertEqual(self.agent.tool_status("events", "--rule", LONG), (0, ""))
        self.assertEqual(self.agent.tool_status("events", "--rule", "No telnet for anybody")[0], 0)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve top` in a real terminal, narrow and wide: what it shows, what its keys do, and what is left of it at its end."""

import json
import os
import shlex
import unittest

import isolation

isolation.isolate()

import browser
import services
from agent import Agent, binaries
from lab import Lab, wait_until
from terminal import Terminal

POLICY = """
version: 1
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
  - { name: "Kein Telnet für niemanden, auch nicht für die Buchhaltung", action: deny, direction: incoming, priority: 2, protocol: tcp, destination: { ports: 23 } }
engine: { fast-path: off, timeouts: { cold-start: 0s, boot-start: 0s } }
"""


class TopTests(unittest.TestCase):
    seconds = 25

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.host, cls.client = cls.lab.host, cls.lab.client
        cls.enterClassContext(services.nginx(cls.host))
        cls.agent = cls.enterClassContext(Agent(cls.host, POLICY)).feed()
        cls.drop(23, 3)
        cls.drop(81, 2)
        cls.client.run("curl", "-sSf", "-m", 30, f"http://{cls.host.ip4}/")
        cls.agent.wait_for_events(5)

    @classmethod
    def drop(cls, port, count):
        cls.client.status("hping3", "-q", "-c", count, "-i", "u10000", "-S", "-p", port, cls.host.ip4, seconds=20)

    def command(self, *options):
        return ["ip", "netns", "exec", self.host.name, os.path.join(binaries(), "portreeve"), "top", "--control", self.agent.control,
                "--policy", self.agent.policy, *options]

    def terminal(self, columns, rows=24, **environment):
        return self.enterContext(Terminal(self.lab.directory, shlex.join(self.command()), columns, rows, **environment))

    def test_in_eighty_columns(self):
        top = self.terminal(80)
        screen = top.wait("out-of-allowed-policy")
        self.assertEqual([line for line in screen if len(line) > 80], [])
        self.assertIn("[1 Drops]", screen[2])
        rows = [line.split() for line in screen if " deny " in line or "out-of-allowed" in line]
        self.assertEqual([(row[0], row[2]) for row in rows], [("3", "deny"), ("2", "out-of-allowed-policy")])
        self.assertIn("q quit", screen[-1])
        # More comes, and the sums follow.
        self.drop(81, 4)
        wait_until(lambda: any(line.split()[:1] == ["6"] for line in top.screen()), "six packets")
        first = next(line for line in top.screen()[4:] if line.strip())
        self.assertIn("out-of-allowed-policy", first)
        # A filter, then all again.
        top.press("/", *"telnet")
        wait_until(lambda: not any("out-of-allowed" in line for line in top.screen()), "the filter holds")
        self.assertIn("/telnet_", "".join(top.screen()))
        top.press("Escape")
        top.wait("out-of-allowed-policy")
        # The selected row is explained, as explain would.
        top.press("Down", "Enter")
        screen = top.wait("Kein Telnet")
        top.wait("policy.yaml:5")
        top.press("q")
        top.wait("[1 Drops]")
        for key, text in (("2", self.client.ip4), ("3", f"{self.host.ip4}:80"), ("4", "OVERFLOWS"), ("h", "stand still")):
            top.press(key)
            self.assertEqual([line for line in top.wait(text) if len(line) > 80], [])
        top.press("x")
        self.assertIsNone(top.ended())
        top.press("q")
        wait_until(lambda: top.ended() is not None, "it ends")
        self.assertEqual(top.ended(), 0)

    def test_in_two_hundred_columns_and_when_the_terminal_changes(self):
        top = self.terminal(200, 40)
        screen = top.wait("Kein Telnet für niemanden, auch nicht für die Buchhaltung")
        self.assertTrue(all(len(line) <= 200 for line in screen))
        self.keep(top, 200)
        top.resize(60, 12)
        wait_until(lambda: len(top.screen()) == 12 and "1-4 page" in top.screen()[-1] and any("[1 Drops]" in line for line in top.screen()), "it is drawn anew")
        self.assertTrue(all(len(line) <= 60 for line in top.screen()))
        narrow = self.terminal(80)
        narrow.wait("out-of-allowed-policy")
        self.keep(narrow, 80)

    def keep(self, top, columns):
        """Pictures for docs, where somebody wants them; a browser draws what the terminal has."""
        folder = os.environ.get("PORTREEVE_PICTURES")
        if not folder or not browser.BROWSER:
            return
        page = self.lab.file(f"top-{columns}.html", top.page())
        browser.screenshot(page, os.path.join(folder, f"top-{columns}.png"), width=int(columns * 8.2) + 20, height=top.rows * 16 + 20)

    def test_without_a_terminal_and_without_an_agent(self):
        status, text = self.host.status(*self.command()[4:])
        self.assertEqual(status, 0, text)
        for word in ("Drops", "Talkers", "Connections", "Queues", "out-of-allowed-policy", self.client.ip4):
            self.assertIn(word, text)
        found = json.loads(self.host.run(*self.command("--json")[4:]))
        self.assertEqual({row["reason"] for row in found["drops"]}, {"deny", "out-of-allowed-policy"})
        self.assertEqual(sum(row["packets"] for row in found["talkers"]), sum(row["packets"] for row in found["drops"]))
        words = [word if word != self.agent.control else "/nowhere/control.sock" for word in self.command("--json")[4:]]
        found = json.loads(self.host.run(*words))
        self.assertIn("no agent is running at /nowhere/control.sock", found["trouble"])
        self.assertEqual(found["queues"], [])
        top = self.enterContext(Terminal(
            self.lab.directory, shlex.join([word if word != self.agent.control else "/nowhere/control.sock" for word in self.command()]), 80,
            NO_COLOR="1"))
        top.wait("no agent is running")
        # What takes the terminal over gives it back, also by the signal of a keyboard.
        top.press("C-c")
        wait_until(lambda: top.ended() is not None, "it ends")


if __name__ == "__main__":
    unittest.main()

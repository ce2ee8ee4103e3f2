# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tool prints to a terminal of 80 columns, the commonest one, and to programs: the same habits in every command."""

import fcntl
import json
import os
import pty
import re
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


ZONE = "FAR-05:30"
ESCAPE = "\x1b"
# Of each command what it is called with; a command that is not here fails the test. FILES stand for those of the lab.
CASES = (
    ("status",), ("status", "--agent-only"), ("events",), ("events", "--summary"), ("connections",), ("rules",), ("top",), ("report", "-o", "-"), ("blocks",),
    ("check",), ("check", "--rules"), ("explain", "--direction", "incoming", "--tcp", "198.18.1.2:40000", "198.18.2.2:23", "--policy", "POLICY"),
    ("diff", "POLICY", "OTHER"), ("diff", "POLICY", "OTHER", "--over", "FOLDER", "--local", "198.18.2.2"), ("reasons",), ("reasons", "deny"),
    ("replay", "--policy", "POLICY", "--local", "198.18.2.2", "FOLDER"), ("schema",), ("schema", "--events"),
    ("scan", "--dry-run", "-t", "1-9", "--target", "192.0.2.1"), ("scan", "--categories"),
    ("scan", "--target", "198.18.1.2", "-t", "9", "-i", "300", "--retries", "0", "--expect", "reject"),
    ("scan", "198.18.1.2", "--from-policy", "POLICY", "--simulate"),
    ("reflect", "--print-rules", "policy", "-t", "80"), ("reflect", "--print-rules", "iptables", "-t", "80"),
    ("suggest", "--policy", "POLICY"), ("block", "192.0.2.77"), ("blocks",), ("unblock", "192.0.2.77"), ("reload",), ("reopen",),
    ("iptables", "--print"), ("iptables", "--print", "--family", "ipv6"), ("iptables", "--check"),
    ("disable",), ("enable", "--now"), ("iptables", "--save"),
)
# These print JSON in any case, or nothing at all.
WITHOUT_JSON = {"schema", "reopen", "help"}
# That the policies differ, that the packet is dropped, that the rules have a gap: the answer to a question.
ANSWERS = {"status": 3, "diff": 2, "explain": 2, "iptables": 1, "scan": 1}


def in_terminal(namespace, words, **environment):
    """The lines that a command prints to a terminal; without colours unless `environment` has it otherwise."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    settings = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", **environment}
    with subprocess.Popen(
            ["ip", "netns", "exec", namespace.name, *words], stdin=subprocess.DEVNULL, stdout=its, stderr=its, env=settings) as process:
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
        cls.agent.tool("block", "192.0.2.99", "--why", "for the list")
        cls.folder = cls.lab.file("captures")
        os.mkdir(cls.folder)
        # A SYN to port 23, as raw IP.
        head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes((198, 18, 1, 2)), bytes((198, 18, 2, 2)))
        packet = head + struct.pack(">HHIIBBHHH", 40_000, 23, 1, 0, 0x50, 2, 1024, 0, 0)
        with open(f"{cls.folder}/a.pcap", "wb") as file:
            file.write(struct.pack(">IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 65_535, 101))
            file.write(struct.pack(">IIII", 1_700_000_000, 0, len(packet), len(packet)) + packet)
        cls.other = cls.lab.file("other.yaml", POLICY.replace("action: deny, priority: 1", "action: allow"))

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

    def words(self, case):
        stand = {"POLICY": self.agent.policy, "OTHER": self.other, "FOLDER": self.folder}
        return self.agent._words(*[stand.get(word, word) for word in case])

    def in_pipes(self, case, *more):
        """(standard output, standard error) of a command that is no terminal's."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.lab.host.name, *self.words(case), *more], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=60, env={**os.environ, "TERM": "xterm", "TZ": ZONE})
        self.assertIn(done.returncode, (0, ANSWERS.get(case[0], 0)), done.stdout + done.stderr)
        return done.stdout, done.stderr

    def test_every_command_is_in_the_table_and_has_json(self):
        dump = json.loads(self.lab.host.run(self.words(("status",))[0], "--experimental-dump-help"))["command"]
        commands = {each["commandName"]: each for each in dump["subcommands"] if each.get("shouldDisplay", True)}
        self.assertEqual(set(commands) - {"help"}, {case[0] for case in CASES})
        having = {
            name for name, each in commands.items()
            if any(form["name"] == "json" for argument in each.get("arguments", []) for form in argument.get("names", []))}
        self.assertEqual(set(commands) - having, WITHOUT_JSON & set(commands))

    def test_what_each_command_prints_to_programs(self):
        """Lines of JSON or one JSON text; no escape sequence; no time without its offset from the zone of who looks."""
        for case in CASES:
            with self.subTest(case):
                text, said = self.in_pipes(case)
                self.assertNotIn(ESCAPE, text + said)
                for time, offset in re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)(.{0,6})", text + said):
                    self.assertEqual(offset, " +0530", f"{time}{offset}")
                if case[0] in WITHOUT_JSON:
                    self.assertTrue(text == "" or json.loads(text))
                else:
                    self.assertTrue(text + said, case)
        # In the same order once more: what one of them has changed another takes back.
        for case in CASES:
            if case[0] in WITHOUT_JSON:
                continue
            with self.subTest(case, form="json"):
                text, _ = self.in_pipes(case, "--json")
                self.assertNotIn(ESCAPE, text)
                try:
                    found = [json.loads(text)]
                except ValueError:
                    found = [json.loads(line) for line in text.splitlines()]
                self.assertTrue(all(isinstance(each, dict) for each in found) and (found or case[0] == "blocks"), text)

    def test_colours_on_a_terminal_alone_and_where_nobody_asks_for_none(self):
        coloured = set()
        for case in CASES:
            # These change what the others find.
            if case[0] in ("disable", "enable", "unblock", "iptables"):
                continue
            words = self.words(case)
            self.assertNotIn(ESCAPE, "".join(in_terminal(self.lab.host, words)), case)
            if case[0] in ("status", "scan", "replay") and ESCAPE in "".join(in_terminal(self.lab.host, words, NO_COLOR="")):
                coloured.add(case[0])
        self.assertEqual(coloured, {"status", "scan"})
        for setting in ({"TERM": "dumb", "NO_COLOR": ""}, {"TERM": "", "NO_COLOR": ""}):
            self.assertNotIn(ESCAPE, "".join(in_terminal(self.lab.host, self.words(("status",)), **setting)))
        twice = POLICY + POLICY.splitlines()[-1].replace("No telnet for anybody", "Once more") + "\n"
        words = [self.words(("check",))[0], "check", self.lab.file("twice.yaml", twice)]
        self.assertIn("\x1b[33mwarning:\x1b[0m", "".join(in_terminal(self.lab.host, words, NO_COLOR="")))
        self.assertIn(" warning: ", "".join(in_terminal(self.lab.host, words)))

    def test_no_line_of_a_table_or_a_sentence_is_wider_than_the_terminal(self):
        for case in (("rules",), ("blocks",), ("reasons",), ("reasons", "deny"), ("events", "--summary"), ("scan", "--categories"),
                     ("scan", "--target", "198.18.1.2", "-t", "9", "-i", "300", "--retries", "0", "--expect", "reject"),
                     ("explain", "--direction", "incoming", "--tcp", "198.18.1.2:40000", "198.18.2.2:23", "--policy", "POLICY")):
            for line in in_terminal(self.lab.host, self.words(case)):
                # A path stays whole.
                self.assertTrue(len(line) <= WIDTH or max(map(len, line.split())) > WIDTH // 2, f"{case}: {line}")

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

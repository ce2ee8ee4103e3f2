# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve rules`: how often each rule of the running agent has decided, over restarts and reloads, by real traffic."""

import json
import os
import time
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent
from lab import Lab, wait_until

POLICY = """
version: 1
lists: { servers: { addresses: [198.18.2.2] } }
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { addresses: servers, ports: 80 } }
  - { name: No telnet, action: deny, direction: incoming, priority: 2, protocol: tcp, destination: { ports: 23 } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp }
  - { name: Never, action: deny, direction: incoming, protocol: udp, destination: { ports: 9 } }
  - { name: Off, action: deny, direction: incoming, protocol: udp, destination: { ports: 10 }, enabled: false }
engine: { fast-path: off, timeouts: { cold-start: 0s, boot-start: 0s } }
"""
TURNED = POLICY.replace("  - { name: Web,", "  - { name: New, action: deny, direction: incoming, protocol: udp, destination: { ports: 11 } }\n  - { name: Web,")


class RulesTests(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.host, self.client = self.lab.host, self.lab.client
        self.agent = self.enterContext(Agent(self.host, POLICY)).feed()

    def rules(self, *options):
        return {row["rule"]: row for row in map(json.loads, self.agent.tool("rules", "--json", *options).splitlines())}

    def test_real_traffic_a_restart_and_a_reload(self):
        self.enterContext(services.nginx(self.host, {"file": b"x" * 10_000}))
        before = time.time()
        self.client.run("curl", "-s", "-o", "/dev/null", f"http://{self.host.ip4}/file")
        self.client.run("ping", "-c", "3", "-i", "0.2", self.host.ip4)
        self.client.status("nc", "-z", "-w", "1", self.host.ip4, 23)
        found = self.rules()
        self.assertEqual(found["Ping"]["packets"], 3)
        self.assertEqual(found["Ping"]["bytes"], 3 * 84)
        self.assertGreaterEqual(found["Web"]["packets"], 5)
        self.assertGreaterEqual(found["No telnet"]["packets"], 1)
        for name in ("Web", "Ping", "No telnet"):
            row = found[name]
            self.assertTrue(row["since_us"] <= row["first_us"] <= row["last_us"] <= time.time() * 10**6, row)
            self.assertGreater(row["first_us"], (before - 1) * 10**6)
        self.assertEqual((found["Never"]["packets"], found["Never"].get("last_us"), found["Off"]["enabled"]), (0, None, False))
        self.assertRegex(found["Web"]["place"], r"policy\.yaml:5$")
        self.assertTrue(any("place" not in row for row in found.values()), "built-in rules too")

        self.agent.stop()
        self.agent.start()
        self.client.run("ping", "-c", "1", self.host.ip4)
        again = self.rules()
        self.assertEqual(again["Ping"]["packets"], 4)
        self.assertGreaterEqual(again["Web"]["packets"], found["Web"]["packets"])
        for key in ("first_us", "since_us"):
            self.assertEqual([again[name][key] for name in ("Web", "Ping")], [found[name][key] for name in ("Web", "Ping")])

        self.agent.write_policy(TURNED.replace("ports: 23", "ports: 24"))
        self.agent.tool("reload")
        self.client.run("ping", "-c", "1", self.host.ip4)
        turned = self.rules()
        self.assertEqual(turned["Ping"]["packets"], 5)
        self.assertEqual(turned["Web"]["packets"], again["Web"]["packets"])
        self.assertEqual(turned["No telnet"]["packets"], 0, "another rule, though of the same name")
        self.assertGreater(turned["No telnet"]["since_us"], again["No telnet"]["since_us"])
        self.assertEqual(turned["New"]["packets"], 0)

        self.assertEqual(set(self.rules("--unused", "1h")) & {"Web", "Ping", "No telnet", "New", "Never", "Off"},
                         {"No telnet", "New", "Never"})
        self.assertFalse(self.rules("--unused", "1h")["Never"]["counted_long_enough"])
        time.sleep(1.1)
        self.assertTrue(self.rules("--unused", "1s")["Never"]["counted_long_enough"])
        text = self.agent.tool("rules", "--unused", "90d")
        self.assertRegex(text, r"All of them are counted for less than 90d, none before 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}: ")
        table = self.agent.tool("rules")
        self.assertRegex(table, r"Ping +force-allow +incoming +5 +420 +20\d\d-\S+ \S+ [+-]\d{4} ")
        self.assertRegex(table, r"Off +\(off\) deny")
        self.assertEqual(self.agent.tool_status("rules", "--unused", "soon")[0], 64)

    def test_a_file_that_cannot_be_believed_is_refused_and_ends_nothing(self):
        self.client.run("ping", "-c", "1", self.host.ip4)
        path = os.path.join(self.agent.directory, "rule-counts")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.agent.stop()
        with open(path) as file:
            kept = file.read()
        self.assertIn(" Ping\n", kept)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        for what, spoil, why in (
                ("cut off", lambda: self.write(path, kept[:-8]), "line"),
                ("another number", lambda: self.write(path, kept.replace(" 84 Ping", " 8x4 Ping")), "expected a fingerprint"),
                ("of a later release", lambda: self.write(path, kept.replace("rules 1", "rules 2")), 'expected "portreeve rules 1"'),
                ("writable for all", lambda: (self.write(path, kept), os.chmod(path, 0o666)), "others than its owner"),
                ("a pipe", lambda: (os.remove(path), os.mkfifo(path)), "no plain file")):
            with self.subTest(what):
                spoil()
                self.agent.start()
                wait_until(lambda: f"{path} is not used: " in self.agent.log(), "it says so", process=self.agent.process)
                self.assertIn(why, next(line for line in self.agent.log().splitlines() if "is not used" in line))
                self.assertEqual(self.rules()["Ping"]["packets"], 0)
                self.agent.stop()
                os.chmod(path, 0o600)

    def write(self, path, text):
        with open(path, "w") as file:
            file.write(text)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocked sources: everything from them is dropped, for their time, over reloads and restarts; nobody shuts himself out."""

import json
import os
import re
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from lab import Lab, wait_until
from test_forgeries import Victim

POLICY = """
version: 1
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
rules:
  - { name: All, action: bypass, priority: 4, direction: incoming, protocol: icmp }
"""
SESSION = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
print('connected', flush=True)
time.sleep(600)
"""


class BlockTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.host, cls.client = cls.lab.host, cls.lab.client
        cls.enterClassContext(services.echo(cls.host))

    def setUp(self):
        self.agent = self.enterContext(Agent(self.host, POLICY))
        self.addCleanup(self.host.flush_rules)
        self.agent.feed()

    def blocks(self):
        return [json.loads(line) for line in self.agent.tool("blocks", "--json").splitlines()]

    def connects(self, seconds=1):
        return self.client.status("nc", "-z", "-w", seconds, self.host.ip4, 7)[0] == 0

    def refused(self, *words):
        status, output = self.agent.tool_status(*words)
        self.assertEqual(status, 1, output)
        return output

    def test_everything_for_its_time_and_over_reloads_and_restarts(self):
        self.assertTrue(self.connects(10))
        said = self.agent.tool("block", self.client.ip4, "--for", "1h", "--why", "tries passwords; ticket 12")
        self.assertRegex(said, rf"^{re.escape(self.client.ip4)} is blocked until \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{{4}}\n$")
        self.assertFalse(self.connects())
        self.assertNotEqual(self.client.status("ping", "-c", 1, "-W", 1, self.host.ip4)[0], 0, "Bypass rules included")
        events = self.agent.wait_for_events(2)
        self.assertEqual(set(reasons(events)), {"blocked-source"})
        self.assertRegex(
            events[0]["portreeve"]["note"], r"^until \S+\+0000, by administrator: tries passwords; ticket 12$")
        self.assertEqual(events[0]["portreeve"]["explain"], [])
        self.agent.tool("reload")
        self.assertFalse(self.connects())
        before = self.blocks()
        self.assertEqual([(row["address"], row["by"], row["why"]) for row in before],
                         [(self.client.ip4, "administrator", "tries passwords; ticket 12")])
        self.agent.stop()
        self.agent.start()
        self.assertIn("1 sources are blocked as before", self.agent.log())
        self.assertEqual(self.blocks(), before)
        self.assertFalse(self.connects())
        self.agent.kill()
        self.agent.start()
        self.assertEqual(self.blocks(), before)
        table = self.agent.tool("blocks")
        self.assertRegex(table, rf"{re.escape(self.client.ip4)} +administrator +5\d m \d+ s +\d{{4}}-.* tries passwords")
        self.assertEqual(self.agent.tool("unblock", self.client.ip4), f"{self.client.ip4} is not blocked any more\n")
        self.assertTrue(self.connects(10))
        self.assertEqual(self.blocks(), [])
        self.assertIn("is not blocked", self.refused("unblock", self.client.ip4))

    def test_open_connections_and_the_end_of_a_block(self):
        victim = Victim(self.client, self.host.ip4)
        self.addCleanup(victim.socket.close)
        self.assertTrue(victim.is_echoed())
        self.agent.tool("block", self.client.ip4, "--for", "4s")
        victim.socket.settimeout(1)
        victim.socket.sendall(b"x")
        with self.assertRaises(TimeoutError):
            victim.socket.recv(1)
        wait_until(lambda: self.blocks() == [], "its time is over")
        victim.socket.settimeout(30)
        self.assertEqual(victim.socket.recv(1), b"x", "its sender repeats what was dropped")
        self.assertTrue(victim.is_echoed())

    def test_nobody_shuts_himself_out(self):
        self.enterContext(services.echo(self.host, 22))
        session = self.client.start("/usr/bin/python3", "-c", SESSION, self.host.ip4, 22, name="session")
        wait_until(lambda: "connected" in session.output(), "the administrator is connected", process=session)
        output = self.refused("block", self.client.ip4)
        self.assertIn("a connection to the SSH server is open from there, and may be an administrator's", output)
        self.assertRegex(output, rf"administrator's \({re.escape(self.client.ip4)} port \d+ to")
        for address, why in ((self.host.ip4, "an address of this host"), (self.host.ip6, "an address of this host"),
                             ("127.0.0.1", "host"), ("127.1.2.3", "host"), ("::", "no other host"),
                             ("224.0.0.1", "no other host"), ("ff02::1", "no other host")):
            self.assertIn(why, self.refused("block", address))
        self.assertEqual(self.blocks(), [])
        self.assertTrue(self.connects(10))

    def test_a_program_bans_beside_others(self):
        address, own = "198.51.100.9", ("--by", "fail2ban/sshd")
        standing = lambda: [(row["by"], row["until"] - row["since"]) for row in self.blocks()]
        self.agent.tool("block", address, "--for", "10m", *own)
        self.assertEqual(standing(), [("fail2ban/sshd", 600)])
        self.agent.tool("block", address, "--for", "5m", *own)
        self.assertEqual(standing(), [("fail2ban/sshd", 300)], "its own it may shorten")
        said = self.agent.tool("block", address, "--for", "4m", "--by", "crowdsec")
        self.assertRegex(said, f"^{address} is blocked until .* already, by fail2ban/sshd\n$")
        self.assertEqual(standing(), [("fail2ban/sshd", 300), ("crowdsec", 240)], "another's stays beside it")
        self.agent.tool("block", address, "--for", "2h", "--by", "crowdsec")
        self.assertEqual(standing(), [("fail2ban/sshd", 300), ("crowdsec", 7200)])
        self.assertRegex(self.agent.tool("unblock", address, *own), f"^{address} stays blocked until .*, by crowdsec\n$")
        self.assertRegex(self.agent.tool("block", address, "--for", "1h"), f"^{address} is blocked until .* already, by crowdsec\n$")
        self.assertEqual(standing(), [("crowdsec", 7200), ("administrator", 3600)])
        self.assertEqual(self.agent.report()["blocked_sources"], 1)
        self.assertIn("1 sources, everything from them", self.agent.tool_status("status")[1])
        said = self.agent.tool("unblock", address, "--by", "crowdsec")
        self.assertRegex(said, f"^{address} stays blocked until .*, by administrator\n$")
        self.assertEqual(standing(), [("administrator", 3600)])
        self.agent.tool("block", address, *own)
        self.agent.tool("unblock", address)
        self.assertEqual(standing(), [], "an administrator lifts everybody's")
        said = json.loads(self.agent.tool("unblock", address, "--json", *own))
        self.assertEqual((said["said"], said["blocked"]), (f"{address} is not blocked", None))
        self.agent.tool("block", address, *own)
        self.agent.kill()
        self.agent.start()
        self.assertEqual(standing(), [("fail2ban/sshd", 3600)])
        self.agent.tool("unblock", address)
        self.assertEqual(self.blocks(), [])

    def test_an_administrators_block_outlasts_a_programs_longer_one(self):
        address, jails = self.client.ip4, [("--by", f"fail2ban/{name}") for name in ("sshd", "recidive")]
        self.agent.tool("block", address, "--for", "1h")
        self.agent.tool("block", address, "--for", "2h", "--by", "crowdsec")
        for jail, time in zip(jails, ("10m", "3h")):
            self.agent.tool("block", address, "--for", time, *jail)
        self.agent.stop()
        self.agent.start()
        self.assertIn("1 sources are blocked as before", self.agent.log())
        self.assertEqual(len(self.blocks()), 4)
        self.agent.tool("unblock", address, *jails[1])
        said = self.agent.tool("unblock", address, "--by", "crowdsec")
        self.assertRegex(said, f"^{re.escape(address)} stays blocked until .*, by administrator\n$")
        self.assertFalse(self.connects())
        self.agent.kill()
        self.agent.start()
        self.assertEqual({row["by"] for row in self.blocks()}, {"administrator", "fail2ban/sshd"})
        self.assertFalse(self.connects())
        self.agent.tool("unblock", address)
        self.assertTrue(self.connects(10))

    def test_wrong_usage(self):
        for words in (["block", "198.51.100.0/24"], ["block", "x"], ["block", "::1", "--for", "0s"], ["block", "::1", "--for", "367d"],
                      ["block", "::1", "--for", "5"], ["block", "::1", "--why", "a\nb"], ["unblock", "x"],
                      ["block", "198.51.100.9", "--by", "administrator"], ["unblock", "198.51.100.9", "--by", "a b"]):
            self.assertEqual(self.agent.tool_status(*words)[0], 64, words)

    def test_what_cannot_be_written_is_told_of(self):
        self.agent.tool("block", "198.51.100.9")
        # Nobody can write over a directory.
        os.mkdir(os.path.join(self.agent.directory, "blocks.new"))
        for words, said in ((["block", "198.51.100.10"], "is blocked until"), (["unblock", "198.51.100.9"], "is not blocked any more")):
            self.assertRegex(self.agent.tool(*words), f"^{words[1]} {said}.*; but this could not be written down, and is lost when")
        self.assertIn("blocks cannot be written", self.agent.log())
        self.assertFalse(json.loads(self.agent.tool("block", "198.51.100.10", "--json"))["block"]["kept"])
        self.assertEqual([row["address"] for row in self.blocks()], ["198.51.100.10"])
        os.rmdir(os.path.join(self.agent.directory, "blocks.new"))
        self.assertNotIn("written", self.agent.tool("block", "198.51.100.11"))
        self.agent.stop()
        self.agent.start()
        self.assertEqual([row["address"] for row in self.blocks()], ["198.51.100.10", "198.51.100.11"])

    def test_a_damaged_file_is_told_of(self):
        self.agent.tool("block", "198.51.100.9")
        self.agent.stop()
        path = os.path.join(self.agent.directory, "blocks")
        with open(path, "a") as file:
            file.write("half a line")
        self.agent.start()
        self.assertIn("blocked sources of the run before are forgotten", self.agent.log())
        self.assertEqual(self.blocks(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)

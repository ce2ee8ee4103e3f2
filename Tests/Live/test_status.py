# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve status`: one word, one sentence and one exit status for whether the host is protected."""

import json
import unittest

import isolation

isolation.isolate()

from agent import Agent
from lab import Lab

POLICY = """
version: 1
rules:
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
"""


class StatusTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())

    def setUp(self):
        self.addCleanup(self.lab.host.flush_rules)

    def agent(self, policy=POLICY):
        return self.enterContext(Agent(self.lab.host, policy))

    def assert_status(self, agent, status, word, sentence):
        got, text = agent.tool_status("status")
        self.assertIn(sentence, text)
        self.assertEqual(got, status, text)
        got, report = agent.tool_status("status", "--json")
        self.assertEqual((got, json.loads(report.splitlines()[0])["protection"]), (status, word), report)

    def test_from_no_rules_to_protected_and_back(self):
        agent = self.agent()
        self.assert_status(agent, 3, "none", "this host is not protected: no rule gives packets to a queue")
        agent.tool("iptables", "--apply")
        self.assert_status(agent, 0, "protected", "this host is protected: IPv4 and IPv6 at prerouting, output")
        agent.stop()
        self.assert_status(agent, 2, "shut", "this host is shut")
        agent.tool("iptables", "--remove")
        self.assert_status(agent, 2, "none", "this host is not protected")

    def test_a_family_without_rules(self):
        agent = self.agent()
        self.lab.host.rules("*filter\n-A INPUT -j NFQUEUE\n-A OUTPUT -j NFQUEUE", (4,))
        self.assert_status(agent, 3, "partly", "IPv6 is not protected")

    def test_rules_that_feed_another_queue(self):
        agent = self.agent()
        self.lab.host.rules("*filter\n-A INPUT -j NFQUEUE --queue-num 7\n-A OUTPUT -j NFQUEUE --queue-num 7")
        self.assert_status(agent, 3, "partly", "nobody reads queue 7")

    def test_tap_protects_nothing(self):
        agent = self.agent("mode: tap\n" + POLICY)
        agent.tool("iptables", "--apply")
        self.assert_status(agent, 3, "tap", "watched and not protected")

    def test_tap_counts_what_would_have_been_dropped_and_says_what(self):
        agent = self.agent("mode: tap\n" + POLICY + "  - { name: SSH, action: allow, direction: incoming, protocol: tcp, "
                           "destination: { ports: 22 } }\n")
        agent.tool("iptables", "--apply")
        self.assertNotIn("would drop", agent.tool_status("status")[1])
        for port in (23, 23, 24):
            self.lab.client.run("python3", "-c", "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'', "
                                f"('{self.lab.host.ip4}', {port}))")
        agent.wait_for_events(3)
        text = agent.tool_status("status")[1]
        self.assertRegex(text, r'(?m)^drops +0 by reason; would drop 3 that passed \("portreeve events --summary" says what\)')
        self.assertRegex(text, r"(?m)^ *ID +REASON +DROPPED +WOULD DROP ")
        self.assertEqual([(row["dropped"], row["would_drop"]) for row in agent.report()["reasons"]], [(0, 3)])
        lines = agent.tool("events", "--summary").splitlines()
        self.assertRegex(lines[1], r"^ *2 +tap:deny +incoming +UDP 23 +1 +out-of-allowed-policy")
        self.assertRegex(lines[2], r"^ *1 +tap:deny +incoming +UDP 24 +1 +out-of-allowed-policy")
        self.assertEqual(agent.tool("events", "--summary", "--last", 1).splitlines()[2:], ["and 1 packets of other kinds"])

    def test_without_the_right_to_read_the_rules_it_says_so(self):
        agent = self.agent()
        agent.tool("iptables", "--apply")
        status, output = self.lab.host.status(
            "setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "sh", "-c", agent.command("status"))
        self.assertEqual(status, 4, output)
        self.assertIn("the rules in place cannot be read", output)


if __name__ == "__main__":
    unittest.main()

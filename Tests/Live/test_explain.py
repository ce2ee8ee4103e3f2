# SPDX-License-Identifier: GPL-3.0-or-later
"""What an event's `explain` names, turned as an administrator would, lets the same packet pass, and no part of it does: live. The
engine's own tests (ExplanationTests.swift) do the same for every reason and cause; here it is the agent's events, policy and reload."""

import copy
import itertools
import os
import re
import unittest

import isolation

isolation.isolate()

import yaml
from agent import Agent
from forge import Injector
from lab import Lab
from scapy.layers.inet import IP, TCP, UDP

FENCE = 9
TELNET = "No telnet"
BASE = {
    "version": 1,
    "rules": [
        {"name": TELNET, "action": "deny", "direction": "incoming", "protocol": "tcp", "destination": {"ports": 23}},
        {"name": "Fence", "action": "deny", "direction": "incoming", "protocol": "udp", "priority": 4, "destination": {"ports": FENCE}},
    ],
    "stateful": {"tcp": {"congestion-flags": "deny"}},
    "engine": {
        "timeouts": {"cold-start": "0s", "boot-start": "0s"},
        "sanity": {"allow-null-ip": False},
        "anti-evasion": {"congestion-flags": "deny"},
    },
}
# What lets pass, where that is not `allow`.
TURNED = {
    "engine.timeouts.cold-start": "30d", "engine.sanity.allow-null-ip": True,
    "engine.sanity.block-same-source-destination": False,
}


def turned(explanations):
    """The policy with what these name turned: a rule's action, or a setting."""
    policy = copy.deepcopy(BASE)
    for text in explanations:
        rule = re.match(r'rule "(.+?)"', text)
        if rule:
            next(each for each in policy["rules"] if each["name"] == rule[1])["action"] = "force-allow"
            continue
        path = text.split(":")[0]
        *sections, key = path.split(".")
        place = policy
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = TURNED.get(path, "allow")
    return yaml.safe_dump(policy)


class ExplainTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host
        cls.injector = Injector(cls.lab.router, "out0", cls.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)
        cls.agent = Agent(cls.host, yaml.safe_dump(BASE), name=os.path.basename(cls.lab.file("agent"))).start()
        cls.addClassCleanup(cls.agent.stop)
        cls.addClassCleanup(cls.host.flush_rules)
        cls.agent.feed()
        cls.port = itertools.count(2_000)

    def to_host(self, source=None):
        return IP(src=source or self.client.ip4, dst=self.host.ip4)

    def puts_in_force(self, policy):
        """Returns when the policy is in force."""
        self.agent.write_policy(policy)
        self.agent.tool("reload", "--force")

    def events_of(self, packet):
        """The events that a packet raises: those before that of another, which the fence drops after it."""
        self.agent.events()
        self.injector.send(packet)
        self.injector.send(self.to_host() / UDP(sport=next(self.port), dport=FENCE))
        events = self.agent.wait_for_events()
        while not events or events[-1].get("dest_port") != FENCE:
            events += self.agent.wait_for_events()
        return events[:-1]

    def proves(self, make, *expected):
        """Judges the packet under the base policy, then with each part of what was named turned, and with all of it."""
        self.puts_in_force(turned([]))
        (event,) = self.events_of(make(next(self.port)))
        explanations = event["portreeve"]["explain"]
        self.assertEqual([re.sub(r" \(.+\)", "", text) for text in explanations], list(expected))
        for count in range(len(explanations) + 1):
            for part in itertools.combinations(explanations, count):
                self.puts_in_force(turned(part))
                events = self.events_of(make(next(self.port)))
                self.assertEqual(len(events), 0 if count == len(explanations) else 1, part)

    def test_a_rule(self):
        self.proves(lambda port: self.to_host() / TCP(sport=port, dport=23), f'rule "{TELNET}": deny')

    def test_a_setting_and_a_rule(self):
        self.proves(
            lambda port: self.to_host(self.host.ip4) / TCP(sport=port, dport=23),
            "engine.sanity.block-same-source-destination: true", f'rule "{TELNET}": deny')

    def test_a_setting_and_a_row_for_the_same(self):
        self.proves(
            lambda port: self.to_host() / TCP(sport=port, dport=80, flags="SE"), "stateful.tcp.congestion-flags: deny",
            "engine.anti-evasion.congestion-flags: deny")

    def test_one_row(self):
        self.proves(lambda port: self.to_host() / TCP(sport=port, dport=80, flags="SF"), "engine.anti-evasion.syn-fin: deny")
        self.proves(lambda port: self.to_host() / TCP(sport=port, dport=80) / b"x", "engine.anti-evasion.syn-data: deny")

    def test_one_setting(self):
        self.proves(lambda port: self.to_host() / UDP(sport=port, dport=81), "stateful.udp.admit: force-allow")
        self.proves(lambda port: self.to_host("0.0.0.0") / TCP(sport=port, dport=80), "engine.sanity.allow-null-ip: false")

    def test_a_timeout(self):
        self.proves(lambda port: self.to_host() / TCP(sport=port, dport=80, flags="A", seq=5, ack=7), "engine.timeouts.cold-start: 0")

    def test_nothing_helps(self):
        (event,) = self.events_of(self.to_host("127.0.0.1") / TCP(sport=1, dport=80))
        self.assertEqual((event["portreeve"]["cause"], event["portreeve"]["explain"]), ("invalid-source", []))


if __name__ == "__main__":
    unittest.main(verbosity=2)

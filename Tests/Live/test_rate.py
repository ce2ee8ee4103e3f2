# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules with a rate: so many connections of each source, over IPv4 and IPv6, and rules that end by themselves."""

import datetime
import json
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from forge import Injector
from lab import Lab, wait_until
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from test_forgeries import Victim

RATED = """
version: 1
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
rules:
  - { name: Echo, action: allow, direction: incoming, protocol: tcp, rate: 5/1h per source, destination: { ports: 7 } }
  - { name: Datagrams, action: force-allow, direction: incoming, protocol: udp, rate: 3/1h, destination: { ports: 7 } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, rate: 2/1h }
"""


class RateTests(unittest.TestCase):
    seconds = 8

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.host, cls.client = cls.lab.host, cls.lab.client
        cls.enterClassContext(services.echo(cls.host))
        cls.injector = Injector(cls.lab.router, "out0", cls.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)

    def agent(self, policy, queues=(0, 0)):
        agent = self.enterContext(Agent(self.host, policy, queues=queues))
        self.addCleanup(self.host.flush_rules)
        return agent.feed()

    def connects(self, source, seconds=1):
        host = self.host.ip6 if ":" in source else self.host.ip4
        return self.client.status("nc", "-z", "-w", seconds, "-s", source, host, 7)[0] == 0

    def test_up_to_the_rate_and_beyond(self):
        agent = self.agent(RATED, queues=(0, 1))
        for source in (self.lab.client_addresses[0], self.client.ip6):
            for _ in range(5):
                self.assertTrue(self.connects(source, 10))
        agent.settled_report()
        self.assertEqual(agent.events(), [], "who keeps to the rate is told nothing of")
        for source in (self.lab.client_addresses[0], self.client.ip6):
            self.assertFalse(self.connects(source))
        self.assertTrue(self.connects(self.lab.client_addresses[1], 10))
        events = agent.wait_for_events(2)
        self.assertEqual(set(reasons(events)), {"connection-rate"})
        self.assertEqual({event["src_ip"] for event in events}, {self.lab.client_addresses[0], self.client.ip6})
        portreeve = events[0]["portreeve"]
        self.assertEqual((portreeve["id"], portreeve["rule"], portreeve["stage"]), (917, "Echo", "C"))
        self.assertRegex(portreeve["explain"][0], r'^rule "Echo" \(.*policy\.yaml:5:5\): rate$')
        packet = ["--direction", "incoming", "--interface", "eth0", "--tcp", f"{self.lab.client_addresses[0]}:4000", f"{self.host.ip4}:7"]
        status, said = agent.tool_status("explain", *packet, "--control", agent.control)
        self.assertEqual(status, 2, said)
        self.assertIn("connection-rate (917, Connection Rate Exceeded)", said)
        self.assertIn("as many connections as the rate of the rule", said)
        # A reload that leaves the rule as it is leaves what was counted.
        agent.write_policy(RATED + "mode: inline\n")
        agent.tool("reload")
        self.assertFalse(self.connects(self.lab.client_addresses[0]))
        agent.write_policy(RATED.replace("5/1h per source", "6/1h"))
        agent.tool("reload")
        self.assertTrue(self.connects(self.lab.client_addresses[0], 10))

    def test_exactly_so_many(self):
        agent = self.agent(RATED)
        source4, source6 = self.lab.client_addresses[3], "fd00:1::13"
        for header in (IP(src=source4, dst=self.host.ip4), IPv6(src=source6, dst=self.host.ip6)):
            for number in range(9):
                self.injector.send(header / TCP(sport=40_000 + number, dport=7, flags="S", seq=1))
                self.injector.send(header / UDP(sport=40_000 + number, dport=7) / b"x")
        for number in range(5):
            self.injector.send(IP(src=source4, dst=self.host.ip4) / ICMP(type=8, id=number))
        agent.settled_report()
        found = agent.events()
        # Beyond five of nine, three of nine, both twice, and two of five.
        self.assertEqual(reasons(found), {"connection-rate": 4 + 6 + 4 + 6 + 3})
        rules = {}
        for event in found:
            key = event["portreeve"]["rule"], event["src_ip"]
            rules[key] = rules.get(key, 0) + 1
        self.assertEqual(rules, {
            ("Echo", source4): 4, ("Echo", source6): 4, ("Datagrams", source4): 6, ("Datagrams", source6): 6, ("Ping", source4): 3})


def moment(seconds):
    """So many seconds from now, as a policy says it."""
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class UntilTests(unittest.TestCase):
    seconds = 8

    def test_a_rule_ends_with_what_it_has_admitted(self):
        lab = self.enterContext(Lab())
        host, client = lab.host, lab.client
        self.enterContext(services.echo(host))
        end = moment(6)
        agent = self.enterContext(Agent(host, f"""
version: 1
engine: {{ timeouts: {{ cold-start: 0s, boot-start: 0s }} }}
rules:
  - {{ name: Guest, action: allow, direction: incoming, protocol: tcp, until: "{end}", destination: {{ ports: 7 }} }}
  - {{ name: Past, action: allow, direction: incoming, protocol: tcp, until: "2026-01-31 18:00", destination: {{ ports: 8 }} }}
"""))
        agent.feed()
        connects = lambda seconds: client.status("nc", "-z", "-w", seconds, host.ip4, 7)[0] == 0
        said = agent.tool("check", check=False)
        self.assertIn("it has ended (until: 2026-01-31T18:00:00)", said)
        rows = {row["rule"]: row for row in map(json.loads, agent.tool("rules", "--json").splitlines())}
        self.assertEqual((rows["Past"]["until"], rows["Past"]["over"]), ("2026-01-31T18:00:00", True))
        self.assertEqual(rows["Guest"]["until"], end)
        self.assertIn("(over) allow", agent.tool("rules"))
        self.assertTrue(connects(10))
        victim = Victim(client, host.ip4)
        self.addCleanup(victim.socket.close)
        self.assertTrue(victim.is_echoed())
        wait_until(lambda: not connects(1), "the rule ends", process=agent.process)
        events = agent.wait_for_events(1)
        self.assertEqual(set(reasons(events)), {"out-of-allowed-policy-open-port"}, "an Allow rule that is over restricts as before")
        victim.socket.settimeout(1)
        victim.socket.sendall(b"x")
        with self.assertRaises(TimeoutError):
            victim.socket.recv(1)
        packet = ["--direction", "incoming", "--interface", "eth0", "--tcp", f"{client.ip4}:4000", f"{host.ip4}:7"]
        status, said = agent.tool_status("explain", *packet, "--control", agent.control)
        self.assertEqual(status, 2, said)
        self.assertIn(f"until: it has ended ({end})", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)

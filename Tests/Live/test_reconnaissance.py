# SPDX-License-Identifier: GPL-3.0-or-later
"""Who explores the host with nmap is told of, and blocked where he has shown that he is who he says."""

import json
import os
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from forge import Injector
from lab import Lab, wait_until
from scapy.layers.inet import ICMP, IP, TCP

OPEN = (7, 2007, 3007)
COMMON = "version: 1\nengine: { timeouts: { cold-start: 0s, boot-start: 0s } }\nreconnaissance: { block: %s }\n"
# Closed ports are refused by the rules; without rules by the host.
RULES = COMMON + "rules: [{ name: Services, action: allow, direction: incoming, protocol: tcp, destination: { ports: [7, 2007, 3007] } }]\n"
ICMP_IN = COMMON + "rules: [{ name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }]\n"
# Decides and drops nothing; with `inline` in its place it does.
TAP = COMMON.replace("version: 1", "version: 1\nmode: tap\ndefault: { incoming: deny, outgoing: deny }") % "off"
KINDS = {"port-scan", "os-fingerprint", "null-scan", "synfin-scan", "xmas-scan"}


class ScanTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.host, cls.client = cls.lab.host, cls.lab.client
        for port in OPEN:
            cls.enterClassContext(services.echo(cls.host, port))
        cls.injector = Injector(cls.lab.router, "out0", cls.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)

    def agent(self, policy, queues=(0, 0)):
        agent = self.enterContext(Agent(self.host, policy, queues=queues))
        self.addCleanup(self.host.flush_rules)
        agent.feed()
        return agent

    def nmap(self, *options, seconds=60):
        return self.client.run("nmap", "-n", "-Pn", "-T4", "--max-retries", 0, *options, self.host.ip4, seconds=seconds)

    def told(self, agent, *expected):
        """The events of what is no drop; each kind is told of once."""
        found = []

        def are_there():
            found.extend(event for event in agent.events() if event["portreeve"]["action"] == "notice")
            return set(expected) <= set(reasons(found))

        wait_until(are_there, f"{expected} are told of")
        agent.settled_report()
        are_there()
        self.assertEqual(reasons(found), {kind: 1 for kind in expected})
        for event in found:
            self.assertEqual((event["event_type"], event["src_ip"]), ("portreeve", self.client.ip4))
        return found

    def blocks(self, agent):
        return [json.loads(line) for line in agent.tool("blocks", "--json").splitlines()]

    def test_syn(self):
        agent = self.agent(RULES % "10m")
        self.nmap("-sS", "-p", "1-200")
        self.told(agent, "port-scan")
        self.assertEqual(self.blocks(agent), [], "anybody can send SYNs in anybody's name")

    def test_syn_of_a_host_that_refuses_itself(self):
        agent = self.agent(COMMON % "off", queues=(0, 1))
        self.nmap("-sS", "-p", "1-200")
        self.told(agent, "port-scan")

    def test_connect(self):
        agent = self.agent(RULES % "10m")
        self.nmap("-sT", "-p", f"1-200,{','.join(map(str, OPEN))}")
        self.told(agent, "port-scan")
        wait_until(lambda: self.blocks(agent), "the scanner is blocked")
        (block,) = self.blocks(agent)
        self.assertEqual((block["address"], block["by"], block["why"]), (self.client.ip4, "reconnaissance", "port scan"))
        self.assertEqual(block["until"] - block["since"], 600)
        self.assertIn("is blocked for 600 s", agent.log())
        self.assertNotEqual(self.client.status("nc", "-z", "-w", 2, self.host.ip4, 7)[0], 0)
        (event, *_) = agent.wait_for_events(1)
        self.assertEqual(event["portreeve"]["reason"], "blocked-source")
        agent.tool("unblock", self.client.ip4)
        self.client.run("nc", "-z", "-w", 10, self.host.ip4, 7)

    def test_what_is_suggested_lets_in_what_was_wanted_and_no_scan(self):
        """`portreeve suggest` of the events of tap mode, and the same with its rules in force."""
        self.enterContext(services.nginx(self.host))
        self.enterContext(services.dnsmasq(self.host, {"lab.test": "198.18.2.9"}))
        agent, host = self.agent(TAP), self.host.ip4
        scanner = self.lab.client_addresses[-1]

        def do_what_is_wanted():
            self.assertIn("portreeve lab", self.client.run("curl", "-sS", "--max-time", 10, f"http://{host}/"))
            self.assertEqual(self.client.run("dig", "+short", "+tries=1", "+time=9", f"@{host}", "lab.test").strip(), "198.18.2.9")
            self.client.run("ping", "-c", 1, "-W", 9, host)

        def scan(ports):
            return self.nmap("-sS", "-S", scanner, "-e", "eth0", "-oG", "-", "-p", ports)

        do_what_is_wanted()
        self.assertIn("80/open", scan("1-200"))
        agent.settled_report()
        words = ["--policy", agent.policy, "--events", agent.events_file]
        suggested = json.loads(agent.tool("suggest", *words, "--json"))
        self.assertEqual(
            [(rule["action"], rule["direction"], rule["name"]) for rule in suggested["rules"]],
            [("allow", "incoming", f"Suggested: tcp 80 from {self.client.ip4}"),
             ("force-allow", "incoming", f"Suggested: udp 53 from {self.client.ip4}"),
             ("force-allow", "incoming", f"Suggested: icmp 8/0 from {self.client.ip4}")])
        self.assertEqual({rule["admits_besides"]["pairs"] for rule in suggested["rules"]}, {0})
        (left,) = [left for left in suggested["left_out"] if left["why"] == "scan"]
        self.assertEqual((left["source"], left["services"], left["addresses"]), (scanner, 200, 1))
        self.assertGreater(left["failed"], 190)
        # The shell has made the file, empty as yet, when the tool reads the policy.
        target = os.path.join(agent.directory, "policy.d", "60-suggested.yaml")
        self.host.run("sh", "-c", f"{agent.command('suggest', *words)} > {target}")
        agent.write_policy(TAP.replace("mode: tap", "mode: inline"))
        agent.tool("check", "--strict")
        agent.tool("reload")
        agent.events()
        do_what_is_wanted()
        agent.settled_report()
        self.assertEqual([event for event in agent.events() if event["event_type"] == "drop"], [])
        self.assertNotIn("/open/", scan("7,80,2007"))

    def test_null_fin_xmas(self):
        agent = self.agent(RULES % "10m")
        self.nmap("-sN", "-p", "1-20")
        events = self.told(agent, "null-scan")
        self.assertEqual(events[0]["portreeve"]["stage"], "notice")
        self.nmap("-sX", "-p", "1-20")
        self.told(agent, "xmas-scan")
        self.nmap("-sF", "-p", "1-200")
        self.told(agent, "port-scan")
        self.assertEqual(self.blocks(agent), [])

    def test_synfin_and_the_nearest_packets(self):
        agent = self.agent(RULES % "off")
        address = {"src": self.client.ip4, "dst": self.host.ip4}
        for number, flags in enumerate(("S", "A", "F", "FA", "FPA", "R", "UA")):
            self.injector.send(IP(**address) / TCP(sport=40_000 + number, dport=7, flags=flags, seq=1))
        self.injector.send(IP(**address) / TCP(sport=41_000, dport=7, flags="SF", seq=1))
        found = self.told(agent, "synfin-scan")
        self.assertEqual(found[0]["src_port"], 41_000)

    def test_fingerprint(self):
        agent = self.agent(ICMP_IN % "10m")
        self.nmap("-O", "--max-os-tries", 1, "-p", "7,8")
        found = []
        wait_until(lambda: found.extend(agent.events()) or "os-fingerprint" in reasons(found), "the fingerprinting is told of")
        self.assertEqual(self.blocks(agent), [])

    def test_one_kind_of_odd_packets_is_no_fingerprinting(self):
        agent = self.agent(ICMP_IN % "off")
        for _ in range(3):
            self.injector.send(IP(src=self.client.ip4, dst=self.host.ip4) / ICMP(type=8, code=9))
        agent.settled_report()
        self.assertEqual([event for event in agent.events() if event["portreeve"]["reason"] in KINDS], [])

    def test_udp(self):
        agent = self.agent(RULES % "10m")
        self.nmap("-sU", "-p", "1000-1150")
        self.told(agent, "port-scan")
        self.assertEqual(self.blocks(agent), [])

    def test_decoys(self):
        agent = self.agent(RULES % "10m")
        decoys = ["203.0.113.50", "203.0.113.51", "203.0.113.52"]
        self.nmap("-sS", "-D", ",".join([*decoys, "ME"]), "-p", "1-200")
        found = []
        wait_until(lambda: found.extend(agent.events()) or self.client.ip4 in {
            event["src_ip"] for event in found if event["portreeve"]["reason"] == "port-scan"}, "the scanner is told of")
        self.assertEqual(self.blocks(agent), [], "neither he nor his decoys")

    def test_ignored(self):
        lists = "lists: { monitoring: { addresses: [%s] } }\n" % self.client.ip4
        agent = self.agent(RULES % "10m, ignore: [monitoring]" + lists)
        self.nmap("-sS", "-p", "1-200")
        agent.settled_report()
        self.assertEqual([event for event in agent.events() if event["portreeve"]["reason"] in KINDS], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)

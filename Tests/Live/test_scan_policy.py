# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve scan --from-policy`: probes on both sides of each rule's borders, simulated, sent and compared."""

import json
import unittest
import xml.etree.ElementTree

import isolation

isolation.isolate()

from agent import Agent
from lab import Lab
from paths import TOOL, Reflector
from policy_plans import compare, name, simulated

POLICY = """version: 1
rules:
  - { name: Control, action: allow, direction: incoming, protocol: tcp, destination: { ports: 7411 } }
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: [80, 8000-8099] } }
  - { name: Inner, action: deny, direction: incoming, protocol: tcp, destination: { ports: 8050 } }
  - { name: Names, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }
  - { name: Datagrams, action: allow, direction: incoming, protocol: udp, destination: { ports: 60 } }
  - { name: By, action: bypass, direction: incoming, protocol: tcp, destination: { ports: 70 } }
"""
OUTGOING = """version: 1
rules:
  - { name: Control, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 7411 } }
  - { name: Web, action: allow, direction: outgoing, protocol: tcp, destination: { ports: [80, 8000-8003] } }
  - { name: Never, action: deny, direction: outgoing, protocol: tcp, destination: { ports: 8002 } }
  - { name: Names, action: allow, direction: outgoing, protocol: udp, destination: { ports: 53 } }
"""
UNREACHED = """  - { name: Covered, action: allow, direction: incoming, protocol: tcp, destination: { ports: 8050 } }
  - { name: Off, action: deny, enabled: false, direction: incoming, protocol: tcp, destination: { ports: 99 } }
  - { name: Far, action: allow, direction: incoming, protocol: tcp, source: { addresses: 203.0.113.0/24 } }
  - { name: There, action: allow, direction: incoming, protocol: tcp, destination: { addresses: 203.0.113.1 } }
  - { name: Out, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 99 } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp }
  - { name: Finished, action: deny, direction: incoming, protocol: tcp, flags: [fin], destination: { ports: 99 } }
  - { name: Old port, action: deny, direction: incoming, protocol: tcp, source: { ports: 20 }, destination: { ports: 99 } }
  - { name: Link, action: deny, direction: incoming, protocol: tcp, source: { macs: "52:54:00:00:00:01" }, destination: { ports: 98 } }
  - { name: By name, action: deny, direction: incoming, protocol: tcp, interfaces: [dmz0], destination: { ports: 97 } }
  - { name: Told, action: log-only, direction: incoming, protocol: tcp, destination: { ports: 96 } }
"""
REASONS = {
    "Covered": "decided before, by", "Off": "it is off", "Far": "sent from is among its sources", "There": "the target is not among its destinations",
    "Out": "it is about outgoing packets", "Ping": "no TCP or UDP packet", "Finished": "no SYN", "Old port": "--source-ports",
    "Link": "MAC address", "By name": "--interface", "Told": "decides nothing",
}
PACE = ("-i", "400", "--retries", "1", "--udp-rate", "200")


class PolicyPlanTests(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.client, self.host = self.lab.client, self.lab.host

    def file(self, text, to="policy.yaml"):
        return self.lab.file(to, text)

    def test_both_sides_of_each_border_and_what_is_not_reached_and_why(self):
        path = self.file(POLICY + UNREACHED)
        probes, unreached = simulated(self.client, path, self.host.ip4)
        found = {(row["proto"], int(row["dst"].rsplit(":", 1)[1])): row for row in probes}
        for port, expected, decider in (
                (79, "deny", None), (80, "allow", "Web"), (81, "deny", None), (7999, "deny", None), (8000, "allow", "Web"), (8049, "allow", "Web"),
                (8050, "deny", "Inner"), (8051, "allow", "Web"), (8099, "allow", "Web"), (8100, "deny", None)):
            row = found["tcp", port]
            self.assertEqual((row["expect"], row["decides"] and name(row["decides"])), (expected, decider), row)
        self.assertEqual({(name(each["rule"]), each["side"]) for each in found["tcp", 8050]["for"]}, {("Inner", "inside its ports")})
        # What answers to a bypassed SYN belongs to no connection that is known.
        self.assertIn("outgoing", found["tcp", 70]["refused"])
        self.assertEqual(found["udp", 60]["reason"], "unsolicited-udp")
        self.assertNotIn(("tcp", 7411), found)
        self.assertEqual({each for each in unreached if each != "Control"}, set(REASONS))
        for rule, reason in REASONS.items():
            self.assertIn(reason, unreached[rule], rule)
        # Each that can be known is reached where it is.
        _, others = simulated(self.client, path, self.host.ip4, "--interface", "dmz0", "--source-ports", "20-20")
        self.assertFalse({"Old port", "By name"} & set(others), others)

    def test_sources_are_borders_where_this_host_has_several_addresses(self):
        one = self.client.ip4
        path = self.file(f"version: 1\nrules:\n  - {{ name: One, action: deny, direction: incoming, protocol: tcp, source: {{ addresses: {one} }}, "
                         "destination: { ports: 80 } }\n")
        self.client.run("ip", "address", "add", one.rsplit(".", 1)[0] + ".77/24", "dev", "eth0")
        probes, _ = simulated(self.client, path, self.host.ip4)
        at_port = {row["src"]: row["expect"] for row in probes if row["dst"].endswith(":80") and row["proto"] == "tcp"}
        self.assertEqual(at_port.pop(one), "deny")
        self.assertEqual(set(at_port.values()), {"allow"})

    def test_what_is_sent_fares_as_simulated_and_a_changed_policy_is_noticed(self):
        path = self.file(POLICY)
        agent = self.enterContext(Agent(self.host, POLICY, fold="1s"))
        agent.feed()
        reflector = self.enterContext(Reflector(self.host, "--agent", "--control", agent.control))
        words = [TOOL, "scan", self.host.ip4, "--key", reflector.key, "--from-policy", path, *PACE]
        junit = self.lab.file("plan.xml")
        status, text = self.client.status(*words, "--junit", junit, seconds=120)
        self.assertEqual(status, 0, text)
        self.assertIn("probes fared as simulated", text)
        cases = xml.etree.ElementTree.parse(junit).getroot().findall(".//testcase")
        self.assertTrue(any('"Inner", inside its ports: tcp 8050' in case.get("name") for case in cases), [case.get("name") for case in cases])
        # Another rule than the simulated one refuses, and one admits: statuses 1, and each is named.
        agent.reload(POLICY.replace("name: Inner", "name: Renamed"))
        agent.await_epoch(2)
        status, text = self.client.status(*words, seconds=120)
        self.assertEqual(status, 1, text)
        self.assertIn('deny by', text)
        self.assertIn('rule "Renamed"', text)
        page = self.lab.file("matrix.html")
        status, text = self.client.status(*words, "--json", "--html", page, seconds=120)
        rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        differing = [row for row in rows if "found" in row]
        self.assertEqual((status, len(differing)), (1, 1), text)
        self.assertIn('rule "Renamed"', differing[0]["found"])
        last = rows[-1]
        self.assertEqual(last["as_simulated"], last["probes"] - 1, text)
        with open(page) as file:
            self.assertIn("8050", file.read())
        # What was printed of a plan is a result to compare with, whatever stands beside the probes.
        kept = self.lab.file("plan.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        status, text = self.client.status(*words, "--tap", "--diff", kept, seconds=120)
        self.assertEqual(status, 1, text)
        self.assertIn(f"\n# nothing has changed since {kept}\n", text)
        self.assertIn("# tcp 8050: simulated deny", text)
        self.assertEqual([line for line in text.splitlines() if line.startswith("not ok")], [], text)
        # Something else blocks what the agent's policy no longer refuses.
        agent.reload("\n".join(line for line in POLICY.splitlines() if "Inner" not in line) + "\n")
        agent.await_epoch(3)
        block = ("FORWARD", "-p", "tcp", "--dport", "8050", "-j", "DROP")
        self.lab.router.run("iptables", "-A", *block)
        status, text = self.client.status(*words, seconds=120)
        self.lab.router.run("iptables", "-D", *block)
        self.assertEqual(status, 1, text)
        self.assertIn("found blocked, and the agent there has dropped nothing", text)
        agent.reload(POLICY.replace("8000-8099", "8000-8098"))
        agent.await_epoch(4)
        status, text = self.client.status(*words, "--json", seconds=120)
        rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        wrong = {int(row["dst"].rsplit(":", 1)[1]) for row in rows if row.get("ok") is False}
        self.assertEqual((status, wrong), (1, {8099}), text)

    def test_outgoing_rules_of_this_hosts_own_policy_fare_as_simulated(self):
        """The agent stands before the scan, and is asked over its control socket."""
        path = self.file(OUTGOING)
        agent = self.enterContext(Agent(self.client, OUTGOING, fold="1s"))
        agent.feed()
        reflector = self.enterContext(Reflector(self.host))
        words = [TOOL, "scan", self.host.ip4, "--key", reflector.key, "--from-policy", path, "--direction", "outgoing", "--control",
                 agent.control, "--json", *PACE]

        def run():
            status, text = self.client.status(*words, seconds=120)
            rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
            return status, rows, text

        status, rows, text = run()
        found = {(row["proto"], int(row["dst"].rsplit(":", 1)[1])): row for row in rows if "category" in row}
        self.assertEqual((status, rows[-1]["as_simulated"]), (0, len(found)), text)
        for port, category in ((79, "handshake_timeout"), (80, "open"), (8001, "open"), (8002, "handshake_timeout"), (8003, "open"),
                               (8004, "handshake_timeout")):
            self.assertEqual(found["tcp", port]["category"], category, text)
        self.assertEqual(found["tcp", 8002]["where"], "this host, outgoing")
        self.assertIn('rule "Never"', found["tcp", 8002]["by"])
        self.assertEqual(found["udp", 53]["category"], "open")
        # Another rule refuses; and a router blocks what the policy no longer refuses.
        agent.reload(OUTGOING.replace("name: Never", "name: Renamed"))
        agent.await_epoch(2)
        status, rows, text = run()
        self.assertEqual((status, ['rule "Renamed"' in row["found"] for row in rows if "found" in row]), (1, [True]), text)
        agent.reload("\n".join(line for line in OUTGOING.splitlines() if "Never" not in line) + "\n")
        agent.await_epoch(3)
        self.lab.router.rules("*filter\n-A FORWARD -p tcp --dport 8002 -j DROP\n")
        status, rows, text = run()
        self.assertEqual((status, [row["found"] for row in rows if "found" in row]), (
            1, ["blocked, and the agent here has dropped nothing"]), text)

    def test_each_rule_that_can_be_reached_is_hit_by_the_agents_own_account(self):
        wrong, probes, unreached, text = compare(self.lab, 50, *PACE, "--parallel", "128")
        self.assertEqual(wrong, [], text)
        self.assertTrue(len(probes) > 80 and len(unreached) > 10, text)

    def test_what_cannot_be_is_usage(self):
        path = self.file(POLICY)
        for words in (("--from-policy", path, "-t", "80"), ("--simulate",), ("--from-policy", path, "--direction", "up"),
                      ("--from-policy", path, "--plan", path), ("--from-policy", "/nowhere.yaml", "--simulate")):
            status, text = self.client.status(TOOL, "scan", self.host.ip4, *words)
            self.assertEqual(status, 64, text)
        ignoring = self.file("version: 1\ninterfaces: { ignore: [\"*\"] }\nrules:\n  - { name: A, action: deny, direction: incoming, protocol: tcp }\n", "ignoring.yaml")
        status, text = self.client.status(TOOL, "scan", self.host.ip4, "--from-policy", ignoring, "--simulate")
        self.assertEqual(status, 64, text)
        self.assertIn("interfaces.ignore", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)

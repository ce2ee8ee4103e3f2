# SPDX-License-Identifier: GPL-3.0-or-later
"""`explain`, `check` and `diff`: what they say of packets is what the agent does with them, and what they propose helps."""

import json
import os
import shlex
import subprocess
import tempfile
import unittest

import isolation

isolation.isolate()

from agent import Agent, binaries
from lab import Lab

TOOL = os.path.join(binaries(), "portreeve")

POLICY = """version: 1
interfaces: { ignore: [lo] }
lists:
  office: { addresses: [203.0.113.0/24] }
rules:
  - { name: SSH, action: allow, direction: incoming, protocol: tcp, source: { addresses: office }, destination: { ports: 22 } }
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: [80, 443] } }
"""


# What names of interfaces can match of so many patterns is not found out.
HARD = "version: 1\nrules:\n" + "".join(
    f"  - {{ name: R{number}, action: deny, direction: incoming, protocol: tcp, interfaces: [\"*{chr(97 + number)}*{chr(97 + number * 7 % 26)}*\"], "
    f"destination: {{ ports: {number} }} }}\n" for number in range(14))


class FolderTests(unittest.TestCase):
    """Files in a folder of its own, and the tool."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="portreeve-words.")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.policy = self.write("policy.yaml", POLICY)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def tool(self, *words, status=0, input=""):
        result = subprocess.run([TOOL, *words], capture_output=True, text=True, timeout=60, input=input)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result.stdout


class FilesTests(FolderTests):
    """Without an agent."""

    def explain(self, *words, status=0, policy=None):
        return self.tool("explain", "--policy", policy or self.policy, *words, status=status)

    SYN = ("--direction", "incoming", "--interface", "eth0", "--tcp", "198.51.100.7:40000")

    def test_a_packet_of_a_capture_is_judged_behind_those_before_it(self):
        from scapy.all import IP, TCP, Ether, wrpcap
        there = Ether() / IP(src="198.51.100.7", dst="192.0.2.10")
        back = Ether() / IP(src="192.0.2.10", dst="198.51.100.7")
        port = {"sport": 40000, "dport": 80}
        path = os.path.join(self.folder, "talk.pcap")
        wrpcap(path, [
            there / TCP(**port, flags="S", seq=1000), back / TCP(sport=80, dport=40000, flags="SA", seq=5000, ack=1001),
            there / TCP(**port, flags="A", seq=1001, ack=5001), there / TCP(**port, flags="A", seq=1001 + 2**30, ack=5001)])
        capture = ("--capture", path, "--local", "192.0.2.10", "--packet")
        self.assertIn("verdict: pass", self.explain(*capture, "3"))
        text = self.explain(*capture, "4", status=2)
        self.assertIn("connection: known, ESTABLISHED", text)
        self.assertIn("verdict: drop: invalid-sequence (102, Invalid Sequence)", text)
        self.assertTrue(text.endswith("\n\nNo setting and no rule lets it pass.\n"), text)
        self.explain(*capture, "5", status=1)

    def test_an_admitted_packet_names_its_rule_and_what_would_stop_it(self):
        text = self.explain(*self.SYN, "192.0.2.10:80")
        self.assertIn(f'decides: {self.policy}:7:5 "Web": allow, priority 0', text)
        self.assertIn("verdict: pass", text)
        change = text[text.index("    version: 1"):].replace("    version", "version")
        self.write("policy.d/change.yaml", "\n".join(line.removeprefix("    ") for line in change.splitlines()) + "\n")
        self.explain(*self.SYN, "192.0.2.10:80", status=2)

    def test_a_refused_packet_names_what_nearly_matches_and_what_lets_it_pass(self):
        text = self.explain(*self.SYN, "192.0.2.10:22", status=2)
        self.assertIn(f'nearly: {self.policy}:6:5 "SSH": allow but for source.addresses: 198.51.100.7 is none of those named', text)
        self.assertIn("verdict: drop: out-of-allowed-policy (123, Out Of Allowed Policy)", text)
        answer = json.loads(self.explain(*self.SYN, "192.0.2.10:22", "--json", status=2))
        self.assertEqual((answer["verdict"], answer["id"], answer["cause"]), ("drop", 123, "no-allow-rule"))
        self.write("policy.d/change.yaml", answer["change"]["file"])
        self.explain(*self.SYN, "192.0.2.10:22")
        # Nothing more than was asked for.
        self.explain("--direction", "incoming", "--tcp", "198.51.100.8:40000", "192.0.2.10:22", status=2)

    def test_other_packets(self):
        udp = ("--direction", "incoming", "--udp", "198.51.100.7:40000", "192.0.2.10:53")
        answer = json.loads(self.explain(*udp, "--json", status=2))
        self.assertEqual((answer["reason"], answer["change"]["what"]), ("out-of-allowed-policy", ["add a rule"]))
        ping = ("--direction", "incoming", "--icmp", "fd00::7", "fd00::10")
        self.assertIn("none matches, and this protocol needs none", self.explain(*ping))
        flags = (*self.SYN, "192.0.2.10:80", "--flags", "syn,fin")
        answer = json.loads(self.explain(*flags, "--json", status=2))
        self.assertEqual((answer["reason"], answer["setting"]), ("invalid-flags", "engine.anti-evasion.syn-fin"))
        self.assertIn("set engine.anti-evasion.syn-fin: allow", answer["change"]["what"])
        self.assertNotIn("setting_line", answer)
        self.assertIn("(engine.anti-evasion.syn-fin, by its default)", self.explain(*flags, status=2))
        strict = self.write("strict.yaml", POLICY + "engine:\n  anti-evasion:\n    syn-fin: deny-silent\n")
        self.assertIn(f"(engine.anti-evasion.syn-fin, {strict}:10:5)", self.explain(*flags, policy=strict, status=2))
        answer = json.loads(self.explain(*flags, "--json", policy=strict, status=2))
        self.assertEqual((answer["setting_file"], answer["setting_line"], answer["setting_column"]), (strict, 10, 5))
        loopback = ("--direction", "incoming", "--tcp", "127.0.0.1:40000", "192.0.2.10:80")
        self.assertIn("No setting and no rule lets it pass.", self.explain(*loopback, status=2))
        self.tool("explain", "--direction", "incoming", status=64)
        self.tool("explain", "--tcp", "192.0.2.1:1", "192.0.2.2:2", status=64)

    def test_check_finds_rules_that_decide_nothing(self):
        rules = POLICY + (
            "  - { name: Low ports, action: deny, priority: 1, direction: incoming, protocol: tcp, destination: { ports: 0-500 } }\n"
            "  - { name: No telnet, action: deny, direction: incoming, protocol: tcp, destination: { ports: 23 } }\n")
        path = self.write("shadowed.yaml", rules)
        found = json.loads(self.tool("check", path, "--json"))["findings"]
        codes = {(entry["code"], entry["line"]) for entry in found}
        self.assertIn(("redundant", 9), codes)
        self.assertTrue({("outranked", 6), ("outranked", 7)} <= codes, found)
        sarif = json.loads(self.tool("check", path, "--sarif", "--strict", status=2))
        self.assertEqual((sarif["version"], len(sarif["runs"][0]["results"])), ("2.1.0", len(found)))
        text = self.tool("check", path, "--quiet")
        self.assertEqual(text, "")

    def test_check_finds_a_cover_of_several_and_no_false_one(self):
        part = "  - {{ name: {}, action: {}, direction: incoming, protocol: tcp, destination: {{ ports: {} }} }}\n"
        whole = (
            POLICY + part.format("Low", "deny", "7000-7099") + part.format("High", "deny", "7100-7199")
            + part.format("Both", "allow", "7050-7150"))
        found = json.loads(self.tool("check", self.write("whole.yaml", whole), "--json"))["findings"]
        (entry,) = [entry for entry in found if entry["code"] == "shadowed"]
        self.assertIn('"Low"', entry["text"])
        self.assertIn('"High"', entry["text"])
        gap = whole.replace("7100-7199", "7101-7199")
        found = json.loads(self.tool("check", self.write("gap.yaml", gap), "--json"))["findings"]
        self.assertFalse([entry for entry in found if entry["code"] == "shadowed"], found)

    def test_an_empty_list_is_said(self):
        lists = self.write("nobody.txt", "# nobody\n")
        text = POLICY.replace("rules:", f"  nobody: {{ addresses-file: {lists} }}\nrules:") + (
            "  - { name: But, action: allow, direction: incoming, protocol: tcp, source: { addresses: { not: nobody } }, destination: { ports: 81 } }\n")
        found = json.loads(self.tool("check", self.write("empty.yaml", text), "--json"))["findings"]
        (entry,) = [entry for entry in found if entry["code"] == "empty-list"]
        self.assertIn("everybody", entry["text"])

    def test_each_rule_has_one_answer_and_its_packet_is_decided_so(self):
        rules = POLICY.replace("rules:", "  nobody: { addresses: [] }\nrules:") + (
            "  - { name: Low, action: deny, priority: 1, direction: incoming, protocol: tcp, destination: { ports: 0-21 } }\n"
            "  - { name: Telnet, action: deny, direction: incoming, protocol: tcp, destination: { ports: 20 } }\n"
            "  - { name: Acks, action: allow, direction: incoming, protocol: tcp, destination: { ports: 9 }, flags: { set: [ack] } }\n"
            "  - { name: Nobody, action: deny, direction: incoming, source: { addresses: nobody } }\n"
            "  - { name: Elsewhere, action: deny, direction: incoming, interfaces: [nowhere0] }\n"
            "  - { name: Off, action: deny, direction: incoming, enabled: false }\n")
        path = self.write("answers.yaml", rules)
        found = json.loads(self.tool("check", path, "--rules", "--json"))["rules"]
        own = {each["rule"]: each for each in found if not each["built_in"]}
        self.assertEqual({name: each["answer"] for name, each in own.items()}, {
            "SSH": "effective", "Web": "effective", "Low": "effective", "Telnet": "covered", "Acks": "admits-nothing",
            "Nobody": "matches-nothing", "Elsewhere": "inert", "Off": "off"})
        self.assertEqual((own["Telnet"]["covered_by"], own["Telnet"]["same_action"]), ([f'{path}:9:5 "Low"'], True))
        self.assertEqual([each["line"] for each in own.values()], list(range(7, 15)))
        text = self.tool("check", path, "--rules")
        for each in found:
            self.assertIn(f'"{each["rule"]}": {each["text"]}\n', text)
            self.assertEqual("witness" in each, each["answer"] == "effective")
            if "witness" in each:
                steps = self.steps(path, each["witness"])
                self.assertTrue([step for step in steps if step.startswith("decides: ") and f'"{each["rule"]}"' in step], steps)
        self.assertTrue([each for each in found if "--quotes-known" in each.get("witness", "")])
        self.tool("check", path, "--rules", "--sarif", status=64)

    def steps(self, policy, words):
        result = subprocess.run([TOOL, "explain", "--policy", policy, "--json", *shlex.split(words)], capture_output=True, text=True, timeout=60)
        self.assertIn(result.returncode, (0, 2), result.stderr)
        return json.loads(result.stdout)["steps"]

    def test_a_rule_s_criterion_is_changed_where_no_more_passes_by_it(self):
        def taken(policy, *packet):
            """Makes the change at the place that is named, and no other."""
            change = json.loads(self.explain(*packet, "--json", status=2, policy=policy))["criterion"]
            lines = open(change["file"]).read().split("\n")
            line, column = lines[change["line"] - 1], change["column"] - 1
            self.assertTrue(line[column:].startswith(change["old"]), (line, change))
            lines[change["line"] - 1] = line[:column] + change["new"] + line[column + len(change["old"]):]
            return change, self.write("changed.yaml", "\n".join(lines))

        change, changed = taken(self.policy, *self.SYN, "192.0.2.10:22")
        self.assertEqual((change["rule"], change["criterion"]), (f'{self.policy}:6:5 "SSH"', "source.addresses"))
        self.assertEqual((change["old"], change["new"]), ("office", "[office, 198.51.100.7]"))
        self.explain(*self.SYN, "192.0.2.10:22", policy=changed)
        self.explain("--direction", "incoming", "--tcp", "198.51.100.8:40000", "192.0.2.10:22", status=2, policy=changed)
        text = self.explain(*self.SYN, "192.0.2.10:22", status=2)
        self.assertIn(f'What would let it pass (source.addresses of {self.policy}:6:5 "SSH")', text)
        self.assertIn("    office\nwrite\n    [office, 198.51.100.7]\ntried: judged again with it", text)
        # Ports of a rule for everybody would let others pass too.
        self.assertIsNone(json.loads(self.explain(*self.SYN, "192.0.2.10:81", "--json", status=2))["criterion"])
        denying = self.write("denying.yaml", "version: 1\nrules:\n  - { name: Them, action: deny, direction: incoming, protocol: tcp, "
                             "source: { addresses: 198.51.100.0/29 }, destination: { ports: 80 } }\n")
        change, changed = taken(denying, *self.SYN, "192.0.2.10:80")
        self.assertEqual(change["new"], "198.51.100.0-198.51.100.6")
        self.explain(*self.SYN, "192.0.2.10:80", policy=changed)

    def test_errors_of_known_connections_are_packets_too(self):
        head = "version: 1\nengine: {{ built-in-rules: {{ path-mtu: {} }} }}\nrules:\n  - {{ name: No ICMP, action: deny, direction: incoming, protocol: icmp }}\n"
        old, new = (self.write(f"{value}.yaml", head.format(value)) for value in ("true", "false"))
        (difference,) = json.loads(self.tool("diff", old, new, "--json", status=2))["differences"]
        self.assertIn("of a known exchange", difference["packets"])
        words = shlex.split(difference["witness"])
        self.assertIn("--quotes-known", words)
        self.assertIn('decides: built-in "Built-in: ICMP path MTU"', self.explain(*words, policy=old))
        self.assertIn('"No ICMP": deny', self.explain(*words, policy=new, status=2))
        words.remove("--quotes-known")
        self.explain(*words, policy=old, status=2)
        self.tool("explain", "--direction", "incoming", "--tcp", "192.0.2.1:1", "192.0.2.2:2", "--quotes-known", status=64)

    def test_packets_of_ignored_interfaces_are_judged_where_they_are_forwarded(self):
        """A witness says which other interface such a packet has."""
        head = "version: 1\ninterfaces: {{ ignore: [lo, wan0], inside: {} }}\nrules:\n"
        rule = "  - { name: Wide, action: deny, direction: incoming, protocol: tcp, interfaces: [wan0], destination: { ports: 23 } }\n"
        router, host = (self.write(f"{name}.yaml", head.format(inside) + rule) for name, inside in (("router", "[lan0]"), ("host", "[]")))
        other = self.write("other.yaml", head.format("[lan0]") + rule.replace("deny", "bypass"))
        words = shlex.split(json.loads(self.tool("diff", router, other, "--json", status=2))["differences"][0]["witness"])
        self.assertIn("--other-interface", words)
        self.assertIn('"Wide": deny', self.explain(*words, policy=router, status=2))
        self.assertIn("judged only where interfaces.inside names something", self.explain(*words, policy=host))
        at = words.index("--other-interface")
        self.assertIn("interfaces.ignore", self.explain(*words[:at], *words[at + 2:], policy=router))
        self.assertEqual(json.loads(self.tool("check", host, "--rules", "--json"))["rules"][0]["answer"], "matches-nothing")
        self.tool("explain", "--direction", "incoming", "--tcp", "192.0.2.1:1", "192.0.2.2:2", "--other-interface", "lan0", status=64)

    def test_settings_that_decide_before_the_rules_are_no_differences_of_rules(self):
        """Where one of two policies refuses packets by a setting, none of these is a witness; the setting itself is named."""
        text = ("version: 1\ninterfaces: {{ ignore: {} }}\nengine: {{ sanity: {{ reserved-addresses: {} }} }}\nrules:\n"
                '  - {{ name: Strange, action: {}, direction: incoming, protocol: tcp, source: {{ addresses: "{}" }} }}\n')
        old = self.write("old.yaml", text.format("[]", "allow", "deny", "240.0.0.0/4"))
        new = self.write("new.yaml", text.format('["*"]', "deny", "bypass", "240.0.0.0/4"))
        answer = json.loads(self.tool("diff", old, new, "--json", status=2))
        self.assertEqual((answer["verdict"], answer["differences"]), ("equivalent", []))
        self.assertEqual([each["path"] for each in answer["settings"]], ["engine.sanity.reserved-addresses", "interfaces.ignore"])
        wider = self.write("wider.yaml", text.format("[lo]", "deny", "bypass", "0.0.0.0/0"))
        for difference in json.loads(self.tool("diff", old, wider, "--json", status=2))["differences"]:
            for policy, rule, effect in ((old, difference["old_by"], difference["old"]), (wider, difference["new_by"], difference["new"])):
                # Segments that open nothing are refused for want of their connection.
                passes = effect == "bypass" or effect == "admit" and "--flags ack" not in difference["witness"]
                said = self.explain(*shlex.split(difference["witness"]), policy=policy, status=0 if passes else 2)
                self.assertIn('"Strange"' if "Strange" in rule else "rules: ", said)

    def test_what_takes_too_much_work_is_said_and_nothing_is_claimed(self):
        hard = self.write("hard.yaml", HARD)
        found = json.loads(self.tool("check", hard, "--rules", "--json", "--strict"))
        # Whether this host forwards is its own affair.
        self.assertEqual({each["code"] for each in found["findings"]} - {"not-judged"}, {"undecided"})
        self.assertEqual({each["answer"] for each in found["rules"] if not each["built_in"]}, {"undecided"})
        same = self.tool("diff", hard, hard, status=1)
        self.assertEqual(same, "rules: not decided within the budget\n")
        answer = json.loads(self.tool("diff", hard, hard, "--no-new-access", "--forbid", hard, "--json", status=1))
        self.assertEqual((answer["verdict"], answer["complete"]), ("not decided within the budget", False))

    def test_diff_says_what_differs_and_its_packets_are_decided_so(self):
        new = self.write("new.yaml", POLICY.replace("[80, 443]", "[80, 8080]"))
        self.assertIn("rules: equivalent", self.tool("diff", self.policy, self.policy))
        # A folder is its policy.yaml.
        self.assertIn("rules: equivalent", self.tool("diff", self.folder, self.policy))
        answer = json.loads(self.tool("diff", self.policy, new, "--json", status=2))
        self.assertEqual(answer["verdict"], "more permissive and more restrictive")
        changes = set()
        for difference in answer["differences"]:
            words = shlex.split(difference["witness"])
            for policy, effect in ((self.policy, difference["old"]), (new, difference["new"])):
                self.explain(*words, policy=policy, status=0 if effect == "admit" else 2)
            changes.add((difference["old"], difference["new"]))
        self.assertEqual(changes, {("admit", "refuse"), ("refuse", "admit")})
        self.tool("diff", self.policy, new, "--no-new-access", status=2)
        less = self.write("less.yaml", POLICY.replace("[80, 443]", "[80]"))
        self.tool("diff", self.policy, less, "--no-new-access")
        never = self.write("never.yaml", "version: 1\nrules:\n  - { name: Never SSH from outside, action: deny, direction: incoming, "
                           "protocol: tcp, source: { addresses: { not: [203.0.113.0/24] } }, destination: { ports: 22 } }\n")
        self.tool("diff", self.policy, less, "--forbid", never)
        open_to_all = self.write("open.yaml", POLICY.replace("source: { addresses: office }, ", ""))
        self.assertIn("forbidden by", self.tool("diff", self.policy, open_to_all, "--forbid", never, status=2))

    def test_diff_with_a_revision(self):
        git = lambda *words: subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@example.net", *words], cwd=self.folder, check=True, capture_output=True)
        git("init", "-q")
        git("add", "policy.yaml")
        git("commit", "-qm", "one")
        self.write("policy.yaml", POLICY.replace("[80, 443]", "[80]"))
        result = subprocess.run(
            [TOOL, "diff", "HEAD:policy.yaml", "policy.yaml"], cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("rules: more restrictive", result.stdout)

    def test_a_revision_has_the_drop_in_files_and_the_lists_of_then(self):
        def git(*words):
            subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.net", *words], cwd=self.folder, check=True, capture_output=True)

        self.write("etc/policy.yaml", POLICY.replace("rules:", "  bad: { addresses-file: bad.txt }\nrules:"))
        self.write("etc/bad.txt", "198.51.100.7\n198.51.100.8\n")
        self.write("etc/policy.d/10-bad.yaml", "version: 1\nrules:\n  - { name: Bad, action: deny, direction: incoming, source: { addresses: bad } }\n")
        git("init", "-q")
        git("add", "etc")
        git("commit", "-qm", "one")
        words = [TOOL, "diff", "HEAD:etc/policy.yaml", "etc/policy.yaml", "--json"]
        same = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual((same.returncode, json.loads(same.stdout)["verdict"]), (0, "equivalent"), same.stderr)
        self.write("etc/bad.txt", "198.51.100.7\n")
        less = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual((less.returncode, json.loads(less.stdout)["verdict"]), (2, "more permissive"), less.stderr)
        for difference in json.loads(less.stdout)["differences"]:
            self.assertIn("198.51.100.8", difference["packets"])
        os.remove(os.path.join(self.folder, "etc/policy.d/10-bad.yaml"))
        gone = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertIn("10-bad.yaml", json.loads(gone.stdout)["differences"][0]["old_by"], gone.stderr)


class TrafficTests(FolderTests):
    """`diff --over`: what another policy would have done to a capture of real hosts, and to the events of it."""

    CAPTURE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Fixtures", "captures", "host.pcap")
    LOCAL = ("--local", "198.18.2.2", "--local", "fd00:2::2")
    OLD = """version: 1
interfaces: { ignore: [lo] }
rules:
  - { name: Echo, action: allow, direction: incoming, protocol: tcp, destination: { ports: 7 } }
  - { name: Questions, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 7 } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
"""
    # Echo over IPv6 alone, and SSH.
    NEW = OLD.replace("direction: incoming, protocol: tcp, destination: { ports: 7 }",
                      "direction: incoming, protocol: tcp, source: { addresses: [fd00:1::/64] }, destination: { ports: 7 }") + (
        "  - { name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }\n")
    ECHO = "incoming tcp 198.18.1.10:60954 > 198.18.2.2:7 [syn]"
    SSH = "incoming tcp 198.18.1.10:59650 > 198.18.2.2:22 [syn]"

    def setUp(self):
        super().setUp()
        self.old, self.new = self.write("was.yaml", self.OLD), self.write("is.yaml", self.NEW)

    def traffic(self, *words):
        answer = json.loads(self.tool("diff", *words, "--json", status=2))
        self.assertEqual(answer["verdict"], "more permissive and more restrictive")
        traffic = answer["traffic"]
        self.assertEqual(traffic["changed"], len(traffic["differences"]))
        return traffic, {entry["connection"]: entry for entry in traffic["differences"]}

    def test_each_connection_of_a_capture_once(self):
        traffic, changed = self.traffic(self.old, self.new, "--over", self.CAPTURE, *self.LOCAL)
        self.assertEqual((traffic["connections"], traffic["packets"]), (5, 28))
        self.assertEqual(set(changed), {self.ECHO, self.SSH})
        echo, ssh = changed[self.ECHO], changed[self.SSH]
        self.assertEqual((echo["packets"], ssh["packets"]), (10, 2))
        self.assertEqual(echo["old"], {"verdict": "pass", "dropped": 0, "reason": None, "rule": f'allow by {self.old}:4:5 "Echo"'})
        self.assertEqual((echo["new"]["verdict"], echo["new"]["reason"]), ("drop", "out-of-allowed-policy"), echo)
        self.assertEqual((ssh["old"]["verdict"], ssh["old"]["reason"]), ("drop", "out-of-allowed-policy"))
        self.assertEqual(ssh["new"], {"verdict": "pass", "dropped": 0, "reason": None, "rule": f'allow by {self.new}:7:5 "SSH"'})
        text = self.tool("diff", self.old, self.new, "--over", self.CAPTURE, *self.LOCAL, status=2)
        self.assertIn("traffic: 2 of 5 connections, 28 packets in all, would have fared otherwise", text)
        self.assertIn("new: dropped from its first packet on: out-of-allowed-policy (123)", text)
        # Nothing differs for it between a policy and itself.
        same = self.tool("diff", self.old, self.old, "--over", self.CAPTURE, *self.LOCAL)
        self.assertIn("traffic: 0 of 5 connections", same)

    def test_settings_count_for_captured_traffic(self):
        strict = self.write("strict.yaml", self.OLD + "engine: { sanity: { verify-tcp-checksum: true, minimum-fragment-size: 120 } }\n"
                            "stateful: { tcp: { enabled: true }, icmp: { enabled: true } }\ndefault: { outgoing: deny }\n")
        answer = json.loads(self.tool("diff", self.old, strict, "--over", self.CAPTURE, *self.LOCAL, "--json", status=2))
        self.assertIn("default.outgoing", [entry["path"] for entry in answer["settings"]])
        self.assertEqual(answer["traffic"]["connections"], 5)

    def test_the_records_of_an_events_file(self):
        events = self.write("events.jsonl", self.tool("replay", "--policy", self.old, *self.LOCAL, self.CAPTURE))
        traffic, changed = self.traffic(self.old, self.new, "--over", events)
        self.assertIn(self.SSH, changed)
        entry = changed[self.SSH]
        self.assertEqual((entry["packets"], entry["old"]["verdict"], entry["new"]["verdict"]), (1, "drop", "pass"))
        # Both kinds at once; a connection is told once.
        traffic, changed = self.traffic(self.old, self.new, "--over", self.CAPTURE, events, *self.LOCAL)
        self.assertEqual((traffic["connections"], changed[self.SSH]["packets"]), (5, 3))
        self.tool("diff", self.old, self.new, "--over", self.write("nothing.jsonl", ""), status=1)


class AgentTests(unittest.TestCase):
    def test_from_a_dropped_packet_to_one_that_passes(self):
        with Lab() as lab, Agent(lab.host, POLICY).feed() as agent:
            lab.client.status("nc", "-z", "-w", "1", lab.host.ip4, "22")
            event = next(each for each in agent.wait_for_events() if each.get("dest_port") == 22)
            status, output = lab.host.status(TOOL, "explain", "--policy", agent.policy, "--json", "--event", json.dumps(event))
            self.assertEqual(status, 2, output)
            answer = json.loads(output)
            facts = event["portreeve"]
            self.assertEqual((answer["reason"], answer["cause"]), (facts["reason"].removesuffix("-open-port"), facts["cause"]))
            os.makedirs(os.path.join(os.path.dirname(agent.policy), "policy.d"), exist_ok=True)
            with open(os.path.join(os.path.dirname(agent.policy), "policy.d", "change.yaml"), "w") as file:
                file.write(answer["change"]["file"])
            status, output = lab.host.status(TOOL, "diff", "--running", agent.policy, "--control", agent.control)
            self.assertEqual(status, 2, output)
            self.assertIn("rules: more permissive", output)
            agent.tool("reload")
            agent.events()
            # Refused by the host itself now, which has nobody listening there.
            status, _ = lab.client.status("nc", "-z", "-w", "1", lab.host.ip4, "22")
            self.assertNotEqual(status, 0)
            lab.client.status("nc", "-z", "-w", "1", lab.host.ip4, "23")
            fence = agent.wait_for_events()
            self.assertNotIn(22, [each.get("dest_port") for each in fence])


if __name__ == "__main__":
    unittest.main(verbosity=2)

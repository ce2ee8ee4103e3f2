# SPDX-License-Identifier: GPL-3.0-or-later
"""`check` and `diff` for a pipeline: exit statuses, profiles, what must never pass, and what the host forwards."""

import json
import os
import subprocess
import tempfile
import unittest
import urllib.parse

import isolation

isolation.isolate()

import jsonschema
from agent import binaries

TOOL = os.path.join(binaries(), "portreeve")
EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "Config", "examples")

HEAD = "version: 1\ninterfaces: { ignore: [lo] }\n"
SSH = "  - { name: SSH, action: allow, direction: incoming, protocol: tcp, source: { addresses: 192.0.2.0/24 }, destination: { ports: 22 } }\n"
CLEAN = HEAD + "rules:\n" + SSH
REDUNDANT = CLEAN + "  - { name: One, action: deny, direction: incoming, protocol: tcp, destination: { ports: 0-100 } }\n" \
    "  - { name: Two, action: deny, direction: incoming, protocol: tcp, destination: { ports: 50-60 } }\n"


def exactly(required=(), **properties):
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def many(item):
    return {"type": "array", "items": item}


TEXT, NUMBER = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 1}
# Of SARIF 2.1.0 (OASIS) the objects that are used here, with what they must have: sections 3.13, 3.14, 3.18, 3.19, 3.27, 3.29, 3.30, 3.49.
SARIF = exactly(
    ["version", "runs"], **{"$schema": TEXT}, version={"const": "2.1.0"}, runs=many(exactly(
        ["tool"], tool=exactly(["driver"], driver=exactly(
            ["name"], name=TEXT, version=TEXT, rules={**many(exactly(["id"], id=TEXT)), "uniqueItems": True})),
        results=many(exactly(
            ["message"], ruleId=TEXT, level={"enum": ["none", "note", "warning", "error"]}, message=exactly(["text"], text=TEXT),
            locations=many(exactly(physicalLocation=exactly(
                artifactLocation=exactly(["uri"], uri=TEXT),
                region=exactly(["startLine"], startLine=NUMBER, startColumn=NUMBER)))))))))


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="portreeve-check.")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def tool(self, *words, status=0):
        result = subprocess.run([TOOL, *words], capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, status, f"{words}\n{result.stdout}{result.stderr}")
        return result.stdout + result.stderr

    def findings(self, *words, status=0):
        return json.loads(self.tool("check", *words, "--json", status=status))["findings"]


class CheckTests(Files):
    def test_exit_statuses(self):
        clean, redundant = self.write("clean.yaml", CLEAN), self.write("redundant.yaml", REDUNDANT)
        wrong = self.write("wrong.yaml", CLEAN + "  - { name: X }\n")
        for words in ((), ("--json",), ("--sarif",)):
            self.tool("check", clean, "--strict", *words)
            self.tool("check", redundant, *words)
            self.tool("check", redundant, "--strict", *words, status=2)
            self.tool("check", wrong, *words, status=1)
            self.tool("check", wrong, "--strict", *words, status=1)
        # Notes are no warnings.
        noted = CLEAN + SSH.replace("SSH", "Mail").replace("22", "25")
        path = self.write("noted.yaml", noted)
        self.assertIn(("mergeable", "note", 5), [(each["code"], each["level"], each["line"]) for each in self.findings(path, "--strict")])

    def test_each_finding_has_a_place_and_a_cure_in_every_form(self):
        path = self.write("redundant.yaml", REDUNDANT)
        (entry,) = [each for each in self.findings(path) if each["code"] == "redundant"]
        self.assertEqual((entry["file"], entry["line"], entry["column"], entry["cure"]), (path, 6, 5, "remove it"))
        self.assertIn(f"{path}:6:5: warning: {entry['text']}: {entry['cure']}", self.tool("check", path))
        results = json.loads(self.tool("check", path, "--sarif"))["runs"][0]["results"]
        (result,) = [each for each in results if each["ruleId"] == "redundant"]
        place = result["locations"][0]["physicalLocation"]
        self.assertEqual((place["artifactLocation"]["uri"], place["region"]), (path, {"startLine": 6, "startColumn": 5}))
        self.assertIn(entry["cure"], result["message"]["text"])

    def test_sarif_has_the_form_that_its_specification_asks_for(self):
        folder = os.path.join(self.folder, "a b%2")
        os.mkdir(folder)
        path = self.write(os.path.join(folder, "redundant.yaml"), REDUNDANT)
        wrong = self.write("wrong.yaml", CLEAN + "  - { name: X }\n")
        for words, status, least in (((path, "--profile", "cc"), 0, 2), ((wrong,), 1, 1), ((self.write("clean.yaml", CLEAN),), 0, 0)):
            log = json.loads(self.tool("check", *words, "--sarif", status=status))
            jsonschema.validate(log, SARIF)
            (run,) = log["runs"]
            self.assertGreaterEqual(len(run["results"]), least)
            known = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
            self.assertEqual(known, {result["ruleId"] for result in run["results"]})
            for result in run["results"]:
                uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
                self.assertRegex(uri, r"^(%[0-9A-F]{2}|[A-Za-z0-9._~/-])+$")
                self.assertEqual(urllib.parse.unquote(uri), words[0])

    def test_a_rule_for_an_interface_that_this_host_lacks(self):
        path = self.write("inert.yaml", CLEAN + "  - { name: There, action: deny, direction: incoming, interfaces: [nowhere9] }\n")
        (entry,) = [each for each in self.findings(path, "--strict") if each["code"] == "inert"]
        self.assertEqual((entry["level"], entry["line"]), ("note", 5))

    def test_what_the_host_forwards_and_nobody_judges(self):
        path = self.write("clean.yaml", CLEAN)
        forwards = "/proc/sys/net/ipv4/ip_forward"
        subprocess.run(["sysctl", "-qw", "net.ipv4.ip_forward=0"], check=True)
        with open(forwards) as file:
            self.assertEqual(file.read().strip(), "0")
        self.assertEqual([each for each in self.findings(path) if each["code"] == "not-judged"], [])
        subprocess.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
        (entry,) = [each for each in self.findings(path, "--strict") if each["code"] == "not-judged"]
        self.assertIn("IPv4", entry["text"])
        self.assertIn("interfaces.inside", entry["text"])
        inside = self.write("inside.yaml", CLEAN.replace("[lo] }", "[lo], inside: [\"docker*\"] }"))
        self.assertEqual([each for each in self.findings(inside) if each["code"] == "not-judged"], [])

    def test_the_session_that_runs_the_check(self):
        for command in ("ip link add session0 type veth peer name session1", "ip address add 192.0.2.10/24 dev session0", "ip link set session0 up"):
            subprocess.run(command.split(), check=True)
        self.addCleanup(subprocess.run, ["ip", "link", "del", "session0"], check=True)
        path = self.write("clean.yaml", CLEAN)
        for client, shut in (("192.0.2.7", False), ("198.51.100.7", True)):
            result = subprocess.run(
                [TOOL, "check", path, "--strict", "--json"], capture_output=True, text=True, timeout=60,
                env={**os.environ, "SSH_CONNECTION": f"{client} 50000 192.0.2.10 22"})
            self.assertEqual(result.returncode, 2 if shut else 0, result.stdout)
            found = [each for each in json.loads(result.stdout)["findings"] if each["code"] == "shut-out"]
            self.assertEqual(len(found), shut)
            self.assertTrue(not shut or "the SSH session that you are in" in found[0]["text"] and "port 22" in found[0]["cure"])

    def test_fragments_that_the_queue_rules_never_see(self):
        path = self.write("fragments.yaml", CLEAN.replace("rules:", "stateful: { ip: { fragments: deny } }\nrules:"))

        def noted(path):
            return [each["text"] for each in self.findings(path, "--strict") if each["code"] == "unseen-fragments"]

        self.assertEqual(noted(path), [])
        for table, chain, blind in (("filter", "INPUT", True), ("mangle", "PREROUTING", False)):
            rule = [chain, "-j", "NFQUEUE", "--queue-num", "0"]
            subprocess.run(["iptables", "-t", table, "-A", *rule], check=True)
            texts = noted(path)
            self.assertEqual(len(texts), blind, texts)
            self.assertTrue(not blind or "cannot work" in texts[0], texts)
            self.assertEqual(noted(self.write("clean.yaml", CLEAN)), [])
            subprocess.run(["iptables", "-t", table, "-D", *rule], check=True)

    def test_profiles(self):
        example = os.path.join(EXAMPLES, "cc.yaml")
        text = self.tool("check", example, "--profile", "cc")
        self.assertIn("profile cc: as recalled from", text)
        self.assertIn("clauses that nobody has verified are left out", text)
        self.assertNotIn("FFW_RUL", text)
        # Each setting of the example that is turned is missed by the clause that demands it, and only by that.
        with open(example) as file:
            policy = file.read()
        for setting, turned, clause in (
            ("record-route: deny", "record-route: allow", "1.6 h"),
            ("own-source: deny", "own-source: allow", "1.7 a"), ("reverse-path: deny", "reverse-path: allow", "1.7 c"),
            ("link-local: deny", "link-local: allow", "1.7 b"), ("broadcast-source: deny", "broadcast-source: allow", "1.6 c"),
            ("half-open-per-computer: 1000", "half-open-per-computer: unlimited", "1.10"), ("outgoing: deny", "outgoing: allow", "1.9")):
            self.assertIn(setting, policy)
            path = self.write("turned.yaml", policy.replace(setting, turned))
            found = [each for each in self.findings(path, "--profile", "cc", "--strict", status=2) if each["code"] == "profile-cc"]
            self.assertEqual([each["text"].split(":")[0] for each in found], [f"FFW_RUL_EXT.{clause}"])
            self.assertTrue(found[0]["cure"])
        self.tool("check", example, "--profile", "iso", status=64)

    def test_profiles_of_others(self):
        path = self.write("clean.yaml", CLEAN.replace("rules:", "default: { outgoing: allow }\nrules:"))
        for profile, clauses in (("nist-800-41", ["4.1"]), ("bsi-net-3-2", ["A2"])):
            found = [each for each in self.findings(path, "--profile", profile) if each["code"] == f"profile-{profile}"]
            self.assertTrue(set(clauses) <= {each["text"].split(":")[0] for each in found}, found)
            denying = self.write("denying.yaml", CLEAN.replace("rules:", "default: { outgoing: deny }\nrules:"))
            found = [each for each in self.findings(denying, "--profile", profile) if each["code"] == f"profile-{profile}"]
            self.assertFalse(set(clauses) & {each["text"].split(":")[0] for each in found}, found)
        silent = self.write("silent.yaml", REDUNDANT.replace("name: One", "name: One, log: false"))
        (entry,) = [each for each in self.findings(silent, "--profile", "bsi-net-3-2") if each["text"].startswith("A9")]
        self.assertEqual(entry["line"], 5)


class ForbidTests(Files):
    SCHEDULES = "schedules: { work: { timezone: UTC, weekly: { mon-fri: [\"08:00-18:00\"] } }, night: { timezone: UTC, weekly: { mon-sun: [\"22:00-24:00\"] } } }\n"
    RULE = "rules: [{ name: SSH, action: ACTION, direction: incoming, protocol: tcp, destination: { ports: 22 }WHEN }]\n"

    def policy(self, name, action, when=None):
        rule = self.RULE.replace("ACTION", action).replace("WHEN", f", schedule: {when}" if when else "")
        return self.write(name, HEAD + self.SCHEDULES + rule)

    def test_schedules_of_both_count(self):
        always, working = self.policy("always.yaml", "allow"), self.policy("working.yaml", "allow", "work")
        night, day = self.policy("night.yaml", "deny", "night"), self.policy("day.yaml", "deny", "work")
        self.tool("diff", always, always, "--forbid", night, status=2)
        self.tool("diff", working, working, "--forbid", night)
        answer = json.loads(self.tool("diff", working, working, "--forbid", day, "--json", status=2))
        self.assertEqual(answer["verdict"], "equivalent")
        words = answer["forbidden"][0]["witness"]
        self.assertIn("--at @", words)
        # The engine admits it then, and refuses it at night.
        explain = ("explain", "--policy", working, *words.split())
        self.tool(*explain)
        self.tool(*explain[:-1], "@1700000000", status=2)

    def test_statuses(self):
        always, never = self.policy("always.yaml", "allow"), self.policy("never.yaml", "deny")
        working, night = self.policy("working.yaml", "allow", "work"), self.policy("night.yaml", "deny", "night")
        self.tool("diff", never, never, "--forbid", never)
        self.tool("diff", working, always, "--forbid", never, "--no-new-access", status=2)
        self.tool("diff", working, always, "--no-new-access", status=2)
        self.tool("diff", always, working, "--no-new-access")
        self.tool("diff", always, working, "--forbid", night, "--no-new-access")
        # Settings beside the rules may admit all: the rules alone say nothing of that. The defaults are compared with them.
        with open(working) as file:
            text = file.read()
        for setting, status in (("mode: tap", 1), ('interfaces: { ignore: ["*"] }', 1), ("engine: { sanity: { block-ipv6: true } }", 1),
                                ("events: { fold: 2s }", 0), ("default: { incoming: allow }", 2)):
            self.tool("diff", working, self.write("set.yaml", f"{text}\n{setting}\n"), "--no-new-access", status=status)
        self.tool("diff", always, always, "--forbid", os.path.join(self.folder, "missing.yaml"), status=1)
        self.tool("diff", always, always, "--forbid", self.write("wrong.yaml", "version: 2\n"), status=1)


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: GPL-3.0-or-later
"""In which forms `portreeve scan` gives its result, and what each reader makes of it: people, browsers, CI, a later scan."""

import json
import os
import re
import sys
import unittest
import xml.etree.ElementTree

import isolation

isolation.isolate()

import browser
from agent import Agent
from lab import Lab
from paths import TOOL, Reflector

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), ".build/python"))

try:
    import junitparser
except ImportError:
    junitparser = None

RULES = """*filter
-A FORWARD -p tcp --dport 81:83 -j DROP
-A FORWARD -p tcp --dport 84 -j REJECT --reject-with tcp-reset
-A FORWARD -p udp --dport 81 -j DROP
"""
PLAN = """
version: 1
tests:
  - {{ name: "web & <mail>", target: "{address}", protocol: tcp, ports: [80, "90-92"], expect: allow }}
  - {{ name: closed, target: "{address}", protocol: tcp, ports: "81-84", expect: {{ outcome: deny, category: handshake_timeout }} }}
  - {{ name: names, target: "{address}", protocol: udp, ports: "80-81", expect: allow }}
"""


class OutputTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.router, cls.host = cls.lab.client, cls.lab.router, cls.lab.host
        cls.reflector = cls.enterClassContext(Reflector(cls.host))
        cls.plan = cls.lab.file("outputs.yaml", PLAN.format(address=cls.host.ip4))
        cls.router.rules(RULES)

    def scan(self, *options, plan=None, key=True):
        words = ["--key", self.reflector.key, "-i", "400", "-s", self.host.ip4, "--plan", plan or self.plan]
        return self.client.status(TOOL, "scan", *words, *options, seconds=60)

    def test_a_table_with_ranges_and_how_each_result_was_repeated(self):
        status, text = self.scan()
        self.assertEqual(status, 1, text)
        for line in (r"tcp +open +answered +allow: ok +80,90-92$",
                     r"tcp +handshake_timeout +syn_sent=1 +deny handshake_timeout: ok +81-83$",
                     r"tcp +handshake_refused +rst +deny handshake_timeout: NOT SO +84$",
                     r"udp +payload_timeout +copies=3 +allow: NOT SO +81$"):
            self.assertRegex(text, re.compile(line, re.M))
        repeated = [line.strip() for line in text.splitlines() if "repeated" in line]
        self.assertEqual(
            repeated, ["repeated once after all others, since nothing had come back; one repetition at most"] * 2, text)

    def test_a_result_that_needed_no_repetition_names_none(self):
        status, text = self.scan("--retries", "0", "--json")
        rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        self.assertEqual([row.get("retry") for row in rows], [None] * 10)
        rows = [json.loads(line) for line in self.scan("--retries", "2", "--json")[1].splitlines() if line.startswith("{")]
        self.assertEqual({row["dst"][-2:] for row in rows if "retry" in row}, {"81", "82", "83"})
        self.assertIn("repeated 2 times after all others", next(row["retry"] for row in rows if "retry" in row))

    def test_tap(self):
        status, text = self.scan("--tap")
        lines = text.splitlines()
        self.assertEqual(lines[:2], ["TAP version 13", "1..10"])
        results = [line for line in lines if re.match(r"(not )?ok ", line)]
        self.assertEqual(len(results), 10)
        self.assertEqual([line.split(" - ")[0] for line in results if line.startswith("not")], ["not ok 8", "not ok 10"])
        self.assertIn(f"not ok 8 - closed: tcp {self.host.ip4}:84 handshake_refused", text)
        import yaml
        blocks = re.findall(r"  ---\n(.*?)  \.\.\.\n", text, re.S)
        self.assertEqual(len(blocks), 10)
        self.assertEqual(yaml.safe_load(blocks[7])["expected"], "deny handshake_timeout")

    @unittest.skipUnless(junitparser, "needs junitparser: make deps-lab")
    def test_junit_as_junitparser_reads_it(self):
        path = self.lab.file("result.xml")
        status, _ = self.scan("--junit", path, "--tag", 'nightly "1"')
        self.assertEqual(status, 1)
        report = junitparser.JUnitXml.fromfile(path)
        (suite,) = list(report)
        self.assertEqual((suite.name, suite.tests, suite.failures, suite.errors, suite.skipped), (self.host.ip4, 10, 2, 0, 0))
        cases = {case.name: case for case in suite}
        self.assertEqual(len(cases), 10)
        self.assertTrue(cases["web & <mail>: tcp 80"].is_passed)
        (failure,) = cases["closed: tcp 84"].result
        self.assertIsInstance(failure, junitparser.Failure)
        self.assertEqual((failure.type, failure.message), (
            "handshake_refused", "expected deny handshake_timeout, found handshake_refused"))
        self.assertIn("by something before it", failure.text)
        self.assertEqual({entry.name: entry.value for entry in suite.properties()}["tag"], 'nightly "1"')
        self.assertIn("repeated once", xml.etree.ElementTree.parse(path).findtext("testsuite/system-out"))
        self.assertRegex(suite.timestamp, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$")

    @unittest.skipUnless(junitparser, "needs junitparser: make deps-lab")
    def test_the_path_mtu_in_the_report_and_on_the_page(self):
        """Of each target once; the sizes that were tried are no results of their port."""
        report, page = self.lab.file("sizes.xml"), self.lab.file("sizes.html")
        words = ["--key", self.reflector.key, "-i", "400", "-t", "80", "-u", "80", "--mtu", "--udp-rate", "200"]
        status, text = self.client.status(TOOL, "scan", *words, "--junit", report, "--html", page, self.host.ip4, seconds=60)
        self.assertEqual(status, 0, text)
        sentence = "path MTU there: 1500, says this host's own link; back: at least 1500"
        self.assertIn(f"{self.host.ip4}: {sentence}", text)
        (suite,) = list(junitparser.JUnitXml.fromfile(report))
        self.assertEqual({entry.name: entry.value for entry in suite.properties()}["path_mtu"], sentence)
        self.assertIn(sentence, xml.etree.ElementTree.parse(report).findtext("testsuite/system-out").splitlines())
        self.assertIn("size 1500: udp 80", [case.name for case in suite])
        self.assertEqual((suite.failures, suite.errors), (0, 0))
        html = open(page).read()
        self.assertIn(f'<ul class="sizes">\n<li>{self.host.ip4}: {sentence.replace("&", "&amp;")}</li>\n</ul>', html)
        matrix = html[html.index('class="matrix"'):html.index("</table>")]
        self.assertEqual([re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", matrix)], ["open", "open"])
        # Without --mtu nothing of it stands there.
        self.scan("--junit", report, "--html", page)
        self.assertNotIn("path_mtu", open(report).read())
        self.assertNotIn("Path MTU", open(page).read())

    @unittest.skipUnless(browser.BROWSER, "needs chromium-headless-shell")
    def test_the_page_in_a_browser(self):
        """Its matrix has a cell for each target and range, in colours that a person tells apart; nothing is fetched, and what a
        plan says is text."""
        path, picture = self.lab.file("result.html"), os.environ.get("PORTREEVE_SCREENSHOT") or self.lab.file("result.png")
        self.scan("--html", path, "--tag", "<script>alert(1)</script>")
        text = open(path).read()
        self.assertNotIn("<script", text)
        self.assertEqual(re.findall(r"(?:src|href)=|url\(|@import", text), [])
        page = browser.document(path)
        matrix = page[page.index('class="matrix"'):page.index("</table>")]
        rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', matrix)
        cells = {ports: [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", found)] for ports, found in rows}
        self.assertEqual(cells, {
            "80": ["✓ open", "✓ open"], "81": ["✓ no answerrepeated", "✗ no replyrepeated"],
            "82–83": ["✓ no answerrepeated", "·"], "84": ["✗ refused", "·"], "90–92": ["✓ open", "·"]})
        browser.screenshot(path, picture)
        colours = browser.colours(picture)
        for name, colour in (("open", (0xc6, 0xef, 0xce)), ("silent", (0xf3, 0xc7, 0xc7)), ("refused", (0xff, 0xdf, 0xb8))):
            self.assertGreater(colours.get(colour, 0), 1_000, name)
        self.assertGreater(colours[255, 255, 255], 100_000)


class DifferenceTests(unittest.TestCase):
    def test_after_another_policy_exactly_what_it_changed_is_named(self):
        """Counts and times differ from one scan to the next, and are no change."""
        lab = self.enterContext(Lab())
        client, host = lab.client, lab.host

        def policy(ports):
            return host.run(TOOL, "reflect", "--print-rules", "policy", "-t", ports, "-u", "80")

        agent = self.enterContext(Agent(host, policy("80,84,90-92")))
        agent.feed()
        reflector = self.enterContext(Reflector(host, "--agent", "--control", agent.control))
        kept = lab.file("before.jsonl")

        def run(*options):
            words = [TOOL, "scan", host.ip4, "--key", reflector.key, "-t", "80-92", "-u", "80", "-i", "400", "--retries", "0"]
            return client.status(*words, *options)

        self.assertEqual(run("--save", kept)[0], 0)
        status, text = run("--diff", kept)
        self.assertEqual((status, "nothing has changed since" in text), (0, True), text)
        agent.reload(policy("80-81,90-92") + "  - { name: No, action: deny, direction: incoming, protocol: tcp, "
                     "destination: { ports: 85 } }\n")
        agent.await_epoch(2)
        status, text = run("--diff", kept)
        self.assertEqual(status, 1, text)
        changed = text[text.index("changed since"):].splitlines()[1:]
        silence = "handshake_timeout syn_sent, dropped by an agent:"
        self.assertEqual([line.strip() for line in changed], [
            f"tcp {host.ip4} 81: was {silence} out-of-allowed-policy; is open answered",
            f"tcp {host.ip4} 84: was open answered; is {silence} out-of-allowed-policy",
            f'tcp {host.ip4} 85: was {silence} out-of-allowed-policy; is {silence} deny by rule "No"'], text)
        status, text = run("--json", "--diff", kept, "--save", kept)
        changes = [row for row in map(json.loads, filter(lambda line: line[0] == "{", text.splitlines())) if row.get("change")]
        self.assertEqual([row["dst"][-2:] for row in changes], ["81", "84", "85"])
        # What was written in the meantime is what the next one is compared with.
        self.assertEqual(run("--diff", kept)[0], 0)
        status, text = run("--diff", lab.file("broken", "{}\n"))
        self.assertEqual((status, "line 1: found no result of a scan" in text), (64, True), text)


if __name__ == "__main__":
    unittest.main(verbosity=2)

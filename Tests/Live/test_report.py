# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve report`: a page of real drops, as a browser draws it, and what it says where something is missing."""

import json
import os
import re
import unittest

import isolation

isolation.isolate()

import browser
import services
from agent import Agent, binaries
from lab import Lab

POLICY = """
version: 1
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
  - { name: "No <b>telnet</b>", action: deny, direction: incoming, priority: 2, protocol: tcp, destination: { ports: 23 } }
  - { name: Never, action: deny, direction: incoming, protocol: udp, destination: { ports: 9 } }
  - { name: Covered, action: deny, direction: incoming, protocol: tcp, priority: 1, destination: { ports: 23 } }
events: { closed-connections: [tcp] }
engine: { fast-path: off, timeouts: { cold-start: 0s, boot-start: 0s } }
"""
# What the page's colours are, light and dark: of the paper, and of the first reason's bars.
PAPER = {"light": (0xff, 0xff, 0xff), "dark": (0x11, 0x15, 0x1c)}
BAR = (0x44, 0x77, 0xaa)


class ReportTests(unittest.TestCase):
    seconds = 20

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.host, cls.client = cls.lab.host, cls.lab.client
        cls.enterClassContext(services.nginx(cls.host))
        cls.agent = cls.enterClassContext(Agent(cls.host, POLICY)).feed()
        for port, count in ((23, 3), (81, 2)):
            for _ in range(count):
                cls.client.status("hping3", "-q", "-c", 1, "-S", "-p", port, cls.host.ip4, seconds=20)
        cls.client.run("curl", "-sSf", "-m", 30, f"http://{cls.host.ip4}/")
        found = cls.agent.wait_for_events(6)
        assert sum(event["portreeve"].get("count", 1) for event in found) >= 6, found

    def words(self, *options, control=None):
        return [os.path.join(binaries(), "portreeve"), "report", "--control", control or self.agent.control, "--policy", self.agent.policy,
                *options]

    def test_what_other_programs_read(self):
        report = json.loads(self.host.run(*self.words("--json", "--since", "1h")))
        self.assertEqual((report["dropped"], report["spared"], report["lost"], report["troubles"]), (5, 0, 0, []))
        self.assertEqual({row["slug"]: row["packets"] for row in report["reasons"]}, {"deny": 3, "out-of-allowed-policy": 2})
        self.assertEqual([(row["address"], row["packets"], row["ports"]) for row in report["sources"]], [(self.client.ip4, 5, 2)])
        self.assertEqual([(row["name"], row["packets"]) for row in report["refusing_rules"]], [("No <b>telnet</b>", 3)])
        self.assertEqual({row["name"] for row in report["rules"] if row["unused"]} & {"Never", "Web", "Covered"}, {"Never", "Covered"})
        self.assertEqual([row["connections"] for row in report["endings"] if row["how"] == "fin"], [1])
        self.assertTrue(any("Covered" in row["text"] and row["place"] == f"{self.agent.policy}:7" for row in report["findings"]), report["findings"])
        self.assertEqual([sum(row["packets"]) for row in report["series"]], [3, 2])
        # Nothing lies before the time that is asked for.
        self.assertEqual(json.loads(self.host.run(*self.words("--json", "--since", "2001-01-01", "--until", "2001-01-02")))["records"], 0)

    @unittest.skipUnless(browser.BROWSER, "needs chromium-headless-shell")
    def test_the_page_in_a_browser(self):
        page = self.lab.file("report.html")
        self.host.run(*self.words("-o", page))
        text = open(page).read()
        self.assertEqual(re.findall(r'(?:src|href)="|@import|url\(', text.split("<script>")[0]), [])
        drawn = browser.document(page)
        shown = drawn[drawn.index('<main id="page">'):drawn.index("</main>")]
        self.assertIn('<dd id="dropped">5</dd>', shown)
        rows = re.findall(r"<tr.*?</tr>", shown[shown.index('<table id="rules">'):])
        cells = [[re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", row)] for row in rows]
        self.assertIn(["No &lt;b&gt;telnet&lt;/b&gt;", "deny", "3"], [row[:3] for row in cells])
        self.assertIn("Never unused", [row[0] for row in cells if row])
        self.assertNotIn("<b>", shown)
        for scheme, paper in PAPER.items():
            picture = os.path.join(os.environ.get("PORTREEVE_PICTURES") or self.lab.directory, f"report-{scheme}.png")
            browser.screenshot(page, picture, height=1700, scheme=scheme)
            colours = browser.colours(picture)
            self.assertGreater(colours.get(paper, 0), 500_000, scheme)
            self.assertGreater(colours.get(BAR, 0), 300, scheme)

    def test_what_is_not_known_is_said_and_the_rest_is_shown(self):
        page = self.lab.file("alone.html")
        status, said = self.host.status(
            *self.words("--file", "/nowhere/events.jsonl", "-o", page, control="/nowhere/control.sock"))
        self.assertEqual(status, 1, said)
        self.assertIn("no agent is running at /nowhere/control.sock", said)
        self.assertIn("/nowhere/events.jsonl", said)
        if browser.BROWSER:
            drawn = browser.document(page)
            shown = drawn[drawn.index('<main id="page">'):drawn.index("</main>")]
            self.assertNotIn('id="dropped"', shown)
            self.assertIn("Not known.", shown)
            self.assertIn("No agent runs: it alone counts for rules.", shown)
        self.assertEqual(self.host.status(*self.words())[0], 64)
        self.assertEqual(self.host.status(*self.words("--json", "--since", "1h", "--until", "2h"))[0], 64)


if __name__ == "__main__":
    unittest.main()

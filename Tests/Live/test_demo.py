# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo` keeps its promises, and leaves nothing behind."""

import collections
import contextlib
import io
import os
import re
import subprocess
import sys
import unittest
from unittest.mock import Mock

import isolation

isolation.isolate()

from agent import binaries
from demo import Demo
from lab import wait_until

DEMO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "demo.py")


def processes():
    return {entry for entry in os.listdir("/proc") if entry.isdigit()}


def leftovers():
    """What a demo could leave here besides processes: network namespaces, interfaces, rules, and files of a lab."""
    run = lambda *words: subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return (run("ip", "netns", "list"), run("ip", "-o", "link"), run("nft", "list", "ruleset"), sorted(os.listdir("/run")))


class DemoTests(unittest.TestCase):
    seconds = 38

    def demo(self, environment):
        """Its output, from its beginning to its end."""
        before, running = leftovers(), processes()
        done = subprocess.run(
            [sys.executable, "-B", DEMO, "--bin", binaries()], env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(leftovers(), before)
        wait_until(lambda: processes() <= running, "none of its processes is left")
        return done.stdout

    def test_as_a_person_runs_it(self):
        """In namespaces that it makes for itself."""
        environment = {key: value for key, value in os.environ.items() if key not in (isolation.MARK, isolation.CALLER)}
        text = self.demo(environment)
        self.check_outcomes(text)
        self.check_events(text)

    def test_it_cleans_up_itself(self):
        """In namespaces that go on after its end: these."""
        text = self.demo(dict(os.environ))
        self.assertIn("portreeved ended with status 0", text)

    def check_outcomes(self, text):
        """What the client saw of each step."""
        without, text = text.split("portreeved starts;")
        for outcome in (r"open to all +answered: hello", r"no rule will allow +answered: a forgotten console", r"is refused +refused",
                        r"ten ports +10 × closed"):
            self.assertRegex(without, outcome)
        self.assertEqual(text.count("answered: hello from the host"), 3, text)
        for outcome in (r"it may be pinged +3 received", r"in fragments +1 received", r"no rule allows +curl: \(28\)",
                        r"denied by a rule +no answer", r"ten ports +10 × filtered", r"null scan +80/tcp open\|filtered",
                        r"tiny fragments +80/tcp filtered", r"nobody asked for +no answer", r"LAND packet.* no answer"):
            self.assertRegex(text, outcome)
        scanned = text[text.index("portreeve scan:"):]
        self.assertRegex(scanned, r"tcp +open +answered +- +22\n")
        self.assertRegex(scanned, r"tcp +handshake_timeout +syn_sent=\d +- +24-25\n.*: nothing came back")
        telnet = re.search(r"handshake_timeout +syn_sent=\d +- +23\n((?: {4}.*\n)+)", scanned)[1]
        self.assertRegex(" ".join(telnet.split()), r'incoming: Deny Rule, by rule "No telnet" \(\S+/policy\.yaml:7\)')
        self.assertRegex(scanned, r"tcp +skipped +reflector_EADDRINUSE +- +80\n")
        self.assertRegex(scanned, r"udp +payload_timeout +copies=3 +- +53\n.* no datagram arrived")
        self.assertIn("this host is protected: IPv4 and IPv6", text)
        self.assertIn("portreeved ended with status 0", text)
        self.assertIn("\nAll was as expected", text)

    def test_what_is_not_as_expected_is_said_and_returned(self):
        demo = Demo(Mock(), Mock())
        demo.expect("the web server is open to all", "answered: hello", "answered: .*")
        self.assertEqual(demo.surprises, [])
        demo.expect("the web server is open to all", "curl: (28) Connection timed out", "answered: .*")
        with contextlib.redirect_stdout(io.StringIO()) as output:
            self.assertEqual(demo.conclude(), 1)
        self.assertIn("NOT AS EXPECTED", output.getvalue())
        self.assertIn("open to all: curl: (28)", output.getvalue())

    def check_events(self, text):
        table = text[text.index("portreeve events:"):text.index("portreeve status")].strip().splitlines()[1:]
        columns = table[0].split()
        self.assertEqual(columns, ["TIME", "REASON", "RULE", "PROTO", "SOURCE", "DESTINATION", "COUNT"])
        counts = collections.Counter()
        for row in table[1:]:
            reason, rule, protocol, count = re.fullmatch(r"\S+ +(\S+) +(No telnet)? +(\S+) +\S+ +\S+ +(\d+)", row).groups()
            counts[reason, rule, protocol] += int(count)
        # nmap and nc send a SYN once or twice.
        telnet, scanned = counts.pop(("deny", "No telnet", "TCP")), counts.pop(("out-of-allowed-policy", None, "TCP"))
        console = counts.pop(("out-of-allowed-policy-open-port", None, "TCP"))
        self.assertIn(console, range(1, 4))
        self.assertIn(telnet, range(2, 5))
        self.assertIn(scanned, range(9, 14))
        self.assertEqual(counts, {
            ("invalid-flags", None, "TCP"): 1, ("first-fragment-too-small", None, "TCP"): 1,
            ("fragment-offset-too-small", None, "TCP"): 2, ("out-of-allowed-policy", None, "UDP"): 1,
            ("same-source-and-destination-ip", None, "TCP"): 1})
        self.assertIn(f"{telnet + scanned + console + counts.total()} by reason; lost: 0 packets before the agent, 0 events", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)

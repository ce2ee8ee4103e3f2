# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve` against a running agent, and against none."""

import gzip
import json
import os
import signal
import subprocess
import unittest

import isolation

isolation.isolate()

import records
import services
from agent import Agent, binaries
from lab import Lab, wait_until

TOOL = os.path.join(binaries(), "portreeve")

POLICY = """
version: 1
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
  - { name: No telnet, action: deny, direction: incoming, protocol: tcp, destination: { ports: 23 } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
"""


class ToolTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())

    def tool(self, *words, status=0):
        got, output = self.lab.host.status(TOOL, *words)
        self.assertEqual(got, status, output)
        return output


class AgentTests(ToolTests):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.agent = cls.enterClassContext(Agent(cls.lab.host, POLICY).feed())
        cls.control = ("--control", cls.agent.control)
        cls.enterClassContext(services.nginx(cls.lab.host))

    def refused_port(self, port):
        """One SYN to a port that the policy refuses."""
        self.lab.client.status("nc", "-z", "-w", "1", self.lab.host.ip4, port)

    def events(self, *words, status=0):
        return self.tool("events", "--file", self.agent.events_file, *words, status=status)

    def test_status_says_who_runs_with_what(self):
        text = self.tool("status", *self.control)
        self.assertIn(f"process {self.agent.process.pid}", text)
        self.assertIn(self.agent.policy, text)
        self.assertIn("inline; failure: engine closed, sanity closed", text)
        self.assertIn("prerouting", text)
        status = json.loads(self.tool("status", "--json", "--agent-only", *self.control))
        self.assertEqual(status["pid"], self.agent.process.pid)
        self.assertEqual(
            [(queue["number"], queue["kind"]) for queue in status["queues"]],
            [(0, "established"), (1, "openings"), (2, "fragments"), (3, "datagrams")])
        self.assertEqual(status["policy"]["rules"] >= 3, True)

    def test_status_accounts_for_every_drop(self):
        before = self.dropped("deny")
        self.refused_port(23)
        wait_until(lambda: self.dropped("deny") > before, "the drop is counted")
        count = self.count("deny")
        self.assertEqual(count["dropped"], sum(count[term] for term in ("written", "pending", "silenced", "lost")))

    def count(self, reason):
        reasons = json.loads(self.tool("status", "--json", "--agent-only", *self.control))["reasons"]
        return next((row for row in reasons if row["reason"] == reason), {"dropped": 0})

    def dropped(self, reason):
        return self.count(reason)["dropped"]

    def test_connections_are_listed_and_filtered(self):
        holder = self.lab.client.start("nc", self.lab.host.ip4, "80")
        try:
            listed = lambda *words: [
                json.loads(line) for line in self.tool("connections", "--json", *self.control, *words).splitlines()]
            find = lambda *words: [row for row in listed(*words) if row["dest_port"] == 80 and row["state"] == "ESTABLISHED"]
            rows = wait_until(lambda: find("--port", "80"), "the connection is listed")
            self.assertEqual((rows[0]["protocol"], rows[0]["direction"], rows[0]["src_ip"]), (6, "incoming", self.lab.client.ip4))
            self.assertTrue(find("--address", "198.18.1.0/24", "--protocol", "tcp", "--state", "established"))
            self.assertFalse(find("--port", "81"))
            self.assertFalse(find("--direction", "outgoing"))
            table = self.tool("connections", *self.control, "--port", "80")
            self.assertIn(f"{self.lab.host.ip4}:80", table)
        finally:
            holder.stop()

    def test_a_long_list_comes_in_pages_and_stops_at_the_limit(self):
        for number in range(40):
            self.lab.client.run("curl", "-s", "-o", "/dev/null", f"http://{self.lab.host.ip4}/")
        count = lambda *words: len(self.tool("connections", "--json", *self.control, *words).splitlines())
        self.assertGreaterEqual(count("--port", "80"), 40)
        status, output = self.lab.host.status(TOOL, "connections", "--json", *self.control, "--limit", "7")
        self.assertEqual(status, 0)
        self.assertEqual(len([line for line in output.splitlines() if line.startswith("{")]), 7)
        self.assertIn("stopped at 7", output)

    def test_events_are_shown_and_filtered(self):
        self.refused_port(23)
        self.refused_port(7)
        wait_until(lambda: "No telnet" in self.events() and ":7" in self.events(), "both events are written")
        self.assertIn("REASON", self.events().splitlines()[0])
        self.assertNotIn("No telnet", self.events("--reason", "out-of-allowed-policy"))
        rows = records.parsed(self.events("--json", "--rule", "No telnet").splitlines())
        self.assertTrue(rows and all(row["dest_port"] == 23 for row in rows))
        self.assertTrue(self.events("--address", f"{self.lab.client.ip4}/32", "--since", "10m", "--json"))
        self.assertFalse(self.events("--address", "203.0.113.1", "--json"))
        self.assertFalse(self.events("--until", "2020-01-01", "--json"))
        self.assertEqual(len(self.events("--json", "-n", "1").splitlines()), 1)

    def test_events_are_read_across_rotations(self):
        """Renamed and compressed, as logrotate leaves them; the newest last, and none hidden."""
        name = self.agent.events_file
        for port in (2001, 2002, 2003):
            self.refused_port(port)
            wait_until(lambda: f'"dest_port":{port}' in self.events("--json"), "the event is written")
            os.rename(name, f"{name}-{port}")
            self.tool("reopen", *self.control)
            wait_until(lambda: os.path.exists(name), "the file is made anew")
        for port in (2001, 2002):
            with open(f"{name}-{port}", "rb") as plain, gzip.open(f"{name}-{port}.gz", "wb") as compressed:
                compressed.write(plain.read())
            os.remove(f"{name}-{port}")
        self.refused_port(2004)
        wait_until(lambda: '"dest_port":2004' in self.events("--json"), "the event is written")

        def shown(*words):
            ports = [row.get("dest_port", 0) for row in records.parsed(self.events("--json", *words).splitlines())]
            return [port for port in dict.fromkeys(ports) if 2001 <= port <= 2004]

        self.assertEqual(shown("--since", "2h"), [2001, 2002, 2003, 2004])
        self.assertEqual(shown("--last", "1"), [2004])
        follower = self.lab.host.start(TOOL, "events", "--follow", "--json", "-n", "1000", "--file", name)
        wait_until(lambda: '"dest_port":2001' in follower.output(), "the past is shown", process=follower)
        self.refused_port(2005)
        wait_until(lambda: '"dest_port":2005' in follower.output(), "the present is followed", process=follower)
        follower.stop()

    def test_following_goes_on_after_a_rotation(self):
        follower = self.lab.host.start(TOOL, "events", "--follow", "--json", "--file", self.agent.events_file)
        self.refused_port(1023)
        wait_until(lambda: '"dest_port":1023' in follower.output(), "the event is shown", process=follower)
        os.rename(self.agent.events_file, self.agent.events_file + ".1")
        self.refused_port(1024)
        self.tool("reopen", *self.control)
        self.refused_port(1025)
        wait_until(lambda: '"dest_port":1025' in follower.output(), "the new file is followed", process=follower)
        self.assertIn('"dest_port":1024', follower.output())
        follower.stop()

    def test_a_reload_says_what_came_of_it(self):
        epoch = json.loads(self.tool("status", "--json", "--agent-only", *self.control))["policy"]["epoch"]
        self.assertIn(self.agent.policy, self.tool("reload", *self.control))
        self.agent.write_policy(POLICY + "  - { name: Wrong, actoin: deny, direction: incoming }\n")
        try:
            output = self.tool("reload", *self.control, status=1)
            self.assertRegex(output, r"policy.yaml:7:\d+: error: ")
            self.assertIn("actoin", output)
            self.assertIn("stays in force", output)
            status = self.tool("status", *self.control)
            self.assertIn("the last reload was refused", status)
        finally:
            self.agent.write_policy(POLICY)
        self.tool("reload", *self.control)
        status = json.loads(self.tool("status", "--json", "--agent-only", *self.control))
        self.assertGreater(status["policy"]["epoch"], epoch)
        self.assertIsNone(status["policy"]["last_reload_error"])

    def test_an_agent_that_hangs_is_called_that(self):
        self.agent.process.signal(signal.SIGSTOP)
        try:
            output = self.tool("status", *self.control, status=1)
        finally:
            self.agent.process.signal(signal.SIGCONT)
        self.assertIn("gave no answer", output)


class ApplyTests(ToolTests):
    """`iptables --apply` with the agent that it wants to have answered."""

    # Says something each time a line comes in, and what comes back.
    TALKER = """
import socket, sys
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
for line in sys.stdin:
    peer.sendall(line.encode())
    print(peer.recv(100).decode(), end="", flush=True)
"""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        policy = POLICY + "  - { name: Echo, action: allow, direction: incoming, protocol: tcp, destination: { ports: 7 } }\n"
        cls.agent = cls.enterClassContext(Agent(cls.lab.host, policy))
        cls.enterClassContext(services.echo(cls.lab.host))

    def setUp(self):
        self.lab.host.flush_rules()

    def iptables(self, *words, status=0):
        return self.tool(
            "iptables", *words, "--policy", self.agent.policy, "--control", self.agent.control, "--state",
            os.path.join(self.agent.directory, "rules"), status=status)

    def test_rules_are_applied_and_found_fine(self):
        self.assertIn("applied: IPv4 and IPv6, prerouting, output to queue 0", self.iptables("--apply"))
        self.assertIn("fine: iptables mangle: -A PORTREEVE-OUT", self.iptables("--check"))
        for address in (self.lab.host.ip4, self.lab.host.ip6):
            self.lab.client.run("ping", "-c", "1", "-W", "2", address)
        self.assertIn("removed", self.iptables("--remove"))

    def test_a_connection_that_was_there_before_goes_on(self):
        talker = subprocess.Popen(
            ["ip", "netns", "exec", self.lab.client.name, "/usr/bin/python3", "-c", self.TALKER, self.lab.host.ip4, "7"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(talker.wait)
        self.addCleanup(talker.stdout.close)
        self.addCleanup(talker.stdin.close)
        for round in ("before", "after"):
            talker.stdin.write(round + "\n")
            talker.stdin.flush()
            self.assertEqual(talker.stdout.readline(), round + "\n")
            if round == "before":
                self.iptables("--apply")

    def test_beside_another_queue_rule_nothing_is_changed(self):
        self.lab.host.rules("*filter\n-A INPUT -p tcp -j NFQUEUE --queue-num 0")
        before = self.lab.host.run("iptables", "-t", "mangle", "-S")
        output = self.iptables("--apply", status=1)
        self.assertIn("one packet can meet two queue rules", output)
        self.assertIn("nothing was changed", output)
        self.assertEqual(self.lab.host.run("iptables", "-t", "mangle", "-S"), before)


class AbsenceTests(ToolTests):
    """`status` without an agent: exit status 2, and what the rules make of the host."""

    def setUp(self):
        self.lab.host.flush_rules()

    def status(self, rules, *words):
        if rules:
            self.lab.host.rules(rules)
        return self.tool("status", "--control", "/run/none.sock", *words, status=2)

    def test_without_rules_it_is_not_protected(self):
        self.assertIn("this host is not protected; no rule", self.status(""))

    def test_with_rules_that_fail_closed_it_is_shut(self):
        self.assertIn("this host is shut", self.status("*mangle\n-A INPUT -j NFQUEUE\n-A OUTPUT -j NFQUEUE"))

    def test_with_rules_that_fail_open_it_is_not_protected(self):
        output = self.status("*mangle\n-A INPUT -j NFQUEUE --queue-bypass\n-A OUTPUT -j NFQUEUE --queue-bypass", "--json")
        self.assertIn("this host is not protected; its rules have --queue-bypass", output)
        self.assertEqual(json.loads(output.splitlines()[0])["protection"], "open")

    def test_with_some_of_both_it_is_partly_shut(self):
        self.assertIn("partly shut", self.status("*mangle\n-A INPUT -j NFQUEUE --queue-bypass\n-A OUTPUT -j NFQUEUE"))

    def test_with_an_agent_on_another_socket_it_says_so(self):
        with Agent(self.lab.host, POLICY) as agent:
            agent.feed()
            self.assertIn("a program reads queue 0", self.status(""))
            agent.kill()
            self.assertIn("this host is shut", self.status(""))

    def test_a_path_that_nobody_may_open(self):
        output = self.tool("status", "--control", "/" + "x" * 200, status=1)
        self.assertIn("107 bytes", output)

    def test_other_commands_say_that_no_agent_runs(self):
        for command in ("connections", "reload", "reopen"):
            with self.subTest(command):
                self.assertIn("no agent is running", self.tool(command, "--control", "/run/none.sock", status=1))


class CheckTests(ToolTests):
    def check(self, text, *words, status=0):
        path = self.lab.file("checked.yaml")
        self.lab.file(path, text)
        return self.tool("check", path, *words, status=status)

    def test_a_clean_policy(self):
        self.assertIn("3 rules in 1 file, no warnings", self.check(POLICY))
        self.assertEqual(self.check(POLICY, "--quiet"), "")

    def test_the_whole_policy_is_printed_as_it_was_meant(self):
        """Names stay names, drop-in files are in it, and what is printed is read and printed as the same."""
        policy = POLICY.replace("{ ports: 80 }", "{ ports: [https, web, 8080] }") + "lists: { web: { ports: [http, 81] } }\n"
        directory = self.lab.file("printed")
        os.makedirs(os.path.join(directory, "policy.d"))
        path = self.lab.file(os.path.join(directory, "policy.yaml"), policy)
        self.lab.file(os.path.join(directory, "policy.d", "a.yaml"), "version: 1\nmode: tap\n")
        text = self.tool("check", path, "--print")
        self.assertIn("mode: tap\n", text)
        self.assertIn("  web: { ports: [http, 81] }\n", text)
        self.assertIn("destination: { ports: [https, web, 8080] }\n", text)
        self.assertNotIn("timeouts", text)
        self.assertIn("established: 3h\n", self.tool("check", path, "--print", "--complete"))
        self.assertEqual(self.tool("check", self.lab.file("again.yaml", text), "--print"), text)

    def test_every_error_is_said_at_once_with_its_place(self):
        output = self.check("version: 1\nmode: inlin\nqueue: { length: many }\n", status=1)
        self.assertRegex(output, r"checked\S*\.yaml:2:7: error: ")
        self.assertRegex(output, r"checked\S*\.yaml:3:\d+: error: ")

    def test_the_agent_checks_likewise(self):
        """`portreeved --check`: nothing is bound, nothing is left."""
        agent = os.path.join(binaries(), "portreeved")
        for text, expected in ((POLICY, 0), ("version: 1\nmode: inlin\nqueue: { length: many }\n", 1)):
            path = self.lab.file("checked.yaml")
            self.lab.file(path, text)
            status, output = self.lab.host.status(agent, "--check", "--policy", path)
            self.assertEqual(status, expected, output)
            if expected:
                self.assertIn(f'{path}:2:7: error: found "inlin", expected inline or tap', output)
                self.assertRegex(output, rf"{path}:3:\d+: error: ")
            else:
                self.assertNotIn("error", output)
            self.assertEqual(self.lab.host.queues(), {})

    def test_a_file_that_is_missing(self):
        self.assertIn("/none.yaml", self.tool("check", "/none.yaml", status=1))
        self.assertIn("/none.yaml", self.tool("check", "--policy", "/none.yaml", status=1))

    def test_reasons(self):
        self.assertIn("out-of-connection", self.tool("reasons"))
        self.assertIn("raised when", self.tool("reasons", "null-ip"))
        self.assertIn("no reason", self.tool("reasons", "x", status=1))


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""No drop goes uncounted: under floods, on a full disk, without the file, with a reader that never reads, and while the
file is rotated; and traffic never waits for any of it."""

import json
import os
import re
import signal
import subprocess
import unittest

import isolation

isolation.isolate()

import records
import services
from agent import Agent, reasons
from forge import Injector
from lab import Lab, wait_until
from scapy.layers.inet import IP, TCP

POLICY = """
version: 1
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
"""


class EventTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.router, cls.host = cls.lab.client, cls.lab.router, cls.lab.host
        cls.enterClassContext(services.nginx(cls.host))
        cls.injector = Injector(cls.router, "out0", cls.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)

    def agent(self, **options):
        agent = Agent(self.host, POLICY, name=os.path.basename(self.lab.file("agent")), **options).start()
        self.addCleanup(agent.stop)
        self.addCleanup(self.host.flush_rules)
        return agent.feed()

    def drops(self, count):
        """So many packets that no Allow rule admits."""
        self.injector.burst(IP(src="198.18.1.10", dst=self.host.ip4) / TCP(dport=81), count, self.host)

    def assert_serves(self):
        self.client.run("curl", "-sSf", "-m", 30, f"http://{self.host.ip4}/")

    def assert_accounted(self, agent, report, wanted=None):
        """Every packet that a rule gave to the queue was judged or lost to it, and every drop went somewhere."""
        delivered = sum(self.host.rule_packets(chain, "mangle", family)[0]
                        for chain in ("PREROUTING", "OUTPUT") for family in (4, 6))
        delivered += self.host.rule_packets("PREROUTING", "mangle", 6)[1]
        judged = sum(queue["packets"] + queue["kernel_queue_drops"] + queue["kernel_socket_drops"]
                     for queue in report["queues"])
        self.assertLessEqual(abs(delivered - judged), 5, "packets delivered and judged")
        dropped = sum(queue["dropped"] for queue in report["queues"])
        self.assertEqual(dropped, sum(row["dropped"] for row in report["reasons"]))
        for row in report["reasons"]:
            self.assertEqual(
                row["dropped"], row["written"] + row["pending"] + row["silenced"] + row["lost"], row)
        if wanted is not None:
            self.assertEqual(dropped, wanted)

    def test_a_flood_from_random_sources(self):
        agent = self.agent(fold="1s", queues=(0, 1))
        flood = self.router.start(
            "hping3", "-q", "-n", "--rand-source", "-S", "-p", 81, "-i", "u20", "-c", 30000, self.host.ip4, name="hping3")
        while flood.is_running:
            self.assert_serves()
        report = agent.settled_report()
        self.assert_accounted(agent, report)
        events = agent.events()
        wanted = {row["reason"]: row["written"] for row in report["reasons"]}
        denied = [event for event in events if event["portreeve"]["action"] == "deny"]
        self.assertEqual(dict(reasons(denied)), wanted)
        self.assertGreater(wanted["out-of-allowed-policy"], 10_000)
        self.assertEqual(sum(row["lost"] for row in report["reasons"]), 0)
        many = [event for event in denied if event["portreeve"].get("note") == "many sources"]
        self.assertTrue(many)
        self.assertNotIn("src_ip", many[0])

    def test_the_file_is_rotated_by_size(self):
        agent = self.agent(file_settings="rotate: { size: 1MiB, keep: 2 }, budget: off")
        self.drops(6000)
        report = agent.settled_report()
        self.assert_accounted(agent, report, 6000)
        files = sorted(os.listdir(os.path.dirname(agent.events_file)))
        rotated = [name for name in files if name.startswith("events.jsonl.")]
        self.assertEqual(rotated, ["events.jsonl.1", "events.jsonl.2"])
        for name in rotated:
            size = os.path.getsize(os.path.join(os.path.dirname(agent.events_file), name))
            self.assertTrue((1 << 20) - 4096 < size <= 1 << 20, size)
        read = agent.tool("events", "--json").splitlines()
        sequences = [json.loads(line)["portreeve"]["sequence"] for line in read]
        self.assertEqual(sequences, list(range(sequences[0], report["outputs"][0]["records"] + 1)))

    def test_a_budget_bounds_the_file_and_keeps_the_counts(self):
        agent = self.agent(file_settings="budget: 64KiB/1h")
        self.drops(6000)
        wait_until(lambda: agent.report()["outputs"][0]["received"] >= 6000, "all events came")
        self.assert_accounted(agent, agent.report(), 6000)
        output = agent.report()["outputs"][0]
        self.assertGreater(output["merged"], 5000)
        self.assertEqual(output["pending"], output["merged"])
        self.assertLess(os.path.getsize(agent.events_file), 64 << 10)
        self.assertIn("events merged beyond the budget", agent.tool("status", "--agent-only"))
        self.assertEqual(agent.stop(), 0)
        self.assertEqual(sum(reasons(agent.events()).values()), 6000)
        self.assertLess(os.path.getsize(agent.events_file), 80 << 10)

    def test_a_full_disk(self):
        disk = self.lab.file("disk")
        os.mkdir(disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", disk])
        with open(os.path.join(disk, "ballast"), "wb") as ballast:
            ballast.write(bytes((16 << 20) - (128 << 10)))
        agent = self.agent(events_file=os.path.join(disk, "events.jsonl"))
        self.drops(6000)
        wait_until(lambda: any("No space" in warning for warning in agent.report()["warnings"]), "status names the trouble")
        self.assert_serves()
        self.assert_accounted(agent, agent.report(), 6000)
        # The log looks once a second.
        wait_until(lambda: "No space" in agent.log(), "the agent's own log names it too")
        os.remove(os.path.join(disk, "ballast"))
        wait_until(lambda: not agent.report()["warnings"], "the trouble is over")
        wait_until(lambda: "events are written again" in agent.log(), "the agent's own log says so")
        report = agent.settled_report()
        self.assertEqual(sum(reasons(agent.events()).values()), 6000)
        self.assert_accounted(agent, report, 6000)
        self.assertEqual(sum(row["lost"] for row in report["reasons"]), 0)

    def test_the_end_with_a_file_that_takes_nothing(self):
        agent = self.agent()
        os.remove(agent.events_file)
        os.symlink("/nowhere/events.jsonl", agent.events_file)
        agent.tool("reopen")
        self.drops(7)
        wait_until(lambda: "cannot open the event file" in agent.log(), "the agent's own log says so")
        self.assertEqual(agent.stop(), 0)
        self.assertIn("7 events were not written: cannot open the event file", agent.log())

    def test_the_file_is_removed(self):
        agent = self.agent()
        self.drops(3)
        self.assertEqual(len(agent.wait_for_events(3)), 3)
        os.remove(agent.events_file)
        agent._read = 0
        self.drops(3)
        self.assertEqual(len(agent.wait_for_events(3)), 3)
        self.assert_accounted(agent, agent.settled_report(), 6)

    def test_a_reader_that_never_reads(self):
        pipe = self.lab.file("pipe")
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        agent = self.agent(events_file=pipe)
        self.drops(3000)
        self.assert_serves()
        report = agent.report()
        self.assertGreater(sum(row["pending"] for row in report["reasons"]), 2000)
        self.assert_accounted(agent, report, 3000)
        text = b""

        def has_read_all():
            # A pipe at a time; asking the agent in between would take longer than the reading.
            nonlocal text
            while chunk := read(reader):
                text += chunk
            return sum(map(int, re.findall(rb'"count":(\d+)', text))) >= 3000

        wait_until(has_read_all, "the reader gets what waits", 60)
        report = agent.settled_report()
        while chunk := read(reader):
            text += chunk
        lines = records.parsed(text.splitlines())
        self.assert_accounted(agent, report, 3000)
        self.assertEqual(sum(row["lost"] for row in report["reasons"]), 0)
        self.assertEqual(sum(reasons(lines).values()), 3000)

    def test_records_are_numbered_and_a_restart_begins_anew(self):
        agent = self.agent()
        for _ in range(2):
            self.drops(5)
            found = agent.wait_for_events(5)
            self.assertEqual([event["portreeve"]["sequence"] for event in found], [1, 2, 3, 4, 5])
            self.assertEqual([event["portreeve"].get("lost") for event in found], [None] * 5)
            self.assertEqual(agent.stop(), 0)
            agent.start()

    def test_status_accounts_for_each_output(self):
        agent = self.agent()
        self.drops(9)
        agent.wait_for_events(9)
        outputs = agent.settled_report()["outputs"]
        self.assertEqual([(output["name"], output["format"], output["target"]) for output in outputs],
                         [("file", "json", agent.events_file)])
        self.assertEqual({key: outputs[0][key] for key in ("received", "written", "pending", "lost", "records", "trouble")},
                         {"received": 9, "written": 9, "pending": 0, "lost": 0, "records": 9, "trouble": None})
        self.assertIn(f"events       file {agent.events_file} (json): written 9, pending 0, lost 0; records 9",
                      agent.tool("status", "--agent-only", check=False))

    def test_rotation_loses_no_line(self):
        agent = self.agent()
        files = [agent.events_file]
        for number in range(1, 6):
            self.drops(200)
            rotated = f"{agent.events_file}.{number}"
            os.rename(agent.events_file, rotated)
            files.append(rotated)
            if number % 2:
                agent.process.signal(signal.SIGHUP)
            else:
                agent.tool("reopen")
            wait_until(lambda: os.path.exists(agent.events_file), "the file is made anew", process=agent.process)
        self.drops(200)
        self.assert_accounted(agent, agent.settled_report(), 1200)
        ports, numbers, reloads = [], [], 0
        for path in files:
            with open(path) as file:
                found = records.parsed(file)
            numbers += [event["portreeve"]["sequence"] for event in found]
            # SIGHUP reloads the policy too, which is told.
            drops = [event for event in found if event["portreeve"]["reason"] != "policy-changed"]
            reloads += len(found) - len(drops)
            ports += [event["src_port"] for event in drops]
        self.assertEqual(len(ports), 1200)
        self.assertEqual(len(set(ports)), 200)
        self.assertEqual(sorted(numbers), list(range(1, 1201 + reloads)))


def read(descriptor):
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return b""


if __name__ == "__main__":
    unittest.main(verbosity=2)

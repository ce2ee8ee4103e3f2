# SPDX-License-Identifier: GPL-3.0-or-later
"""lnav reads the events file by the format that is shipped: as lines, by level, and as a table that SQL asks."""

import csv
import io
import os
import shlex
import unittest

import isolation

isolation.isolate()

import fleet
from agent import Agent
from lab import Lab, wait_until

POLICY = """
version: 1
rules:
  - { name: No telnet, action: deny, direction: incoming, protocol: tcp, priority: 4, destination: { ports: 23 } }
  - { name: Seen, action: log-only, direction: incoming, protocol: tcp, destination: { ports: 9000 } }
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
events: { closed-connections: [tcp] }
"""
# A line of another form in the same folder.
FOREIGN = '{"@timestamp":"2026-11-21T09:37:16.279168+0000","message":"nothing of this format"}\n'


@fleet.needs("lnav")
class LnavTests(unittest.TestCase):
    def test_lines_levels_and_a_table(self):
        with Lab() as lab, Agent(lab.host, POLICY).feed() as agent:
            self.addCleanup(lab.host.flush_rules)
            lab.client.status("nc", "-z", "-w", "1", lab.host.ip4, "23")
            lab.client.status("nc", "-z", "-w", "1", lab.host.ip4, "80")
            lab.client.status("nc", "-z", "-w", "1", lab.host.ip4, "9000")
            events, kinds = [], {"deny", "connection-closed", "log-only"}
            wait_until(lambda: events.extend(agent.events()) or kinds <= {event["portreeve"]["reason"] for event in events}, "all are there")
            # A SYN may be sent again.
            agent.stop()
            events += agent.events()
            home = lab.file("home")
            os.mkdir(home)
            install, show = fleet.commands("lnav")
            lab.host.run("env", f"HOME={home}", "sh", "-c", install)

            def lnav(*commands, file=agent.events_file):
                words = " ".join(shlex.join(["-c", command]) for command in commands)
                line = show.replace("lnav ", f"lnav -n {words} ", 1).replace("/var/log/portreeve/events.jsonl", file)
                return lab.host.run("env", f"HOME={home}", "sh", "-c", line)

            denied = next(event for event in events if event["portreeve"]["reason"] == "deny")
            lines = lnav().splitlines()
            self.assertEqual(len([line for line in lines if line[:4].isdigit()]), len(events), lines)
            denials = [line for line in lines if " deny   deny " in line]
            line = denials[0]
            self.assertIn(f"TCP {lab.client.ip4} {denied['src_port']} > {lab.host.ip4} 23 times 1 No telnet", line)
            self.assertEqual([line for line in lnav(":set-min-log-level error").splitlines() if line[:4].isdigit()], denials)

            query = (';select log_level, "portreeve/reason" as reason, src_ip, dest_port, "portreeve/rule" as rule, "drop/tcpflags" as flags, '
                     '"flow/pkts_toserver" as packets from portreeve order by log_line')
            rows = list(csv.DictReader(io.StringIO(lnav(query, ":write-csv-to -"))))
            self.assertEqual([row["reason"] for row in rows], [event["portreeve"]["reason"] for event in events])
            levels = {row["reason"]: row["log_level"] for row in rows}
            self.assertEqual(levels, {**levels, "deny": "error", "connection-closed": "notice", "log-only": "info"})
            row = next(row for row in rows if row["reason"] == "deny")
            self.assertEqual((row["src_ip"], row["dest_port"], row["rule"], row["flags"]),
                             (lab.client.ip4, "23", "No telnet", "S"))
            ended = next(row for row in rows if row["reason"] == "connection-closed")
            told = next(event for event in events if event["portreeve"]["reason"] == "connection-closed")
            self.assertEqual(ended["packets"], str(told["flow"]["pkts_toserver"]))

            foreign = lab.file(os.path.join(lab.directory, "foreign.jsonl"), FOREIGN)
            self.assertEqual(list(csv.DictReader(io.StringIO(lnav(";select count(*) as n from portreeve", ":write-csv-to -",
                                                                  file=foreign)))), [{"n": "0"}])


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: GPL-3.0-or-later
"""From three agents through their rsyslogs and a collector's into ClickHouse, by the files that are shipped: every event arrives, once, also
where collector and database were away; and what is asked most is answered."""

import collections
import json
import os
import re
import unittest

import isolation

isolation.isolate()

import fleet
from agent import Agent
from fleet_lab import FleetLab
from lab import wait_until
from receivers import Certificates

POLICY = """
version: 1
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
  - { name: No telnet, action: deny, direction: incoming, protocol: tcp, priority: 4, destination: { ports: 23 } }
"""
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(int(sys.argv[2]), int(sys.argv[3])):
    s.sendto(b"?", (sys.argv[1], port))
"""
HTTP = 8123


@unittest.skipUnless(os.path.isdir(os.path.join(fleet.PACKAGES, "chdb")), "chdb is missing: make deps-lab")
@fleet.needs("rsyslogd")
class CollectionTests(unittest.TestCase):
    seconds = 20

    def setUp(self):
        lab = self.lab = self.enterContext(FleetLab())
        certificates = Certificates(lab, "logs.example.org", lab.control.ip4)
        self.places = {
            "/etc/ssl/portreeve/ca.pem": certificates.ca, "/etc/ssl/portreeve/collector.pem": certificates.certificate,
            "/etc/ssl/portreeve/collector.key": certificates.key, "/etc/ssl/portreeve/host.pem": certificates.client_certificate,
            "/etc/ssl/portreeve/host.key": certificates.client_key, 'target="logs.example.org"': f'target="{lab.control.ip4}"',
            "/var/spool/portreeve": lab.file("spool"), 'resumeInterval="5"': 'resumeInterval="1"',
            'timeout="10"': 'timeout="2"'}
        os.mkdir(self.places["/var/spool/portreeve"])
        self.written = collections.Counter()
        self.database_folder = lab.file("clickhouse")

    # The programs

    def rsyslog(self, machine, name):
        """The shipped file beside what Debian's own says."""
        folder = os.path.join(self.lab.directory, machine.host_name)
        os.makedirs(folder, exist_ok=True)
        text = fleet.text("rsyslog", f"{name}.conf")
        for path, place in {**self.places, "/run/portreeve-log": folder}.items():
            text = text.replace(path, place)
        self.assertNotIn("/etc/ssl", text)
        configuration = self.lab.file(os.path.join(folder, "rsyslog.conf"),
                                      f'module(load="imuxsock" SysSock.Use="off")\nglobal(workDirectory="{folder}")\n{text}')
        process = machine.start("rsyslogd", "-n", "-i", os.path.join(folder, "pid"), "-f", configuration, name="rsyslog")
        if name == "collector":
            wait_until(lambda: machine.listens(2514), "the collector listens", process=process)
        else:
            wait_until(lambda: os.path.exists(os.path.join(folder, "log.sock")), "the host's rsyslog listens", process=process)
        return process

    def database(self):
        process = self.lab.control.start("/usr/bin/python3", os.path.join(fleet.ROOT, "Tests", "Live", "clickhouse.py"), fleet.PACKAGES,
                                         self.database_folder, HTTP, name="clickhouse")
        wait_until(lambda: self.lab.control.listens(HTTP), "ClickHouse listens", 60, process)
        return process

    def loader(self):
        command = re.search("^ExecStart=(.*)", fleet.text("clickhouse", "portreeve-load.service"), re.MULTILINE)[1]
        for path, place in {**self.places, "/usr/share/portreeve/fleet": fleet.FILES}.items():
            command = command.replace(path, place)
        return self.lab.control.start(*command.split(), name="load")

    def ask(self, query):
        page = self.lab.control.run("curl", "-sS", "-m", "30", "--fail-with-body", "--data-binary", "@-",
                                    f"http://localhost:{HTTP}/", input=query)
        return [json.loads(line) for line in page.splitlines()]

    def agent(self, host):
        page = fleet.page("agent-syslog").replace("/run/portreeve-log", os.path.join(self.lab.directory, host.host_name))
        agent = Agent(host, POLICY, name=f"agent-{host.host_name}")
        self.lab.file(os.path.join(agent.directory, "policy.d", "syslog.yaml"), page)
        return self.enterContext(agent).feed()

    # What is sent

    def send(self, agent, first, count):
        self.lab.control.python(SEND, agent.namespace.ip4, first, first + count)
        self.written[agent.namespace.host_name] += count
        wait_until(lambda: len(self.drops(agent)) >= self.written[agent.namespace.host_name], "the file has them", process=agent.process)

    def drops(self, agent):
        with open(agent.events_file, encoding="utf-8") as file:
            return [line for line in file if line.endswith("\n") and '"event_type":"drop"' in line]

    def await_all(self):
        def arrived():
            rows = self.ask("SELECT host, count() AS n, uniqExact(sequence) AS different FROM portreeve.events "
                            "WHERE type = 'drop' GROUP BY host")
            return {row["host"]: (row["n"], row["different"]) for row in rows}
        wanted = {host: (count, count) for host, count in self.written.items()}
        try:
            wait_until(lambda: arrived() == wanted, "every event is in ClickHouse, once", 40)
        except TimeoutError:
            self.assertEqual(arrived(), wanted)

    def test_three_hosts_a_collector_and_clickhouse(self):
        lab = self.lab
        collector, database, loader = self.rsyslog(lab.control, "collector"), self.database(), self.loader()
        self.ask(fleet.text("clickhouse", "schema.sql"))
        for host in lab.hosts:
            self.rsyslog(host, "host")
        agents = [self.agent(host) for host in lab.hosts]
        for number, agent in enumerate(agents):
            self.send(agent, 7_000, 20 + number)
        self.await_all()

        # ClickHouse away, then the collector, and what loads killed: files wait, and queues on three hosts.
        database.stop()
        self.send(agents[0], 8_000, 30)
        wait_until(lambda: "rows wait: " in loader.output(), "the loader says so", process=loader)
        loader.kill()
        collector.stop()
        for agent in agents:
            self.send(agent, 9_000, 10)
        database, loader = self.database(), self.loader()
        self.rsyslog(lab.control, "collector")
        # What was sent into a connection that had broken goes out again with the next event.
        for agent in agents:
            self.send(agent, 9_100, 1)
        self.await_all()
        self.assertEqual(self.ask("SELECT count() AS n FROM portreeve.unreadable"), [{"n": 0}])

        self.check_rows(agents)
        self.check_queries(agents)
        self.check_hostile()
        loader.stop()
        self.check_loader()

    def check_loader(self):
        """Rows of which nobody heard that they are in are sent again, and are in once. What is not written to its end waits."""
        folder = self.places["/var/spool/portreeve"]
        record = {"timestamp": "2026-11-30T10:00:00.000000+0000", "host": "web-09", "event_type": "drop", "portreeve": {
            "reason": "deny", "id": 21, "action": "deny", "count": 5, "sequence": 1, "last": "2026-11-30T10:00:00.000000+0000"}}
        row = json.dumps({"source": "192.0.2.9", "process": "1", "event": json.dumps(record)}) + "\n"
        rows, place = os.path.join(folder, "2000-01-01T00.rows"), os.path.join(folder, "2000-01-01T00.rows.place")
        self.lab.file(rows, row + row[:40])

        def is_in():
            with open(place, encoding="utf-8") as file:
                return json.load(file) == [len(row), len(row)]
        for _ in range(2):
            loader = self.loader()
            wait_until(lambda: os.path.exists(place) and is_in(), "the row is in", process=loader)
            loader.stop()
            for table, number in (("events", "count()"), ("drops_hourly", "sum(records)"), ("hosts", "sum(records)")):
                self.assertEqual(self.ask(f"SELECT {number} AS n FROM portreeve.{table} WHERE host = 'web-09'"), [{"n": 1}], table)
            # As if no answer had come.
            self.lab.file(place, json.dumps([0, len(row)]))

    def check_rows(self, agents):
        """A row says what the record says, and the record is the agent's line."""
        lines = {json.loads(line)["portreeve"]["sequence"]: line.strip() for line in self.drops(agents[0])}
        rows = self.ask("SELECT * FROM portreeve.events WHERE host = 'web-01' AND type = 'drop'")
        self.assertEqual(len(rows), len(lines))
        for row in rows:
            line = json.loads(lines[row["sequence"]])
            record = json.loads(row["record"])
            self.assertEqual((record["portreeve"]["reason"], record["dest_port"], record["src_port"]),
                             (line["portreeve"]["reason"], line["dest_port"], line["src_port"]))
            self.assertEqual((row["reason"], row["dst_port"], row["src"], row["dst"], row["source"], row["time"].replace(" ", "T")),
                             (line["portreeve"]["reason"], line["dest_port"], f"::ffff:{line['src_ip']}", f"::ffff:{line['dest_ip']}",
                              f"::ffff:{agents[0].namespace.ip4}", line["timestamp"][:-5]))

    def check_queries(self, agents):
        agents[1].write_policy(POLICY.replace("ports: 80", "ports: 81"))
        agents[1].tool("reload")
        self.send(agents[1], 9_500, 25)
        lab = self.lab
        lab.web3.status("nc", "-z", "-w", "1", lab.web1.ip4, "23")
        wait_until(lambda: self.ask("SELECT 1 AS n FROM portreeve.events WHERE reason = 'policy-changed'")
                   and self.ask("SELECT 1 AS n FROM portreeve.events WHERE rule = 'No telnet'"), "they are there", 30)
        self.await_all_but(1)
        flow, = self.ask("SELECT any(community_id) AS id FROM portreeve.events WHERE rule = 'No telnet'")
        found = {}
        for name, query in re.findall(r"^-- ([a-z-]+): [^\n]*\n(.*?);", fleet.text("clickhouse", "queries.sql"), re.DOTALL | re.MULTILINE):
            query = query.replace("{source:String}", f"'{lab.control.ip4}'").replace("{flow:String}", f"'{flow['id']}'")
            found[name] = self.ask(query)
        self.assertEqual(len(found), 11)
        reasons = {row["reason"]: row for row in found["drops-by-reason"]}
        unsolicited = next(reason for reason in reasons if reason != "deny")
        self.assertEqual((reasons[unsolicited]["packets"], reasons[unsolicited]["hosts"]), (sum(self.written.values()), 3))
        self.assertEqual([row["rule"] for row in found["rules"]], ["No telnet"])
        self.assertEqual([(row["source"], row["hosts"]) for row in found["sources"]], [(lab.control.ip4, 3), (lab.web3.ip4, 1)])
        self.assertEqual(len(found["one-source"]), sum(self.written.values()))
        self.assertEqual({row["host"] for row in found["one-flow"]}, {"web-01"})
        change, = found["after-changes"]
        self.assertEqual((change["host"], change["after"]), ("web-02", 25))
        self.assertEqual([found[name] for name in ("silent", "missing", "outgoing", "connections", "in-doubt")], [[]] * 5)

    def await_all_but(self, others):
        total = sum(self.written.values()) + others
        wait_until(lambda: self.ask("SELECT count() AS n FROM portreeve.events WHERE type = 'drop'")[0]["n"] >= total, "all arrived", 30)

    def check_hostile(self):
        """Who has a certificate and sends what is no record, or looks like the end of one, makes no row and stops nothing."""
        lab = self.lab
        texts = ['{"portreeve":1}', "\\", "$ACK 1", 'x","event":"{}', "'; DROP TABLE portreeve.events; --", "{" * 5000]
        # A refused SYN may have been sent again.
        others = "SELECT count() AS n FROM portreeve.events WHERE rule != 'No telnet'"
        before = self.ask(others)
        folder = os.path.join(lab.directory, "web-02")
        lab.web2.python(f"""
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for text in {texts!r}:
    s.sendto(("<134>1 2026-11-30T10:00:00Z other portreeve 7 x - " + text).encode(), {os.path.join(folder, "log.sock")!r})
""")
        wait_until(lambda: self.ask("SELECT count() AS n FROM portreeve.unreadable")[0]["n"] == len(texts), "they are kept apart", 30)
        self.assertEqual({row["event"].strip() for row in self.ask("SELECT event FROM portreeve.unreadable")}, set(texts))
        self.assertEqual(self.ask(others), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)

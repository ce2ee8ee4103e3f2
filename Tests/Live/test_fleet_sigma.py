# SPDX-License-Identifier: GPL-3.0-or-later
"""The Sigma rules: pySigma reads them and converts them for OpenSearch and Elastic, and as SQL each finds the events of a real engine
that it is for, and not their nearest neighbours."""

import copy
import glob
import json
import logging
import os
import re
import sqlite3
import subprocess
import tempfile
import unittest

import isolation

isolation.isolate()

logging.getLogger("scapy").setLevel(logging.ERROR)

import fleet
import records
from agent import Agent, binaries
from lab import Lab, wait_until
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.packet import Raw
from scapy.utils import PcapWriter

try:
    from sigma.backends.elasticsearch import EqlBackend, LuceneBackend
    from sigma.backends.opensearch import OpensearchLuceneBackend
    from sigma.backends.sqlite import sqliteBackend
    from sigma.collection import SigmaCollection
    from sigma.processing.pipeline import ProcessingPipeline
    from sigma.validation import SigmaValidator
    from sigma.validators.core import validators
except ImportError:
    sqliteBackend = None

HOST, PEER, OTHER = "198.18.2.2", "203.0.113.9", "203.0.113.77"
BEGIN = 1_700_000_000
POLICY = """
version: 1
stateful: { ftp: { incoming-active: true }, tcp: { limits: { half-open-per-computer: 5 } } }
engine:
  anti-evasion: strict
  sanity: { source-routing: deny }
  timeouts: { cold-start: 0s, boot-start: 0s }
events: { fold: 10s }
rules:
  - { name: FTP, action: allow, direction: incoming, protocol: tcp, destination: { ports: 21 } }
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
  - { name: Names, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }
  - { name: Out, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 443 } }
"""
needs_sigma = unittest.skipUnless(sqliteBackend, "needs pySigma: make deps-lab")


def files():
    """{name of a rule: its file}"""
    return {os.path.basename(path)[:-4]: path for path in sorted(glob.glob(fleet.path("sigma", "*", "*.yml")))}


def rules(name):
    with open(files()[name], encoding="utf-8") as file:
        return SigmaCollection.from_yaml(file.read())


def flat(event, prefix=""):
    found = {}
    for name, value in event.items():
        if isinstance(value, dict):
            found.update(flat(value, f"{prefix}{name}."))
        elif not isinstance(value, list):
            # SQLite knows times with a colon in their offset alone.
            found[prefix + name] = value.replace("+0000", "Z") if name == "timestamp" else value
    return found


def found(name, events):
    """The places of the events that a rule finds; of a correlation those that make it up."""
    rows = [flat(event) for event in events]
    columns = sorted({key for row in rows for key in row} | {"portreeve.lost", "portreeve.rule"})
    base = sqlite3.connect(":memory:")
    base.execute(f"create table logs ({', '.join(f'`{column}`' for column in columns)})")
    for row in rows:
        base.execute(f"insert into logs values ({', '.join('?' * len(columns))})", [row.get(column) for column in columns])
    query = sqliteBackend().convert(rules(name))[-1]
    if query.startswith("SELECT * FROM logs"):
        return {place - 1 for place, in base.execute(query.replace("SELECT *", "SELECT rowid", 1))}
    cursor = base.execute(query)
    at = [column[0] for column in cursor.description].index("event_ids")
    return {int(each.partition(":")[2].rpartition(":")[2]) - 1 for row in cursor for each in json.loads(row[at])}


class Conversation:
    """Packets of one TCP connection from PEER to HOST."""

    def __init__(self, port, sport=40_000, source=PEER):
        self.port, self.sport, self.source = port, sport, source
        self.next = {True: 1_000, False: 5_000}

    def packet(self, from_peer, flags, data=b"", back=0):
        source, target = (self.source, HOST) if from_peer else (HOST, self.source)
        ports = (self.sport, self.port) if from_peer else (self.port, self.sport)
        sequence = self.next[from_peer] - back
        packet = IP(src=source, dst=target) / TCP(
            sport=ports[0], dport=ports[1], flags=flags, seq=sequence, ack=self.next[not from_peer] if "A" in flags else 0, window=64_000)
        self.next[from_peer] = max(self.next[from_peer], sequence + len(data) + ("S" in flags))
        return packet / Raw(data) if data else packet

    def opening(self):
        return [self.packet(True, "S"), self.packet(False, "SA"), self.packet(True, "A")]


def scan():
    return [IP(src=PEER, dst=HOST) / TCP(sport=50_000, dport=port, flags="S", seq=7) for port in range(1_000, 1_060)]


def openings(count):
    return [IP(src=PEER, dst=HOST) / TCP(sport=30_000 + i, dport=80, flags="S", seq=7) for i in range(count)]


def retransmit(data):
    line = Conversation(80)
    return [*line.opening(), line.packet(True, "PA", b"GET /a HTTP/1.1\r\n"), line.packet(True, "PA", data, back=17)]


def ftp(command):
    line = Conversation(21)
    return [*line.opening(), line.packet(False, "PA", b"220 ready\r\n"), line.packet(True, "PA", b"USER x\r\n"),
            line.packet(False, "PA", b"230 in\r\n"), line.packet(True, "PA", command)]


def fragments(overlap):
    first, second = fragment(IP(src=PEER, dst=HOST, id=77) / UDP(sport=5_000, dport=53) / Raw(bytes(1_600)), 800)[:2]
    if overlap:
        second = second.copy()
        second.frag -= 1
        del second.len, second.chksum
    return [first, second]


@needs_sigma
class RuleTests(unittest.TestCase):
    def test_they_are_rules_as_the_validators_want_them(self):
        # Two of them fetch lists from elsewhere.
        wanted = [each for name, each in validators.items() if name not in ("attacktag", "d3_fendtag")]
        every = [rule for name in files() for rule in rules(name).rules]
        self.assertGreater(len(every), 11)
        issues = SigmaValidator(wanted).validate_rules(iter(every))
        self.assertEqual([str(issue) for issue in issues], [])
        self.assertEqual(len({rule.id for rule in every}), len(every))

    def test_each_is_converted(self):
        for form in (None, "ecs", "ocsf"):
            pipeline = form and ProcessingPipeline.from_yaml(fleet.text("sigma", f"{form}.pipeline.yaml"))
            field = "unmapped.portreeve." if form == "ocsf" else "portreeve."
            for name in files():
                # OpenSearch's language knows no correlation.
                for backend in [EqlBackend] if "/correlations/" in files()[name] else [OpensearchLuceneBackend, LuceneBackend, EqlBackend]:
                    query = backend(pipeline).convert(rules(name))[-1]
                    self.assertIn(field, query, (name, backend.__name__))
                    self.assertEqual(query.count("portreeve."), query.count(field))

    def test_the_page(self):
        """Its commands, by sigma-cli, and its table."""
        environment = {**os.environ, "PYTHONPATH": fleet.PACKAGES}
        for command in fleet.commands("sigma"):
            words = command.replace("sigma ", f"/usr/bin/python3 {fleet.PACKAGES}/bin/sigma ", 1)
            done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, env=environment)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("portreeve.reason", done.stdout)
        with open(os.path.join(fleet.ROOT, "docs", "fleet.md"), encoding="utf-8") as file:
            table = dict(re.findall(r"^\| `(?:\w+/)?([a-z-]+)` \| (\w+) \|", file.read(), re.MULTILINE))
        self.assertEqual(table, {name: rules(name).rules[-1].level.name.lower() for name in files()})

    def test_they_ask_for_reasons_that_there_are(self):
        schema = json.loads(subprocess.check_output([os.path.join(binaries(), "portreeve"), "schema", "--events"]))
        keys = schema["properties"]["portreeve"]["properties"]
        for name in files():
            for rule in rules(name).rules:
                for detection in getattr(getattr(rule, "detection", None), "detections", {}).values():
                    for item in detection.detection_items:
                        key = item.field.removeprefix("portreeve.")
                        self.assertIn(key, keys, name)
                        if "enum" in keys[key]:
                            self.assertLessEqual({str(value) for value in item.value}, set(keys[key]["enum"]), name)


@needs_sigma
class PacketTests(unittest.TestCase):
    """Captures that the engine judges."""

    def events(self, *packets):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        capture, policy = os.path.join(folder, "capture.pcap"), os.path.join(folder, "policy.yaml")
        writer = PcapWriter(capture, linktype=101)
        for number, packet in enumerate(packets):
            packet.time = BEGIN + number / 100
            writer.write(packet)
        writer.close()
        with open(policy, "w", encoding="utf-8") as file:
            file.write(POLICY)
        done = subprocess.run([os.path.join(binaries(), "portreeve"), "replay", "--policy", policy, "--local", HOST, capture],
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return records.parsed(done.stdout.splitlines())

    def check(self, name, reason, wanted, near):
        """The rule finds events of that reason among those of `wanted`, all of which it finds, and none of `near`, which has some."""
        events, neighbours = self.events(*wanted), self.events(*near)
        both = events + neighbours
        places = {place for place, event in enumerate(events) if event["portreeve"]["reason"] == reason}
        self.assertTrue(places, [event["portreeve"]["reason"] for event in events])
        self.assertTrue(neighbours, "there is a neighbour")
        self.assertEqual(found(name, both), places, [(e["portreeve"]["reason"], e["portreeve"]["count"]) for e in both])

    def test_a_scan_and_one_refused_packet(self):
        self.check("scan", "port-scan", scan(), scan()[:3])

    def test_many_openings_and_some_too_many(self):
        self.check("flood", "max-syn-sent", openings(40), openings(8))

    def test_other_bytes_sent_again_and_bytes_outside_the_window(self):
        outside = Conversation(80)
        self.check("retransmit-changed", "dropped-retransmit", retransmit(b"GET /b HTTP/1.1\r\n"),
                   [*outside.opening(), outside.packet(True, "PA", b"x", back=-900_000)])
        self.assertEqual(self.events(*retransmit(b"GET /a HTTP/1.1\r\n")), [])

    def test_fragments_that_overlap_and_a_lone_one(self):
        self.check("fragment-evasion", "overlapping-fragment", fragments(True),
                   [fragments(False)[1], *(IP(src=OTHER, dst=HOST) / TCP(dport=80, sport=9, flags="S", seq=1) for _ in range(900))])
        self.assertEqual(self.events(*fragments(False)), [])

    def test_an_address_of_somebody_else_and_a_port_that_is_not_admitted(self):
        self.check("ftp-bounce", "invalid-port-command", ftp(b"PORT 203,0,113,77,31,64\r\n"), [*ftp(b"QUIT\r\n"), *scan()[:1]])
        self.assertEqual(self.events(*ftp(b"PORT 203,0,113,9,31,64\r\n")), [])

    def test_a_source_that_cannot_be_and_one_that_is_only_odd(self):
        self.check("spoofed-source", "same-source-and-destination-ip", [IP(src=HOST, dst=HOST) / TCP(dport=80, flags="S")],
                   [IP(src="224.0.0.9", dst=HOST) / TCP(dport=80, flags="S")])

    def test_what_the_host_wants_and_what_others_want(self):
        self.check("outgoing-refused", "out-of-allowed-policy", [IP(src=HOST, dst=PEER) / TCP(sport=40_000, dport=6_667, flags="S")],
                   [IP(src=PEER, dst=HOST) / TCP(sport=40_000, dport=6_667, flags="S")])

    def test_how_it_was_refused(self):
        event, = self.events(*scan()[:1])

        def other(**facts):
            changed = copy.deepcopy(event)
            changed["portreeve"].update(facts)
            if facts.get("action") in ("tap:deny", "fail-open"):
                changed["verdict"]["action"] = "pass"
            # The schema of records takes it.
            return records.record(json.dumps(changed).encode())
        events = [event, other(action="tap:deny"), other(action="fail-open"), other(lost=3), other(count=100)]
        self.assertEqual(found("not-enforced", events), {2})
        self.assertEqual(found("blind", events), {3})


@needs_sigma
class AgentTests(unittest.TestCase):
    seconds = 16

    def test_what_an_agent_says_of_itself(self):
        with Lab() as lab, Agent(lab.host, "version: 1\nrules:\n  - { name: Web, action: allow, direction: incoming, protocol: tcp, "
                                 "destination: { ports: 80 } }\n").feed() as agent:
            self.addCleanup(lab.host.flush_rules)

            def events(*reasons):
                """Those of the file, once it has these."""
                def read():
                    with open(agent.events_file, "rb") as file:
                        lines = records.parsed(line for line in file if line.endswith(b"\n"))
                    return set(reasons) <= {event["portreeve"]["reason"] for event in lines} and lines
                return wait_until(read, f"events of {reasons}", 30, agent.process)

            wait_until(lambda: os.path.exists(agent.events_file), "the file is there", process=agent.process)
            lab.client.status("nc", "-z", "-w", "1", lab.host.ip4, "80")
            agent.write_policy("version: 1\nrules:\n  - { name: Web, action: allow, direction: incoming, protocol: tcp, "
                               "destination: { ports: 81 } }\n")
            agent.tool("reload")
            lab.client.status("nc", "-z", "-w", "1", lab.host.ip4, "80")
            every = events("policy-changed", "out-of-allowed-policy")
            kinds = [event["portreeve"]["reason"] for event in every]
            changed = {place for place, kind in enumerate(kinds) if kind == "policy-changed"}
            refused = {place for place, kind in enumerate(kinds) if kind == "out-of-allowed-policy"}
            self.assertEqual(found("policy-changed", every), changed)
            self.assertEqual(found("drops-after-change", every), changed | refused)
            # Another host's drop, and one of an hour later.
            for key, value in (("host", "elsewhere"), ("timestamp", "2036-01-01T00:00:00.000000+0000")):
                apart = copy.deepcopy(every)
                for place in refused:
                    apart[place][key] = value
                self.assertEqual(found("drops-after-change", apart), set(), key)

            lab.host.flush_rules()
            every = events("invalid-adapter-configuration")
            self.assertEqual({every[place]["portreeve"]["reason"] for place in found("blind", every)}, {"invalid-adapter-configuration"})

            agent.stop()
            agent.write_policy("version: 1\nnonsense: true\n")
            agent.start()
            every = events("fallback-policy")
            self.assertEqual({every[place]["portreeve"]["reason"] for place in found("policy-fallback", every)}, {"fallback-policy"})


if __name__ == "__main__":
    unittest.main(verbosity=2)

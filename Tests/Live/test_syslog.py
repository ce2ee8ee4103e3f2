# SPDX-License-Identifier: GPL-3.0-or-later
"""Events by syslog to real receivers, which are absent at the start, restarted, stopped, or refuse: each event arrives once and
as it was sent, no output waits for another, and what the firewall does waits for none."""

import json
import os
import signal
import socket
import unittest

import isolation

isolation.isolate()

import receivers
from agent import Agent
from lab import Lab, wait_until
from receivers import STRICT_TLS, TCP, TLS, UDP, Certificates, Receiver

NAME = "logs.example.org"
FIRST_PORT = 20_000
RULES = """
version: 1
rules:
  - { name: Odd ports, action: deny, direction: incoming, protocol: udp, priority: 4, destination: { ports: 20000-29999 } }
"""
# Datagrams to so many ports from the first on.
SEND = """
import socket, sys
address, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(first, first + count):
    s.sendto(b"?", (address, port))
"""


def port_of(message):
    """The destination port of an event, whatever its format."""
    event = json.loads(message.text)
    for path in (("dest_port",), ("destination", "port"), ("dst_endpoint", "port")):
        value = event
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value:
            return value
    raise AssertionError(f"no port in {message.text}")


class Receivers:
    """What both receivers show."""

    kind = None
    local = "dgram"

    @classmethod
    def setUpClass(cls):
        reason = receivers.unavailable(cls.kind)
        if reason:
            raise unittest.SkipTest(reason)
        cls.lab = cls.enterClassContext(Lab())
        cls.certificates = Certificates(cls.lab, NAME, cls.lab.client.ip4)

    def outputs(self, receiver):
        address, c = self.lab.client.ip4, self.certificates
        known = f"certificate: {c.client_certificate}, key: {c.client_key}"
        return f"""events:
  syslog:
  - {{ target: {receiver.socket}, format: json, facility: local3 }}
  - {{ target: "udp://{address}", format: json, severity: error, app-name: wall }}
  - {{ target: "tcp://{address}:{TCP}", format: ecs }}
  - {{ target: "tls://{address}:{TLS}", format: ocsf, tls: {{ ca: {c.ca}, name: {NAME} }} }}
  - {{ target: "tls://{address}:{STRICT_TLS}", format: json, tls: {{ ca: {c.ca}, {known} }} }}
"""

    sources = ("local", "udp", "tcp", "tls", "strict")

    def send(self, agent, first, count):
        """Waits until the file has them: it must not wait for any receiver."""
        before = len(agent.events())
        self.lab.client.python(SEND, self.lab.host.ip4, FIRST_PORT + first, count)
        self.written += count
        wait_until(lambda: len(self.all_events(agent)) == self.written, "the file has all events", process=agent.process)
        return before

    def all_events(self, agent):
        with open(agent.events_file, encoding="utf-8") as file:
            return [line for line in file if line.endswith("\n")]

    def await_all(self, receiver, agent, count):
        """Each output has brought each event once, in order."""
        expected = list(range(FIRST_PORT, FIRST_PORT + count))

        def by_source():
            found = {source: [] for source in self.sources}
            for message in receiver.received():
                found[message.source].append(port_of(message))
            return found

        try:
            wait_until(lambda: all(len(ports) >= count for ports in by_source().values()), f"{count} events by each output",
                       process=agent.process)
        except TimeoutError as timeout:
            raise AssertionError(f"{timeout}: {by_source()} {agent.report()['outputs']}") from None
        self.assertEqual(by_source(), {source: expected for source in self.sources})

    def test_absent_restarted_and_stopped(self):
        receiver = Receiver(self.lab.client, self.kind, self.certificates, self.local)
        self.written = 0
        with Agent(self.lab.host, RULES + self.outputs(receiver)) as agent:
            self.addCleanup(self.lab.host.flush_rules)
            agent.feed()
            self.send(agent, 0, 10)
            wait_until(lambda: all(output["trouble"] for output in agent.report()["outputs"][1:]), "no receiver is there")
            self.assertIsNone(agent.report()["outputs"][0].get("trouble"))
            receiver.start()
            self.await_all(receiver, agent, 10)
            wait_until(lambda: not any(output.get("trouble") for output in agent.report()["outputs"]), "all is well")

            receiver.stop()
            self.send(agent, 10, 10)
            receiver.start()
            self.await_all(receiver, agent, 20)

            with stopped(receiver.process):
                # A Unix socket and UDP hold some ninety in the kernel.
                self.send(agent, 20, 60)
            self.await_all(receiver, agent, 80)

            self.assertEqual({name: (output["received"], output["written"], output["lost"])
                              for name, output in self.settled(agent).items()},
                             {name: (80, 80, 0) for name in self.settled(agent)})
            self.check_headers(receiver.received(), agent)
        receiver.stop()

    def settled(self, agent):
        def outputs():
            found = {output["name"]: output for output in agent.report()["outputs"]}
            return all(output["pending"] == 0 for output in found.values()) and found
        return wait_until(outputs, "nothing is pending")

    def check_headers(self, messages, agent):
        first = {source: next(m for m in messages if m.source == source) for source in self.sources}
        facilities = {source: message.facility for source, message in first.items()}
        self.assertEqual(facilities, {**dict.fromkeys(self.sources, "local0"), "local": "local3"})
        short = {"err": "error", "warn": "warning"}
        severities = {source: short.get(message.severity, message.severity) for source, message in first.items()}
        self.assertEqual(severities, {**dict.fromkeys(self.sources, "warning"), "udp": "error"})
        applications = {source: message.application for source, message in first.items()}
        self.assertEqual(applications, {**dict.fromkeys(self.sources, "portreeve"), "udp": "wall"})
        host = socket.gethostname()
        for source, message in first.items():
            with self.subTest(source=source):
                self.assertEqual((message.kind, message.host), ("deny", host))
                self.assertRegex(message.process, r"^\d+$")
                self.assertRegex(message.data, r"Portreeve")
                self.assertRegex(message.data, r"sequenceId.*\b1\b")


class OwnPacketTests(unittest.TestCase):
    """What the agent sends is judged as all else, and passes by its mark. Where that is taken away, its packets are dropped: that
    is told in the file, and never over the network, where each event would make the next."""

    DENY = """
  - { name: No syslog, action: deny, direction: outgoing, protocol: tcp+udp, priority: 4, destination: { ports: [514, 601] } }
"""
    # Prints what comes by UDP.
    LISTEN = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 514))
while True:
    print(s.recv(65536).decode(), flush=True)
"""

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())

    def setUp(self):
        client = self.lab.client
        self.listener = client.start("/usr/bin/python3", "-c", self.LISTEN, client.ip4, name="listener")
        self.addCleanup(self.listener.stop)
        wait_until(lambda: client.listens(514, "u"), "the receiver listens", process=self.listener)

    def agent(self, name):
        address = self.lab.client.ip4
        outputs = f'''events:
  syslog: [{{ target: "udp://{address}", format: json }}, {{ target: "tcp://{address}", format: json }}]
'''
        agent = self.enterContext(Agent(self.lab.host, RULES.rstrip() + self.DENY + outputs, name=name))
        self.addCleanup(self.lab.host.flush_rules)
        agent.feed()
        return agent

    def send(self, count):
        self.lab.client.python(SEND, self.lab.host.ip4, FIRST_PORT, count)

    def test_they_pass_although_a_rule_denies_them(self):
        agent = self.agent("marked")
        self.send(5)
        wait_until(lambda: self.listener.output().count("sequenceId") == 5, "five events arrive", process=agent.process)
        self.assertEqual({event["portreeve"]["rule"] for event in agent.events()}, {"Odd ports"})

    def test_dropped_ones_make_no_storm(self):
        agent = self.agent("unmarked")
        self.lab.host.run("iptables", "-w", "-t", "mangle", "-I", "OUTPUT", "-j", "MARK", "--set-mark", "0")
        self.send(20)

        def dropped():
            return sum(event["portreeve"]["count"] for event in events if event["portreeve"]["rule"] == "No syslog"
                       and event["proto"] == "UDP")

        events = []
        # One packet for each event of the others, and no more: those packets' own events went nowhere.
        wait_until(lambda: events.extend(agent.events()) or dropped() >= 20, "the syslog packets are dropped", process=agent.process)
        outputs = wait_until(
            lambda: (found := agent.report()["outputs"])[1]["pending"] == 0 and found, "all is sent", process=agent.process)
        events.extend(agent.events())
        self.assertEqual(dropped(), 20)
        self.assertEqual(outputs[1]["received"], 20)
        self.assertEqual(outputs[2]["received"], 20)
        self.assertGreater(outputs[0]["received"], 40)
        self.assertEqual(self.listener.output(), "")


class SpoolTests(unittest.TestCase):
    """What a receiver does not take waits on disk, over a restart of the agent too."""

    @classmethod
    def setUpClass(cls):
        reason = receivers.unavailable("rsyslog")
        if reason:
            raise unittest.SkipTest(reason)
        cls.lab = cls.enterClassContext(Lab())

    def test_over_a_restart(self):
        lab = self.lab
        receiver = Receiver(lab.client, "rsyslog", Certificates(lab, NAME, lab.client.ip4))
        policy = RULES + f"""events:
  syslog: {{ target: "tcp://{lab.client.ip4}:{TCP}", format: json, spool: 4MiB }}
"""
        agent = Agent(lab.host, policy).start()
        self.addCleanup(lab.host.flush_rules)
        agent.feed()
        lab.client.python(SEND, lab.host.ip4, FIRST_PORT, 50)
        wait_until(lambda: len(agent.wait_for_events(50)) == 50, "the file has them", process=agent.process)
        wait_until(lambda: agent.report()["outputs"][1]["pending"] == 50, "they wait", process=agent.process)
        self.assertEqual(agent.stop(), 0)
        self.assertIn("50 events wait on disk", agent.log())
        self.assertNotIn("were not written", agent.log())
        receiver.start()
        self.addCleanup(receiver.stop)
        agent.start()
        self.addCleanup(agent.stop)
        lab.client.python(SEND, lab.host.ip4, FIRST_PORT + 50, 5)
        wait_until(lambda: len(receiver.received()) >= 55, "all arrive", process=agent.process)
        self.assertEqual([port_of(message) for message in receiver.received()], list(range(FIRST_PORT, FIRST_PORT + 55)))
        output = wait_until(lambda: (found := agent.report()["outputs"][1])["pending"] == 0 and found, "nothing waits")
        self.assertEqual((output["received"], output["written"], output["lost"]), (5, 5, 0))


class stopped:
    """A process that reads nothing in this block."""

    def __init__(self, process):
        self.process = process

    def __enter__(self):
        self.process.signal(signal.SIGSTOP)

    def __exit__(self, *_):
        self.process.signal(signal.SIGCONT)


class RsyslogTests(Receivers, unittest.TestCase):
    seconds = 34

    kind = "rsyslog"

    def test_a_receiver_that_is_not_who_it_should_be(self):
        """Another authority, another name, and a receiver that wants to know who sends: nothing goes there, and the others have all."""
        receiver = Receiver(self.lab.client, self.kind, self.certificates, self.local)
        receiver.start()
        self.addCleanup(receiver.stop)
        address, c = self.lab.client.ip4, self.certificates
        self.written = 0
        names = {"wrong": f'"tls://{address}:{TLS}"', "strict": f'"tls://{address}:{STRICT_TLS}"'}
        for what, extra, said in (
                ("another authority", f"- {{ target: {names['wrong']}, tls: {{ ca: {c.wrong_ca} }} }}", "certificate is refused"),
                ("another name", f"- {{ target: {names['wrong']}, tls: {{ ca: {c.ca}, name: other.example.org }} }}",
                 "certificate is refused"),
                ("no certificate of ours", f"- {{ target: {names['strict']}, tls: {{ ca: {c.ca} }} }}", "events.syslog"),
                ("no such file", f"- {{ target: {names['wrong']}, tls: {{ ca: /nonexistent }} }}", "/nonexistent")):
            with self.subTest(what):
                good = f'- {{ target: "tcp://{address}:{TCP}", format: json }}'
                before, written = len(receiver.received()), self.written
                with Agent(self.lab.host, RULES + f"events:\n  syslog:\n  {good}\n  {extra}\n",
                           name=what.replace(" ", "-")) as agent:
                    agent.feed()
                    self.written = 0
                    self.send(agent, written, 3)
                    wait_until(lambda: len(receiver.received()) >= before + 3, "the other output brings all")
                    trouble = wait_until(
                        lambda: (text := agent.report()["outputs"][2].get("trouble")) and "connected" not in text and text,
                        "the receiver is refused")
                    self.assertIn(said, trouble)
                    self.assertIn("tls://", trouble)
                    self.assertEqual(agent.report()["outputs"][2]["written"], 0)
                self.lab.host.flush_rules()
                self.assertEqual({message.source for message in receiver.received()[before:]}, {"tcp"})
                self.written += written

    def test_the_page(self):
        """README.md's configurations of both ends, with the lab's files and its receiver's address."""
        c, lab = self.certificates, self.lab
        directory = lab.file("page")
        os.makedirs(directory)
        output = os.path.join(directory, "events.jsonl")
        files = {"/etc/ssl/portreeve/ca.pem": c.ca, "/etc/ssl/portreeve/receiver.pem": c.certificate,
                 "/etc/ssl/portreeve/receiver.key": c.key, "/etc/ssl/portreeve/host.pem": c.client_certificate,
                 "/etc/ssl/portreeve/host.key": c.client_key, "/var/log/portreeve-events.jsonl": output,
                 "//logs.example.org:": f"//{lab.client.ip4}:"}

        def here(name):
            text = receivers.page(name)
            for path, place in files.items():
                text = text.replace(path, place)
            self.assertNotIn("/etc/", text)
            return text

        configuration = lab.file(os.path.join(directory, "rsyslog.conf"), here("rsyslog"))
        receiver = lab.client.start("rsyslogd", "-n", "-i", os.path.join(directory, "pid"), "-f", configuration, name="page-rsyslog")
        self.addCleanup(receiver.stop)
        wait_until(lambda: lab.client.listens(TLS), "rsyslog listens", process=receiver)
        with Agent(lab.host, RULES, name="page-agent") as agent:
            self.addCleanup(lab.host.flush_rules)
            agent.feed()
            lab.file(os.path.join(agent.directory, "policy.d", "syslog.yaml"), here("rsyslog-sender"))
            agent.tool("check", check=False)
            agent.tool("reload")
            lab.client.python(SEND, lab.host.ip4, FIRST_PORT, 7)

            def arrived():
                if not os.path.exists(output):
                    return []
                with open(output, encoding="utf-8") as file:
                    events = [json.loads(line) for line in file if line.endswith("\n")]
                return [event["dest_port"] for event in events if event["event_type"] == "drop"]

            wait_until(lambda: len(arrived()) >= 7, "all arrive", process=agent.process)
            self.assertEqual(arrived(), list(range(FIRST_PORT, FIRST_PORT + 7)))
            self.assertNotIn("no events reach", agent.tool("status"))


class SyslogNGTests(Receivers, unittest.TestCase):
    kind, local = "syslog-ng", "stream"


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: GPL-3.0-or-later
"""`explain` against the running agent: what it says of a packet is what the agent does with that packet, sent a moment later."""

import datetime
import itertools
import json
import os
import re
import sys
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, binaries
from forge import Injector
from lab import Lab, wait_until
from load import IdleConnections
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.utils import wrpcap
from test_words import HARD

TOOL = os.path.join(binaries(), "portreeve")
FENCE = 9
# In three days.
NOON = datetime.datetime.now(datetime.UTC).replace(hour=12, minute=0, second=0) + datetime.timedelta(days=3)
POLICY = f"""version: 1
interfaces: {{ ignore: [lo] }}
engine: {{ timeouts: {{ cold-start: 0s, boot-start: 0s }} }}
schedules:
  another-day: {{ timezone: UTC, weekly: {{ {NOON.strftime("%a").lower()}: ["06:00-18:00"] }} }}
rules:
  - {{ name: Echo, action: allow, direction: incoming, protocol: tcp, destination: {{ ports: 7 }} }}
  - {{ name: Another day, action: allow, direction: incoming, protocol: tcp, destination: {{ ports: 70 }}, schedule: another-day }}
  - {{ name: Fence, action: deny, direction: incoming, protocol: udp, priority: 4, destination: {{ ports: {FENCE} }} }}
  - {{ name: Any datagram, action: allow, direction: incoming, protocol: udp }}
  - {{ name: Any query, action: allow, direction: incoming, protocol: icmp }}
"""


class RunningTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host
        cls.enterClassContext(services.echo(cls.host))
        cls.injector = Injector(cls.lab.router, "out0", cls.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)
        cls.agent = cls.enterClassContext(Agent(cls.host, POLICY))
        cls.addClassCleanup(cls.host.flush_rules)
        cls.agent.feed()
        cls.port = itertools.count(2_000)

    def explain(self, *words, status=0, input=None):
        command = (TOOL, "explain", "--control", self.agent.control, "--json", *map(str, words))
        found, output = self.host.status(*command, input=input)
        self.assertEqual(found, status, output)
        return json.loads(output[output.index("{"):])

    def incoming(self, *words, **options):
        return self.explain("--direction", "incoming", "--interface", "eth0", *words, **options)

    def reason_of(self, packet):
        """Why the agent drops a packet; None: it passes."""
        self.agent.events()
        self.injector.send(packet)
        self.injector.send(self.to_host() / UDP(sport=next(self.port), dport=FENCE))
        events = self.agent.wait_for_events()
        while not events or events[-1].get("dest_port") != FENCE:
            events += self.agent.wait_for_events()
        return [event["portreeve"]["reason"] for event in events[:-1]] or None

    def to_host(self):
        return IP(src=self.client.ip4, dst=self.host.ip4)

    def connection(self):
        """A connection of the client's with the echo service, and its port there."""
        idle = IdleConnections(self.client, self.host.ip4, count=1)
        self.addCleanup(idle.stop)
        row = next(json.loads(line) for line in self.agent.tool("connections", "--json", "--protocol", "tcp").splitlines()
                   if json.loads(line)["state"] == "ESTABLISHED")
        return idle, row["src_port"]

    def ends(self, port):
        return f"{self.client.ip4}:{port}", f"{self.host.ip4}:7"

    def numbers(self, answer):
        (line,) = [line for line in answer["steps"] if line.startswith("headers:")]
        return [int(text) for text in re.search(r"sequence (\d+) acknowledgement (\d+)", line).groups()]

    def test_a_segment_of_a_known_connection(self):
        idle, port = self.connection()
        tcp = ("--tcp", *self.ends(port), "--flags", "psh,ack")
        answer = self.incoming(*tcp, "--payload", 10)
        self.assertEqual(answer["verdict"], "pass")
        self.assertEqual(answer["connection"], {
            "state": "ESTABLISHED", "opening": "incoming", "opening_rule": f'{self.agent.policy}:7:5 "Echo"'})
        sequence, acknowledgement = self.numbers(answer)
        # What is told beside the numbers changes nothing: the client's own next segment passes too.
        self.assertEqual(idle.answering(), 1)
        answer = self.incoming(*tcp, "--payload", 10)
        self.assertGreater(self.numbers(answer)[0], sequence)

        sequence, acknowledgement = self.numbers(answer)
        far = (sequence + 2**30) % 2**32
        answer = self.incoming(*tcp, "--sequence", far, "--acknowledgement", acknowledgement, status=2)
        self.assertEqual((answer["reason"], answer["id"], answer["change"]), ("invalid-sequence", 102, None))
        segment = self.to_host() / TCP(sport=port, dport=7, flags="PA", seq=far, ack=acknowledgement)
        self.assertEqual(self.reason_of(segment), ["invalid-sequence"])

        # The answering direction, and what would be acknowledged but was never sent.
        reply = ("--direction", "outgoing", "--interface", "eth0", "--tcp", *reversed(self.ends(port)), "--flags", "ack")
        self.assertEqual(self.explain(*reply, "--payload", 5)["verdict"], "pass")
        beyond = (acknowledgement + 2**30) % 2**32
        answer = self.incoming(*tcp, "--sequence", sequence, "--acknowledgement", beyond, status=2)
        segment = self.to_host() / TCP(sport=port, dport=7, flags="PA", seq=sequence, ack=beyond)
        self.assertEqual(self.reason_of(segment), [answer["reason"]])
        self.assertEqual(idle.answering(), 1)

        # The same segment from a capture.
        path = self.lab.file("segment.pcap")
        sequence, acknowledgement = self.numbers(self.incoming(*tcp))
        wrpcap(path, [self.to_host() / TCP(sport=port, dport=7, flags="A", seq=number, ack=acknowledgement) / b"data"
                      for number in (sequence, (sequence + 2**30) % 2**32)])
        capture = ("--capture", path, "--interface", "eth0", "--packet")
        self.assertEqual(self.explain(*capture, 1)["connection"]["state"], "ESTABLISHED")
        self.assertEqual(self.explain(*capture, 2, status=2)["reason"], "invalid-sequence")

    def test_a_segment_of_no_known_connection_and_its_event(self):
        port = next(self.port)
        answer = self.incoming("--tcp", *self.ends(port), "--flags", "ack", status=2)
        self.assertEqual((answer["reason"], answer["id"]), ("out-of-connection", 100))
        self.assertNotIn("connection", answer)
        self.agent.events()
        self.injector.send(self.to_host() / TCP(sport=port, dport=7, flags="A", seq=5, ack=7))
        (event,) = [event for event in self.agent.wait_for_events() if event.get("src_port") == port]
        self.assertEqual(event["portreeve"]["id"], 100)
        answer = self.explain("--event", "-", status=2, input=json.dumps(event))
        self.assertEqual((answer["reason"], answer["cause"]), ("out-of-connection", event["portreeve"]["cause"]))

    def test_datagrams(self):
        service, port = next(self.port), next(self.port)
        self.host.python(
            "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', int(sys.argv[1]))); "
            "s.sendto(b'x', (sys.argv[2], int(sys.argv[3])))", service, self.client.ip4, port)
        for source, expected in ((port, None), (next(self.port), "unsolicited-udp")):
            answer = self.incoming("--udp", f"{self.client.ip4}:{source}", f"{self.host.ip4}:{service}", status=2 if expected else 0)
            self.assertEqual(answer["reason"], expected)
            reasons = self.reason_of(self.to_host() / UDP(sport=source, dport=service) / b"x")
            self.assertEqual(reasons, [expected] if expected else None)

    def test_an_echo_and_its_reply(self):
        self.host.run("ping", "-c", "1", "-e", "777", self.client.ip4)
        reply = ("--icmp", self.client.ip4, self.host.ip4, "--type", "0", "--identifier")
        for identifier, expected in ((777, None), (778, "unsolicited-icmp")):
            answer = self.incoming(*reply, identifier, status=2 if expected else 0)
            self.assertEqual(answer["reason"], expected)
            reasons = self.reason_of(self.to_host() / ICMP(type=0, id=identifier, seq=1))
            self.assertEqual(reasons, [expected] if expected else None)

    def test_schedules_hold_as_they_do_now_or_at_a_said_time(self):
        syn = ("--tcp", f"{self.client.ip4}:4000", f"{self.host.ip4}:70")
        answer = self.incoming(*syn, status=2)
        self.assertTrue(any("schedule: it does not hold now" in line for line in answer["steps"]), answer["steps"])
        self.assertEqual(self.incoming(*syn, "--at", f"@{int(NOON.timestamp())}")["rule"], "Another day")

    def test_who_may_not_ask_and_interfaces_that_are_not_there(self):
        packet = ("--direction", "incoming", "--interface", "eth9", "--tcp", *self.ends(4000))
        status, output = self.host.status(TOOL, "explain", "--control", self.agent.control, *packet)
        self.assertEqual(status, 1)
        self.assertIn('the agent knows no interface "eth9"', output)
        status, output = self.host.status(
            "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", TOOL, "explain", "--control",
            self.agent.control, *packet)
        self.assertEqual(status, 1)
        self.assertIn("permission denied; run this as root", output)
        self.assertIn("with --policy FILE", output)
        status, output = self.host.status(TOOL, "explain", "--control", self.agent.control + ".none", *packet)
        self.assertEqual(status, 1)
        self.assertIn("no agent is running", output)
        self.assertIn("with --policy FILE", output)


class StartTests(unittest.TestCase):
    def test_a_connection_older_than_the_agent_and_a_reload_since(self):
        with Lab() as lab, Agent(lab.host, POLICY.replace("cold-start: 0s", "cold-start: 1h")).feed() as agent:
            self.addCleanup(lab.host.flush_rules)
            services.echo(lab.host)
            ack = ("explain", "--control", agent.control, "--direction", "incoming", "--interface", "eth0", "--tcp",
                   f"{lab.client.ip4}:4000", f"{lab.host.ip4}:7", "--flags", "ack")
            status, output = lab.host.status(TOOL, *ack)
            self.assertEqual(status, 0, output)
            self.assertIn("agent: policy epoch 1", output)
            self.assertIn("(cold start)", output)
            self.assertIn("connections older than the agent may go on now", output)
            agent.write_policy(POLICY.replace("cold-start: 0s", "cold-start: 1h").replace("ports: 7 ", "ports: 8 "))
            # On disk is not in force.
            self.assertEqual(lab.host.status(TOOL, *ack)[0], 0)
            agent.tool("reload")
            status, output = lab.host.status(TOOL, *ack)
            self.assertEqual(status, 2, output)
            self.assertIn("agent: policy epoch 2", output)


class PolicyChangeTests(unittest.TestCase):
    """Event 921: what each policy that comes into force changes, and who asked for it."""

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())

    def setUp(self):
        self.agent = self.enterContext(Agent(self.lab.host, POLICY))

    def changes(self, count):
        """Those so far, once there are so many."""
        def enough():
            self.agent.events()
            return len(self.agent.changes) >= count

        wait_until(enough, f"{count} events of changed policies")
        self.assertEqual(len(self.agent.changes), count, self.agent.changes)
        return self.agent.changes

    def test_a_reload_says_what_it_changes_and_who_asked_for_it(self):
        self.agent.write_policy(POLICY.replace("ports: 7 ", "ports: [7, 80] "))
        self.agent.tool("reload")
        event = self.changes(1)[0]["portreeve"]
        self.assertEqual((event["id"], event["action"], event["policy_epoch"]), (921, "notice", 2))
        note = event["note"]
        self.assertIn("epoch 2 after 1, asked for by root (user 0, process ", note)
        self.assertIn("more permissive; 2 regions of packets: incoming tcp ", note)
        self.assertIn(f'refuse, no rule admits it -> admit, allow by {self.agent.policy}:7:5 "Echo"', note)
        self.assertIn(f"policy changed: {note}", self.agent.log())

        # One that changes nothing says so; one that is refused, or the events file reopened, is no change.
        self.agent.tool("reload")
        note = self.changes(2)[1]["portreeve"]["note"]
        self.assertTrue(note.endswith(": equivalent"), note)
        self.agent.write_policy(POLICY + "nonsense: 1\n")
        self.assertNotEqual(self.agent.tool_status("reload")[0], 0)
        self.agent.tool("reopen")

        self.agent.reload(POLICY.replace("ports: 7 ", "ports: 8 ").replace("cold-start: 0s", "cold-start: 1s"))
        note = self.changes(3)[2]["portreeve"]["note"]
        self.assertIn("asked for by a signal (SIGHUP): more permissive and more restrictive; ", note)
        self.assertIn("settings: engine.timeouts.cold-start 0 -> 1s", note)

    def test_what_takes_too_much_work_is_not_said_to_change_nothing(self):
        self.agent.reload(POLICY + HARD[HARD.index("  - "):])
        self.assertTrue(self.changes(1)[0]["portreeve"]["note"].endswith(
            ': what it changes was not decided within the budget; "portreeve diff" takes its time'), self.agent.changes)
        # Lists of more addresses than are compared beside the packets.
        addresses = self.lab.file("many.txt", "".join(f"10.{n >> 15 & 255}.{n >> 7 & 255}.{n << 1 & 255}\n" for n in range(200_001)))
        self.agent.reload(POLICY.replace("rules:", f"lists: {{ many: {{ addresses-file: {addresses} }} }}\nrules:"))
        self.assertIn("not decided within the budget: both policies have 200001 entries of address lists", self.changes(2)[1]["portreeve"]["note"])
        self.agent.reload(POLICY.replace("ports: 7 ", "ports: 8 "))
        self.assertIn("not decided within the budget", self.changes(3)[2]["portreeve"]["note"])

    def test_a_policy_that_nobody_confirms(self):
        self.agent.write_policy(POLICY.replace("ports: 7 ", "ports: 8 "))
        self.agent.tool("reload", "--confirm", "2", check=False)
        first, last = [event["portreeve"]["note"] for event in self.changes(2)]
        self.assertIn("more permissive and more restrictive", first)
        self.assertIn("epoch 1 after 2, asked for by nobody: the policy on trial was not confirmed: more permissive", last)


class KernelTests(unittest.TestCase):
    """After an accept: what the kernel does."""

    def watch(self, lab, agent, words, send):
        """What a watch says while packets are sent; the test is skipped where this kernel may not be traced."""
        command = [TOOL, "explain", "--control", agent.control, "--direction", "incoming", "--interface", "eth0", "--watch", "8", *words]
        watching = lab.host.start("unshare", "--mount", "sh", "-c", "mount -t tracefs tracefs /sys/kernel/tracing 2>&1; exec \"$@\"", "sh", *command,
                                  name="watching")
        wait_until(lambda: "watching for" in watching.output() or not watching.is_running, "it watches", process=None)

        # Until it has seen them: how many it takes depends on when it looks.
        def sent():
            send()
            return not watching.is_running

        wait_until(sent, "the watch ends")
        output = watching.output()
        if "what the kernel does cannot be watched" in output:
            self.skipTest(output)
        self.assertIn("verdict: pass", output)
        self.assertIn("of this flow passed the agent", output)
        return output

    def test_an_admitted_packet_to_a_port_without_a_listener(self):
        with Lab() as lab, Agent(lab.host, POLICY.replace("ports: 7 ", "ports: [7, 81] ")).feed() as agent:
            self.addCleanup(lab.host.flush_rules)
            services.echo(lab.host)
            words = ("--tcp", f"{lab.client.ip4}:4000", f"{lab.host.ip4}:81")
            output = self.watch(lab, agent, words, lambda: lab.client.status("nc", "-z", "-w", "1", "-p", "4000", lab.host.ip4, "81"))
            self.assertIn("NO_SOCKET, no socket listens at that port", output)

            # Where it may not trace, it says so.
            status, output = lab.host.status(
                "unshare", "--mount", "sh", "-c", "umount -l /sys/kernel/tracing 2>/dev/null; mount -t tmpfs tmpfs /sys/kernel; exec \"$@\"", "sh", TOOL,
                "explain", "--control", agent.control, "--direction", "incoming", "--interface", "eth0", "--watch", "8", *words)
            self.assertEqual(status, 4, output)
            self.assertIn("what the kernel does cannot be watched: tracefs is not to be seen", output)

    def test_an_admitted_datagram_that_the_kernel_throws_away(self):
        """For its reverse path, for its checksum, and for a full buffer: each by a flow of its own."""
        policy = ("version: 1\nrules:\n  - { name: Datagrams, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 90-99 } }\n")
        with Lab() as lab, Agent(lab.host, policy).feed() as agent:
            self.addCleanup(lab.host.flush_rules)
            injector = Injector(lab.router, "out0", lab.host.mac("eth0"))
            self.addCleanup(injector.close)
            # It never reads, and its buffer is the smallest that there is.
            lab.host.start(sys.executable, "-c", "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
                           "s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1); s.bind(('', 90)); time.sleep(60)", name="deaf")
            wait_until(lambda: ":90 " in lab.host.run("ss", "-Hlnu"), "the socket is there", process=None)
            lab.host.sysctl(net__ipv4__conf__all__rp_filter=1, net__ipv4__conf__eth0__rp_filter=1)
            lab.host.run("ip", "route", "add", "203.0.113.0/24", "dev", "lo")
            for source, port, expected, change in (
                    (lab.client.ip4, 90, "SOCKET_RCVBUFF, the socket's receive buffer is full", {}),
                    (lab.client.ip4, 91, "NO_SOCKET", {}),
                    # Where a socket is, the sum is verified when the datagram is read.
                    (lab.client.ip4, 93, "a checksum is wrong", {"chksum": 0x1234}),
                    ("203.0.113.9", 92, "IP_RPFILTER, the kernel's reverse path filter", {})):
                with self.subTest(expected):
                    sport = 4000 + port + len(expected)
                    packet = IP(src=source, dst=lab.host.ip4) / UDP(sport=sport, dport=port, **change) / (b"x" * 1000)
                    output = self.watch(lab, agent, ("--udp", f"{source}:{sport}", f"{lab.host.ip4}:{port}"), lambda: injector.send(packet))
                    self.assertIn(expected, output)


if __name__ == "__main__":
    unittest.main(verbosity=2)

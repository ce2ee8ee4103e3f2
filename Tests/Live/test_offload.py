# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows that a Bypass rule with `offload` gives to the kernel: what they cost, what ends them, what stays judged."""

import json
import unittest

import isolation

isolation.isolate()

from agent import Agent
from lab import Lab, wait_until

BULK = """
  - { name: Bulk in, action: bypass, priority: 4, direction: incoming, protocol: tcp, destination: { ports: 5201 },
      offload: true }
"""
POLICY = f"""
version: 1
rules:
  - {{ name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: {{ type: echo-request }} }}
  - {{ name: Bulk out, action: bypass, priority: 3, direction: outgoing, protocol: tcp, source: {{ ports: 5201 }} }}
"""
BACK = """
  - { name: Bulk back, action: bypass, priority: 4, direction: outgoing, protocol: tcp, source: { ports: 5201 },
      offload: true }
"""
# A packet of the other direction that no rule of it lets pass.
REFUSING = """
  - { name: No urgent data, action: deny, priority: 4, direction: outgoing, protocol: tcp,
      source: { ports: 5201 }, flags: { set: [urg] } }
"""
# As much of an FTP server as the kernel's helper listens to.
PASSIVE = """
import socket, sys
listener = socket.create_server(("", 21))
control, _ = listener.accept()
control.recv(100)
control.sendall(f"227 Entering Passive Mode ({sys.argv[1].replace('.', ',')},15,160)\\r\\n".encode())
control.recv(100)
"""
# Twenty lines, and as many answers, by a socket with a mark.
MARKED = """
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(sys.argv[2]))
s.settimeout(10)
s.connect((sys.argv[1], 5300))
for number in range(20):
    s.sendall(b"x")
    assert s.recv(1) == b"x"
print(number + 1)
"""
INCOMING, OUTGOING = 0x2000000, 0x4000000
FOREIGN = 0x5


class OffloadLab(unittest.TestCase):
    """Bulk and lines from the client to port 5201 of the host; the agent runs on `machine`."""

    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.machine = self.lab.host

    def agent(self, policy):
        agent = self.enterContext(Agent(self.machine, policy))
        agent.tool("iptables", "--apply", seconds=60)
        return agent

    def serve(self):
        server = self.lab.host.start("iperf3", "--server")
        wait_until(lambda: self.lab.host.listens(5201), "iperf3 listens", process=server)

    def send(self, amount, address):
        """Bytes that iperf3 received."""
        report = json.loads(self.lab.client.run(
            "iperf3", "--client", address, "--bytes", amount, "--json", seconds=600))
        return report["end"]["sum_received"]["bytes"]

    def judged(self, agent, hook):
        return sum(row["packets"] for row in agent.report()["hooks"] if row["hook"] == hook)

    def marks(self):
        """The marks of tracked connections with port 5201, of both families."""
        listing = "".join(
            self.machine.status("conntrack", "-L", "-f", family, "-p", "tcp")[1] for family in ("ipv4", "ipv6"))
        words = [line.split() for line in listing.splitlines() if "dport=5201" in line and "ESTABLISHED" in line]
        return [int(word[5:]) for line in words for word in line if word.startswith("mark=")]

    def connect(self, address=None):
        """A client that sends a line every 50 ms to port 5201 of the host, which answers with the same."""
        if not self.lab.host.listens(5201):
            self.lab.host.start("socat", "TCP6-LISTEN:5201,reuseaddr,fork,ipv6-v6only=0", "EXEC:cat", name="echo")
            wait_until(lambda: self.lab.host.listens(5201), "socat listens")
        address = address or self.lab.host.ip4
        peer = f"[{address}]" if ":" in address else address
        lines = f"while sleep 0.05; do echo x; done | socat - TCP:{peer}:5201"
        return self.lab.client.start("sh", "-c", lines, name="lines")

    def lines(self, client):
        return client.output().count("x")


class OffloadTests(OffloadLab):
    """On the host itself."""

    def test_bulk_costs_the_agent_a_handful_of_packets(self):
        self.serve()
        agent = self.agent(POLICY + BULK)
        for address, amount, size in ((self.lab.host.ip4, "10G", 10_000_000_000), (self.lab.host.ip6, "1G", 1_000_000_000)):
            with self.subTest(address):
                incoming, outgoing = self.judged(agent, "input"), self.judged(agent, "output")
                self.assertGreaterEqual(self.send(amount, address), size)
                # Two connections, control and data; each is offloaded by its first packet.
                self.assertLess(self.judged(agent, "input") - incoming, 20)
                # The other direction is not offloaded: its acknowledgements come one by one.
                self.assertGreater(self.judged(agent, "output") - outgoing, 1000)
        self.assertEqual([e for e in agent.events() if e.get("proto") == "TCP"], [])

    def test_no_sender_offloads_a_flow_of_his_own(self):
        """By a mark with the agent's bits: they are taken off a packet that offloads nothing."""
        agent = self.agent(POLICY + BACK)
        self.lab.client.start("socat", "TCP-LISTEN:5300,reuseaddr,fork", "EXEC:cat", name="echo")
        wait_until(lambda: self.lab.client.listens(5300), "socat listens")
        self.assertEqual(self.lab.host.python(MARKED, self.lab.client.ip4, str(OUTGOING | INCOMING | FOREIGN)).strip(), "20")
        listing = self.lab.host.status("conntrack", "-L", "-p", "tcp", "--dport", "5300")[1]
        self.assertIn("dport=5300", listing)
        self.assertIn("mark=0 ", listing)
        self.assertGreater(self.judged(agent, "output"), 20)

    def flow(self, agent, address=None):
        marked = len(self.marks())
        client = self.connect(address)
        wait_until(lambda: self.lines(client) > 3, "lines come back", process=client)
        wait_until(lambda: len([mark for mark in self.marks() if mark & INCOMING]) > marked, "the flow is offloaded")
        before = self.judged(agent, "input")
        count = self.lines(client)
        wait_until(lambda: self.lines(client) > count + 10, "ten lines more", process=client)
        # Ten lines are ten packets. The router may look for its neighbour (RFC 4861 section 7.3.3): that is judged.
        self.assertLess(self.judged(agent, "input") - before, 5)
        return client

    def test_a_reload_without_the_rule_ends_it_at_once(self):
        agent = self.agent(POLICY + BULK)
        addresses = (self.lab.host.ip4, self.lab.host.ip6)
        clients = [self.flow(agent, address) for address in addresses]
        agent.write_policy(POLICY + "  - { name: No bulk, action: deny, direction: incoming, protocol: tcp, "
                           "destination: { ports: 5201 } }\n")
        agent.tool("reload")
        # When reload is over the marks are gone, and so are the flows.
        self.assertFalse(any(mark & INCOMING for mark in self.marks()))
        found = []

        def both_refused():
            found.extend(e for e in agent.events() if e.get("proto") == "TCP")
            return {event["dest_ip"] for event in found} == set(addresses)

        wait_until(both_refused, "both flows are refused")
        self.assertEqual({event["portreeve"].get("rule") for event in found}, {"No bulk"})
        # What had come before may still be on its way through the client.
        agent.wait_for_events(6)
        counts = [self.lines(client) for client in clients]
        agent.wait_for_events(2)
        self.assertEqual([self.lines(client) for client in clients], counts)

    def test_a_reload_with_the_rule_offloads_the_flow_again(self):
        agent = self.agent(POLICY + BULK)
        client = self.flow(agent)
        before = self.judged(agent, "input")
        agent.tool("reload")
        wait_until(lambda: self.judged(agent, "input") > before, "it is judged again", process=client)
        wait_until(lambda: any(mark & INCOMING for mark in self.marks()), "it is offloaded again", process=client)

    def test_an_agent_that_starts_ends_the_offloads_of_the_one_before(self):
        agent = self.agent(POLICY + BULK)
        self.flow(agent)
        agent.kill()
        self.assertTrue(any(mark & INCOMING for mark in self.marks()))
        agent.write_policy(POLICY)
        agent.start()
        self.assertFalse(any(mark & INCOMING for mark in self.marks()))

    def test_the_check_says_that_rules_are_those_of_an_earlier_policy(self):
        agent = self.agent(POLICY)
        self.assertEqual(agent.tool_status("iptables", "--check")[0], 0)
        accepting = "connmark --mark 0x2000000/0x2000000"
        for policy, missing, leftover in (
                (POLICY + BULK, accepting, None), (POLICY + BULK + BACK, "connmark --mark 0x4000000/0x4000000", None),
                (POLICY + BULK.replace("tcp,", "tcp, interfaces: [eth0],"), f"-i eth0 -m {accepting}", accepting),
                (POLICY, None, accepting)):
            with self.subTest(policy):
                agent.write_policy(policy)
                agent.tool("reload")
                status, output = agent.tool_status("iptables", "--check")
                self.assertEqual(status, 1, output)
                found = {"missing": "", "leftover": ""}
                for finding in output.split("error: ")[1:]:
                    found["leftover" if "otherwise than the policy" in finding else "missing"] += finding
                    self.assertIn('cure: run "portreeve iptables --apply"', finding)
                self.assertIn(missing or "", found["missing"])
                self.assertIn(leftover or "", found["leftover"])
                self.assertEqual([bool(missing), bool(leftover)], [bool(found["missing"]), bool(found["leftover"])])
                # The status has the same answer: flows past the queue are a hole, a missing short cut is none.
                protection = json.loads(agent.tool_status("status", "--json")[1])
                self.assertEqual(protection["protection"], "partly" if leftover else "protected")
                self.assertTrue(any("offload" in line for line in protection["protection_details"]), protection)
                agent.tool("iptables", "--apply", seconds=60)
                status, output = agent.tool_status("iptables", "--check")
                self.assertEqual(status, 0, output)

    def test_the_other_direction_is_judged(self):
        agent = self.agent(POLICY + BULK + REFUSING)
        self.flow(agent)
        port = self.lab.client.run("ss", "-Hnt", "dst", f"{self.lab.host.ip4}:5201").split()[3].rsplit(":", 1)[1]
        # Raw sockets pass OUTPUT, packet sockets do not.
        self.lab.host.scapy(
            f"conf.L3socket = L3RawSocket\nsend(IP(src='{self.lab.host.ip4}', dst='{self.lab.client.ip4}')/"
            f"TCP(sport=5201, dport={port}, flags='AU', urgptr=1, seq=1, ack=1)/b'x')")
        found = [e for e in agent.wait_for_events() if e.get("proto") == "TCP"]
        self.assertEqual([e["portreeve"].get("rule") for e in found], ["No urgent data"])

    def test_marks_of_others_survive(self):
        self.lab.host.rules(
            f"*mangle\n-A PREROUTING -p tcp --dport 5201 -j MARK --set-xmark {FOREIGN:#x}/0xff\n"
            f"-A PREROUTING -p tcp --dport 5201 -j CONNMARK --set-xmark {FOREIGN:#x}/0xff", (4,))
        # Counts packets that still have it after the agent's verdict.
        self.lab.host.rules(f"*filter\n-A INPUT -p tcp --dport 5201 -m mark ! --mark {FOREIGN:#x}/0xff", (4,))
        agent = self.agent(POLICY + BULK)
        self.flow(agent)
        self.assertEqual(self.marks(), [INCOMING | FOREIGN])
        self.assertEqual(self.lab.host.rule_packets("INPUT")[-1], 0)
        agent.write_policy(POLICY)
        agent.tool("reload")
        self.assertEqual(self.marks(), [FOREIGN])

    def test_a_child_that_inherits_the_mark_is_judged(self):
        self.lab.host.rules("*raw\n-A PREROUTING -p tcp --dport 21 -j CT --helper ftp", (4,))
        agent = self.agent(
            POLICY + BULK.replace("5201", "21").replace("Bulk", "Control")
            + "  - { name: Control out, action: bypass, direction: outgoing, protocol: tcp, source: { ports: 21 } }\n"
            + "  - { name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }\n")
        server = self.lab.host.start("/usr/bin/python3", "-c", PASSIVE, self.lab.host.ip4, name="ftp")
        wait_until(lambda: self.lab.host.listens(21), "the server listens", process=server)
        self.lab.client.python(
            "import socket, sys, time\n"
            "control = socket.create_connection((sys.argv[1], 21), 10)\n"
            "control.sendall(b'PASV\\r\\n')\n"
            "assert b'227' in control.recv(100)\n"
            "data = socket.socket()\n"
            "data.settimeout(1)\n"
            "print(data.connect_ex((sys.argv[1], 4000)))\n", self.lab.host.ip4)
        found = [e for e in agent.wait_for_events() if e.get("proto") == "TCP"]
        self.assertEqual({(e["portreeve"]["reason"], e["dest_port"]) for e in found}, {("out-of-allowed-policy", 4000)})


class ForwardedTests(OffloadLab):
    """The same on a router in between, whose inside is the host."""

    def setUp(self):
        super().setUp()
        self.machine = self.lab.router

    def agent(self, policy):
        return super().agent(policy.replace("version: 1\n", "version: 1\ninterfaces: { inside: [out0], ignore: [lo] }\n"))

    def test_bulk_costs_the_agent_a_handful_of_packets(self):
        self.serve()
        agent = self.agent(POLICY + BULK + BACK)
        for address in (self.lab.host.ip4, self.lab.host.ip6):
            with self.subTest(address):
                before = self.judged(agent, "forward")
                self.assertGreaterEqual(self.send("1G", address), 1_000_000_000)
                self.assertLess(self.judged(agent, "forward") - before, 30)
        self.assertEqual([e for e in agent.events() if e.get("proto") == "TCP"], [])

    def test_a_direction_that_is_not_offloaded_is_judged(self):
        agent = self.agent(POLICY + BULK)
        client = self.connect()
        wait_until(lambda: self.lines(client) > 3, "lines come back", process=client)
        self.assertTrue(all(mark == INCOMING for mark in self.marks()))
        before = self.judged(agent, "forward")
        count = self.lines(client)
        wait_until(lambda: self.lines(client) > count + 10, "ten lines more", process=client)
        self.assertGreaterEqual(self.judged(agent, "forward") - before, 10)


if __name__ == "__main__":
    unittest.main()

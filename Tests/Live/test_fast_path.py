# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows whose plain segments pass in the kernel, held against the same windows: what comes to the agent, and what ends it."""

import json
import os
import subprocess
import time
import unittest

import isolation

isolation.isolate()

import bpf
import services
from agent import Agent, reasons
from lab import Lab, wait_until
from test_strict import SEGMENT_SIZE, STREAM

PINS = "/run/portreeve-fast-path"
OBJECT = os.environ.get("FASTPATH_OBJECT") or os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), ".build", "fastpath.o")
POLICY = """
version: 1
engine: { fast-path: on, timeouts: { cold-start: 0s, boot-start: 0s } }
rules:
  - { name: Services, action: allow, direction: incoming, protocol: tcp, destination: { ports: [5201, 5300] } }
"""
REFUSING = POLICY + """
  - { name: No more, action: deny, priority: 4, direction: incoming, protocol: tcp }
"""
# A connection that says what its next segment would be: a proxy of a segment that somebody on the way has changed.
FORGERY = """
from scapy.all import ICMP, IP, TCP, UDP, AsyncSniffer, Raw, send
import socket, struct, sys, time
host = sys.argv[1]
sniffer = AsyncSniffer(lfilter=lambda p: TCP in p and p[IP].src == host and p[TCP].sport == 5300)
sniffer.start()
time.sleep(1)
line = socket.create_connection((host, 5300), timeout=20)
for number in range(20):
    line.sendall(b"x" * 100)
    assert line.recv(100)
time.sleep(1)
last = sniffer.stop()[-1][TCP]
port = line.getsockname()[1]
next, expected = last.ack, last.seq + len(last.payload)
mine = line.getsockname()[0]
def forge(flags, seq, ack, port=port):
    send(IP(dst=host) / TCP(sport=port, dport=5300, flags=flags, seq=seq % 2**32, ack=ack % 2**32, window=500), verbose=0)
def refuse(seq):
    quoted = IP(src=host, dst=mine) / TCP(sport=5300, dport=port, seq=seq % 2**32, ack=next, flags="A")
    send(IP(dst=host) / ICMP(type=3, code=1) / quoted, verbose=0)
forge("A", next + 2**30, expected)
forge("A", next, expected + 2**30)
forge("A", next + 2**30, expected)
forge("SF", next, expected)
forge("AE", next, expected)
forge("A", next, expected, port=port ^ 1)
refuse(expected + 2**30)
refuse(expected - 100)
ask = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ask.settimeout(20)
ask.connect((host, 5301))
for number in range(20):
    ask.send(b"x" * 100)
    assert ask.recv(100)
send(IP(dst=host) / UDP(sport=ask.getsockname()[1], dport=5302) / Raw(b"x"), verbose=0)
time.sleep(1)
line.sendall(b"x" * 100)
assert line.recv(100), "the connection goes on"
line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
line.close()
time.sleep(1)
forge("A", next + 5000, expected)
print("done")
"""


class FastPathLab(unittest.TestCase):
    offload = True

    def setUp(self):
        if isolation.is_user_namespace():
            self.skipTest("only root of the machine may load programs into the kernel")
        self.assertTrue(os.path.exists(OBJECT), f"{OBJECT} is missing: make fast-path")
        self.lab = self.enterContext(Lab(offload=self.offload))
        # Each program of the lab has mounts of its own: what one mounts the next does not see.
        if not os.path.ismount(PINS):
            os.makedirs(PINS, exist_ok=True)
            try:
                self._mount()
            except OSError as why:
                self.skipTest(f"no file system of the type bpf can be mounted here: {why}")

    def _mount(self):
        result = subprocess.run(["mount", "-t", "bpf", "-o", "mode=0750", "bpf", PINS], capture_output=True, text=True)
        if result.returncode:
            raise OSError(result.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "-l", PINS], stderr=subprocess.DEVNULL, check=False)

    def agent(self, policy=POLICY, namespace=None, options=()):
        agent = self.enterContext(Agent(namespace or self.lab.host, policy))
        status, output = agent.tool_status("iptables", "--apply", "--program", OBJECT, *options, seconds=60)
        if status and "not permitted" in output:
            self.skipTest(f"the kernel takes no program here: {output}")
        self.assertEqual(status, 0, output)
        wait_until(lambda: agent.report()["fast_path"]["state"] == "active", "the fast path is used")
        return agent

    def judged(self, agent):
        return sum(row["packets"] for row in agent.report()["hooks"])

    def passed(self, agent):
        return agent.report()["fast_path"]["packets"]

    def connections(self, agent):
        rows = [json.loads(line) for line in agent.tool("connections", "--json").splitlines()]
        return [row for row in rows if row["protocol"] == 6 and row["state"] == "ESTABLISHED"]

    def lines(self):
        """A client that sends a line every 50 ms to a port of the host, which answers with the same."""
        self.lab.host.start("socat", "TCP-LISTEN:5300,reuseaddr,fork", "EXEC:cat", name="echo")
        wait_until(lambda: self.lab.host.listens(5300), "socat listens")
        command = f"while sleep 0.05; do echo x; done | socat - TCP:{self.lab.host.ip4}:5300"
        client = self.lab.client.start("sh", "-c", command, name="lines")
        wait_until(lambda: client.output().count("x") > 10, "lines come back", process=client)
        return client

    def assertStands(self, client):
        """Lines that were under way may have come; then none."""
        time.sleep(0.5)
        count = client.output().count("x")
        time.sleep(1)
        self.assertEqual(client.output().count("x"), count)


# So many connections at once, over each of which a line goes and comes back again and again; a file with this name has ten of them closed.
MANY = """
import os, socket, sys, time
lines = [socket.create_connection((sys.argv[1], 5300), timeout=20) for _ in range(int(sys.argv[2]))]
rounds = 0
while True:
    for line in lines: line.sendall(b"x" * 100)
    for line in lines:
        got = b""
        while len(got) < 100: got += line.recv(100)
    rounds += 1
    print(len(lines), rounds, flush=True)
    time.sleep(0.05)
    if len(lines) > 20 and os.path.exists(sys.argv[3]):
        for line in [lines.pop(0) for _ in range(10)]: line.close()
"""


class FastPathTests(FastPathLab):
    def test_bulk_passes_in_the_kernel(self):
        """With loss too, and without an event."""
        server = self.lab.host.start("iperf3", "--server")
        wait_until(lambda: self.lab.host.listens(5201), "iperf3 listens", process=server)
        agent = self.agent()
        self.lab.lose(1)
        for address in (self.lab.host.ip4, self.lab.host.ip6):
            with self.subTest(address):
                judged, passed = self.judged(agent), self.passed(agent)
                self.lab.client.run("iperf3", "--client", address, "--bytes", "100M", seconds=300)
                judged = self.judged(agent) - judged
                wait_until(lambda: self.passed(agent) - passed > 1000, "packets that passed are counted")
                self.assertLess(judged, 200)
        self.assertEqual([e for e in agent.events() if e.get("proto") == "TCP"], [])
        self.assertEqual(agent.report()["fast_path"]["full"], 0)

    def test_a_flow_is_told_and_counted(self):
        agent = self.agent()
        client = self.lines()
        wait_until(lambda: any(row["fast_path"] == "yes" for row in self.connections(agent)), "the flow is on the fast path")
        before = self.judged(agent)
        count = client.output().count("x")
        wait_until(lambda: client.output().count("x") > count + 20, "twenty lines more", process=client)
        # Neighbours may look for each other.
        self.assertLess(self.judged(agent) - before, 10)
        wait_until(lambda: self.connections(agent)[0]["packets"] > 40, "its packets are counted")
        self.assertIn("FAST PATH", agent.tool("connections"))
        self.assertIn("flows now", agent.tool("status", "--agent-only"))

    def test_a_policy_that_refuses_a_flow_ends_it(self):
        agent = self.agent()
        client = self.lines()
        wait_until(lambda: self.passed(agent) > 10, "lines pass in the kernel")
        agent.write_policy(REFUSING)
        agent.tool("reload")
        self.assertStands(client)
        self.assertIn("deny", reasons(agent.wait_for_events()))

    def test_bulk_that_runs_ends_with_a_policy_that_refuses_it(self):
        server = self.lab.host.start("iperf3", "--server")
        wait_until(lambda: self.lab.host.listens(5201), "iperf3 listens", process=server)
        agent = self.agent()
        client = self.lab.client.start("iperf3", "--client", self.lab.host.ip4, "--time", "60", name="bulk")
        wait_until(lambda: self.passed(agent) > 10_000, "bulk passes in the kernel", process=client)
        agent.write_policy(REFUSING)
        agent.tool("reload")
        # What had passed before is counted within a second.
        time.sleep(1.5)
        passed = self.passed(agent)
        time.sleep(1.5)
        self.assertEqual(self.passed(agent), passed)
        self.assertIn("deny", reasons(agent.wait_for_events()))

    def test_nothing_passes_when_the_agent_is_dead(self):
        agent = self.agent()
        client = self.lines()
        wait_until(lambda: self.passed(agent) > 10, "lines pass in the kernel")
        agent.kill()
        time.sleep(2)
        self.assertStands(client)

    def test_the_kernel_closes_it_at_once_when_the_agent_is_killed(self):
        """Not by the lease: the rules' stub goes on with nothing, because nobody holds its array of programs. The next agent takes it."""
        agent = self.agent()
        stub = f"{PINS}/fast4"
        self.assertEqual(bpf.places_of(stub), [0, 1])
        self.assertEqual(os.listdir(f"{PINS}/hand-over"), [], "the array has a name only until the agent takes it")
        # One more offer while the agent holds it.
        self.assertEqual(agent.tool_status("iptables", "--apply", "--program", OBJECT, seconds=60)[0], 0)
        wait_until(lambda: os.listdir(f"{PINS}/hand-over") == [], "the agent takes the name away")
        with agent.halted():
            self.assertEqual(bpf.places_of(stub), [0, 1], "the lease alone is for one that stands still")
        agent.kill()
        wait_until(lambda: bpf.places_of(stub) == [], "the kernel has emptied the array")
        agent.start()
        wait_until(lambda: bpf.places_of(stub) == [0, 1], "the next agent has put the programs in place")

    def test_a_policy_without_it_and_again_with_it(self):
        """The agent goes on holding the array: it may not open it by itself."""
        agent = self.agent()
        client = self.lines()
        wait_until(lambda: self.passed(agent) > 10, "lines pass in the kernel")
        agent.write_policy(POLICY.replace("fast-path: on", "fast-path: off"))
        agent.tool("reload")
        wait_until(lambda: bpf.places_of(f"{PINS}/fast4") == [], "every packet comes to the queue")
        agent.write_policy(POLICY)
        agent.tool("reload")
        wait_until(lambda: bpf.places_of(f"{PINS}/fast4") == [0, 1], "the programs are in place again")
        passed = self.passed(agent)
        wait_until(lambda: self.passed(agent) > passed + 10, "lines pass in the kernel again", process=client)

    def test_names_that_another_tool_deletes(self):
        """The rules that are in place go on with the same program; an agent that starts then says what it misses, and `--apply` helps."""
        agent = self.agent()
        client = self.lines()
        wait_until(lambda: self.passed(agent) > 10, "lines pass in the kernel")
        for name in os.listdir(PINS):
            if "." not in name and name != "hand-over":
                os.unlink(f"{PINS}/{name}")
        passed = self.passed(agent)
        wait_until(lambda: self.passed(agent) > passed + 40, "lines go on to pass in the kernel", process=client)
        self.assertEqual(agent.stop(), 0)
        agent.start()
        wait_until(lambda: agent.report()["fast_path"]["state"] == "unavailable", "the agent has looked")
        self.assertIn("No such file", agent.report()["fast_path"]["why"])
        count = client.output().count("x")
        wait_until(lambda: client.output().count("x") > count + 20, "the lines go on by the queue", process=client)
        self.assertEqual(agent.tool_status("iptables", "--apply", "--program", OBJECT, seconds=60)[0], 0)
        wait_until(lambda: agent.report()["fast_path"]["state"] == "active", "the fast path is used again")
        wait_until(lambda: self.passed(agent) > 10, "lines pass in the kernel again", process=client)
        self.assertEqual([e for e in agent.events() if e.get("proto") == "TCP"], [])

    def test_echoes_pass_in_the_kernel(self):
        agent = self.agent(POLICY + "  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp }\n")
        judged = self.judged(agent)
        self.lab.client.run("ping", "-c", "100", "-i", "0.01", self.lab.host.ip4, seconds=60)
        # Both directions of the first two; neighbours may look for each other.
        self.assertLess(self.judged(agent) - judged, 20)
        wait_until(lambda: self.passed(agent) > 180, "packets that passed are counted")
        self.assertEqual([e for e in agent.events() if e.get("proto") == "ICMP"], [])

    def test_a_routers_flows_pass_in_the_kernel(self):
        server = self.lab.host.start("iperf3", "--server")
        wait_until(lambda: self.lab.host.listens(5201), "iperf3 listens", process=server)
        policy = POLICY.replace("rules:", "interfaces: { ignore: [lo], inside: [in0] }\nrules:").replace("incoming", "outgoing")
        agent = self.agent(policy, self.lab.router)
        for address in (self.lab.host.ip4, self.lab.host.ip6):
            for reverse in ([], ["--reverse"]):
                with self.subTest(address, reverse=reverse):
                    judged, passed = self.judged(agent), self.passed(agent)
                    self.lab.client.run("iperf3", "--client", address, "--bytes", "50M", *reverse, seconds=300)
                    judged = self.judged(agent) - judged
                    wait_until(lambda: self.passed(agent) - passed > 500, "packets that passed are counted")
                    self.assertLess(judged, 200)
        self.assertEqual([e for e in agent.events() if e.get("proto") == "TCP"], [])

    def test_an_agent_that_stands_still_holds_its_flows_up_and_loses_none(self):
        agent = self.agent()
        client = self.lines()
        wait_until(lambda: self.passed(agent) > 10, "lines pass in the kernel")
        with agent.halted():
            time.sleep(10)
        count = client.output().count("x")
        wait_until(lambda: client.output().count("x") > count + 20, "the lines go on", process=client)
        self.assertEqual([e for e in agent.events() if e.get("proto") == "TCP"], [])

    def test_a_restart_keeps_the_flow(self):
        agent = self.agent()
        client = self.lines()
        wait_until(lambda: self.passed(agent) > 10, "lines pass in the kernel")
        self.assertEqual(agent.stop(), 0)
        agent.start()
        count = client.output().count("x")
        wait_until(lambda: client.output().count("x") > count + 20, "the lines go on", process=client)
        wait_until(lambda: self.passed(agent) > 10, "they come back to the fast path", process=client)
        self.assertEqual([e for e in agent.events() if e.get("proto") == "TCP"], [])

    def test_reasons_are_raised_as_without_it(self):
        """Of a flow that is there, and of what claims to be of it."""
        agent = self.agent(POLICY.replace("fast-path: on", "fast-path: on, anti-evasion: { congestion-flags: deny }") + """
  - { name: Datagrams, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 5301 } }
  - { name: Answers, action: allow, direction: incoming, protocol: udp }
  - { name: Errors, action: allow, direction: incoming, protocol: icmp }
""")
        self.lab.host.start("socat", "UDP-LISTEN:5301,reuseaddr,fork", "EXEC:cat", name="datagrams")
        self.lab.host.start("socat", "TCP-LISTEN:5300,reuseaddr,fork", "EXEC:cat", name="echo")
        wait_until(lambda: self.lab.host.listens(5300), "socat listens")
        self.assertIn("done", self.lab.client.python(FORGERY, self.lab.host.ip4, seconds=60))
        found = reasons(agent.wait_for_events(10))
        # Before the rules were applied.
        found.pop("invalid-adapter-configuration", None)
        self.assertEqual(dict(found), {
            "invalid-sequence": 2, "invalid-ack": 1, "invalid-flags": 1, "ce-flags": 1, "out-of-connection": 1,
            "unsolicited-icmp": 1, "unsolicited-udp": 1, "packet-on-closed-connection": 1})
        self.assertGreater(self.passed(agent), 40)

    def test_rules_and_check_agree(self):
        agent = self.agent()
        self.assertIn(f"{PINS}/fast4", self.lab.host.run("iptables-save", "-t", "mangle"))
        self.assertEqual(agent.tool_status("iptables", "--check")[0], 0)
        agent.tool("iptables", "--remove")
        self.assertNotIn(PINS, self.lab.host.run("iptables-save"))

    def test_another_version_of_the_program_takes_its_place(self):
        """Of an object file that is not the same nothing is kept; the flow comes to it by itself."""
        agent = self.agent()
        client = self.lines()
        wait_until(lambda: self.passed(agent) > 10, "lines pass in the kernel")
        self.assertEqual(agent.tool_status("iptables", "--apply", "--program", OBJECT)[0], 0)
        before = os.stat(f"{PINS}/places").st_ino
        newer = os.path.join(agent.directory, "newer.o")
        with open(OBJECT, "rb") as file, open(newer, "wb") as copy:
            copy.write(file.read() + b"\0")
        self.assertEqual(agent.tool_status("iptables", "--apply", "--program", newer)[0], 0)
        self.assertNotEqual(os.stat(f"{PINS}/places").st_ino, before)
        wait_until(lambda: agent.report()["fast_path"]["state"] == "active", "the fast path is used")
        passed = self.passed(agent)
        wait_until(lambda: self.passed(agent) > passed + 10, "lines pass in the kernel again", process=client)
        self.assertEqual([e for e in agent.events() if e.get("proto") == "TCP"], [])

    def test_maps_of_another_layout_are_left_alone(self):
        """What lies in them means something else there: the agent says so, and all comes to the queue until rules are applied anew."""
        agent = self.agent()
        client = self.lines()
        wait_until(lambda: self.passed(agent) > 10, "lines pass in the kernel")
        agent.stop()
        os.unlink(f"{PINS}/places")
        bpf.pin_array(f"{PINS}/places", "L9_another")
        agent.start()
        wait_until(lambda: agent.report()["fast_path"]["state"] == "unavailable", "the agent has looked")
        self.assertIn("of another version of Portreeve (L9_another)", agent.report()["fast_path"]["why"])
        count = client.output().count("x")
        wait_until(lambda: client.output().count("x") > count + 10, "lines pass by the queue", process=client)
        self.assertEqual(self.passed(agent), 0)
        self.assertEqual(agent.tool_status("iptables", "--apply", "--program", OBJECT)[0], 0)
        wait_until(lambda: self.passed(agent) > 10, "lines pass in the kernel again", process=client)
        self.assertEqual([e for e in agent.events() if e.get("proto") == "TCP"], [])

    def test_flows_for_which_there_is_no_room_stay_in_the_queue(self):
        """Nothing of them is lost, status and connections say so, and they come to the room that others leave."""
        self.lab.host.start("socat", "TCP-LISTEN:5300,reuseaddr,fork", "EXEC:cat", name="echo")
        wait_until(lambda: self.lab.host.listens(5300), "socat listens")
        agent = self.agent(options=("--flows", "16"))
        enough = self.lab.file("enough")
        client = self.lab.client.start("/usr/bin/python3", "-c", MANY, self.lab.host.ip4, "24", enough, name="many")

        def standing(word):
            return sum(row["fast_path"] == word for row in self.connections(agent))

        wait_until(lambda: (standing("yes"), standing("no: no room")) == (16, 8), "all room is taken", process=client)
        path = agent.report()["fast_path"]
        self.assertEqual(path["flows"], 16)
        self.assertGreater(path["full"], 0)
        self.assertIn("left in the queue for want of room", agent.tool("status", "--agent-only"))
        judged, rounds = self.judged(agent), self.rounds(client)
        wait_until(lambda: self.rounds(client) > rounds + 20, "all go on", process=client)
        self.assertGreater(self.judged(agent) - judged, 20 * 8)
        with open(enough, "w", encoding="utf-8"):
            pass
        # Each place is left alone for two seconds first.
        wait_until(lambda: standing("yes") == 14 and standing("no: no room") == 0, "the others have come there", process=client)
        judged, rounds = self.judged(agent), self.rounds(client)
        wait_until(lambda: self.rounds(client) > rounds + 20, "all go on", process=client)
        # Of 20 rounds of 14 connections; each direction begins with a packet in the queue.
        self.assertLess(self.judged(agent) - judged, 120)
        self.assertEqual([e for e in agent.events() if e.get("proto") == "TCP"], [])

    def rounds(self, client):
        return int(client.output().split()[-1])

    def test_auto_uses_it_where_it_can_be_had(self):
        agent = self.agent(POLICY.replace("fast-path: on", "fast-path: auto"))
        self.assertEqual(agent.tool_status("iptables", "--check")[0], 0)

    def test_auto_does_without_and_complains_of_nothing(self):
        agent = self.enterContext(Agent(self.lab.host, POLICY.replace("fast-path: on", "fast-path: auto")))
        status, output = agent.tool_status("iptables", "--apply", "--program", "/nowhere/fastpath.o")
        self.assertEqual(status, 0, output)
        self.assertIn("the fast path is left out", output)
        self.assertNotIn(PINS, self.lab.host.run("iptables-save"))
        wait_until(lambda: agent.report()["fast_path"]["state"] == "unavailable", "the agent has looked")
        self.assertEqual(agent.report()["warnings"], [])
        self.assertEqual(agent.tool_status("iptables", "--check")[0], 0)

    def test_on_is_not_applied_without(self):
        agent = self.enterContext(Agent(self.lab.host, POLICY))
        status, output = agent.tool_status("iptables", "--apply", "--program", "/nowhere/fastpath.o")
        self.assertEqual(status, 1, output)
        self.assertIn("/nowhere/fastpath.o: No such file", output)
        self.assertNotIn("NFQUEUE", self.lab.host.run("iptables-save"))

    def test_says_why_it_is_not_used(self):
        agent = self.enterContext(Agent(self.lab.host, POLICY))
        wait_until(lambda: agent.report()["fast_path"]["state"] == "unavailable", "no program is loaded")
        report = agent.report()
        self.assertIn("No such file", report["fast_path"]["why"])
        self.assertTrue(any("engine.fast-path" in warning for warning in report["warnings"]))


class PathTests(FastPathLab):
    """A path that loses, doubles and reorders, segment by segment: its router is a program."""

    seconds = 20
    offload = False

    def test_no_event_comes_of_losses_doubles_and_another_order(self):
        self.enterContext(services.echo(self.lab.host))
        agent = self.agent(POLICY.replace("[5201, 5300]", "7"))
        client, host = self.lab.client.mac("eth0"), self.lab.host.mac("eth0")
        self.lab.router.sysctl(net__ipv4__ip_forward=0, net__ipv6__conf__all__forwarding=0)
        crossing = os.path.join(os.path.dirname(os.path.abspath(__file__)), "crossing.py")
        path = self.lab.router.start("/usr/bin/python3", crossing, "in0", client, "out0", host, name="crossing")
        wait_until(lambda: "crossing" in path.output(), "the path is there", process=path)
        for address in (self.lab.host.ip4, self.lab.host.ip6):
            self.lab.client.python(STREAM, address, 5_000 * SEGMENT_SIZE, SEGMENT_SIZE, seconds=100)
        wait_until(lambda: self.passed(agent) > 10_000, "they have passed in the kernel")
        self.assertEqual([e for e in agent.events() if e.get("proto") == "TCP"], [])


if __name__ == "__main__":
    unittest.main()

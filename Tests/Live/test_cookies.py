# SPDX-License-Identifier: GPL-3.0-or-later
"""Floods of SYNs at a listener of the host, whose own SYN cookies answer: what is opened in the flood, and what is kept of it."""

import json
import re
import time
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from flooding import Flood
from forge import Injector
from lab import CommandFailed, Lab, wait_until
from scapy.layers.inet import IP, TCP
from test_fast_path import FastPathLab

NETWORK = "198.18.64.0/20"
FORGED = "198.18.65.9"
THRESHOLD = 100
RULES = """
rules:
  - { name: Services, action: allow, direction: incoming, protocol: tcp, destination: { ports: [80, 5300] } }
"""
POLICY = f"""
version: 1
stateful: {{ tcp: {{ syn-flood: {{ cookies: on, threshold: {THRESHOLD} }} }} }}
engine: {{ timeouts: {{ cold-start: 0s, boot-start: 0s }} }}
{RULES}"""
# What is established is older than the next run of the agent.
TAKING_OVER = f"""
version: 1
stateful: {{ tcp: {{ syn-flood: {{ cookies: on, threshold: {THRESHOLD} }} }} }}
{RULES}"""
FAST = POLICY.replace("engine: {", "engine: { fast-path: on,")
SERVER = """
import socket, threading
def serve(line):
    while data := line.recv(65536):
        line.sendall(data)
listener = socket.create_server(("", 5300), backlog=1024)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
# Sends a little ten times a second over one connection, and says so of each answer.
TALKER = """
import socket, sys, time
line = socket.create_connection((sys.argv[1], 5300), timeout=60)
for number in range(3000):
    line.sendall(b"x" * 100)
    assert line.recv(100), "closed"
    print(number, flush=True)
    time.sleep(0.1)
"""
# Opens a connection, says so, and waits.
HOLDER = """
import socket, sys, time
line = socket.create_connection((sys.argv[1], 80), timeout=30)
print(line.getsockname()[1], flush=True)
time.sleep(300)
"""


# A router, behind whose out0 the server is. The kernel opens connections to it by SYNs of its own, in the client's name.
ROUTED = """
version: 1
interfaces: { inside: [out0] }
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
rules:
  - { name: Others, action: allow, direction: incoming, protocol: tcp, destination: { ports: 5300 } }
  - { name: And back, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 5300 } }
"""
FILE = b"behind the router\n" * 60_000
# What the offered lines begin with that are no words.
SCRIPT = ("iptables-restore", "ip6tables-restore", "*raw", "*mangle", "*security", "-A", "-I", "COMMIT", "END")


class Behind:
    """A host to which frames go by way of a router."""

    def __init__(self, router, interface, host):
        self.router, self.interface, self.ip4 = router, interface, host.ip4

    def mac(self, _):
        return self.router.mac(self.interface)


class CookieLab(unittest.TestCase):
    def prepare(self, policy):
        self.lab = self.enterContext(Lab())
        self.client, self.router, self.host = self.lab.client, self.lab.router, self.lab.host
        self.router.run("ip", "route", "add", "blackhole", NETWORK)
        self.host.sysctl(net__ipv4__tcp_syncookies=1)
        services.nginx(self.host)
        self.agent = Agent(self.host, policy, fold="1s").start()
        self.addCleanup(self.agent.stop)
        self.addCleanup(self.host.flush_rules)

    def flood(self, rate=5000):
        self.generator = Flood(self.router, "out0", self.host, "eth0", ["syn"], rate=rate, seconds=120, sources=NETWORK)
        self.addCleanup(self.generator.stop)

    def floods(self):
        return self.agent.report()["floods"]

    def await_cookies(self):
        wait_until(lambda: self.floods()["listeners"], "the listener is in cookie mode", 60)

    def download(self):
        self.client.run("curl", "-sSf", "-m", 30, f"http://{self.host.ip4}/")

    def tcp_entries(self):
        return self.agent.report()["connections"]["tcp"]


class FloodTests(CookieLab):
    def test_downloads_complete_and_nothing_is_kept_of_the_flood(self):
        self.prepare(POLICY)
        self.agent.feed_as_printed("--hook", "prerouting")
        calm = self.held()
        self.flood()
        self.await_cookies()
        memory = self.agent.resident_bytes()
        begun = self.floods()["admitted_stateless"]
        for _ in range(20):
            self.download()
        flooded = self.held()
        wait_until(lambda: self.floods()["admitted_stateless"] - begun > 5_000, "the flood goes on", 60)
        report = self.agent.report()
        half_open = sum(row["count"] for row in report["connections"]["tcp_states"] if row["state"].lower().startswith("syn"))
        self.assertLessEqual(half_open, THRESHOLD + 5)
        self.assertLessEqual(self.agent.resident_bytes(), memory + (4 << 20))
        self.assertGreaterEqual(report["floods"]["opened"], 20)
        self.assertTrue(any(row["listener"] == f"{self.host.ip4}:80" for row in report["floods"]["listeners"]))
        self.assertEqual(flooded, calm, "a connection that was opened in the flood has the options of one before it")
        self.assertRegex(self.agent.tool("status", "--agent-only"), rf"flooded +{re.escape(self.host.ip4)}:80: SYNs get no entry")
        self.assertEqual(reasons(self.agent.events()), {})

    def held(self):
        """A connection that stays open: window scales and time stamps, as the host's socket has them."""
        holder = self.client.start("python3", "-c", HOLDER, self.host.ip4, name=f"holder-{time.monotonic_ns()}")
        self.addCleanup(holder.kill)
        wait_until(lambda: holder.output().strip().isdigit(), "the connection is open", 30, holder)
        port = holder.output().strip()
        listing = self.host.run("ss", "-Htin", "state", "established", "sport", "=", ":80", "dport", "=", f":{port}")
        return sorted(word for word in listing.split() if word.startswith("wscale:") or word in ("ts", "sack"))

    def test_wrong_ack(self):
        self.prepare(POLICY)
        self.agent.feed_as_printed("--hook", "prerouting")
        injector = Injector(self.router, "out0", self.host.mac("eth0"))
        self.addCleanup(injector.close)
        to_host = IP(src=FORGED, dst=self.host.ip4)
        nearest = to_host / TCP(sport=999, dport=80, flags="A", seq=7, ack=5)
        injector.burst(nearest, 1, self.host, first_port=999, checksum=16)
        self.assertEqual(reasons(self.agent.wait_for_events(1)), {"out-of-connection": 1})
        self.flood()
        self.await_cookies()
        wrong = to_host / TCP(sport=1000, dport=80, flags="A", seq=7, ack=5)
        injector.burst(wrong, 1, self.host, first_port=1000, checksum=16)
        events = self.agent.wait_for_events(1)
        self.assertEqual(reasons(events), {"syn-cookie-error": 1})
        event = events[0]
        self.assertEqual((event["portreeve"]["action"], event["src_ip"], event["dest_ip"]), ("notice", FORGED, self.host.ip4))
        self.assertEqual(event["portreeve"]["direction"], "incoming")
        rows = [json.loads(line) for line in self.agent.tool("connections", "--json").splitlines()]
        self.assertEqual([row for row in rows if row["src_ip"] == FORGED and row.get("src_port") == 1000], [])
        self.download()

    def test_kill_in_the_flood(self):
        self.prepare(TAKING_OVER)
        self.agent.feed_as_printed("--hook", "prerouting")
        server = self.host.start("python3", "-c", SERVER, name="server")
        self.addCleanup(server.kill)
        wait_until(lambda: self.host.listens(5300), "the server listens", process=server)
        self.flood()
        self.await_cookies()
        talkers = []
        for number in range(5):
            talker = self.client.start("python3", "-c", TALKER, self.host.ip4, name=f"talker-{number}")
            self.addCleanup(talker.kill)
            talkers.append(talker)
        heard = lambda talker: len(talker.output().split())
        wait_until(lambda: all(heard(talker) >= 3 for talker in talkers), "all of them talk", 60)
        self.agent.kill()
        time.sleep(1)
        self.agent.start()
        before = [heard(talker) for talker in talkers]
        wait_until(lambda: all(heard(talker) >= count + 5 for talker, count in zip(talkers, before)),
                   "all of them go on after the agent was killed", 60)
        self.assertTrue(all(talker.is_running for talker in talkers))
        self.await_cookies()
        self.download()

    def test_total(self):
        self.prepare(POLICY.replace("syn-flood: { cookies: on, threshold: 100 }", "limits: { half-open: 20 }"))
        self.agent.feed_as_printed("--hook", "prerouting")
        injector = Injector(self.router, "out0", self.host.mac("eth0"))
        self.addCleanup(injector.close)
        injector.burst(IP(src=FORGED, dst=self.host.ip4) / TCP(dport=80, flags="S"), 20, self.host, checksum=16)
        wait_until(lambda: self.tcp_entries() == 20, "so many are half-open")
        self.assertEqual(self.agent.events(), [])
        injector.burst(IP(src="198.18.65.10", dst=self.host.ip4) / TCP(sport=5, dport=80, flags="S"), 1, self.host, checksum=16)
        event, = self.agent.wait_for_events(1)
        self.assertEqual(event["portreeve"]["reason"], "max-syn-sent")
        self.assertIn("stateful.tcp.limits.half-open", json.dumps(event["portreeve"]))

    def test_without_cookies_of_the_host(self):
        self.prepare(POLICY)
        self.agent.feed_as_printed("--hook", "prerouting")
        off = "net.ipv4.tcp_syncookies is 0"
        self.assertFalse(any(off in warning for warning in self.agent.report()["warnings"]))
        self.host.sysctl(net__ipv4__tcp_syncookies=0)
        wait_until(lambda: any(off in warning for warning in self.agent.report()["warnings"]), "the agent complains")
        self.assertIn(off, self.agent.log())
        self.assertIn(off, self.agent.tool("check"))
        self.flood(rate=1000)
        wait_until(lambda: self.tcp_entries() > 2 * THRESHOLD, "each SYN has an entry")
        self.assertEqual(self.floods(), {"listeners": [], "admitted_stateless": 0, "opened": 0, "in_kernel": 0})
        self.host.sysctl(net__ipv4__tcp_syncookies=1)
        self.await_cookies()
        self.assertFalse(any(off in warning for warning in self.agent.report()["warnings"]))
        self.assertNotIn(off, self.agent.tool("check"))


class KernelTests(FastPathLab):
    """SYNs and SYN+ACKs of a flooded listener pass before the queue."""

    flood, floods, await_cookies, download = CookieLab.flood, CookieLab.floods, CookieLab.await_cookies, CookieLab.download

    def test_openings_pass_before_the_queue(self):
        self.client, self.router, self.host = self.lab.client, self.lab.router, self.lab.host
        self.router.run("ip", "route", "add", "blackhole", NETWORK)
        self.host.sysctl(net__ipv4__tcp_syncookies=1)
        services.nginx(self.host)
        self.agent = self.agent(FAST)
        # It has begun before there were rules.
        self.agent.events()
        self.flood(rate=3000)
        self.await_cookies()
        wait_until(lambda: self.floods()["in_kernel"] > 3000, "SYNs pass before the queue", 60)
        judged = self.openings()
        passed = self.floods()["in_kernel"]
        for _ in range(20):
            self.download()
        wait_until(lambda: self.floods()["in_kernel"] - passed > 6000, "more of them do", 60)
        self.assertLess(self.openings() - judged, 200, "and do not come to the queue")
        self.assertGreaterEqual(self.floods()["opened"], 20)
        self.assertEqual(reasons(self.agent.events()), {})
        # A block is for every packet of its source: while there is one, none passes before the queue.
        blocked = "198.18.64.7"
        self.agent.tool("block", blocked, "--for", "1h")
        passed, judged = self.floods()["in_kernel"], self.openings()
        self.assertEqual({event["src_ip"] for event in self.agent.wait_for_events(1)}, {blocked})
        wait_until(lambda: self.openings() - judged > 3000, "SYNs come to the queue again", 60)
        self.assertLessEqual(self.floods()["in_kernel"] - passed, 1)
        self.agent.tool("unblock", blocked)
        wait_until(lambda: self.floods()["in_kernel"] > passed + 1000, "SYNs pass before the queue again", 60)
        self.agent.events()
        # A policy that admits not everybody ends it at once.
        self.agent.reload(FAST.replace("destination:", f"source: {{ addresses: {{ not: {NETWORK} }} }}, destination:"))
        self.agent.await_epoch(2)
        passed = self.floods()["in_kernel"]
        self.assertGreater(reasons(self.agent.wait_for_events(1000))["out-of-allowed-policy-open-port"], 0)
        self.assertLessEqual(self.floods()["in_kernel"] - passed, 1)
        # And back; then the agent dies, and the lease ends.
        self.agent.reload(FAST)
        self.agent.await_epoch(3)
        wait_until(lambda: self.floods()["in_kernel"] > passed + 1000, "SYNs pass before the queue again", 60)
        self.agent.kill()
        time.sleep(4)
        before = self.cookies_sent()
        time.sleep(1)
        self.assertEqual(self.cookies_sent(), before, "without the agent no SYN reaches the host")

    def openings(self):
        return sum(row["packets"] for row in self.agent.report()["queues"] if row["kind"] == "openings")

    def cookies_sent(self):
        """SYNs that the host has answered, one way or another."""
        counts = dict(re.findall(r"^(\S+) +(\d+)", self.host.run("nstat", "-azs"), re.M))
        return int(counts["TcpExtSyncookiesSent"]) + int(counts["TcpExtTCPReqQFullDoCookies"])


class ForwardTests(unittest.TestCase):
    """The rules that are offered for computers behind a router, in place beside the agent's own."""

    def test_the_kernel_answers_in_the_place_of_a_server(self):
        self.lab = self.enterContext(Lab())
        client, router, host = self.client, self.router, self.host = self.lab.client, self.lab.router, self.lab.host
        services.nginx(host, {"file": FILE})
        agent = Agent(router, ROUTED, fold="1s").start()
        self.addCleanup(agent.stop)
        router.run("ip", "route", "add", "blackhole", NETWORK)
        offered = [line[2:] for line in agent.tool("iptables", "--print").splitlines() if line.startswith("# ")]
        script = "\n".join(line for line in offered if line.split(" ")[0] in SCRIPT).replace("443", "80")
        settings = next(line for line in offered if line.strip().startswith("sysctl -w ")).split()[2:]
        try:
            router.run("sysctl", "-w", *settings)
            router.run("sh", "-e", input=script)
        except CommandFailed as failure:
            self.skipTest(f"no SYNPROXY in this kernel: {failure}")
        agent.feed_as_printed()
        self.download()
        self.generator = Flood(client, "eth0", Behind(router, "in0", host), "in0", ["syn"], rate=5000, seconds=60, sources=NETWORK)
        self.addCleanup(self.generator.stop)
        time.sleep(2)
        for _ in range(20):
            self.download()
        self.assertEqual(agent.report()["connections"]["tcp"], 0)
        self.assertGreater(self.answered(), 5_000)
        self.assertEqual(reasons(agent.events()), {})
        # The rest of what is forwarded is judged as ever.
        self.assertNotEqual(self.client.status("nc", "-z", "-w", 1, self.host.ip4, 81)[0], 0)
        self.assertEqual(set(reasons(agent.wait_for_events(1))), {"out-of-allowed-policy"})

    def answered(self):
        """SYNs that SYNPROXY has seen, as the kernel counts them for each processor."""
        return sum(int(line.split()[1], 16) for line in self.router.run("cat", "/proc/net/stat/synproxy").splitlines()[1:])

    def download(self):
        for address in (self.host.ip4, f"[{self.host.ip6}]"):
            self.client.run("curl", "-sSf", "-m", 30, "-o", "/dev/null", f"http://{address}/file")

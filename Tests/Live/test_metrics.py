# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's metrics: they move exactly as packets do, in both formats, and clients that misbehave change nothing."""

import hashlib
import os
import shutil
import socket
import subprocess
import time
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent
from forge import Injector
from lab import Lab, wait_until
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus
from scapy.layers.inet import IP, TCP

POLICY = """
version: 1
rules:
  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
  - { name: Silent, action: deny, direction: incoming, protocol: tcp, destination: { ports: 23 }, log: false }
metrics: { listen: 127.0.0.1:9470 }
"""
OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def values(text, parse=parse_prometheus):
    """{(name, labels as sorted pairs): value}; the parser refuses what the format does not allow."""
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in parse(text) for sample in family.samples}


def value(scrape, name, **labels):
    return scrape[(name, tuple(sorted(labels.items())))]


def total(scrape, name, **labels):
    """Over all series of this name that have these labels."""
    return sum(number for (found, has), number in scrape.items() if found == name and set(labels.items()) <= set(has))


class MetricsTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.router, cls.host = cls.lab.client, cls.lab.router, cls.lab.host
        cls.enterClassContext(services.nginx(cls.host))
        cls.injector = Injector(cls.router, "out0", cls.host.mac("eth0"))
        cls.addClassCleanup(cls.injector.close)

    def agent(self, policy=POLICY, **options):
        agent = Agent(self.host, policy, name=os.path.basename(self.lab.file("agent")), **options).start()
        self.addCleanup(agent.stop)
        self.addCleanup(self.host.flush_rules)
        return agent.feed()

    def socket_path(self, agent):
        return os.path.join(agent.directory, "metrics.sock")

    def scrape(self, agent):
        return values(self.host.run("curl", "-sSf", "-m", 30, "--unix-socket", self.socket_path(agent),
                                    "http://localhost/metrics"))

    def settled(self, agent):
        """Once no event is on its way and the histogram, which is up to a second old, has what the counters have."""
        found = {}

        def is_settled():
            found.update(self.scrape(agent))
            return (total(found, "portreeve_drop_events_pending") == 0
                    and total(found, "portreeve_verdict_latency_seconds_count") == total(found, "portreeve_packets_total"))

        wait_until(is_settled, "no event is pending", process=agent.process)
        return found

    def syns(self, port, count):
        self.injector.burst(IP(src="198.18.1.10", dst=self.host.ip4) / TCP(sport=40000, dport=port), count, self.host)

    def assert_adds_up(self, scrape):
        """The accounting of docs/design.md 1.3, from nothing but the metrics."""
        packets = total(scrape, "portreeve_packets_total")
        self.assertEqual(packets, total(scrape, "portreeve_verdicts_total"))
        self.assertEqual(packets, total(scrape, "portreeve_hook_packets_total"))
        dropped = total(scrape, "portreeve_dropped_packets_total")
        self.assertEqual(dropped, total(scrape, "portreeve_verdicts_total", verdict="drop"))
        reasons = [dict(labels)["reason"] for name, labels in scrape if name == "portreeve_dropped_packets_total"]
        self.assertGreater(len(reasons), 40)
        for reason in reasons:
            terms = sum(value(scrape, f"portreeve_drop_events_{term}", reason=reason)
                        for term in ("written_total", "pending", "silenced_total", "lost_total"))
            self.assertEqual(value(scrape, "portreeve_dropped_packets_total", reason=reason), terms, reason)

    def test_counters_move_as_packets_do(self):
        agent = self.agent(fold="1s", queues=(0, 1))
        before = self.settled(agent)
        self.syns(81, 137)
        self.syns(23, 41)
        self.client.run("curl", "-sSf", "-m", 30, f"http://{self.host.ip4}/")
        wait_until(lambda: total(self.scrape(agent), "portreeve_dropped_packets_total")
                   - total(before, "portreeve_dropped_packets_total") >= 178, "the drops are counted")
        after = self.settled(agent)

        def moved(name, **labels):
            return total(after, name, **labels) - total(before, name, **labels)

        # Nobody listens on port 81, so the reason is not the one of an open port.
        self.assertEqual(moved("portreeve_dropped_packets_total", reason="out-of-allowed-policy"), 137)
        self.assertEqual(moved("portreeve_drop_events_written_total", reason="out-of-allowed-policy"), 137)
        self.assertEqual(moved("portreeve_dropped_packets_total", reason="deny"), 41)
        self.assertEqual(moved("portreeve_drop_events_silenced_total", reason="deny"), 41)
        self.assertEqual(moved("portreeve_dropped_packets_total"), 178)
        self.assertEqual(moved("portreeve_events_written_total"), 137)
        self.assertEqual(moved("portreeve_events_folded_total") + moved("portreeve_event_records_total"), 137)
        self.assertLess(moved("portreeve_event_records_total"), 10)
        self.assertEqual(moved("portreeve_verdicts_total", verdict="drop"), 178)
        self.assertGreaterEqual(moved("portreeve_verdicts_total", verdict="accept"), 8)
        self.assertGreaterEqual(total(after, "portreeve_connections", protocol="tcp"), 1)
        self.assertEqual(total(after, "portreeve_queue_lost_packets_total"), 0)
        # The kernel chooses by the addresses which queue all of this comes to.
        self.assertGreater(total(after, "portreeve_verdict_latency_seconds_sum"), 0)
        self.assert_adds_up(after)
        report = agent.report()
        self.assertEqual(sum(row["dropped"] for row in report["reasons"]), total(after, "portreeve_dropped_packets_total"))

    def test_both_formats_over_both_sockets(self):
        agent = self.agent()
        unix = ["--unix-socket", self.socket_path(agent), "http://localhost/metrics"]
        tcp = ["http://127.0.0.1:9470/metrics"]
        for where in (unix, tcp):
            plain = self.host.run("curl", "-sSf", "-m", 30, *where)
            families = {family.name for family in parse_prometheus(plain)}
            openmetrics = self.host.run("curl", "-sSf", "-m", 30, "-H", f"Accept: {OPENMETRICS}", *where)
            self.assertEqual(len(families), len(list(parse_openmetrics(openmetrics))))
            self.assertGreater(len(families), 30)
            if shutil.which("promtool"):
                lint = subprocess.run(["promtool", "check", "metrics"], input=plain, capture_output=True, text=True)
                self.assertEqual((lint.returncode, lint.stderr), (0, ""))
        self.assertEqual(os.stat(self.socket_path(agent)).st_mode & 0o777, 0o660)
        head = self.host.run("curl", "-sS", "-m", 30, "-I", *tcp)
        self.assertIn("Content-Type: text/plain; version=0.0.4", head)
        self.assertEqual(self.host.run("curl", "-sS", "-m", 30, "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", *tcp), "405")
        agent.stop()
        self.assertFalse(os.path.exists(self.socket_path(agent)))

    def test_the_tcp_address_follows_the_policy_and_is_tried_again(self):
        agent = self.agent(POLICY.replace("127.0.0.1:9470", "off"))
        self.assertFalse(self.host.listens(9470))
        # Somebody else has the address: the agent works on, says so, and takes it once it is free.
        other = self.host.start("socat", "TCP-LISTEN:9470,bind=127.0.0.1,reuseaddr", "EXEC:cat", name="other")
        wait_until(lambda: self.host.listens(9470), "the address is taken")
        agent.reload(POLICY)
        wait_until(lambda: any("Address already in use" in warning for warning in agent.report()["warnings"]), "status says so")
        self.assertEqual(value(self.scrape(agent), "portreeve_warnings"), 1)
        other.stop()
        wait_until(lambda: not agent.report()["warnings"], "it is served")
        self.host.run("curl", "-sSf", "-m", 30, "http://127.0.0.1:9470/metrics")
        self.assertEqual(agent.log().count("metrics are not served"), 1)
        agent.reload(POLICY.replace("127.0.0.1:9470", '"[::1]:9471"'))
        wait_until(lambda: not self.host.listens(9470) and self.host.listens(9471), "the address changed")
        self.host.run("curl", "-sSf", "-m", 30, "http://[::1]:9471/metrics")

    def test_a_refused_reload_and_the_epoch_show(self):
        agent = self.agent()
        agent.tool_status("reload")
        scrape = self.scrape(agent)
        self.assertEqual(value(scrape, "portreeve_policy_epoch"), 2)
        self.assertEqual(value(scrape, "portreeve_policy_last_reload_successful"), 1)
        agent.write_policy("version: 1\nnonsense: true\n")
        agent.tool_status("reload")
        scrape = self.scrape(agent)
        self.assertEqual(value(scrape, "portreeve_policy_epoch"), 2)
        self.assertEqual(value(scrape, "portreeve_policy_last_reload_successful"), 0)
        # It is of what is in force, and anybody can tell what it ought to be.
        agent.write_policy("# The same.\n" + POLICY)
        canonical = agent.tool("check", "--print", "--quiet")
        self.assertEqual(value(scrape, "portreeve_policy_info", mode="inline", failure_engine="closed", failure_sanity="closed",
                               hash=hashlib.sha256(canonical.encode()).hexdigest()), 1)

    def test_clients_that_misbehave_change_nothing(self):
        agent = self.agent()
        self.scrape(agent)
        before = agent.resident_bytes()
        descriptors = f"/proc/{agent.process.pid}/fd"
        # Connected, silent; connected, a byte now and then; a header without end; a thousand at once; requests that nobody
        # reads the reply of. All of them as a local user of the machine could.
        clients = [self.connect(agent) for _ in range(1000)]
        for client in clients[:500]:
            send(client, b"GET /metrics HTTP/1.1\r\nHost: x\r\nA: ")
        for client in clients[500:]:
            send(client, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertLess(len(os.listdir(descriptors)), 200)
        self.client.run("curl", "-sSf", "-m", 30, f"http://{self.host.ip4}/")
        self.syns(81, 100)
        self.assertEqual(len(agent.wait_for_events(100)), 100)
        large = self.connect(agent)
        for _ in range(16):
            send(large, b"x" * 65536)
        # A slow client has five seconds, then its place is another's.
        deadline = time.monotonic() + 60
        while True:
            for client in clients[:500:50]:
                send(client, b"x")
            status, _ = self.host.status("curl", "-sSf", "-m", 30, "-o", "/dev/null", "--unix-socket",
                                         self.socket_path(agent), "http://localhost/metrics")
            if status == 0:
                break
            self.assertLess(time.monotonic(), deadline, "metrics are served again")
        for client in [*clients, large]:
            client.close()
        self.assertLess(agent.resident_bytes() - before, 32 << 20)
        self.assert_adds_up(self.settled(agent))

    def connect(self, agent):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.setblocking(False)
        try:
            client.connect(self.socket_path(agent))
        except BlockingIOError:
            # The backlog is full; the kernel refuses, as it should.
            pass
        return client


def send(client, data):
    try:
        client.send(data)
    except OSError:
        pass


if __name__ == "__main__":
    unittest.main(verbosity=2)

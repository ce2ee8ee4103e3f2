# SPDX-License-Identifier: GPL-3.0-or-later
"""Legitimate traffic of every kind passes complete, byte-identical, and without one event."""

import collections
import contextlib
import hashlib
import os
import unittest

import isolation

isolation.isolate()

import services
import yaml
from agent import Agent
from lab import CLIENT_ADDRESSES, Lab, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

POLICY = """
version: 1
interfaces: { ignore: [lo] }
rules:
  - { name: Services, action: allow, direction: incoming, protocol: tcp, destination: { ports: [22, 53, 80, 5201, 7000-7099] } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
  - { name: DNS, action: force-allow, direction: incoming, protocol: udp, destination: { ports: [53] } }
  - { name: iperf3 over UDP, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 5201 } }
  - { name: Traceroute, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 33434-33534 } }
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
"""
# The same with every row of anti-evasion, and with what reads the data of segments.
STRICT = POLICY.replace("engine: { ", "engine: { anti-evasion: strict, ") + """
stateful: { ftp: { incoming-active: true, outgoing-active: true, incoming-passive: true, outgoing-passive: true } }
"""

PORT_REUSE = """
import socket, sys
for i in range(40):
    s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('', 40000))
    s.settimeout(10)
    s.connect((sys.argv[1], 7000))
    s.sendall(b'x' * 1000)
    s.shutdown(socket.SHUT_WR)
    n = 0
    while chunk := s.recv(65536):
        n += len(chunk)
    assert n == 1000, n
    s.close()
"""

HALF_CLOSE = """
import socket, sys
s = socket.create_connection((sys.argv[1], 7000), 20)
data = bytes(range(256)) * 4096
s.sendall(data)
s.shutdown(socket.SHUT_WR)
back = b''
while chunk := s.recv(65536):
    back += chunk
assert back == data
"""

SLEEPING_READER = """
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.connect((sys.argv[1], 7001))
time.sleep(40)
n = 0
s.settimeout(20)
while chunk := s.recv(65536):
    n += len(chunk)
assert n == 3000000, n
"""

# One of two sockets that connect to each other.
SIMULTANEOUS = """
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[2], 7050))
s.settimeout(50)
s.connect((sys.argv[1], 7050))
s.sendall(b'hello' * 1000)
n = 0
while n < 5000:
    chunk = s.recv(65536)
    assert chunk
    n += len(chunk)
s.close()
"""

# Sends to a group that it is in itself, and gets its own datagram back.
OWN_GROUP = """
import socket, struct, sys
eth0 = socket.if_nametoindex('eth0')
if ':' in sys.argv[1]:
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    member = socket.inet_pton(socket.AF_INET6, 'ff02::123') + struct.pack('@I', eth0)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
    group = ('ff02::123', 7060, 0, eth0)
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near = socket.inet_aton(sys.argv[1])
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.1.2.3') + near)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, near)
    group = ('239.1.2.3', 7060)
s.bind(('', 7060))
s.settimeout(10)
s.sendto(b'to all', group)
assert s.recv(100) == b'to all'
"""

SERVER = """
import socket, sys, threading
def echo(c):
    while chunk := c.recv(65536): c.sendall(chunk)
    c.close()
def pour(c):
    c.sendall(b'p' * 3000000)
    c.close()
def serve(port, what):
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('::', port)); s.listen(200)
    while True:
        c, _ = s.accept()
        threading.Thread(target=what, args=(c,), daemon=True).start()
threading.Thread(target=serve, args=(7000, echo), daemon=True).start()
serve(7001, pour)
"""


# For curl's -K: a page over a connection of its own, and what became of it.
TRANSFER = """\
url = "{}"
interface = "{}"
header = "Connection: close"
output = "/dev/null"
write-out = "%{{http_code}}, %{{num_connects}} connection\\n"
max-time = 60
"""


class Traffic:
    """The tests; the classes below say with which offloads and through how many queues."""

    offload = True
    queues = (0, 0)
    policy = POLICY

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab(offload=cls.offload))
        cls.client, cls.host = cls.lab.client, cls.lab.host
        cls.agent = cls.enterClassContext(Agent(cls.host, cls.policy, queues=cls.queues))
        cls.feed()
        cls.blob = os.urandom(30_000_000)
        cls.sha256 = hashlib.sha256(cls.blob).hexdigest()
        services.nginx(cls.host, {"index.html": b"portreeve lab\n", "blob": cls.blob})
        cls.host.start("/usr/bin/python3", "-c", SERVER, name="server")
        wait_until(lambda: cls.host.listens(7001) and cls.host.listens(7000), "the echo server listens")
        # They sleep while the other tests run.
        cls.readers = [
            cls.client.start("/usr/bin/python3", "-c", SLEEPING_READER, address, name="reader")
            for address in (cls.host.ip4, cls.host.ip6)]
        wait_until(
            lambda: cls.host.run("ss", "-Htno", "sport", "=", ":7001").count("timer:(persist") == len(cls.readers),
            "the readers' windows are closed")

    @classmethod
    def feed(cls):
        cls.agent.feed()

    def setUp(self):
        self.agent.events()

    def tearDown(self):
        self.agent.settled_report()
        found = self.agent.events()
        if isolation.is_user_namespace():
            # Who is not root of the host gets no larger socket buffer than net.core.rmem_max, and a busy machine fills that.
            found = [e for e in found if e["portreeve"]["reason"] != "internal-driver-error"]
        self.assertEqual([(e["portreeve"]["reason"], e.get("src_ip"), e.get("dest_port"), e.get("tcp")) for e in found], [])

    def addresses(self):
        for address in (self.host.ip4, self.host.ip6):
            with self.subTest(address=address):
                yield address

    def url(self, address, path=""):
        return f"http://[{address}]/{path}" if ":" in address else f"http://{address}/{path}"

    def judged(self):
        """Packets of each worker's established queue that it has judged."""
        return [queue["packets"] for queue in self.agent.report()["queues"] if queue["kind"] == "established"]

    def test_download_of_30_megabytes(self):
        for address in self.addresses():
            before = sum(self.judged())
            got = self.client.run("sh", "-c", f"curl -sS -m 60 {self.url(address, 'blob')} | sha256sum", seconds=70)
            self.assertEqual(got.split()[0], self.sha256)
            # Not past the agent: the largest segment has 64 KiB.
            self.assertGreater(sum(self.judged()) - before, len(self.blob) >> 16)

    def test_300_short_connections(self):
        self.connect(300)

    def test_50_parallel_connections(self):
        self.connect(50, "-Z", "--parallel-max", 50, "--parallel-immediate")

    def connect(self, count, *options):
        """Fetches a page over so many connections, from all of the client's addresses: the kernel chooses a queue by them,
        and does not choose the same for all."""
        before = self.judged()
        for address in self.addresses():
            near = [self.back(address)[:-2] + str(10 + i % CLIENT_ADDRESSES) for i in range(count)]
            transfers = "next\n".join(TRANSFER.format(self.url(address), source) for source in near)
            got = self.client.run("curl", "-sS", "--no-progress-meter", *options, "-K", "-", input=transfers, seconds=90)
            self.assertEqual(collections.Counter(got.splitlines()), {"200, 1 connection": count})
        busy = sum(after > then for after, then in zip(self.judged(), before))
        self.assertGreaterEqual(busy, min(2, len(before)))

    def test_iperf3_both_ways_and_8_streams(self):
        with services.iperf3(self.host):
            for address in self.addresses():
                for options in ([], ["-R"], ["-P", "8"], ["-u", "-b", "20M"]):
                    self.iperf3(address, *options)

    def iperf3(self, address, *options):
        """One run; the server takes a moment to be ready for the next."""
        wait_until(
            lambda: self.client.status("iperf3", "-c", address, "-t", 2, *options, seconds=40)[0] == 0,
            f"iperf3 {options} completes", seconds=20)

    def test_ssh_and_scp(self):
        sshd = services.SSH(self.host)
        self.addCleanup(sshd.process.stop)
        source = self.lab.file("sent", self.blob[:5_000_000])
        for address in self.addresses():
            self.assertIn("over ssh", self.client.run(*sshd.ssh(address, "echo over ssh"), seconds=40))
            target = self.lab.file("copied")
            self.client.run(*sshd.scp(source, address, target), seconds=60)
            with open(target, "rb") as copied:
                self.assertEqual(copied.read(), self.blob[:5_000_000])

    def test_dns_over_udp_and_tcp(self):
        with services.dnsmasq(self.host, {"lab.test": "198.18.2.99"}):
            for address in self.addresses():
                for options in ([], ["+tcp"], ["+bufsize=4096"]):
                    answer = self.client.run("dig", f"@{address}", "+short", "+time=3", *options, "lab.test")
                    self.assertIn("198.18.2.99", answer)

    def test_ping_with_fragments(self):
        for address in self.addresses():
            self.assertIn(" 0% packet loss", self.client.run("ping", "-c", 3, "-i", "0.2", "-s", 3000, address))
            self.assertIn(" 0% packet loss", self.host.run("ping", "-c", 3, "-i", "0.2", "-s", 3000, self.back(address)))

    def back(self, address):
        return self.client.ip6 if ":" in address else self.client.ip4

    def test_three_kinds_of_traceroute(self):
        for address in self.addresses():
            for options in ([], ["-I"], ["-T", "-p", "80"]):
                family = "-6" if ":" in address else "-4"
                trace = self.client.run("traceroute", family, "-n", "-w", 2, "-q", 1, *options, address)
                self.assertIn(address, trace.splitlines()[-1])
                trace = self.host.run("traceroute", family, "-n", "-w", 2, "-q", 1, *options, self.back(address))
                self.assertIn(self.back(address), trace.splitlines()[-1])

    def test_own_group_packets(self):
        for address in self.addresses():
            self.host.python(OWN_GROUP, address)

    def test_half_close(self):
        for address in self.addresses():
            self.client.python(HALF_CLOSE, address)

    def test_port_reuse(self):
        for address in self.addresses():
            self.client.python(PORT_REUSE, address, seconds=60)

    def test_simultaneous_open(self):
        """The first SYNs are lost; when the way is free the repeated ones cross, or meet a socket that waits as well."""
        for address in self.addresses():
            with self.losing(address):
                ends = [self.open(end, address) for end in (self.host, self.client)]
            self.finish(ends)

    def test_simultaneous_open_whose_first_syn_is_lost(self):
        """One end never gets the other's SYN. Its own is answered with a SYN+ACK, which it acknowledges."""
        for address in self.addresses():
            for first, second in ((self.host, self.client), (self.client, self.host)):
                with self.losing(address, "-s", first.ip6 if ":" in address else first.ip4):
                    self.finish([self.open(first, address), self.open(second, address, waits=False)])

    @contextlib.contextmanager
    def losing(self, address, *source):
        """Loses SYNs without ACK, of this source only."""
        tool = "ip6tables" if ":" in address else "iptables"
        syn = ["-p", "tcp", "--dport", 7050, "--tcp-flags", "SYN,ACK", "SYN"]
        lost = ["PREROUTING", *source, *syn, "-j", "DROP"]
        self.lab.router.run(tool, "-w", "-t", "raw", "-A", *lost)
        try:
            yield
        finally:
            self.lab.router.run(tool, "-w", "-t", "raw", "-D", *lost)

    def open(self, namespace, address, waits=True):
        """One end, which has sent its SYN when this returns."""
        far, near = (self.back(address), address) if namespace is self.host else (address, self.back(address))
        end = namespace.start("/usr/bin/python3", "-c", SIMULTANEOUS, far, near)
        if waits:
            wait_until(
                lambda: ":7050" in namespace.run("ss", "-Htn", "state", "syn-sent"), "it has sent its SYN",
                process=end)
        return end

    def finish(self, ends):
        for end in ends:
            self.assertEqual(end.wait(60), 0, end.output())

    def test_two_percent_loss(self):
        self.lab.lose(2)
        self.addCleanup(self.lab.lose, 0)
        for address in self.addresses():
            got = self.client.run(
                "sh", "-c", f"curl -sS -m 100 -r 0-4999999 {self.url(address, 'blob')} | sha256sum", seconds=110)
            self.assertEqual(got.split()[0], hashlib.sha256(self.blob[:5_000_000]).hexdigest())
            for _ in range(20):
                self.client.run("curl", "-sS", "-m", 60, "-o", "/dev/null", self.url(address), seconds=70)

    def test_readers_that_sleep(self):
        for reader in self.readers:
            self.assertEqual(reader.wait(90), 0, reader.output())


class PathMTU(unittest.TestCase):
    """Labs of its own: below 1,280 the kernel takes IPv6 away from an interface for good."""

    def test_path_mtu(self):
        blob = os.urandom(5_000_000)
        for offload in (True, False):
            for queues in ((0, 0), (0, 3)):
                with self.subTest(offload=offload, queues=queues), Lab(offload) as lab, \
                        Agent(lab.host, POLICY, queues) as agent:
                    agent.feed()
                    services.nginx(lab.host, {"blob": blob})
                    self.fetch(lab, lab.host.ip6, lab.client.ip6, 1280, blob)
                    self.fetch(lab, lab.host.ip4, lab.client.ip4, 1000, blob)
                    agent.settled_report()
                    self.assertEqual(agent.events(), [])

    def fetch(self, lab, host, client, mtu, blob):
        """Only the router's end is small: the client offers segments for 1,500 bytes, which the router cannot pass on."""
        lab.router.run("ip", "link", "set", "in0", "mtu", mtu)
        url = f"http://[{host}]/blob" if ":" in host else f"http://{host}/blob"
        got = lab.client.run("sh", "-c", f"curl -sS -m 60 --interface {client} '{url}' | sha256sum", seconds=70)
        self.assertEqual(got.split()[0], hashlib.sha256(blob).hexdigest())
        self.assertIn(f"mtu {mtu} ", lab.host.run("ip", "route", "get", client, "from", host))


class WithOffload(Traffic, unittest.TestCase):
    pass


class StrictWithoutOffload(Traffic, unittest.TestCase):
    offload = False
    policy = STRICT


class StrictFourQueues(Traffic, unittest.TestCase):
    queues = (0, 3)
    policy = STRICT


class FourQueuesWithoutOffload(Traffic, unittest.TestCase):
    offload = False
    queues = (0, 3)


class AppliedRules(Traffic, unittest.TestCase):
    """By the rules that the tool puts in place, in place of those that a person would write."""

    queues = (0, 1)
    policy = POLICY + "queue: { numbers: 0-1 }\n"

    @classmethod
    def feed(cls):
        cls.agent.tool("iptables", "--apply", seconds=60)


# What detects attacks, all of it on; three connections that open at a time are a flood.
DEFENCES = {"ack-storm": {"threshold": 100}, "syn-flood": {"cookies": "on", "threshold": 2}}


class CommonCriteria(Traffic, unittest.TestCase):
    """With all that the example for common criteria refuses, the strict posture, FTP read, and all that detects attacks on,
    beside rules that admit this traffic."""

    @classmethod
    def setUpClass(cls):
        with open(os.path.join(ROOT, "Config", "examples", "cc.yaml")) as example:
            settings = yaml.safe_load(example)
        document = yaml.safe_load(POLICY)
        outgoing = {"name": "Whatever goes out", "action": "allow", "direction": "outgoing"}
        stateful = settings["stateful"]
        stateful["tcp"] |= DEFENCES
        stateful["ftp"] = {f"{way}-{mode}": True for way in ("incoming", "outgoing") for mode in ("active", "passive")}
        cls.policy = yaml.safe_dump({
            **document, "rules": [*document["rules"], outgoing], "default": settings["default"], "stateful": stateful,
            "engine": document["engine"] | settings["engine"] | {"anti-evasion": "strict"},
            "reconnaissance": {"block": "10m"}})
        super().setUpClass()


if __name__ == "__main__":
    unittest.main(verbosity=2)

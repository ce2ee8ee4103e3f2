# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself, without an agent: what fails here is no fault of the firewall."""

import hashlib
import os
import re
import unittest

import isolation

isolation.isolate()

import services
from lab import Lab

BIG = os.urandom(1 << 20) * 30


class LabTests(unittest.TestCase):
    OFFLOAD = True

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab(offload=cls.OFFLOAD))
        cls.addresses = (cls.lab.host.ip4, cls.lab.host.ip6)

    def curl(self, address, name, *options, seconds=60):
        host = f"[{address}]" if ":" in address else address
        target = self.lab.file("download")
        self.lab.client.run("curl", "-sSf", "-o", target, *options, f"http://{host}/{name}", seconds=seconds)
        with open(target, "rb") as file:
            return file.read()

    def test_http(self):
        with services.nginx(self.lab.host, {"big": BIG}):
            for address in self.addresses:
                with self.subTest(address):
                    content = self.curl(address, "big")
                    self.assertEqual(hashlib.sha256(content).digest(), hashlib.sha256(BIG).digest())

    def test_http_with_loss(self):
        with services.nginx(self.lab.host, {"big": BIG}):
            self.lab.lose(2)
            self.addCleanup(self.lab.lose, 0)
            for address in self.addresses:
                with self.subTest(address):
                    self.assertTrue(self.curl(address, "big") == BIG)
        self.assertGreater(self.lab.router.rule_packets("PREROUTING", "raw")[0], 0)

    def test_large_ping(self):
        for address in self.addresses:
            with self.subTest(address):
                self.assertIn(" 0% packet loss", self.lab.client.run("ping", "-c", 3, "-i", 0.2, "-s", 3000, address))

    def test_traceroute(self):
        for address in self.addresses:
            for kind in ("-I", "-U", "-T"):
                with self.subTest(address=address, kind=kind):
                    hops = self.lab.client.run("traceroute", "-n", "-w", 1, "-q", 1, kind, address).splitlines()[1:]
                    self.assertEqual(len(hops), 2, hops)
                    self.assertIn(address, hops[1])

    def test_ssh_and_scp(self):
        server = services.SSH(self.lab.host)
        source = self.lab.file("source", BIG[: 1 << 20])
        for address in self.addresses:
            with self.subTest(address):
                self.assertEqual(self.lab.client.run(*server.ssh(address, "echo", "inside")), "inside\n")
                target = self.lab.file("copied")
                self.lab.client.run(*server.scp(source, address, target))
                with open(target, "rb") as file:
                    self.assertEqual(file.read(), BIG[: 1 << 20])
        server.process.stop()

    def test_dns(self):
        with services.dnsmasq(self.lab.host, {"www.lab": "198.18.2.2", "six.lab": "fd00:2::2"}):
            for server in self.addresses:
                for name, address in (("www.lab", "198.18.2.2"), ("six.lab", "fd00:2::2")):
                    with self.subTest(server=server, name=name):
                        answer = self.lab.client.run("nslookup", "-timeout=2", name, server)
                        self.assertRegex(answer, rf"Address: {address}\b")

    def test_iperf3(self):
        for options in ((), ("-R",), ("-P", 8)):
            # A server that has not done with the one before resets the next.
            with self.subTest(options), services.iperf3(self.lab.host):
                report = self.lab.client.run("iperf3", "-c", self.lab.host.ip4, "-t", 1, *options)
                self.assertRegex(report, r"receiver")

    def test_echo_after_half_close(self):
        program = """
import socket, sys
with socket.create_connection((sys.argv[1], 7), 5) as s:
    s.sendall(b'x' * 100000); s.shutdown(socket.SHUT_WR)
    print(sum(len(d) for d in iter(lambda: s.recv(65536), b'')))"""
        with services.echo(self.lab.host):
            for address in self.addresses:
                self.assertEqual(self.lab.client.python(program, address), "100000\n")

    def test_path_mtu(self):
        self.lab.host_link.set_mtu(1280)
        self.addCleanup(self.lab.host_link.set_mtu, 1500)
        with services.nginx(self.lab.host, {"file": BIG[: 1 << 20]}):
            for address in self.addresses:
                with self.subTest(address):
                    self.assertEqual(self.curl(address, "file"), BIG[: 1 << 20])
                    self.lab.client.status("ping", "-c", 2, "-i", 0.2, "-M", "do", "-s", 1400, address)
                    self.assertIn("mtu 1280", self.lab.client.run("ip", "route", "get", address))

    def test_scapy(self):
        answer = self.lab.client.scapy(f"print(sr1(IP(dst='{self.lab.host.ip4}')/ICMP(), timeout=2).summary())")
        self.assertIn("echo-reply", answer)

    def test_scanners(self):
        with services.echo(self.lab.host):
            scan = self.lab.client.run("nmap", "-n", "-Pn", "-sS", "-p", "7,9", self.lab.host.ip4)
            self.assertTrue(re.search(r"7/tcp\s+open", scan) and re.search(r"9/tcp\s+closed", scan), scan)
            probe = self.lab.client.run("hping3", "-n", "-S", "-c", 1, "-p", 7, self.lab.host.ip4)
            self.assertIn("flags=SA", probe)

    def test_capture(self):
        capture = services.Capture(self.lab.host)
        self.lab.client.run("ping", "-c", 1, self.lab.host.ip4)
        lines = capture.stop("icmp")
        self.assertEqual(len(lines), 2, lines)
        self.assertIn("echo request", lines[0])


class LabWithoutOffloadTests(LabTests):
    OFFLOAD = False

    def test_segments_fit_the_wire(self):
        with services.nginx(self.lab.host, {"file": BIG[: 1 << 20]}):
            capture = services.Capture(self.lab.host)
            self.curl(self.lab.host.ip4, "file")
            self.assertEqual(capture.stop("greater 1515"), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)

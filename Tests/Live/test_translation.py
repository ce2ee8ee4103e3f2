# SPDX-License-Identifier: GPL-3.0-or-later
"""Translated addresses, with the cold start off: the host's own connections, those to it, and those that it forwards, under
the rules of containers and of clusters. Both hooks of the rules stand on the same side of every translation."""

import contextlib
import os
import subprocess
import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from lab import Lab, Link, Namespace, wait_until

HEAD = """
version: 1
interfaces: { ignore: [lo%s], inside: [%s] }
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
rules:
  - { name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
"""
# What a container publishes, by its inner port.
PUBLISHED = """
  - { name: Published, action: allow, direction: incoming, protocol: tcp, destination: { addresses: 198.18.16.2, ports: 7 } }
  - { name: Published datagrams, action: force-allow, direction: incoming, protocol: udp, destination: { addresses: 198.18.16.2, ports: 7 } }
"""
# Some exchanges over one connection, or between two ports.
TALK = """
import socket, sys, time
address, port, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as peer:
    peer.settimeout(2)
    peer.connect((address, port))
    for turn in range(5):
        peer.sendall(b"%d" % turn)
        assert peer.recv(100) == b"%d" % turn
        time.sleep(0.1)
print("talked")
"""


class TranslationTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host
        cls.container = Namespace(cls.lab, f"{cls.host.name}-container")
        subprocess.run(["ip", "netns", "add", cls.container.name], check=True)
        cls.addClassCleanup(subprocess.run, ["ip", "netns", "del", cls.container.name])
        Link(cls.host, "docker0", cls.container, "eth0")
        cls.host.run("ip", "addr", "add", "198.18.16.1/24", "dev", "docker0")
        cls.container.run("ip", "addr", "add", "198.18.16.2/24", "dev", "eth0")
        cls.container.run("ip", "link", "set", "lo", "up")
        cls.container.run("ip", "route", "add", "default", "via", "198.18.16.1")
        cls.host.sysctl(net__ipv4__ip_forward=1)
        cls.container.ip4 = "198.18.16.2"
        for namespace in (cls.client, cls.host, cls.container):
            cls.enterClassContext(services.echo(namespace))
        wait_until(lambda: cls.container.status("ping", "-c", 1, "-W", 1, "198.18.16.1")[0] == 0, "the container is up")

    def setUp(self):
        self.addCleanup(self.host.flush_rules)

    def nat(self, *lines, families=(4,)):
        self.host.rules("\n".join(["*nat", *lines, "COMMIT", ""]), families)

    def agent(self, ignored="", inside="docker0", more=""):
        agent = Agent(self.host, HEAD % (ignored, inside) + more, name=os.path.basename(self.lab.file("agent"))).start()
        self.addCleanup(agent.stop)
        self.assertIn("taken at input", agent.tool("iptables", "--apply"))
        self.addCleanup(agent.tool, "iptables", "--remove")
        self.assertIn("fine: iptables security: -A PORTREEVE-OUT", agent.tool("iptables", "--check"))
        agent.events()
        return agent

    def assert_talks(self, namespace, address, port):
        for kind in ("tcp", "udp"):
            with self.subTest(kind):
                status, output = namespace.status("/usr/bin/python3", "-c", TALK, address, port, kind)
                self.assertEqual((status, output), (0, "talked\n"))

    def assert_silent(self, namespace, address, port, kind="tcp"):
        self.assertNotEqual(namespace.status("/usr/bin/python3", "-c", TALK, address, port, kind)[0], 0)


class OwnConnectionTests(TranslationTests):
    """Those that the host opens itself."""

    def test_a_destination_that_is_another_host(self):
        self.nat("-A OUTPUT -d 198.18.99.1 -p tcp --dport 80 -j DNAT --to-destination 198.18.1.10:7",
                 "-A OUTPUT -d 198.18.99.1 -p udp --dport 80 -j DNAT --to-destination 198.18.1.10:7")
        self.nat("-A OUTPUT -d fd00:99::1 -p tcp --dport 80 -j DNAT --to-destination [fd00:1::10]:7",
                 "-A OUTPUT -d fd00:99::1 -p udp --dport 80 -j DNAT --to-destination [fd00:1::10]:7", families=(6,))
        agent = self.agent()
        self.assert_talks(self.host, "198.18.99.1", 80)
        self.assert_talks(self.host, "fd00:99::1", 80)
        self.assertEqual(agent.events(), [])

    def test_rules_are_about_the_address_that_is_spoken_to(self):
        self.nat("-A OUTPUT -d 198.18.99.1 -p tcp --dport 80 -j DNAT --to-destination 198.18.1.10:7")
        agent = self.agent(more="  - { name: No echo, action: deny, direction: outgoing, protocol: tcp, destination: "
                                "{ addresses: 198.18.1.10, ports: 7 } }\n")
        self.assert_silent(self.host, "198.18.99.1", 80)
        event = agent.wait_for_events(1)[0]
        self.assertEqual((event["portreeve"]["reason"], event["dest_ip"], event["dest_port"]), ("deny", "198.18.1.10", 7))

    def test_filters_of_others_are_still_asked(self):
        self.nat("-A OUTPUT -d 198.18.99.1 -p tcp --dport 80 -j DNAT --to-destination 198.18.1.10:7")
        self.agent()
        self.host.rules("*filter\n-A OUTPUT -d 198.18.1.10 -p tcp --dport 7 -j DROP\n", (4,))
        self.assert_silent(self.host, "198.18.99.1", 80)

    def test_redirected_to_the_host_itself(self):
        self.nat("-A OUTPUT -d 198.18.99.2 -p tcp --dport 80 -j REDIRECT --to-ports 7",
                 "-A OUTPUT -d 198.18.99.2 -p udp --dport 80 -j REDIRECT --to-ports 7")
        agent = self.agent()
        self.assert_talks(self.host, "198.18.99.2", 80)
        self.assertEqual(agent.events(), [])

    def test_masqueraded(self):
        self.nat("-A POSTROUTING -o eth0 -j MASQUERADE")
        agent = self.agent()
        self.assert_talks(self.host, self.client.ip4, 7)
        self.assertEqual(agent.events(), [])

    def test_the_loopback_itself(self):
        self.nat("-A POSTROUTING -o eth0 -j MASQUERADE")
        agent = self.agent()
        for address in ("127.0.0.1", self.host.ip4):
            self.assert_talks(self.host, address, 7)
        self.assertEqual(agent.events(), [])

    def test_an_ignored_interface(self):
        """Also where the packet would have gone elsewhere before its destination was translated."""
        self.nat("-A OUTPUT -d 198.18.99.3 -p tcp --dport 80 -j DNAT --to-destination 198.18.16.2:7",
                 "-A OUTPUT -d 198.18.99.3 -p udp --dport 80 -j DNAT --to-destination 198.18.16.2:7")
        agent = self.agent(ignored=", docker0", inside="none0",
                           more="  - { name: Nothing out, action: deny, direction: outgoing, protocol: tcp+udp }\n")
        self.assert_talks(self.host, "198.18.16.2", 7)
        self.assert_talks(self.host, "198.18.99.3", 80)
        self.assertNotIn("deny", reasons(agent.events()))

    def test_a_rule_for_an_interface(self):
        self.nat("-A OUTPUT -d 198.18.99.3 -p tcp --dport 80 -j DNAT --to-destination 198.18.16.2:7")
        agent = self.agent(more="  - { name: Containers, action: deny, direction: outgoing, protocol: tcp, interfaces: [docker0] }\n")
        self.assert_silent(self.host, "198.18.99.3", 80)
        self.assertEqual(agent.wait_for_events(1)[0]["portreeve"]["rule"], "Containers")


DOCKER = (
    ":DOCKER - [0:0]", "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
    "-A POSTROUTING -s 198.18.16.0/24 ! -o docker0 -j MASQUERADE",
    "-A POSTROUTING -s 198.18.16.2/32 -d 198.18.16.2/32 -p tcp --dport 7 -j MASQUERADE",
    "-A DOCKER -i docker0 -j RETURN",
    "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 198.18.16.2:7",
    "-A DOCKER ! -i docker0 -p udp -m udp --dport 8080 -j DNAT --to-destination 198.18.16.2:7",
    "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 198.18.16.2:8")


class DockerTests(TranslationTests):
    def test_published_ports(self):
        self.nat(*DOCKER)
        agent = self.agent(more=PUBLISHED)
        # From another machine, and from the host to its own address.
        self.assert_talks(self.client, self.host.ip4, 8080)
        self.assert_talks(self.host, self.host.ip4, 8080)
        # The container goes out, behind the host's address; and speaks with the host.
        self.assert_talks(self.container, self.client.ip4, 7)
        self.assert_talks(self.host, self.container.ip4, 7)
        self.assertEqual(agent.events(), [])
        # What is published and not allowed.
        self.assert_silent(self.client, self.host.ip4, 8081)
        event = agent.wait_for_events(1)[0]
        self.assertEqual((event["portreeve"]["reason"], event["dest_ip"], event["dest_port"]),
                         ("out-of-allowed-policy", self.container.ip4, 8))

    def test_a_container_speaks_to_the_host_by_a_rule(self):
        """What is addressed to the host comes in, whatever its interface."""
        self.nat(*DOCKER)
        agent = self.agent(more="  - { name: Echo, action: allow, direction: incoming, protocol: tcp, destination: { ports: 7 } }\n"
                                "  - { name: Datagrams, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 7 } }\n")
        self.assert_talks(self.container, "198.18.16.1", 7)
        self.assertEqual(agent.events(), [])


# As kube-proxy writes them: a service with a cluster address and two endpoints, one of them a pod of this node.
KUBERNETES = tuple(
    [":KUBE-SERVICES - [0:0]", ":KUBE-MARK-MASQ - [0:0]", ":KUBE-POSTROUTING - [0:0]", ":KUBE-SVC-A - [0:0]",
     ":KUBE-SEP-A - [0:0]", ":KUBE-SEP-B - [0:0]", ":KUBE-SVC-B - [0:0]",
     "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
     "-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
     "-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING",
     "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
     "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
     "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0", "-A KUBE-POSTROUTING -j MASQUERADE --random-fully"]
    + [line for kind in ("tcp", "udp") for line in (
        f"-A KUBE-SERVICES -d 198.18.96.1/32 -p {kind} -m {kind} --dport 443 -j KUBE-SVC-A",
        f"-A KUBE-SERVICES -d 198.18.96.2/32 -p {kind} -m {kind} --dport 443 -j KUBE-SVC-B",
        f"-A KUBE-SVC-A ! -s 198.18.16.0/24 -d 198.18.96.1/32 -p {kind} -m {kind} --dport 443 -j KUBE-MARK-MASQ",
        f"-A KUBE-SEP-A -p {kind} -m {kind} -j DNAT --to-destination 198.18.16.2:7",
        f"-A KUBE-SEP-B -p {kind} -m {kind} -j DNAT --to-destination 198.18.1.10:7")]
    + ["-A KUBE-SVC-A -j KUBE-SEP-A", "-A KUBE-SVC-B -j KUBE-SEP-B",
       "-A KUBE-SEP-A -s 198.18.16.2/32 -j KUBE-MARK-MASQ",
       "-A POSTROUTING -s 198.18.16.0/24 ! -o docker0 -j MASQUERADE"])


class KubernetesTests(TranslationTests):
    def test_services(self):
        self.nat(*KUBERNETES)
        agent = self.agent(more=PUBLISHED)
        # The node's own connections to a pod of its own and to one elsewhere, those of a pod, and those of another machine.
        self.assert_talks(self.host, "198.18.96.1", 443)
        self.assert_talks(self.host, "198.18.96.2", 443)
        self.assert_talks(self.container, "198.18.96.2", 443)
        self.client.run("ip", "route", "add", "198.18.96.0/24", "via", "198.18.1.1")
        self.lab.router.run("ip", "route", "add", "198.18.96.0/24", "via", self.host.ip4)
        self.assert_talks(self.client, "198.18.96.1", 443)
        self.assertEqual(agent.events(), [])


class ForwardedTests(TranslationTests):
    def test_a_service_inside(self):
        self.nat("-A PREROUTING -d 198.18.2.2 -p tcp --dport 80 -j DNAT --to-destination 198.18.16.2:7",
                 "-A PREROUTING -d 198.18.2.2 -p udp --dport 80 -j DNAT --to-destination 198.18.16.2:7",
                 "-A POSTROUTING -o eth0 -j MASQUERADE")
        agent = self.agent(more=PUBLISHED)
        self.assert_talks(self.client, self.host.ip4, 80)
        self.assert_talks(self.container, self.client.ip4, 7)
        self.assertEqual(agent.events(), [])

    def test_redirected_to_this_host(self):
        self.nat("-A PREROUTING -i eth0 -p tcp --dport 80 -j REDIRECT --to-ports 7",
                 "-A PREROUTING -i eth0 -p udp --dport 80 -j REDIRECT --to-ports 7")
        agent = self.agent(more="  - { name: Echo, action: allow, direction: incoming, protocol: tcp, destination: { ports: 7 } }\n"
                                "  - { name: Datagrams, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 7 } }\n")
        self.assert_talks(self.client, self.host.ip4, 80)
        self.assertEqual(agent.events(), [])


if __name__ == "__main__":
    unittest.main()

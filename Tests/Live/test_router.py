# SPDX-License-Identifier: GPL-3.0-or-later
"""Forwarded traffic of a router that translates addresses, and errors that reach another worker than their connection."""

import unittest

import isolation

isolation.isolate()

import services
from agent import Agent, reasons
from lab import CommandFailed, Lab, wait_until

POLICY = """
version: 1
interfaces: { inside: [%s] }
rules:
  - { name: Published, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
  - { name: Web out, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 80 } }
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
"""
FILE = b"behind the router\n" * 60_000


class RouterTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.router, cls.host = cls.lab.client, cls.lab.router, cls.lab.host
        for machine in (cls.client, cls.host):
            cls.enterClassContext(services.nginx(machine, {"file": FILE}))
        # The client is the container behind the router, the host the world.
        cls.router.rules(
            "*nat\n-A PREROUTING -i out0 -p tcp --dport 8080 -j DNAT --to-destination 198.18.1.10:80\n"
            "-A PREROUTING -i out0 -p tcp --dport 8081 -j DNAT --to-destination 198.18.1.10:81\n"
            "-A POSTROUTING -o out0 -s 198.18.1.0/24 -j MASQUERADE\n", [4])
        # The world has no route to what is behind the router.
        cls.host.run("ip", "route", "replace", "blackhole", "198.18.1.0/24")

    def agent(self, inside):
        agent = Agent(self.router, POLICY % inside, queues=(0, 1), name=self.lab.file("agent")).start()
        self.addCleanup(agent.stop)
        self.addCleanup(lambda: [self.router.run(tool, "-t", "mangle", "-F") for tool in ("iptables", "ip6tables")])
        return agent.feed(incoming="INPUT", forward=True)

    def get(self, namespace, url, seconds=30):
        return namespace.run("curl", "-sSf", "-m", seconds, url) == FILE.decode()

    def refused(self, agent, source, namespace, url):
        """The first event of a connection from that address that is refused; one before may still send its SYN again."""
        with self.assertRaises(CommandFailed):
            namespace.run("curl", "-sSf", "-m", 1, url)
        return wait_until(
            lambda: next((event for event in agent.events() if event["src_ip"] == source), None), "the refusal is written")

    def test_both_directions_of_a_translating_router(self):
        agent = self.agent("in0")
        for _ in range(3):
            self.assertTrue(self.get(self.client, f"http://{self.host.ip4}/file"))
            self.assertTrue(self.get(self.host, "http://198.18.2.1:8080/file"))
        self.assertTrue(self.get(self.client, f"http://[{self.host.ip6}]/file"))
        self.assertTrue(self.get(self.host, f"http://[{self.client.ip6}]/file"))
        self.assertEqual(agent.events(), [])
        self.assertGreater({row["hook"]: row["packets"] for row in agent.report()["hooks"]}["forward"], 50)

        event = self.refused(agent, self.host.ip4, self.host, "http://198.18.2.1:8081/")
        self.assertEqual(
            (event["portreeve"]["reason"], event["portreeve"]["direction"], event["portreeve"]["hook"], event["in_iface"],
             event["out_iface"], event["src_ip"], event["dest_ip"], event["dest_port"]),
            ("out-of-allowed-policy", "incoming", "forward", "out0", "in0", self.host.ip4, self.client.ip4, 81))
        event = self.refused(agent, self.client.ip4, self.client, f"http://{self.host.ip4}:81/")
        self.assertEqual(
            (event["portreeve"]["reason"], event["portreeve"]["direction"], event["in_iface"], event["out_iface"],
             event["src_ip"], event["dest_ip"], event["dest_port"]),
            ("out-of-allowed-policy", "outgoing", "in0", "out0", self.client.ip4, self.host.ip4, 81))

    def test_from_inside_to_inside_is_outgoing(self):
        agent = self.agent("in0, out0")
        self.assertTrue(self.get(self.host, f"http://[{self.client.ip6}]/file"))
        self.assertEqual(agent.events(), [])
        event = self.refused(agent, self.host.ip6, self.host, f"http://[{self.client.ip6}]:81/")
        self.assertEqual((event["portreeve"]["direction"], event["in_iface"]), ("outgoing", "out0"))

    def test_without_inside_interfaces_forwarded_packets_pass(self):
        agent = self.agent("")
        self.host.run("ping", "-c", 1, self.client.ip6)
        self.assertTrue(self.get(self.host, f"http://[{self.client.ip6}]/file"))
        self.assertEqual(agent.events(), [])


class PathMTUTests(unittest.TestCase):
    def test_errors_of_a_third_address_reach_their_connection(self):
        """The router's error is balanced by the router's address, the connection that it quotes by the client's."""
        policy = """
version: 1
engine: { built-in-rules: { path-mtu: false }, timeouts: { cold-start: 0s, boot-start: 0s } }
"""
        with Lab() as lab, services.nginx(lab.host, {"file": FILE}), Agent(lab.host, policy, queues=(0, 3)) as agent:
            agent.feed()
            # The client's end still says 1,500, so that its SYN does not give the narrow link away.
            lab.router.run("ip", "link", "set", "in0", "mtu", 1300)
            for address in lab.client_addresses[:6]:
                lab.client.run("curl", "-sSf", "-m", 30, "-o", "/dev/null", "--interface", address,
                               f"http://{lab.host.ip4}/file")
                self.assertIn("mtu 1300", lab.host.run("ip", "route", "get", address))
            self.assertEqual(agent.events(), [])
            self.assertGreater(sum(queue["packets"] > 0 for queue in agent.report()["queues"]), 1)
            lab.router.scapy(
                f"send(IP(src='198.18.2.1', dst='{lab.host.ip4}')/ICMP(type=3, code=4, nexthopmtu=600)/"
                f"IP(src='{lab.host.ip4}', dst='198.18.1.99')/TCP(sport=80, dport=5555, seq=1))")
            self.assertEqual(dict(reasons(agent.wait_for_events())), {"unsolicited-icmp": 1})


if __name__ == "__main__":
    unittest.main(verbosity=2)

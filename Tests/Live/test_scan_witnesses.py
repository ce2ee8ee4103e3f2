# SPDX-License-Identifier: GPL-3.0-or-later
"""Three witnesses in one answer: what the scan saw, what the reflector and its host saw, and what the agents at both ends did."""

import json
import os
import unittest

import isolation

isolation.isolate()

from agent import Agent
from lab import Lab, wait_until
from paths import TOOL, Reflector, scan

HERE = os.path.dirname(os.path.abspath(__file__))
WITHOUT_PACKET_SOCKETS = ("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw")
HOST_POLICY = """
version: 1
rules:
  - { name: Control, action: allow, direction: incoming, protocol: tcp, destination: { ports: 7411-7412 } }
  - { name: Most, action: allow, direction: incoming, protocol: tcp+udp, destination: { ports: 80-89 } }
  - { name: Not here, action: deny, priority: 3, direction: incoming, protocol: tcp+udp, destination: { ports: 81 } }
"""
CLIENT_POLICY = """
version: 1
rules:
  - { name: Out, action: allow, direction: outgoing, protocol: tcp+udp }
  - name: Never out
    action: deny
    priority: 3
    direction: outgoing
    protocol: tcp+udp
    destination: { ports: 83 }
"""


class WitnessTests(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.client, self.router, self.host = self.lab.client, self.lab.router, self.lab.host

    def scan(self, reflector, *options, address=None):
        return scan(self.client, address or self.host.ip4, "-i", "700", "--retries", "0", *options, key=reflector.key)

    def guard(self):
        agent = self.enterContext(Agent(self.host, HOST_POLICY, fold="1s", name="far"))
        agent.feed()
        return agent

    def test_where_why_and_by_whom_from_both_ends(self):
        far = self.guard()
        near = self.enterContext(Agent(self.client, CLIENT_POLICY, fold="1s", name="near"))
        self.client.rules("*mangle\n-A OUTPUT -m conntrack --ctstate NEW -j NFQUEUE --queue-num 0\n")
        reflector = self.enterContext(Reflector(self.host, "--agent", "--control", far.control))
        self.router.rules("*filter\n-A FORWARD -p tcp --dport 84 -j REJECT\n")
        for address in (self.host.ip4, self.host.ip6):
            found = self.scan(
                reflector, "-t", "80-84,90", "-u", "81,83", "--control", near.control, address=address)
            there, here = f"{far.policy}:6", f"{near.policy}:5"
            for proto in ("tcp", "udp"):
                row = found.of(81, proto)
                self.assertEqual((row["where"], row["why"], row["by"]), (
                    "the reflector's host, incoming", "Deny Rule", f'rule "Not here" ({there})'), row)
                self.assertEqual([(drop["agent"], drop["match"], drop["dst"]) for drop in row["firewall"]], [
                    ("there", "certain", row["dst"])], row)
                row = found.of(83, proto)
                self.assertEqual((row["where"], row["why"], row["by"]), (
                    "this host, outgoing", "Deny Rule", f'rule "Never out" ({here})'), row)
            row = found.of(90)
            self.assertEqual((row["where"], row["why"], row["by"]), (
                "the reflector's host, incoming", "Out Of Allowed Policy", "the end of the policy: no rule allows it"), row)
            router = self.router.ip4 if address == self.host.ip4 else self.router.ip6
            self.assertEqual((found.of(84)["where"], found.of(84)["by"]), (router, router))
            self.assertNotIn("where", found.of(80))
            self.assertNotIn("firewall", found.of(82))
        status, text = self.client.status(
            TOOL, "scan", self.host.ip4, "--key", reflector.key, "-t", "80-81", "-i", "700", "--control", near.control)
        self.assertIn(f'the reflector\'s host, incoming: Deny Rule, by rule "Not here" ({there})', text)

    def test_the_far_agent_is_asked_only_where_it_may_be(self):
        far = self.guard()
        reflector = self.enterContext(Reflector(self.host, "--control", far.control))
        row = self.scan(reflector, "-t", "81").of(81)
        self.assertNotIn("firewall", row)
        self.assertEqual((row["where"], row.get("by")), ("the reflector's host", None), row)

    def test_a_scan_is_told_of_its_own_drops_alone(self):
        """Others knock at a port of the lease, and at one that is none."""
        far = self.guard()
        reflector = self.enterContext(Reflector(self.host, "--agent", "--control", far.control))
        own, other = self.lab.client_addresses[:2]
        program = f"""
import json, socket, sys
sys.path.insert(0, {HERE!r})
from probe import Lease
from lab import wait_until
lease = Lease({self.host.ip4!r}, {reflector.key!r}, {{"udp": "81"}})
for address, port in (({own!r}, 81), ({other!r}, 81), ({own!r}, 95)):
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind((address, 4000)); link.sendto(b"x", ({self.host.ip4!r}, port)); link.close()
found = []
def told():
    found[:] = lease.ask({{"ask": "drops", "from": 0}})["drops"]
    return found
wait_until(told, "the agent's event is told")
print(json.dumps(found))
"""
        told = json.loads(self.client.python(program).splitlines()[-1])
        self.assertEqual([(drop["source"], drop["destination"]) for drop in told], [
            (f"{own}:4000", f"{self.host.ip4}:81")])
        # The agent has all three.
        self.assertEqual(len(far.wait_for_events(3)), 3)

    def test_behind_a_translation_the_drop_is_probable(self):
        far = self.guard()
        reflector = self.enterContext(Reflector(self.host, "--agent", "--control", far.control))
        self.router.rules("*nat\n-A POSTROUTING -o out0 -j MASQUERADE\n")
        row = self.scan(reflector, "-t", "80-82").of(81)
        self.assertEqual((row["where"], row["by"]), (
            "probably the reflector's host, incoming", f'rule "Not here" ({far.policy}:6)'), row)

    DIRECTIONS = {
        # port: (where with packet sockets, part of the conclusion, where without them)
        81: ("on the way there", "no SYN reached", "direction unknown"),
        82: ("on the way back", "answered the SYN: the way back drops", "direction unknown"),
        83: ("on the way there", "by something before it", "direction unknown"),
        84: ("the reflector's host", "refused by the reflector's host itself", "direction unknown"),
        85: ("the reflector's host", "its own filter drops", "direction unknown"),
        86: ("on the way back", "sent no reset: by something on the way back", "direction unknown"),
    }

    def test_the_direction_where_packet_sockets_are_allowed_and_where_not(self):
        self.router.rules("""*filter
-A FORWARD -p tcp --dport 81 -j DROP
-A FORWARD -p tcp --sport 82 -j DROP
-A FORWARD -p tcp --dport 83 -j REJECT --reject-with tcp-reset
-A FORWARD -p tcp --sport 86 --tcp-flags SYN,ACK SYN,ACK -j DROP
""")
        self.host.rules("""*filter
-A INPUT -p tcp --dport 84 -j REJECT --reject-with tcp-reset
-A INPUT -p tcp --dport 85 -j DROP
""")
        # A device behind the router that resets what the host would have taken.
        forger = self.router.start("/usr/bin/python3", "-c", f"""
from scapy.all import *
conf.verb = 0
def reset(packet):
    network, segment = packet.getlayer(1), packet[TCP]
    back = (IPv6 if IPv6 in packet else IP)(src=network.dst, dst=network.src)
    send(back / TCP(sport=segment.dport, dport=segment.sport, flags="RA", seq=0, ack=segment.seq + 1))
sniff(iface="in0", filter="tcp dst port 86", prn=reset, started_callback=lambda: print("ready", flush=True))
""", name="forger")
        wait_until(lambda: "ready" in forger.output(), "the forger listens", process=forger)
        seeing = self.enterContext(Reflector(self.host))
        blind = Reflector(self.host, port=7412, prefix=WITHOUT_PACKET_SOCKETS)
        self.enterContext(blind)
        for address in (self.host.ip4, self.host.ip6):
            found = self.scan(seeing, "-t", "80-86", "-i", "2000", address=address)
            self.assertEqual(found.word(80), ("open", "answered"))
            at = f"[{address}]" if ":" in address else address
            less = scan(self.client, address, "-s", f"{at}:7412", "-t", "81-86", "-i", "2000", "--retries", "0", key=blind.key)
            for port, (where, conclusion, without) in self.DIRECTIONS.items():
                row = found.of(port)
                self.assertEqual(row["where"], where, row)
                self.assertIn(conclusion, row["conclusion"])
                self.assertEqual(less.of(port)["where"], without, less.of(port))
                self.assertNotIn("syn", less.of(port))
            self.assertEqual(found.of(82)["syn"]["answered"], True)
            self.assertEqual(found.of(81)["syn"], {"seen": False})
            self.assertIn("direction unknown", less.of(81)["conclusion"])


if __name__ == "__main__":
    unittest.main(verbosity=2)

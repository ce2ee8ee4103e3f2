# SPDX-License-Identifier: GPL-3.0-or-later
"""What refused packets are told: as the kernel's own REJECT tells it, and nothing where nothing may be told."""

import collections
import json
import shutil
import time
import unittest

import isolation

isolation.isolate()

from agent import Agent, reasons
from lab import Lab, wait_until

# By what they are answered with, ports of the agent's rules and of REJECT.
PORTS = {"reset": (71, 91), "unreachable": (72, 92), "prohibited": (73, 93)}
REJECTS = {
    4: {"reset": "tcp-reset", "unreachable": "icmp-port-unreachable", "prohibited": "icmp-admin-prohibited"},
    6: {"reset": "tcp-reset", "unreachable": "icmp6-port-unreachable", "prohibited": "icmp6-adm-prohibited"}}


def rules(directions):
    return "".join(
        f"  - {{ name: {reply} {direction}, action: deny, direction: {direction}, priority: 4, protocol: tcp+udp, "
        f"destination: {{ ports: {ports[0]} }}, reply: {reply} }}\n"
        for reply, ports in PORTS.items() for direction in directions)


POLICY = f"""
version: 1
rules:
{rules(["incoming", "outgoing"])}
stateful: {{ udp: {{ admit: allow }} }}
engine: {{ timeouts: {{ cold-start: 0s, boot-start: 0s }} }}
"""

# All at once; prints by kind, address and port what a program is told.
ASK = """
import errno, json, socket, sys, threading
told = {}
def ask(kind, address, port):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                      socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    s.settimeout(8)
    try:
        s.connect((address, port))
        if kind == "udp":
            try:
                s.send(bytes(64))
            except PermissionError:
                pass  # REJECT in OUTPUT says so at once, beside its answer.
            s.recv(1)
        answer = "connected"
    except TimeoutError:
        answer = "nothing"
    except OSError as error:
        answer = errno.errorcode[error.errno]
    told[f"{kind} {address} {port}"] = answer
threads = [threading.Thread(target=ask, args=question) for question in json.loads(sys.argv[1])]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps(told))
"""


def reject(namespace, *chains):
    """The same answers from the kernel, to the other ports."""
    for family in (4, 6):
        lines = []
        for chain in chains:
            for reply, (_, port) in PORTS.items():
                for protocol in ("tcp", "udp"):
                    kind = REJECTS[family]["unreachable" if reply == "reset" and protocol == "udp" else reply]
                    lines.append(f"-A {chain} -p {protocol} --dport {port} -j REJECT --reject-with {kind}")
        namespace.rules("\n".join(["*filter", *lines]), [family])


class ReplyTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.router, cls.host = cls.lab.client, cls.lab.router, cls.lab.host
        for machine in cls.lab.namespaces:
            # The kernel answers one computer only so often.
            machine.sysctl(net__ipv4__icmp_ratelimit=0, net__ipv6__icmp__ratelimit=0)
        reject(cls.host, "INPUT", "OUTPUT")

    def ask(self, namespace, addresses, ports):
        questions = [(kind, address, port) for kind in ("tcp", "udp") for address in addresses for port in ports]
        return json.loads(namespace.python(ASK, json.dumps(questions)))

    def compare(self, namespace, far, exact=False):
        """What a program there is told by the agent is what it is told by REJECT. Only where REJECT's answer over IPv6 is longer than
        the SYN that it answers, a reset takes its place."""
        addresses = (far.ip4, far.ip6)
        told = self.ask(namespace, addresses, [port for pair in PORTS.values() for port in pair])
        for kind in ("tcp", "udp"):
            for address in addresses:
                for reply, (port, other) in PORTS.items():
                    expected = told[f"{kind} {address} {other}"]
                    self.assertNotIn(expected, ("nothing", "connected"), told)
                    if (kind, reply) == ("tcp", "prohibited") and ":" in address and not exact:
                        self.assertEqual(expected, "EACCES")
                        expected = "ECONNREFUSED"
                    self.assertEqual(told[f"{kind} {address} {port}"], expected, (kind, address, reply, told))
        return told

    def agent(self, namespace, policy=POLICY, **options):
        agent = Agent(namespace, policy, name=self.lab.file("agent")).start()
        self.addCleanup(agent.stop)
        self.addCleanup(lambda: [namespace.status(tool, "-w", "-t", "mangle", "-F") for tool in ("iptables", "ip6tables")])
        return agent.feed(**options)

    def test_incoming_and_outgoing_at_a_host(self):
        agent = self.agent(self.host)
        told = self.compare(self.client, self.host)
        self.assertEqual(told[f"tcp {self.host.ip4} 73"], "EHOSTUNREACH")
        self.compare(self.host, self.client, exact=True)
        events = agent.wait_for_events(24)
        self.assertEqual(set(reasons(events)), {"deny"}, "no event of the agent's own answers")
        replies = collections.Counter(
            (event["portreeve"]["direction"], event["proto"], event["dest_port"], event["portreeve"]["reply"])
            for event in events)
        self.assertIn(("incoming", "TCP", 73, "reset"), replies, "over IPv6")
        self.assertIn(("incoming", "TCP", 73, "prohibited"), replies)
        self.assertIn(("outgoing", "UDP", 71, "unreachable"), replies)
        answers = agent.report()["answers"]
        self.assertEqual(answers["unsent"] + answers["unanswerable"] + answers["withheld"], 0, answers)
        self.assertEqual(answers["reset"] + answers["unreachable"] + answers["prohibited"], len(events), answers)

    def test_forwarded(self):
        self.addCleanup(self.router.flush_rules)
        reject(self.router, "FORWARD")
        agent = self.agent(self.router, POLICY + "interfaces: { inside: [in0] }\n", forward=True)
        self.compare(self.client, self.host)
        self.compare(self.host, self.client)
        self.assertEqual(set(reasons(agent.events())), {"deny"})
        # A reset bears the address that was asked, an error the router's own.
        sniffed = json.loads(self.client.scapy(f"""
import json
found = {{}}
for port in (71, 72):
    answer = sr1(IP(dst="{self.host.ip4}")/TCP(sport=4000, dport=port, options=[("MSS", 1460), ("Timestamp", (1, 0)), ("WScale", 7)]), timeout=5)
    found[port] = (answer.src, answer.summary())
answer = sr1(IPv6(dst="{self.host.ip6}")/UDP(sport=4000, dport=72)/bytes(60), timeout=5)
found[6] = (answer.src, answer.summary())
print(json.dumps(found))"""))
        self.assertEqual(sniffed["71"][0], self.host.ip4, sniffed)
        self.assertEqual(sniffed["72"][0], self.router.ip4, sniffed)
        self.assertEqual(sniffed["6"][0], self.router.ip6, sniffed)

    def test_where_the_loopback_is_judged_too(self):
        agent = Agent(self.host, POLICY + "interfaces: { ignore: [] }\n", name=self.lab.file("agent"))
        self.addCleanup(agent.stop)
        self.addCleanup(reject, self.host, "INPUT", "OUTPUT")
        self.addCleanup(self.host.flush_rules)
        agent.start().feed_as_printed()
        told = self.ask(self.host, (self.client.ip4, self.client.ip6, "127.0.0.1", "::1"), (71, 72, 73))
        self.assertLessEqual(set(told.values()), {"ECONNREFUSED", "EHOSTUNREACH", "EACCES"}, told)
        self.assertEqual(set(reasons(agent.wait_for_events(24))), {"deny"}, "no event of the agent's own answers")

    @unittest.skipUnless(shutil.which("nmap") and shutil.which("ssh"), "nmap or ssh is missing")
    def test_what_programs_say(self):
        self.agent(self.host)

        def ports(*words):
            told = self.client.run("nmap", "-Pn", "-n", "--reason", "-p", "71-73,91-93", *words, self.host.ip4)
            return {int(line.split("/")[0]): line.split()[1:2] + line.split()[3:4] for line in told.splitlines() if "/" in
                    line.split(" ")[0] and line[0].isdigit()}

        scanned = ports("-sT")
        for reply, (port, other) in PORTS.items():
            self.assertEqual(scanned[port], scanned[other], (reply, scanned))
        scanned = ports("-sU", "--data-length", "40")
        for reply, (port, other) in PORTS.items():
            self.assertEqual(scanned[port], scanned[other], (reply, scanned))
        # Its SYNs of 44 bytes are too short for an ICMP error about them.
        scanned = ports("-sS")
        self.assertEqual({port: scanned[port] for port in (71, 72, 73, 91)},
                         dict.fromkeys((71, 72, 73, 91), ["closed", "reset"]), scanned)
        for port, message in ((71, "Connection refused"), (73, "No route to host")):
            said = self.client.run("ssh", "-o", "BatchMode=yes", "-p", port, self.host.ip4, check=False)
            self.assertIn(message, said)

    def test_what_is_never_answered(self):
        """Beside each of them the same, but for what keeps it from being answered, is."""
        agent = self.agent(self.host, """
version: 1
rules: [ { name: Everything, action: deny, direction: incoming, priority: 4, reply: unreachable } ]
""")
        mac = self.host.mac("eth0")
        heard = json.loads(self.router.scapy(f"""
import json, threading
host, me, load = "{self.host.ip4}", "198.18.2.1", bytes(60)
heard, listens = [], threading.Event()
sniffer = AsyncSniffer(iface="out0", filter="ether src {mac} and (icmp or tcp or udp)", prn=heard.append, store=False,
                       started_callback=listens.set)
sniffer.start()
listens.wait(10)
link = Ether(dst="{mac}")
datagram = UDP(sport=4000, dport=72)/load
silent = [
    Ether(dst="ff:ff:ff:ff:ff:ff")/IP(src=me, dst="198.18.2.255")/datagram,
    Ether(dst="ff:ff:ff:ff:ff:ff")/IP(src=me, dst="255.255.255.255")/datagram,
    Ether(dst="01:00:5e:00:00:01")/IP(src=me, dst="224.0.0.1")/datagram,
    link/IP(src="198.18.2.255", dst=host)/datagram,
    link/IP(src="240.0.0.1", dst=host)/datagram,
    link/IP(src=me, dst=host)/UDP(sport=4000, dport=72),
    link/IP(src=me, dst=host)/TCP(sport=4000, dport=72, flags="R"),
    link/IP(src=me, dst=host, frag=100, id=77)/load,
    link/IP(src=me, dst=host)/ICMP(type=3, code=3)/IP(src=host, dst=me)/datagram,
    link/IP(src=me, dst=host)/UDP(sport=4000, dport=72, chksum=0x1234)/load,
]
for packet in silent: sendp(packet, iface="out0")
sendp(link/IP(src=me, dst=host, id=78)/UDP(sport=4001, dport=72)/load, iface="out0")
sendp(link/IP(src=me, dst=host, id=79, flags="MF")/UDP(sport=4002, dport=72, len=400)/bytes(112), iface="out0")
for _ in range(1000):
    if len(heard) >= 2: break
    time.sleep(0.01)
sniffer.stop()
print(json.dumps([[p.summary(), p[UDPerror].sport if UDPerror in p else 0] for p in heard]))"""))
        self.assertEqual(sorted(port for _, port in heard), [4001, 4002], heard)
        report = agent.settled_report()
        self.assertEqual(report["answers"]["unreachable"], 2, report["answers"])
        self.assertGreaterEqual(report["answers"]["unanswerable"], 7, report["answers"])

    def test_tap_mode_answers_nothing(self):
        agent = self.agent(self.host, POLICY + "mode: tap\n")
        listener = self.host.start("/usr/bin/python3", "-c", """
import socket
listener = socket.create_server(("0.0.0.0", 71))
while True: listener.accept()""", name="listener")
        wait_until(lambda: self.host.listens(71), "somebody listens", process=listener)
        self.assertEqual(self.ask(self.client, [self.host.ip4], [71])[f"tcp {self.host.ip4} 71"], "connected")
        self.assertEqual(set(agent.report()["answers"].values()), {0})
        self.assertFalse(any("reply" in event["portreeve"] for event in agent.wait_for_events()))
        listener.stop()

    def test_a_flood_gets_no_more_than_it_brings(self):
        agent = self.agent(self.host)

        def octets():
            with_sums = json.loads(self.host.run("ip", "-s", "-j", "link", "show", "eth0"))[0]["stats64"]
            return with_sums["rx"]["bytes"], with_sums["tx"]["bytes"]

        before, begun = octets(), time.monotonic()
        self.client.python(f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(4000):
    s.sendto(bytes(40), ("{self.host.ip4}", 72))""")
        wait_until(lambda: agent.settled_report()["answers"]["withheld"], "some are withheld", process=agent.process)
        report, after = agent.settled_report(), octets()
        seconds = time.monotonic() - begun
        answers = report["answers"]
        sent = answers["unreachable"]
        self.assertLessEqual(after[1] - before[1], after[0] - before[0], "bytes out and bytes in")
        self.assertTrue(1 <= sent <= 100 + 100 * (seconds + 1), (answers, seconds))
        dropped = sum(row["dropped"] for row in report["reasons"])
        self.assertEqual(sent + answers["withheld"], dropped, report)
        self.assertEqual(self.ask(self.host, [self.client.ip4], [71])[f"tcp {self.client.ip4} 71"], "ECONNREFUSED",
                         "others are answered all the same")

    def test_the_tool_says_what_is_answered(self):
        agent = Agent(self.host, POLICY, name=self.lab.file("agent"))
        for packet, expected in ((["--tcp", f"{self.client.ip4}:4000", f"{self.host.ip4}:71"], "answered by a TCP reset"),
                                 (["--udp", f"{self.client.ip4}:4000", f"{self.host.ip4}:71"], "not answered: the shortest"),
                                 (["--udp", f"{self.client.ip4}:4000", f"{self.host.ip4}:71", "--payload", "60"],
                                  "answered by ICMP: port unreachable")):
            said = agent.tool("explain", "--policy", agent.policy, "--direction", "incoming", "--interface", "eth0", *packet,
                              check=False)
            self.assertIn(expected, said)
        before = self.lab.file("before.yaml", POLICY)
        changed = self.lab.file("changed.yaml", POLICY.replace("reply: reset", "reply: prohibited", 1))
        status, said = agent.tool_status("diff", before, changed)
        self.assertIn('reply of rule "reset incoming": reset -> prohibited', said)
        self.assertIn("rules: equivalent", said)
        self.assertEqual(status, 2)
        self.assertEqual(agent.tool_status("diff", before, changed, "--no-new-access")[0], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)

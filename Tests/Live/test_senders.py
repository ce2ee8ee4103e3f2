# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for senders: by real users, groups and control groups of this machine, over IPv4 and IPv6."""

import json
import os
import subprocess
import unittest

import isolation

isolation.isolate()

from agent import Agent, reasons
from lab import Lab, wait_until

PORT = 443
# Both are accounts of every Debian system.
ADMITTED, REFUSED = "daemon", "nobody"
POLICY = """
version: 1
rules:
  - {{ name: Theirs, action: allow, direction: outgoing, sender: {sender} }}
  - {{ name: Back, action: allow, direction: incoming, protocol: icmp }}
stateful: {{ icmp: {{ enabled: true }} }}
engine: {{ timeouts: {{ cold-start: 0s, boot-start: 0s }} }}
"""
ECHO = f"""
import socket, sys, threading
def answer(address):
    datagrams = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((address, {PORT}))
    while True:
        data, sender = datagrams.recvfrom(100)
        datagrams.sendto(data, sender)
for address in sys.argv[1:]:
    threading.Thread(target=answer, args=[address], daemon=True).start()
listener = socket.create_server(("::", {PORT}), family=socket.AF_INET6, dualstack_ipv6=True)
def serve(connection):
    for data in iter(lambda: connection.recv(100), b""):
        connection.sendall(data)
    connection.close()
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=[connection], daemon=True).start()
"""
# Prints for each question whether the answer came; all at once.
ASK = f"""
import json, socket, struct, sys, threading
answers = {{}}
def checksum(data):
    total = sum(struct.unpack(f"!{{len(data) // 2}}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
def ask(kind, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        if kind == "icmp":
            number = socket.IPPROTO_ICMPV6 if ":" in address else socket.IPPROTO_ICMP
            s = socket.socket(family, socket.SOCK_DGRAM, number)
            s.settimeout(1.5)
            s.connect((address, 0))
            s.send(bytes([128 if ":" in address else 8, 0, 0, 0, 0, 1, 0, 1]) + b"echo")
            answers[f"{{kind}} {{address}}"] = s.recv(100)[8:] == b"echo"
            return
        s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        s.settimeout(1.5)
        s.connect((address, {PORT}))
        for _ in range(3):
            s.sendall(b"question")
            if s.recv(100) != b"question": raise OSError
        answers[f"{{kind}} {{address}}"] = True
    except OSError:
        answers[f"{{kind}} {{address}}"] = False
threads = [threading.Thread(target=ask, args=question) for question in json.loads(sys.argv[1])]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps(answers))
"""


def number(account, file="passwd"):
    with open(f"/etc/{file}") as accounts:
        return next(int(line.split(":")[2]) for line in accounts if line.startswith(f"{account}:"))


def opened(events):
    """Those of openings: the kernel may still send something for processes that other tests have ended, which has no sender."""
    return [event for event in events if event["drop"].get("tcpflags", "S") == "S"]


class SenderTests(unittest.TestCase):
    seconds = 14

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host
        # Anybody may send queries.
        cls.host.sysctl(net__ipv4__ping_group_range="0 2147483647")
        echo = cls.client.start("/usr/bin/python3", "-c", ECHO, cls.client.ip4, cls.client.ip6, name="echo")
        wait_until(lambda: cls.client.listens(PORT) and cls.client.listens(PORT, "u"), "the echo listens", process=echo)

    def questions(self, kinds=("tcp", "udp", "icmp")):
        return [(kind, address) for kind in kinds for address in (self.client.ip4, self.client.ip6)]

    def ask(self, user, kinds=("tcp", "udp", "icmp"), group=None, before=()):
        """What a process of this user is answered."""
        words = ["setpriv", "--reuid", user, "--regid", group or user, "--clear-groups", "/usr/bin/python3", "-c", ASK]
        if group is None and user == "nobody":
            words[4] = "nogroup"
        return json.loads(self.host.run(*before, *words, json.dumps(self.questions(kinds))))

    def agent(self, policy, *apply):
        agent = Agent(self.host, policy, name=self.lab.file("agent")).start()
        self.addCleanup(self.host.flush_rules)
        self.addCleanup(agent.stop)
        return agent

    def check(self, answers, expected):
        self.assertEqual(answers, {f"{kind} {address}": expected for kind, address in self.questions()}, answers)

    def test_users(self):
        """One is admitted, another is not, over both families and with TCP, UDP and ICMP; and the events say whose."""
        agent = self.agent(POLICY.format(sender=f"{{ users: {ADMITTED} }}")).feed_as_printed()
        self.check(self.ask(ADMITTED), True)
        self.assertEqual(opened(agent.events()), [])
        answers = self.ask(REFUSED)
        # ICMPv6 needs no Allow rule.
        self.assertEqual([name for name, is_answered in answers.items() if is_answered], [f"icmp {self.client.ip6}"])
        events = opened(agent.wait_for_events(5))
        self.assertEqual(set(reasons(events)), {"out-of-allowed-policy"})
        self.assertEqual({event["portreeve"].get("uid") for event in events}, {number(REFUSED)}, events)
        self.assertEqual({event["portreeve"].get("user") for event in events}, {REFUSED})
        self.assertEqual({event["portreeve"].get("gid") for event in events}, {number("nogroup", "group")})
        # What explain says of either is what was so.
        packet = ["explain", "--policy", agent.policy, "--direction", "outgoing", "--interface", "eth0",
                  "--udp", f"{self.host.ip4}:40000", f"{self.client.ip4}:{PORT}"]
        self.assertIn("verdict: pass", agent.tool(*packet, "--sender-user", ADMITTED))
        self.assertIn("no process", agent.tool(*packet, check=False))
        status, said = agent.tool_status(*packet, "--sender-user", REFUSED)
        self.assertEqual(status, 2)
        self.assertIn("allow but for sender: none of those named", said)
        # A rule for everybody else.
        agent.reload(POLICY.format(sender="{ users: { not: %s } }" % ADMITTED))
        agent.await_epoch(2)
        self.assertTrue(all(self.ask(REFUSED).values()))
        self.assertFalse(any(self.ask(ADMITTED, ("tcp", "udp")).values()))

    def test_groups_and_a_reload(self):
        agent = self.agent(POLICY.format(sender="{ groups: [adm, 4711] }")).feed_as_printed()
        self.check(self.ask(REFUSED, group="adm"), True)
        self.assertFalse(any(self.ask("daemon", ("tcp", "udp")).values()))
        agent.events()
        # A connection that is open lives on where its user is admitted still, and ends where not.
        holds = "import socket, sys\ns = socket.create_connection((sys.argv[1], %d), 5)\nfor line in sys.stdin:\n" \
                " s.sendall(b'question')\n s.settimeout(2)\n print(s.recv(100) == b'question', flush=True)\n" % PORT
        def held(user, group):
            return subprocess.Popen(
                ["ip", "netns", "exec", self.host.name, "setpriv", "--reuid", user, "--regid", group, "--clear-groups",
                 "/usr/bin/python3", "-c", holds, self.client.ip4], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True)
        stays, goes = held("daemon", "adm"), held("nobody", "adm")
        for one in (stays, goes):
            self.addCleanup(one.kill)
            one.stdin.write("\n"), one.stdin.flush()
            self.assertEqual(one.stdout.readline(), "True\n")
        agent.reload(POLICY.format(sender="{ users: [daemon] }"))
        agent.await_epoch(2)
        for one in (stays, goes):
            one.stdin.write("\n"), one.stdin.flush()
        self.assertEqual(stays.stdout.readline(), "True\n")
        self.assertEqual(goes.stdout.readline(), "", "its read timed out")
        self.assertEqual({event["portreeve"]["uid"] for event in agent.wait_for_events(1)}, {number("nobody")})


class UnitTests(SenderTests):
    """A control group of the kernel's, as systemd makes one for each unit."""

    seconds = 14
    UNITS = ("portreeve-test-web.service", "portreeve-test-mail.service")

    def groups(self):
        """In a mount of its own: `ip netns exec` hides those of /sys."""
        root = self.lab.file("cgroup")
        if not os.path.ismount(root):
            os.makedirs(root)
            subprocess.run(["mount", "-t", "cgroup2", "none", root], check=True)
            self.addCleanup(subprocess.run, ["umount", root])
        return root

    def make(self, root, unit):
        path = f"{root}/system.slice/{unit}"
        os.makedirs(path, exist_ok=True)
        self.addCleanup(lambda: os.path.isdir(path) and os.rmdir(path))
        return path

    def within(self, path):
        return ["sh", "-c", f"echo $$ > {path}/cgroup.procs && exec \"$@\"", "sh"]

    def test_users(self):
        """A unit's packets are known by its control group, whoever's they are; after it was started again once the rules are renewed."""
        root = self.groups()
        web = self.make(root, self.UNITS[0])
        agent = self.agent(POLICY.format(sender="{ units: [%s, %s] }" % self.UNITS))
        printed = agent.tool("iptables", "--apply", "--force")
        self.assertIn(f"not running now, so that nothing is known as theirs: {self.UNITS[1]}", printed)
        self.check(self.ask("nobody", before=self.within(web)), True)
        self.assertFalse(any(self.ask("root", ("tcp", "udp")).values()), "not of the unit")
        # No mark that a program sets stands for a unit.
        forged = self.host.status("/usr/bin/python3", "-c", f"""
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0xf0000000)
s.settimeout(1)
s.connect(("{self.client.ip4}", {PORT}))
""")
        self.assertNotEqual(forged[0], 0)
        # Started again: another control group of the same name.
        os.rmdir(web)
        self.make(root, self.UNITS[0])
        mail = self.make(root, self.UNITS[1])
        agent.events()
        self.assertFalse(any(self.ask("nobody", ("tcp", "udp"), before=self.within(web)).values()))
        events = [(event["portreeve"].get("unit"), event["proto"], event["src_ip"], event["drop"].get("tcpflags", "S"))
                  for event in agent.wait_for_events(4)]
        self.assertEqual({event[0] for event in events if event[3] == "S"}, {self.UNITS[0]}, events)
        self.assertIn("means one that is gone", agent.tool("iptables", "--check", check=False))
        agent.tool("iptables", "--units")
        self.check(self.ask("nobody", before=self.within(web)), True)
        wait_until(lambda: all(self.ask("root", ("tcp", "udp"), before=self.within(mail)).values()), "the other unit is known")
        self.assertEqual(agent.tool_status("iptables", "--check")[0], 0, agent.tool("iptables", "--check", check=False))
        # A reload says what another unit needs, and until then gives it nobody's bit.
        agent.write_policy(POLICY.format(sender="{ units: [portreeve-test-other.service] }"))
        self.assertIn("no rule before the queue knows packets of portreeve-test-other.service", agent.tool("reload"))
        self.assertFalse(any(self.ask("nobody", ("tcp", "udp"), before=self.within(web)).values()))

    def test_groups_and_a_reload(self):
        """A saved rule for a unit that does not run keeps no other rule from coming back."""
        root = self.groups()
        web = self.make(root, self.UNITS[0])
        agent = self.agent(POLICY.format(sender="{ units: [%s] }" % self.UNITS[0]))
        agent.tool("iptables", "--apply", "--force")
        agent.tool("iptables", "--save")
        self.host.flush_rules()
        os.rmdir(web)
        agent.tool("iptables", "--restore")
        rules = self.host.run("iptables-save")
        self.assertIn("PORTREEVE-OUT", rules)
        self.assertNotIn("--path", rules)


if __name__ == "__main__":
    unittest.main()

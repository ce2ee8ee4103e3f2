# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve iptables --apply` beside a running agent: sessions go on, and what does not work is taken back at once."""

import re
import signal
import subprocess
import time
import unittest

import isolation

isolation.isolate()

from agent import Agent, reasons
from lab import Lab, wait_until

# The agent has been there for longer than its cold start when the rules come.
POLICY = """
version: 1
engine: { timeouts: { cold-start: 6s, boot-start: 0s } }
rules:
  - { name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }
  - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
"""

# A server that answers each line with itself, and a client that says whether its line came back.
SERVER = """
import socket
listener = socket.create_server(("", 22))
while True:
    peer, _ = listener.accept()
    file = peer.makefile("rwb", buffering=0)
    for line in iter(file.readline, b""):
        file.write(line)
"""
CLIENT = """
import socket, sys
file = socket.create_connection((sys.argv[1], 22), 10).makefile("rwb", buffering=0)
for line in sys.stdin.buffer:
    file.write(line)
    sys.stdout.buffer.write(file.readline())
    sys.stdout.buffer.flush()
"""
# Connects, and says whether anything comes back once it was told to send.
WAITING_CLIENT = """
import socket, sys
peer = socket.create_connection((sys.argv[1], 22), 10)
print("connected")
sys.stdin.readline()
peer.settimeout(3)
peer.sendall(b"hello\\n")
try:
    print("echo" if peer.recv(100) else "end")
except TimeoutError:
    print("silence")
"""


class BesideAnAgent(unittest.TestCase):
    def setUp(self):
        self.lab = self.enterContext(Lab())

    def agent(self, policy=POLICY):
        return self.enterContext(Agent(self.lab.host, policy))

    def rules(self):
        text = self.lab.host.run("iptables-save") + self.lab.host.run("ip6tables-save")
        return re.sub(r"\[\d+:\d+\]", "[0:0]", re.sub(r" on \w{3} \w{3} .*", "", text))

    def session(self):
        """An open session with the host's port 22: a function that says whether a line comes back."""
        server = self.lab.host.start("/usr/bin/python3", "-u", "-c", SERVER, name="server")
        wait_until(lambda: self.lab.host.listens(22), "the server listens", process=server)
        client = subprocess.Popen(
            ["ip", "netns", "exec", self.lab.client.name, "/usr/bin/python3", "-c", CLIENT, self.lab.host.ip4],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)

        def echoes(line):
            client.stdin.write(line)
            client.stdin.flush()
            return client.stdout.readline() == line

        self.assertTrue(echoes(b"before\n"))
        return echoes

    def test_a_session_older_than_the_rules_goes_on_although_the_agent_is_older_still(self):
        agent = self.agent()
        echoes = self.session()
        time.sleep(7)
        output = agent.tool("iptables", "--apply")
        self.assertIn("checked: the agent judges", output)
        self.assertTrue(echoes(b"after\n"))
        agent.settled_report()
        self.assertEqual([e["portreeve"]["reason"] for e in agent.events() if e.get("proto") == "TCP"], [])
        # Once the cold start is over, what is older than the agent's knowledge is Out Of Connection as ever.
        time.sleep(7)
        self.lab.client.scapy(f"send(IP(dst='{self.lab.host.ip4}')/TCP(sport=4000, dport=22, flags='A'))")
        found = agent.wait_for_events()
        self.assertEqual([e["portreeve"]["reason"] for e in found if e.get("proto") == "TCP"], ["out-of-connection"])

    def test_an_agent_that_no_packet_reaches_has_its_rules_taken_back_at_once(self):
        agent = self.agent()
        # Somebody else's rules drop everything before ours.
        self.lab.host.rules("*raw\n-A PREROUTING -j DROP\n-A OUTPUT -j DROP")
        before = self.rules()
        status, output = agent.tool_status("iptables", "--apply", "--confirm", 60, seconds=60)
        self.assertEqual(status, 1, output)
        self.assertIn("no packet reached its queues", output)
        self.assertIn("taken back at once", output)
        self.assertEqual(self.rules(), before)
        self.assertIn("nothing to keep", agent.tool_status("iptables", "--keep")[1])

    def test_an_open_connection_to_a_forbidden_port_does_not_live_on_as_one_of_the_host(self):
        """Connections from the host are open; but on its port a server listens."""
        server = self.lab.host.start("/usr/bin/python3", "-u", "-c", SERVER, name="server")
        wait_until(lambda: self.lab.host.listens(22), "the server listens", process=server)
        client = subprocess.Popen(
            ["ip", "netns", "exec", self.lab.client.name, "/usr/bin/python3", "-u", "-c", WAITING_CLIENT, self.lab.host.ip4],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        self.assertEqual(client.stdout.readline(), b"connected\n")
        agent = self.agent(POLICY.replace("ports: 22 ", "ports: 2222 "))
        # It looks like a session of an administrator's.
        agent.tool("iptables", "--apply", "--force")
        client.stdin.write(b"\n")
        client.stdin.flush()
        self.assertEqual(client.stdout.readline(), b"silence\n")
        self.assertIn("out-of-allowed-policy-open-port", reasons(agent.wait_for_events(1)))

    def test_the_trial_is_no_drop_where_nothing_may_go_out(self):
        agent = self.agent(POLICY + "  - { name: Nothing out, action: deny, direction: outgoing, protocol: udp }\n")
        self.assertIn("the agent judges what the rules give it", agent.tool("iptables", "--apply"))
        self.lab.host.status("python3", "-c", "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'', "
                             f"('{self.lab.client.ip4}', 9))")
        # Only what could have left.
        self.assertEqual([event["dest_ip"] for event in agent.wait_for_events(1)], [self.lab.client.ip4])

    def test_an_agent_that_does_not_answer_changes_nothing(self):
        agent = self.agent()
        before = self.rules()
        agent.process.signal(signal.SIGSTOP)
        status, output = agent.tool_status("iptables", "--apply", seconds=60)
        agent.process.signal(signal.SIGCONT)
        self.assertEqual(status, 1, output)
        self.assertIn("nothing was changed", output)
        self.assertEqual(self.rules(), before)

    def over_ssh(self, agent, port, *words):
        """The tool as in an SSH session, behind a program that has lost the session's environment, as sudo has."""
        connection = f"{self.lab.client.ip4} 40112 {self.lab.host.ip4} {port}"
        tool = " ".join(["env", "-u", "SSH_CONNECTION", agent.command("iptables", *words)])
        return self.lab.host.status("env", f"SSH_CONNECTION={connection}", "sh", "-c", f"{tool}; exit $?", seconds=60)

    def test_a_policy_that_would_shut_out_the_present_session_is_refused(self):
        agent = self.agent()
        before = self.rules()
        status, output = self.over_ssh(agent, 2222, "--apply")
        self.assertEqual(status, 1, output)
        self.assertIn("would shut out the SSH session that you are in", output)
        # The cold start lets the session itself go on, as one that might have been opened from here.
        self.assertIn("the next one like it: Out Of Allowed Policy", output)
        self.assertIn("tcp to port 2222", output)
        self.assertEqual(self.rules(), before)
        status, output = self.over_ssh(agent, 2222, "--apply", "--force")
        self.assertEqual(status, 0, output)
        self.assertIn("note: this policy would shut out", output)
        agent.tool("iptables", "--remove")
        # The nearest session that passes.
        status, output = self.over_ssh(agent, 22, "--apply")
        self.assertEqual(status, 0, output)
        self.assertNotIn("would shut out", output)

    def test_a_deny_of_the_answers_would_drop_the_session_too(self):
        agent = self.agent(POLICY + "  - { name: Silence, action: deny, direction: outgoing, protocol: tcp, "
                           "source: { ports: 22 } }\n")
        status, output = self.over_ssh(agent, 22, "--apply")
        self.assertEqual(status, 1, output)
        self.assertIn("its outgoing packets", output)
        self.assertIn("Silence", output)


if __name__ == "__main__":
    unittest.main()

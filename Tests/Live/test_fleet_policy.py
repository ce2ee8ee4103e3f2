# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ansible role against three hosts with an agent and an sshd each: a policy is in force for good once a new connection came in under it,
and one that locks out is gone again by itself."""

import datetime
import json
import os
import time
import unittest

import isolation

isolation.isolate()

import fleet
import kept
from agent import Agent, binaries
from fleet_lab import FleetLab
from lab import wait_until

POLICY = """version: 1
rules:
  - { name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }
"""
WEB = "  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }\n"
# Lets in those who are in.
LOCKS_OUT = POLICY.replace("destination: { ports: 22 }", "source: { ports: %d-%d }, destination: { ports: 22 }") + WEB
SHUTS_OUT = POLICY.replace("ports: 22", "ports: 2222")
# Long enough for a busy machine; and for what is to be taken back.
LONG, SHORT = 120, 4
BEGAN = time.monotonic()
RESULTS = """# Policies of a fleet

The role of Config/fleet/ansible, real ansible-playbook, three hosts with an agent and an sshd each. How long a policy was in force is from the
agents' own records; each line is a play, after which new connections to all hosts were tried.

{head}

| put in force | came of it |
|---|---|
{rows}
"""
# The first connection to each host comes from a port below FIRST + 100, the second from one below FIRST + 200 and so on.
PROXY = """#!/bin/sh
for number in 0 1 2 3 4 5 6 7 8 9; do
    mkdir "$1/$2-$number" 2>/dev/null && exec nc -p $(($3 + number * 100 + ${2##*.})) "$2" 22
done
"""


class Hosts(unittest.TestCase):
    """Three hosts with the policy POLICY."""

    @classmethod
    def setUpClass(cls):
        lab = cls.lab = cls.enterClassContext(FleetLab())
        cls.key = lab.file("key")
        lab.control.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", cls.key)
        cls.agents = [cls.start(host) for host in lab.hosts]

    @classmethod
    def start(cls, host):
        """An agent, and an sshd for which its files are where they are on a host of their own."""
        lab, name = cls.lab, host.host_name
        agent = Agent(host, POLICY, name=f"agent-{name}", events_file=lab.file(f"{name}.jsonl"))
        cls.enterClassContext(agent).feed()
        key = lab.file(f"{name}-hostkey")
        host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        os.makedirs("/run/portreeve", exist_ok=True)
        layers = ""
        for place in ("/etc", "/var/lib"):
            up, work = (lab.file(f"{name}{place.replace('/', '-')}-{what}") for what in ("up", "work"))
            os.makedirs(os.path.join(up, "portreeve"))
            os.mkdir(work)
            layers += f"mount -t overlay overlay -o lowerdir={place},upperdir={up},workdir={work} {place}\n"
        settings = lab.file(f"{name}-sshd.conf", f"Port 22\nHostKey {key}\nAuthorizedKeysFile {cls.key}.pub\nStrictModes no\nUsePAM no\n"
                            f"PidFile none\nPermitRootLogin yes\nUseDNS no\nSubsystem sftp internal-sftp\n"
                            f"SetEnv PATH={binaries()}:/usr/sbin:/usr/bin:/sbin:/bin\n")
        process = host.start("unshare", "--mount", "sh", "-ec", f"""
{layers}
for place in /etc /run /var/lib; do mount --bind {agent.directory} $place/portreeve; done
exec /usr/sbin/sshd -D -e -f {settings}""", name="sshd")
        wait_until(lambda: host.listens(22), "sshd listens", process=process)
        return agent

    #: Ports of a play that no other has used.
    first = 40_000

    def play(self, policy, check=False, confirm=LONG, seconds=240):
        """Runs the shipped playbook with a policy, or one for each host; returns (status, what it printed)."""
        first = Hosts.first
        Hosts.first += 2_000
        folder = self.lab.file("play")
        os.makedirs(os.path.join(folder, "ports"))
        copy, only_said, in_force = fleet.commands("ansible")
        self.lab.control.run("sh", "-c", f"cd {folder} && {copy}")
        proxy = self.lab.file(os.path.join(folder, "proxy"), PROXY)
        os.chmod(proxy, 0o755)
        inventory = ""
        for place, host in enumerate(self.lab.hosts):
            source = os.path.join(folder, f"policy-{host.host_name}")
            os.mkdir(source)
            self.lab.file(os.path.join(source, "policy.yaml"), policy if isinstance(policy, str) else policy[place])
            seconds_of_host = confirm if isinstance(confirm, int) else confirm[place]
            inventory += (f"{host.host_name} ansible_host={host.ip4} portreeve_policy_source={source} "
                          f"portreeve_policy_confirm={seconds_of_host}\n")
        self.lab.file(os.path.join(folder, "inventory"), inventory)
        environment = {
            "ANSIBLE_HOST_KEY_CHECKING": "False", "ANSIBLE_LOCAL_TEMP": os.path.join(folder, "tmp"), "HOME": folder,
            "ANSIBLE_PRIVATE_KEY_FILE": self.key, "ANSIBLE_REMOTE_USER": "root", "ANSIBLE_PIPELINING": "True", "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3", "ANSIBLE_REMOTE_TEMP": os.path.join(folder, "remote"),
            "ANSIBLE_SSH_ARGS": f"-F none -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
            f"-o 'ProxyCommand={proxy} {folder}/ports %h {first}'",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{folder}/cp"}
        words = [f"{key}={value}" for key, value in environment.items()]
        # The serial parts are for thousands of hosts.
        book = os.path.join(folder, "site.yml")
        with open(book, encoding="utf-8") as file:
            text = file.read()
        for line, instead in (('  serial: [1, "10%"]\n', ""), ("  max_fail_percentage: 0\n", ""), ("become: true", "become: false")):
            self.assertIn(line, text)
            text = text.replace(line, instead)
        self.lab.file(book, text)
        return self.lab.control.status(
            "env", *words, "sh", "-c", f"cd {folder} && exec {only_said if check else in_force}", seconds=seconds)

    def reachable(self):
        """The hosts to which a new connection from a port that the policy does not name comes."""
        return [host for host in self.lab.hosts if "SSH-" in self.lab.control.status(
            "sh", "-c", f"sleep 1 | nc -w 2 {host.ip4} 22")[1]]

    def policies(self):
        found = []
        for agent in self.agents:
            with open(agent.policy, encoding="utf-8") as file:
                found.append(file.read())
        return found

    def changes(self, agent):
        """(time, text) of each policy that came into force."""
        with open(agent.events_file, encoding="utf-8") as file:
            events = [json.loads(line) for line in file if line.endswith("\n")]
        return [(datetime.datetime.strptime(event["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z"), event["portreeve"]["note"])
                for event in events if event["portreeve"]["reason"] == "policy-changed"]

    def check_all_as_before(self, before):
        self.assertEqual(self.policies(), before)
        self.assertEqual(self.reachable(), list(self.lab.hosts))
        for agent in self.agents:
            agent.tool("diff", "--running", agent.policy, "--control", agent.control)

    def check_taken_back(self, agent, confirm):
        """By its own records; returns how many seconds the policy was in force."""
        (tried, _), (taken_back, note) = self.changes(agent)[-3:-1]
        self.assertIn("not confirmed", note)
        seconds = (taken_back - tried).total_seconds()
        self.assertLessEqual(seconds, confirm + 5)
        return seconds


@unittest.skipIf(isolation.is_user_namespace(), "needs root: files of three hosts at one place")
@fleet.needs("ansible-playbook", "sshd")
class PolicyTests(Hosts):
    seconds = 30

    def test_three_fates(self):
        """One play: a policy that is kept, one that keeps everybody out who is not in already, and one that shuts out the play itself."""
        kept, locked, shut = self.agents
        status, said = self.play([POLICY + WEB, LOCKS_OUT % (Hosts.first, Hosts.first + 99), SHUTS_OUT], confirm=[LONG, SHORT, LONG])
        self.assertEqual(status, 2, said)
        self.assertRegex(said, r"web-01 .*failed=0 .*rescued=0")
        self.assertEqual(kept.tool_status("reload", "--keep")[0], 1, "nothing is on trial any more")

        # On a busy machine it comes in again before it has given up.
        self.assertRegex(said, r'web-02.*not put in force, and the one before is \(\\"(Come in anew|Keep it)')
        self.check_taken_back(locked, SHORT)

        self.assertRegex(said, r"web-03.*would shut out")
        self.check_all_as_before([POLICY + WEB, POLICY, POLICY])


class EveryPlay(Hosts):
    """What takes minutes: `make fleet`."""

    outcome = {}

    @classmethod
    def tearDownClass(cls):
        if cls.outcome:
            with open(os.environ["PORTREEVE_FLEET"], "w", encoding="utf-8") as file:
                file.write(RESULTS.format(head=kept.head("make fleet", datetime.date.today(), round(time.monotonic() - BEGAN), binaries()),
                                          rows="\n".join(f"| {what} | {came} |" for what, came in cls.outcome.items())))

    def test_1_only_said(self):
        status, said = self.play(POLICY + WEB, check=True)
        self.assertEqual(status, 0, said)
        self.assertIn("more permissive", said)
        self.assertIn("changed=1", said)
        self.check_all_as_before([POLICY] * 3)
        self.outcome["`--check` of a policy with one more rule"] = "the difference is said, nothing is changed"

    def test_2_in_force_and_kept(self):
        status, said = self.play(POLICY + WEB)
        self.assertEqual(status, 0, said)
        self.assertEqual(self.policies(), [POLICY + WEB] * 3)
        before = [self.changes(agent) for agent in self.agents]
        status, said = self.play(POLICY + WEB)
        self.assertEqual((status, "changed=0" in said, "changed=1" in said), (0, True, False), said)
        self.assertEqual([self.changes(agent) for agent in self.agents], before)
        self.outcome["that policy"] = "in force and kept on three hosts"
        self.outcome["the same again"] = "nothing is changed, nothing reloaded"

    def test_3_faulty(self):
        before = self.policies()
        for what, policy, words in (
                ("does not load", POLICY.replace("SSH", "SSH, nonsense: 1"), "nonsense"),
                ("has a rule that decides nothing (`check --strict`)", POLICY + WEB + WEB.replace("Web", "Same"), "Same"),
                ("shuts out who is connected", SHUTS_OUT, "shut out")):
            status, said = self.play(policy)
            self.assertNotEqual(status, 0, said)
            self.assertIn(words, said)
            self.assertIn("failed=1", said)
            self.check_all_as_before(before)
            self.outcome[f"a policy that {what}"] = "refused, the one before is in force, all hosts are reached"

    def test_4_locks_out(self):
        """The session guard has nothing against it: who is in stays in. Nobody else comes in, until the agents take it back."""
        before = self.policies()
        for confirm in (SHORT, 15):
            status, said = self.play(LOCKS_OUT % (Hosts.first, Hosts.first + 99), confirm=confirm)
            self.assertEqual(status, 2, said)
            self.check_all_as_before(before)
            seconds = ", ".join(f"{self.check_taken_back(agent, confirm):.1f}" for agent in self.agents)
            self.outcome[f"one that keeps everybody else out, `confirm` {confirm} s"] = f"gone after {seconds} s, all hosts are reached"


if not os.environ.get("PORTREEVE_FLEET"):
    del EveryPlay


if __name__ == "__main__":
    unittest.main(verbosity=2)

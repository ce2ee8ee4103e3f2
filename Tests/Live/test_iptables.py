# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve iptables` against the kernel: what it adds, what it leaves alone, what it takes back, what it refuses."""

import os
import pty
import re
import signal
import subprocess
import unittest

import isolation

isolation.isolate()

from lab import Lab, wait_until
from machine import POLICY, TOOL, Machine, foreign

DOCKER, UFW = foreign("docker.save"), foreign("marks.save") + foreign("ufw.save")

class IPTablesTests(unittest.TestCase):
    def setUp(self):
        self.machine = Machine()
        self.addCleanup(self.machine.close)

    def iptables(self, *arguments, status=0):
        got, output = self.machine.iptables(*arguments)
        self.assertEqual(got, status, output)
        return output


class ApplyTests(IPTablesTests):
    def test_removal_leaves_every_byte_as_it_was(self):
        for name, foreign in (("nothing", ""), ("docker", DOCKER), ("ufw", UFW), ("both", DOCKER + UFW)):
            with self.subTest(name):
                machine = Machine()
                self.addCleanup(machine.close)
                if foreign:
                    machine.foreign(foreign)
                before = machine.saved()
                status, output = machine.iptables("--apply", "--force")
                self.assertEqual(status, 0, output)
                applied = machine.saved()
                self.assertIn("-A OUTPUT -j PORTREEVE-OUT", applied)
                # Every line that was there still is, in its order.
                rest = iter(applied.splitlines())
                self.assertTrue(all(line in rest for line in before.splitlines() if line.startswith("-A")))
                status, output = machine.iptables("--remove")
                self.assertEqual(status, 0, output)
                self.assertEqual(machine.saved(), before)

    def test_a_second_time_changes_nothing(self):
        self.machine.rules(UFW)
        self.iptables("--apply", "--force")
        once = self.machine.saved()
        self.iptables("--apply", "--force")
        self.assertEqual(self.machine.saved(), once)

    def test_another_policy_replaces_the_rules(self):
        self.iptables("--apply", "--force")
        self.machine.policy("version: 1\nqueue: { numbers: 7-7 }\ninterfaces: { inside: [eth1] }\n")
        self.iptables("--apply", "--force", "--hook", "input")
        saved = self.machine.saved()
        self.assertNotIn("--queue-balance", saved)
        self.assertNotIn("--queue-bypass", saved)
        self.assertNotIn("-A PREROUTING", saved)
        self.assertEqual(saved.count("-A INPUT -j PORTREEVE-IN"), 2)
        self.assertEqual(saved.count("-A PORTREEVE-FWD -j PORTREEVE-QUEUE"), 2)
        self.assertEqual(saved.count("-A PORTREEVE-QUEUE -j NFQUEUE --queue-num 7"), 2)

    def test_the_hook_is_chosen_by_what_tracks_connections(self):
        self.iptables("--apply", "--force")
        self.assertIn("-A PREROUTING -j PORTREEVE-IN", self.machine.saved())
        self.machine.rules(DOCKER, families=(4,))
        output = self.iptables("--apply", "--force")
        self.assertIn("-A INPUT -j PORTREEVE-IN", self.machine.saved())
        self.assertNotIn("-A PREROUTING -j PORTREEVE-IN", self.machine.saved())
        self.assertIn("connections are tracked here", output)

    def test_without_an_agent_nothing_is_changed(self):
        before = self.machine.saved()
        output = self.iptables("--apply", status=1)
        self.assertIn("no agent is running", output)
        self.assertIn("nothing was changed", output)
        self.assertEqual(self.machine.saved(), before)

    def test_printed_rules_are_those_that_are_applied(self):
        self.machine.run("sh", input=self.iptables("--print"))
        printed = self.machine.saved()
        self.machine.run("sh", "-c", "for t in iptables ip6tables; do $t -t mangle -F; $t -t mangle -X; done")
        self.iptables("--apply", "--force")
        applied = self.machine.saved().replace(":PORTREEVE-MADE-TABLE - [0:0]\n", "")
        self.assertEqual(applied, printed)

    def test_rules_against_syn_floods_of_forwarded_traffic_are_offered(self):
        """They are comments; without their marks the kernel's own tool takes them."""
        self.assertNotIn("SYNPROXY", self.iptables("--print"))
        self.machine.policy(POLICY.replace("ignore:", "inside: [lan0, 'dmz*'], ignore:"))
        printed = self.iptables("--print")
        offered = [line[2:] for line in printed.splitlines() if line.startswith("# ")]
        for command in ("iptables", "ip6tables"):
            start = offered.index(f"{command}-restore --noflush <<'END'")
            rules = offered[start + 1:offered.index("END", start)]
            self.assertEqual(sum("-j SYNPROXY" in rule for rule in rules), 2)
            self.assertTrue(any("-o dmz+ " in rule for rule in rules))
            self.machine.run(f"{command}-restore", "--noflush", "--test", input="\n".join([*rules, ""]))
        self.assertTrue(any(line.strip().startswith("sysctl -w ") and "tcp_syncookies=1" in line for line in offered))
        # The script as it is does what it did.
        self.machine.run("sh", "-e", input=printed)
        self.assertNotIn("SYNPROXY", self.machine.saved())

    def test_a_policy_with_errors_changes_nothing(self):
        self.machine.policy("version: 1\nqueue: { numbers: many }\n")
        before = self.machine.saved()
        self.assertIn("policy.yaml:2:", self.iptables("--apply", "--force", status=1))
        self.assertEqual(self.machine.saved(), before)

    def test_a_family_that_fails_takes_the_other_back(self):
        self.machine.rules(UFW)
        before = self.machine.saved()
        self.machine.script("ip6tables-restore", "echo no room >&2\nexit 2\n")
        output = self.iptables("--apply", "--force", "--confirm", 60, status=1)
        self.assertIn("ip6tables-restore: no room", output)
        self.assertEqual(self.machine.saved(), before)
        self.assertIn("nothing to keep", self.iptables("--keep", status=1))


class SaveTests(IPTablesTests):
    """`--save` and what the next boot finds."""

    def files(self):
        return sorted(name for name in os.listdir(self.machine.directory) if name.startswith("rules."))

    def boot(self, foreign):
        """All rules are gone, as after a boot, and those of others came back by other means."""
        self.machine.run("rm", "-rf", f"{self.machine.directory}/state")
        self.machine.run("nft", "flush", "ruleset")
        self.machine.foreign(foreign)

    def test_saved_rules_come_back_without_agent_and_policy_and_go_for_good(self):
        self.machine.foreign(DOCKER + UFW)
        before = self.machine.saved()
        self.iptables("--apply", "--force")
        applied = self.machine.saved()
        self.assertIn("saved", self.iptables("--save"))
        self.assertEqual(self.files(), ["rules.v4", "rules.v6"])
        self.boot(DOCKER + UFW)
        self.assertEqual(self.machine.saved(), before)
        self.machine.policy("no policy any more")
        self.assertIn("restored: IPv4 and IPv6", self.iptables("--restore"))
        self.assertEqual(self.machine.saved(), applied)
        self.assertIn("restored", self.iptables("--restore"))
        self.assertEqual(self.machine.saved(), applied)
        self.assertIn("also after the next boot", self.iptables("--remove"))
        self.assertEqual(self.machine.saved(), before)
        self.assertEqual(self.files(), [])
        self.assertIn("no rules are saved", self.iptables("--restore"))
        self.assertIn("there were no rules", self.iptables("--remove"))

    def test_only_rules_that_are_in_place_and_confirmed_are_saved(self):
        self.assertIn("no rules to save", self.iptables("--save", status=1))
        self.iptables("--apply", "--force", "--confirm", 60)
        self.assertIn("not confirmed yet", self.iptables("--save", status=1))
        self.assertEqual(self.files(), [])
        self.iptables("--keep")
        self.iptables("--save")
        self.assertEqual(self.files(), ["rules.v4", "rules.v6"])

    def test_a_later_apply_says_that_the_saved_rules_are_others(self):
        self.iptables("--apply", "--force")
        self.iptables("--save")
        self.assertNotIn("last --save", self.iptables("--apply", "--force"))
        self.machine.policy("version: 1\nqueue: { numbers: 7-7 }\n")
        self.assertIn("last --save", self.iptables("--apply", "--force"))

    def test_a_table_made_at_boot_goes_with_the_rules(self):
        before = self.machine.saved()
        self.machine.run("sh", "-c", "iptables -t mangle -N other; ip6tables -t mangle -N other")
        self.iptables("--apply", "--force")
        self.iptables("--save")
        self.machine.run("nft", "flush", "ruleset")
        self.iptables("--restore")
        self.assertIn("PORTREEVE-MADE-TABLE", self.machine.saved())
        self.iptables("--remove")
        self.assertEqual(self.machine.saved(), before)


class ConfirmTests(IPTablesTests):
    def gone(self):
        return "PORTREEVE" not in self.machine.saved()

    def await_rules(self, before):
        """Waits for exactly these: the rules of IPv4 and IPv6, and the tables made for them, go in several steps."""
        try:
            wait_until(lambda: self.machine.saved() == before, "the rules are as they were", 60)
        except TimeoutError:
            self.assertEqual(self.machine.saved(), before)

    def apply_in_a_session(self, seconds):
        """Applies from a shell on a terminal, as over SSH; returns the shell's process and the terminal."""
        words = " ".join(self.machine.words("--apply", "--force", "--confirm", seconds))
        shell, terminal = pty.fork()
        if shell == 0:
            os.execvp("ip", ["ip", "netns", "exec", self.machine.name, "bash", "-c", f"{words}; exec sleep 600"])
        wait_until(lambda: not self.gone(), "the rules are in place")
        return shell, terminal

    def test_the_rules_go_back_when_the_session_that_applied_them_is_killed(self):
        self.machine.foreign(DOCKER + UFW)
        before = self.machine.saved()
        shell, terminal = self.apply_in_a_session(10)
        # Its terminal hangs up, and everything in its session is killed.
        os.close(terminal)
        os.killpg(shell, signal.SIGKILL)
        os.waitpid(shell, 0)
        self.assertFalse(self.gone())
        self.await_rules(before)
        self.assertIn("too late", self.iptables("--keep", status=1))

    def test_a_confirmation_from_another_session_keeps_them(self):
        shell, terminal = self.apply_in_a_session(15)
        os.killpg(shell, signal.SIGKILL)
        os.waitpid(shell, 0)
        os.close(terminal)
        self.assertIn("kept", self.iptables("--keep"))
        # The process that would have taken them back ends by itself.
        wait_until(lambda: not self.watchers(), "nobody waits any more", 60)
        self.assertFalse(self.gone())
        self.assertIn("nothing to keep", self.iptables("--keep", status=1))

    def test_the_rules_go_back_to_those_before(self):
        self.iptables("--apply", "--force")
        before = self.machine.saved()
        self.machine.policy("version: 1\nqueue: { numbers: 9 }\n")
        self.iptables("--apply", "--force", "--hook", "input", "--confirm", 10)
        self.assertIn("--queue-num 9", self.machine.saved())
        self.await_rules(before)

    def test_a_second_apply_waits_for_the_confirmation_of_the_first(self):
        self.iptables("--apply", "--force", "--confirm", 60)
        self.assertIn("waits", self.iptables("--apply", "--force", status=1))
        self.assertIn("taken back in", self.iptables("--check", status=1))
        self.iptables("--remove")
        self.iptables("--apply", "--force")
        wait_until(lambda: not self.watchers(), "the process of the first has ended", 30)
        self.assertFalse(self.gone())

    def watchers(self):
        """The processes that wait to take these rules back."""
        listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
        return [line for line in listing.splitlines() if "iptables-roll-back" in line and self.machine.directory in line]


class CheckTests(IPTablesTests):
    def setUp(self):
        super().setUp()
        self.machine.policy("version: 1\n")

    def check(self, rules, status=1, families=(4, 6)):
        self.machine.flush_rules()
        self.machine.rules(rules, families)
        return self.iptables("--check", status=status)

    def read_queue(self, number=0):
        self.addCleanup(self.machine.read_queue(number).close)

    def test_no_rules_at_all(self):
        self.assertIn("this host is not protected", self.iptables("--check", status=1))

    def test_own_rules_are_fine_while_their_queue_is_read(self):
        self.iptables("--apply", "--force")
        output = self.iptables("--check", status=1)
        for number in range(4):
            self.assertIn(f"nobody reads queue {number}", output)
            self.read_queue(number)
        output = self.iptables("--check")
        self.assertIn("fine:", output)
        self.assertNotIn("earlier releases", output)

    def test_rules_of_an_earlier_release_are_fine_and_said_to_be(self):
        self.machine.policy("version: 1\nqueue: { flood-numbers: off }\n")
        self.iptables("--apply", "--force")
        self.assertNotIn("PORTREEVE-QUEUE", self.machine.saved())
        self.machine.policy("version: 1\n")
        self.read_queue()
        output = self.iptables("--check")
        self.assertIn("fine:", output)
        self.assertIn("openings, fragments, datagrams come to the queue of established connections", output)
        self.assertIn('run "portreeve iptables --apply" again', output)

    def test_simple_rules_written_by_hand_are_fine(self):
        self.read_queue()
        output = self.check("*filter\n-A INPUT -j NFQUEUE --queue-num 0\n-A OUTPUT -j NFQUEUE --queue-num 0", status=0)
        self.assertIn("fine: iptables filter: -A INPUT -j NFQUEUE --queue-num 0", output)

    def test_rules_that_judge_a_packet_twice(self):
        self.read_queue()
        out = "-A OUTPUT -j NFQUEUE --queue-num 0\n"
        for rules in (
                f"*mangle\n-A PREROUTING -j NFQUEUE\n{out}COMMIT\n*filter\n-A INPUT -j NFQUEUE\nCOMMIT\n",
                f"*mangle\n-A INPUT -j NFQUEUE\n{out}COMMIT\n*filter\n-A INPUT -p tcp -j NFQUEUE\nCOMMIT\n",
                f"*mangle\n-A INPUT -j NFQUEUE\n{out}-A POSTROUTING -j NFQUEUE\n",
                f"*filter\n:own - [0:0]\n-A INPUT -p udp -j own\n-A own -j NFQUEUE\n{out}COMMIT\n"
                "*mangle\n-A INPUT -i eth0 -j NFQUEUE\nCOMMIT\n"):
            with self.subTest(rules):
                output = self.check(rules)
                self.assertIn("one packet can meet two queue rules", output)
                self.assertIn("cure:", output)

    def test_apply_refuses_to_stand_beside_another_queue_rule(self):
        self.machine.rules("*filter\n-A INPUT -j NFQUEUE --queue-num 0", (4,))
        before = self.machine.saved()
        # No agent answers, so --force would be needed; the conflict is found by --check of what --force made.
        self.iptables("--apply", "--force")
        self.assertIn("one packet can meet two queue rules", self.iptables("--check", status=1))
        self.iptables("--remove")
        self.assertEqual(self.machine.saved(), before)

    def test_a_family_without_rules(self):
        self.read_queue()
        output = self.check("*filter\n-A INPUT -j NFQUEUE\n-A OUTPUT -j NFQUEUE", families=(4,))
        self.assertIn("IPv6 is not protected", output)

    def test_a_queue_that_the_policy_does_not_have(self):
        self.read_queue(5)
        output = self.check("*filter\n-A INPUT -j NFQUEUE --queue-num 5\n-A OUTPUT -j NFQUEUE --queue-num 5")
        self.assertIn("queue 5 is not within the policy's queue.numbers, 0", output)

    def test_fragments_that_cannot_be_denied(self):
        self.read_queue()
        self.machine.policy("version: 1\nstateful: { ip: { fragments: deny } }\n")
        rules = "*filter\n-A INPUT -j NFQUEUE\n-A OUTPUT -j NFQUEUE"
        self.assertIn('"fragments: deny" cannot work', self.check(rules))


class HookTests(unittest.TestCase):
    """What the rules take, seen by their counters; without an agent --queue-bypass lets everything pass."""

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.policy = cls.lab.file("policy.yaml", POLICY + "\n")
        cls.apply(cls.lab.host)

    @classmethod
    def apply(cls, machine, *arguments):
        machine.run(
            TOOL, "iptables", "--policy", cls.policy, "--state", cls.lab.file("state"), "--apply", "--force", *arguments)

    def taken(self, machine, chain, family, send):
        """Packets that the chain gave to the queue while `send` ran."""
        before = machine.rule_packets(chain, "mangle", family)
        send()
        after = machine.rule_packets(chain, "mangle", family)
        return sum(after) - sum(before)

    # IPv6 finds its neighbours by packets that are taken too: fewer than the pings, if none of those is taken twice.
    COUNT = 8

    def ping(self, address, machine=None):
        (machine or self.lab.client).run("ping", "-c", self.COUNT, "-i", 0.2, "-W", 1, address)

    def test_each_packet_for_the_host_and_from_it_is_taken_once(self):
        for family, address in ((4, self.lab.host.ip4), (6, self.lab.host.ip6)):
            for chain in ("PORTREEVE-IN", "PORTREEVE-OUT"):
                with self.subTest(chain=chain, address=address):
                    taken = self.taken(self.lab.host, chain, family, lambda: self.ping(address))
                    self.assertIn(taken, range(self.COUNT, 2 * self.COUNT))

    def test_ipv6_multicast_and_link_local_addresses_are_taken(self):
        link_local = re.search(r"inet6 (fe80::\S+)/", self.lab.host.run("ip", "addr", "show", "dev", "eth0")).group(1)
        for address in (f"{link_local}%out0", "ff02::1%out0"):
            with self.subTest(address):
                send = lambda: self.ping(address, self.lab.router)
                taken = self.taken(self.lab.host, "PORTREEVE-IN", 6, send)
                self.assertIn(taken, range(self.COUNT, 2 * self.COUNT))

    def test_ipv4_broadcast_is_taken(self):
        send = lambda: self.lab.router.status("ping", "-b", "-c", 3, "-i", 0.2, "-W", 1, "198.18.2.255")
        self.assertEqual(self.taken(self.lab.host, "PORTREEVE-IN", 4, send), 3)

    def test_a_router_takes_forwarded_packets_at_forward_only(self):
        router = self.lab.router
        path = self.lab.file("router.yaml", POLICY.replace("ignore:", "inside: [in0], ignore:"))
        router.run(TOOL, "iptables", "--policy", path, "--state", self.lab.file("state"), "--apply", "--force")
        for family, address in ((4, self.lab.host.ip4), (6, self.lab.host.ip6)):
            with self.subTest(address):
                forwarded = self.taken(router, "PORTREEVE-FWD", family, lambda: self.ping(address))
                self.assertEqual(forwarded, 2 * self.COUNT)
                self.assertLess(self.taken(router, "PORTREEVE-IN", family, lambda: self.ping(address)), self.COUNT)


if __name__ == "__main__":
    unittest.main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Installation, upgrade, removal and purge by dpkg, with the real packet filter of a network namespace."""

from scratch import System, inside

INSTALL = "dpkg -i /.given/old.deb >/tmp/dpkg 2>&1 || { cat /tmp/dpkg; exit 1; }\n"
UPGRADE = "dpkg -i /.given/new.deb >/tmp/dpkg 2>&1 || { cat /tmp/dpkg; exit 1; }\n"
APPLY = "portreeve iptables --apply --force >/dev/null\n"
FILTER = "{ iptables-save; ip6tables-save; } | grep -v '^#' | sed 's/\\[[0-9:]*\\]//'\n"
# Files and users; not what dpkg, man and systemd keep for themselves.
FILES = "find /etc /usr /var /run -xdev -not -path '/var/lib/dpkg/*' -not -path '/var/cache/*' -not -path '/var/log/dpkg.log' -not -path " \
        "'/etc/*-' -not -path '/etc/.pwd.lock' -not -path '/.given*' -not -path '/var/lib/systemd/*' | sort; " \
        "getent passwd; getent group\n"
# The agent as its unit starts it: the user, the one capability, the table of queues as its standard input.
AGENT = """
install -d -o portreeve -g portreeve /run/portreeve
setpriv --reuid portreeve --regid portreeve --clear-groups --inh-caps=-all,+net_admin --ambient-caps=-all,+net_admin \\
    --bounding-set=-all,+net_admin --no-new-privs portreeved </proc/net/netfilter/nfnetlink_queue >/tmp/agent 2>&1 &
agent=$!
for turn in $(seq 300); do grep -q ready /tmp/agent && break; sleep 0.1; done
grep -q ready /tmp/agent || { cat /tmp/agent; exit 1; }
"""


class InstallTests(System):
    def test_it_changes_no_packet_filter(self):
        before, after = inside(f"{FILTER} echo ====; {INSTALL} {FILTER}").split("====\n")
        self.assertEqual(before, after)

    def test_what_it_leaves(self):
        said = inside(f"""{INSTALL}
            id -un portreeve; stat -c '%U:%G %a' /var/log/portreeve; portreeve check
            systemctl is-enabled portreeved.service portreeve-rules.service; man -w portreeve-iptables portreeve-policy
            """)
        for expected in ("portreeve\n", "portreeve:portreeve 750", "no warnings", "enabled\nenabled\n", "portreeve-iptables.8"):
            self.assertIn(expected, said)

    def test_the_agent_runs_as_its_user_with_one_capability(self):
        self.assertIn("mode         inline", inside(f"{INSTALL} {AGENT} portreeve status --agent-only; kill $agent"))

    def test_logs_rotate_while_the_agent_runs(self):
        said = inside(f"""{INSTALL} {AGENT}
            echo '{{}}' >>/var/log/portreeve/events.jsonl
            logrotate -f /etc/logrotate.d/portreeve
            stat -c '%n %U:%G %a' /var/log/portreeve/*
            readlink /proc/$agent/fd/* | grep events
            kill $agent""")
        self.assertIn("/var/log/portreeve/events.jsonl portreeve:portreeve 640\n", said)
        self.assertIn("/var/log/portreeve/events.jsonl.1 portreeve:portreeve 640\n", said)
        # The descriptor is that of the new file.
        self.assertTrue(said.endswith("/var/log/portreeve/events.jsonl\n"), said)


class UpgradeTests(System):
    def test_an_edited_policy_and_the_rules_stay(self):
        said = inside(f"""{INSTALL}
            echo '# mine' >>/etc/portreeve/policy.yaml
            {APPLY} {FILTER} echo ====; {UPGRADE} {FILTER} echo ====
            tail -qn1 /etc/portreeve/policy.yaml /etc/portreeve/examples/tap.yaml; dpkg-query -W portreeve""")
        before, after, rest = said.split("====\n")
        self.assertIn("NFQUEUE", before)
        self.assertEqual(before, after)
        self.assertIn("# mine", rest)
        self.assertIn("# The next version.", rest)
        self.assertIn("1:", rest)


BAD = "echo 'version: 1\nmode: inlin' >/etc/portreeve/policy.yaml\n"
# An upgrade that does not fail, and what it said.
SAID = "dpkg -i /.given/new.deb >/tmp/dpkg 2>&1; cat /tmp/dpkg; dpkg-query -W portreeve\n"


class PolicyCheckTests(System):
    def test_an_upgrade_without_any_good_policy_leaves_what_runs_alone(self):
        said = inside(f"""{INSTALL} {AGENT} {BAD} rm -f /var/lib/portreeve/policy.kept; {SAID}
            portreeve status --agent-only; kill $agent""")
        self.assertIn("policy.yaml:2:7: error: ", said)
        self.assertIn("portreeve: not restarted, because it would have no policy", said)
        self.assertIn("portreeve\t1:", said)
        self.assertIn("mode         inline", said)

    def test_an_upgrade_with_a_bad_policy_says_what_it_falls_back_on(self):
        said = inside(f"{INSTALL} {AGENT} {BAD} {SAID} kill $agent")
        self.assertIn("policy.yaml:2:7: error: ", said)
        self.assertIn("a start takes the last policy that was in force", said)
        self.assertNotIn("not restarted", said)

    def test_an_upgrade_with_a_good_policy_says_nothing_of_it(self):
        said = inside(f"{INSTALL} {AGENT} {SAID} kill $agent")
        self.assertNotIn("a start takes", said)
        self.assertNotIn("error", said)


class RemovalTests(System):
    def test_its_rules_go_first_and_others_stay(self):
        said = inside(f"""{INSTALL}
            iptables -A INPUT -p tcp --dport 7 -j DROP; ip6tables -t mangle -A OUTPUT -j MARK --set-mark 5
            {FILTER} echo ====; {APPLY} {FILTER} echo ====
            dpkg -r portreeve >/dev/null; {FILTER} test -e /etc/portreeve/policy.yaml""")
        before, during, after = said.split("====\n")
        self.assertIn("NFQUEUE", during)
        self.assertIn("--dport 7", after)
        # Tables that iptables has made on looking stay, empty.
        self.assertEqual([line for line in before.splitlines() if line.startswith("-A")],
                         [line for line in after.splitlines() if line.startswith("-A")])
        self.assertNotIn("PORTREEVE", after)

    def test_refused_where_the_rules_cannot_be_taken_away(self):
        """An agent that went while its rules stay would cut the host off."""
        said = inside(f"""{INSTALL} {APPLY}
            for name in iptables-restore ip6tables-restore iptables ip6tables; do
                printf '#!/bin/sh\\nexit 4\\n' >/usr/local/sbin/$name; chmod +x /usr/local/sbin/$name
            done
            dpkg -r portreeve >/tmp/dpkg 2>&1 && echo removed; cat /tmp/dpkg; portreeve --version
            dpkg-query -W -f '${{db:Status-Status}}\\n' portreeve""")
        self.assertIn("its packet-filter rules are still in place", said)
        self.assertNotIn("removed\n", said)
        self.assertTrue(said.endswith("installed\n"), said)

    def test_purge_leaves_nothing(self):
        before, after = inside(f"""{FILES} echo ====
            {INSTALL} {AGENT} {APPLY} portreeve status --agent-only >/dev/null; kill $agent; wait $agent
            dpkg -P portreeve >/dev/null 2>&1
            {FILES}""").split("====\n")
        self.assertEqual(sorted(set(after.splitlines()) ^ set(before.splitlines())), [])

# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine without the package is what it was."""

import os

import baseline
import readme
from peers import Conversation
from step import check, equal, run, status, step
from system import POLICY, apt, own_rules, queues, rules_of_others


@step("README: switch off, also for the next boot")
def off():
    readme.follow("off")
    check(not own_rules(), "rules are left")
    left = [path for path in os.listdir("/etc/portreeve") if path.startswith("rules.")]
    equal(left, [], "saved rules")


@step("remove under rules: they go first, connections stay; the settings stay too")
def remove():
    run("portreeve", "iptables", "--apply")
    run("portreeve", "iptables", "--save")
    others = baseline.kept()["rules"]
    talk = Conversation()
    apt("remove", "portreeve")
    talk.wait_for_progress()
    talk.end()
    check(not own_rules(), "rules are left")
    equal(rules_of_others(), others, "the packet filters of others")
    equal(queues(), set(), "queues")
    check(os.path.exists(POLICY), "the policy is gone")
    check(not os.path.exists("/usr/sbin/portreeved"), "the agent is left")


@step("README: purge; nothing left behind", seconds=400)
def purge():
    readme.follow("remove")
    apt("autoremove", "--purge")
    before = baseline.kept()
    baseline.same(baseline.files(), before["files"], "files")
    baseline.same(baseline.units(), before["units"], "units")
    baseline.same(baseline.accounts(), before["accounts"], "accounts")
    left = status("find", "/run", "-name", "*portreeve*", "-not", "-path", "/run/systemd/*")[1].split()
    equal(left, [], "files in /run")

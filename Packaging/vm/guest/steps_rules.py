# SPDX-License-Identifier: GPL-3.0-or-later
"""Switching on, with a way back."""

import os
import signal
import subprocess
import time

import readme
from peers import Conversation
from step import check, contains, equal, refused, run, status, step, wait_until
from system import Since, own_rules, ruleset
from wire import SSH, opens, ssh


def sessions():
    """Process ids of the sshd processes that serve root's sessions."""
    text = status("pgrep", "-f", "sshd: root@")[1]
    return {int(word) for word in text.split()}


@step("apply --confirm from an ssh session that dies: rolled back by systemd")
def roll_back():
    before, events = ruleset(), Since()
    talk = Conversation()
    own = sessions()
    session = subprocess.Popen(
        [*SSH, "portreeve iptables --apply --confirm 12; sleep 600"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until(own_rules, "the rules are in place", 40)
    applied = time.monotonic()
    check(roll_back_units(), "no transient unit")
    talk.wait_for_progress()
    for process in sessions() - own:
        os.kill(process, signal.SIGKILL)
    session.kill()
    wait_until(lambda: not own_rules(), "the rules are taken back", 40)
    took = time.monotonic() - applied
    equal(ruleset(), before, "the packet filters after the roll-back")
    talk.end()
    # The agent says that they are gone.
    events.none(besides=("invalid-adapter-configuration",))
    return f"{took:.0f} s after an apply with --confirm 12; the other ssh session went on"


def roll_back_units():
    return run("systemctl", "list-units", "--no-legend", "--no-pager", "--all", "portreeve-roll-back*")


@step("README: try, and keep")
def page():
    before = ruleset()
    readme.follow("try")
    check(own_rules() and roll_back_units(), "rules and their roll-back are in place")
    readme.follow("keep")
    check(own_rules() and not roll_back_units(), "the rules stay, without a roll-back")
    run("portreeve", "iptables", "--remove")
    equal(ruleset(), before, "the packet filters after --remove")


@step("apply, confirm with --keep: the rules stay, also past the time")
def keep():
    talk, events = Conversation(), Since()
    contains(ssh("portreeve iptables --apply --confirm 25"), "--keep", "what --apply says")
    run("portreeve", "iptables", "--keep")
    time.sleep(26)
    check(own_rules(), "the rules were taken back though confirmed")
    contains(refused("portreeve", "iptables", "--keep"), "nothing to keep", "a second --keep")
    run("portreeve", "iptables", "--check")
    check(opens(22), "no new ssh connection")
    talk.end()
    events.none()
    return run("portreeve", "status").splitlines()[0]

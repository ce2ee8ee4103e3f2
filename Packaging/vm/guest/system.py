# SPDX-License-Identifier: GPL-3.0-or-later
"""What the steps ask this machine about the service, its rules and its events."""

import json
import os
import re
import time

from step import Failed, check, run, sh, status, wait_until

UNIT = "portreeved.service"
POLICY = "/etc/portreeve/policy.yaml"
EVENTS = "/var/log/portreeve/events.jsonl"
APT = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}


def apt(*words):
    """apt-get, without a network; what it installs must be at hand."""
    return run("apt-get", "-y", "-q", "-o", "Dpkg::Use-Pty=0", *words, seconds=500, env=APT)


def ruleset():
    """All packet filters, whoever made them, without counters and what iptables leaves empty: base chains and tables."""
    parts = [run("iptables-save", "-t", table) + run("ip6tables-save", "-t", table) for table in ("mangle", "filter", "raw")]
    text = "\n".join([run("nft", "-s", "list", "ruleset"), *parts])
    text = re.sub(r"(?m)^#.*\n", "", text)
    text = re.sub(r"\tchain \w+ \{\n\t\ttype [^\n]* policy accept;\n\t\}\n", "", text)
    text = re.sub(r"\n\n+", "\n", text)
    text = re.sub(r"table \S+ \S+ \{\n\}\n", "", text)
    return re.sub(r"\[\d+:\d+\]|counter packets \d+ bytes \d+", "", text)


def rules_of_others():
    """Rules and chains of other programs, in order, whatever empty chains iptables has made since."""
    saved = run("iptables-save") + "ip6\n" + run("ip6tables-save")
    lines = [line for line in saved.splitlines() if line.startswith(("-A", "ip6")) and "PORTREEVE" not in line]
    return lines + run("nft", "-s", "list", "table", "inet", "firewalld").splitlines()


def own_rules():
    """Whether rules feed a queue."""
    return "NFQUEUE" in run("iptables-save") + run("ip6tables-save")


def shown(*properties, unit=UNIT):
    """`systemctl show`, as a dictionary."""
    text = run("systemctl", "show", unit, "-p", ",".join(properties))
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def main_process():
    return int(shown("MainPID")["MainPID"])


def is_active(unit=UNIT):
    return status("systemctl", "is-active", "-q", unit)[0] == 0


def exposure(unit=UNIT):
    """What `systemd-analyze security` says of a unit, from 0 to 10."""
    text = run("systemd-analyze", "security", "--no-pager", unit)
    return float(re.search(r"Overall exposure level for \S+:? +([\d.]+)", text).group(1))


def process_status(process):
    """/proc/PID/status."""
    with open(f"/proc/{process}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def queues():
    """Numbers of the kernel's queues that somebody reads."""
    with open("/proc/net/netfilter/nfnetlink_queue") as file:
        return {int(line.split()[0]) for line in file}


def kernel_losses():
    """Packets that the kernel dropped because a queue or its reader's buffer was full."""
    with open("/proc/net/netfilter/nfnetlink_queue") as file:
        return sum(int(line.split()[5]) + int(line.split()[6]) for line in file)


def events():
    """All events written so far."""
    try:
        with open(EVENTS) as file:
            # The last line may be half written.
            lines = [line for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise Failed(f"{error} in a line of the events: {[line for line in lines if not line.startswith('{')]}") from None


class Since:
    """Events from now on. What a reload has changed is told a moment later, and only to who waits for it."""

    def __init__(self):
        self.count = len(events())

    def all(self):
        return events()[self.count:]

    def events(self):
        return [event for event in self.all() if event["portreeve"]["reason"] != "policy-changed"]

    def reasons(self):
        """{reason: how many packets}."""
        counts = {}
        for event in self.events():
            facts = event["portreeve"]
            counts[facts["reason"]] = counts.get(facts["reason"], 0) + facts["count"]
        return counts

    def drops(self):
        """How many packets were dropped, without what is only told beside it, such as a scan."""
        return sum(event["portreeve"]["count"] for event in self.events() if event["event_type"] == "drop")

    def wait_for(self, reason, **facts):
        """The first event for that reason whose top-level fields are as given."""
        def found():
            return next((event for event in self.all() if event["portreeve"]["reason"] == reason
                         and all(event.get(key) == value for key, value in facts.items())), None)
        try:
            return wait_until(found, "", 15)
        except Failed:
            raise Failed(f"no event {reason} with {facts}; there are {self.reasons()}") from None

    def none(self, patience=3, besides=()):
        """No event, but for those reasons; folded events are written within that time."""
        time.sleep(patience)
        others = [event for event in self.events() if event["portreeve"]["reason"] not in besides]
        check(not others, f"events: {others[:3]}")


def write_policy(text):
    with open(POLICY, "w") as file:
        file.write(text)


def policy(text):
    """Puts a policy into force."""
    write_policy(text)
    run("systemctl", "reload", UNIT)


def protect():
    """The rules in place, whatever a step left behind."""
    if not own_rules():
        run("portreeve", "iptables", "--apply")


def start_again():
    """The service as new, whatever a step left behind."""
    sh(f"systemctl reset-failed {UNIT} || true; systemctl restart {UNIT}")

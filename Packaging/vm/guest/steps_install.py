# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with rules of its own gets the package."""

import json
import os

import baseline
import readme
import wire
from peers import Conversation
from step import check, contains, equal, run, sh, status, step, wait_until
from system import EVENTS, UNIT, events, exposure, is_active, main_process, own_rules, process_status, queues, ruleset, shown

@step("Debian with systemd, sshd, and rules of other programs", always=True)
def machine():
    wire.make_key()
    wire.connect()
    equal(wire.ssh("echo hello"), "hello\n", "ssh from the other machine")
    sh(baseline.OTHERS)
    baseline.keep()
    release = run("uname", "-r").strip()
    return f"Linux {release}, {run('systemctl', '--version').splitlines()[0]}"


@step("README: install with apt; nothing dropped, packet filters as before", seconds=240, always=True)
def install():
    before = ruleset()
    talk = Conversation()
    readme.follow("install")
    lines = talk.end()["lines"]
    equal(ruleset(), before, "the packet filters after the installation")
    check(not own_rules(), "the installation made rules")
    equal(run("dpkg", "--audit"), "", "dpkg --audit")
    equal(status("dpkg", "-V", "portreeve"), (0, ""), "dpkg -V")
    equal(events(), [], "events")
    version = run("dpkg-query", "-W", "-f", "${Version}", "portreeve")
    return f"version {version}; {lines} lines of a conversation meanwhile"


@step("the service waits on its queues, with few rights")
def service():
    wait_until(is_active, f"{UNIT} is active")
    sockets = sh("stat -c '%U:%G %a' /run/portreeve /run/portreeve/control.sock /run/portreeve/metrics.sock")
    check(sockets.split("\n")[:3] == ["portreeve:portreeve 751", "portreeve:portreeve 660", "portreeve:portreeve-metrics 660"],
          f"sockets: {sockets}")
    facts = shown("Type", "User", "NRestarts", "UnitFileState", "WatchdogUSec")
    equal(facts["UnitFileState"], "enabled", "UnitFileState")
    equal(facts["Type"], "notify", "Type")
    equal(facts["NRestarts"], "0", "NRestarts")
    check(facts["WatchdogUSec"] not in ("0", "infinity"), f"WatchdogUSec {facts['WatchdogUSec']}")
    check(queues(), "no queue is read")
    process = process_status(main_process())
    uid = run("id", "-u", "portreeve").strip()
    equal(process["Uid"].split(), [uid] * 4, "user ids of the process")
    rights = int(process["CapPrm"], 16)
    equal(rights, 1 << 12, "capabilities: CAP_NET_ADMIN")
    equal(int(process["CapAmb"], 16), rights, "the ambient set")
    equal(int(process["CapBnd"], 16), 1 << 12 | 1 << 13, "the bounding set: CAP_NET_RAW too, which was given up")
    equal(process["NoNewPrivs"], "1", "NoNewPrivs")
    equal(process["Seccomp"], "2", "Seccomp")
    check("no frame guard" not in run("journalctl", "-b", "-u", UNIT), "the frame guard's sockets were not handed over")
    contains(sh(readme.inline("curl")), "portreeve_", "the metrics")
    return f"user portreeve, capabilities {rights:#x}, queues {sorted(queues())}"


DROP_IN = f"/etc/systemd/system/{UNIT}.d"


@step("systemd-analyze security: below 2.0, with the drop-in below 1.5")
def security():
    whole = exposure()
    check(whole < 2.0, f"exposure {whole}")
    offered = [path for path in run("dpkg", "-L", "portreeve").split() if path.endswith("/local-only.conf")]
    check(offered, "the package has no drop-in local-only.conf")
    sh(f"mkdir -p {DROP_IN}; cp {offered[0]} {DROP_IN}; systemctl daemon-reload; systemctl restart {UNIT}")
    narrow = exposure()
    wait_until(is_active, f"{UNIT} is active with the drop-in")
    equal(shown("NRestarts")["NRestarts"], "0", "NRestarts")
    contains(sh(readme.inline("curl")), "portreeve_", "the metrics with the drop-in")
    sh(f"rm -r {DROP_IN}; systemctl daemon-reload; systemctl restart {UNIT}")
    check(narrow < 1.5, f"exposure {narrow} with the drop-in")
    return f"{whole}, with the drop-in {narrow}"


@step("status: not protected yet, and says how to switch on")
def waiting():
    code, text = status("portreeve", "status")
    contains(text, "iptables --apply", "portreeve status")
    report = json.loads(status("portreeve", "status", "--json")[1])
    equal(sum(queue["packets"] for queue in report["queues"]), 0, "packets seen")
    mode = os.stat(os.path.dirname(EVENTS)).st_mode & 0o7
    equal(mode, 0, "rights of others in the directory of the events")
    return text.splitlines()[0]

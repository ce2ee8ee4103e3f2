# SPDX-License-Identifier: GPL-3.0-or-later
"""No lost connection: restart, upgrade, crash."""

import os
import signal
import time

from peers import POLICY, load
from step import check, contains, equal, run, step, wait_until
from system import UNIT, apt, is_active, main_process, protect, ruleset, shown, start_again, write_policy
from wire import opens

STATE = "/run/portreeve/state"


def restart(settings=""):
    with load(settings) as traffic:
        time.sleep(5)
        before = main_process()
        run("systemctl", "restart", UNIT)
        check(main_process() != before, "the process is the same")
        return traffic.finish()


@step("restart under traffic: no connection, packet or event lost", seconds=300)
def restart_closed():
    return restart()


@step("restart under traffic with failure.engine open: the same", seconds=300, variant=True)
def restart_open():
    setting = "failure: { engine: open }\n"
    with_setting(setting)
    numbers = restart(setting)
    with_setting("")
    return numbers


def with_setting(setting):
    """Agent and rules as new, under a policy with that."""
    write_policy(POLICY + setting)
    start_again()
    run("portreeve", "iptables", "--apply")


@step("upgrade with apt under traffic on the fast path: no connection, packet or event lost", seconds=600)
def upgrade():
    old = run("dpkg-query", "-W", "-f", "${Version}", "portreeve")
    fast = "engine: { fast-path: on }\n"
    with_setting(fast)
    before = main_process()
    with load(fast) as traffic:
        rules = ruleset()
        apt("-o", "Dpkg::Options::=--force-confold", "install", "/opt/tests/portreeve-next.deb")
        new = run("dpkg-query", "-W", "-f", "${Version}", "portreeve")
        check(new != old, "the version is the same")
        check(main_process() != before, "the old process still runs")
        equal(ruleset(), rules, "the packet filters after the upgrade")
        return f"{old} → {new}: {traffic.finish()}"


def crash():
    """Kills the agent; returns the milliseconds until its successor was started, and until that was ready."""
    process, restarts = main_process(), int(shown("NRestarts")["NRestarts"])
    killed = time.monotonic()
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: int(shown("NRestarts")["NRestarts"]) > restarts and is_active(), "the agent is restarted", 30)
    times = shown("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    return [int(times[name]) / 1e3 - killed * 1e3 for name in ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")]


@step("kill -9 under traffic: started again, connections go on", seconds=300, variant=True)
def kill():
    start_again()
    with load() as traffic:
        written = os.stat(STATE).st_mtime_ns if os.path.exists(STATE) else 0
        wait_until(lambda: os.path.exists(STATE) and os.stat(STATE).st_mtime_ns > written, "the state file is written", 60)
        started, ready = crash()
        equal(shown("RestartUSec")["RestartUSec"], "100ms", "how long systemd waits")
        return f"started again after {started:.0f} ms, ready after {ready:.0f} ms; {traffic.finish(crashed=True)}"


@step("a forged state file is refused, the agent runs all the same")
def forged():
    start_again()
    protect()
    # It would write its own over it, as it does once a second after a start.
    os.kill(main_process(), signal.SIGSTOP)
    with open(STATE, "wb") as file:
        file.write(b"\xff" * 4096)
    crash()
    contains(run("journalctl", "-b", "--no-pager", "-n", "20", "-u", UNIT), STATE, "the journal")
    check(opens(22), "ssh")


@step("watchdog: an agent that hangs is ended and restarted")
def watchdog():
    start_again()
    process = main_process()
    os.kill(process, signal.SIGSTOP)
    wait_until(lambda: main_process() not in (0, process) and is_active(), "a new process", 60)
    check(opens(22), "ssh")
    contains(run("journalctl", "-b", "--no-pager", "-n", "30", "-u", UNIT), "atchdog", "the journal")

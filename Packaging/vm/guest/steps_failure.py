# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to packets when the agent is not there."""

import os
import signal

from peers import POLICY
from step import check, run, step, wait_until
from system import UNIT, is_active, main_process, policy, protect, queues, shown, start_again, write_policy
from wire import opens


def counted():
    """The starts that the agent has counted itself; it does so before anything else."""
    try:
        with open("/run/portreeve/starts", encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def exhaust():
    """Kills the agent, each time once it has counted its start, until it gives up."""
    start_again()
    for _ in range(10):
        process, before = main_process(), counted()
        if process:
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: main_process() not in (0, process) and counted() not in ("", before)
                   or shown("ActiveState")["ActiveState"] == "failed",
                   "the agent counts its next start or gives up", 30)
        if shown("ActiveState")["ActiveState"] == "failed":
            return
    check(False, "it is restarted for ever")


@step("start limit, failure.engine closed: shut, until it is started again")
def closed():
    protect()
    policy(POLICY)
    exhaust()
    check(not opens(22, patience=2), "ssh is open without the agent")
    start_again()
    wait_until(is_active, "the agent runs", 30)
    check(opens(22), "ssh after a new start")


@step("failure.engine open: packets pass while the agent is stopped or given up", seconds=200)
def opened():
    policy(POLICY)
    write_policy(POLICY + "failure: { engine: open }\n")
    run("systemctl", "restart", UNIT)
    run("portreeve", "iptables", "--apply")
    check(not opens(9999, patience=1) and opens(22), "judged while the agent runs")
    run("systemctl", "stop", UNIT)
    wait_until(lambda: not queues(), "nobody holds the queues")
    check(opens(22), "ssh while the agent is stopped")
    exhaust()
    wait_until(lambda: not queues(), "nobody holds the queues")
    check(opens(22), "ssh when systemd has given up")
    write_policy(POLICY)
    start_again()
    run("portreeve", "iptables", "--apply")

# SPDX-License-Identifier: GPL-3.0-or-later
"""Established flows pass in the kernel, under the package's own units."""

import json

import peers
from step import Failed, check, equal, run, step, wait_until
from steps_lifecycle import crash, restart, with_setting
from system import main_process, process_status
from wire import FAR, NEAR4

FAST = "engine: { fast-path: on }\n"
NET_ADMIN_ALONE = f"{1 << 12:016x}"


def report():
    return json.loads(run("portreeve", "status", "--json"))


def wait_for_use():
    """Fails with the agent's own words where it cannot be used. It looks again every second: it may have looked before all was there."""
    last = {}

    def used():
        last.update(report()["fast_path"])
        return last["state"] == "active"
    try:
        wait_until(used, "the fast path is used", 30)
    except Failed as error:
        raise Failed(f"the fast path is {last.get('state')}: {last.get('why')}") from error


def judged():
    return sum(one["packets"] for one in report()["hooks"])


@step("fast path: a connection costs a handful of packets, the agent has no capability for it", seconds=240)
def passes():
    with_setting(FAST)
    wait_for_use()
    equal(process_status(main_process())["CapEff"], NET_ADMIN_ALONE, "the agent's capabilities")
    equal(run("stat", "-c", "%U:%G %a", "/run/portreeve-fast-path").strip(), "root:portreeve 750", "the directory of the names")
    equal(run("ls", "/run/portreeve-fast-path/hand-over"), "", "names of the array of programs, while the agent holds it")
    before = judged()
    with peers.bulk_server():
        result = json.loads(run(*FAR, "iperf3", "-J", "-c", NEAR4, "-p", str(peers.BULK_PORT), "-t", "5"))
    cost, passed = judged() - before, report()["fast_path"]["packets"]
    sent = result["end"]["sum_sent"]["bytes"]
    check(sent > 10 << 20, f"only {sent} bytes were sent")
    check(cost <= 150, f"{cost} packets were judged")
    check(passed > 1000, f"only {passed} packets passed in the kernel")
    return f"{sent >> 20} MiB cost {cost} packets, {passed} passed in the kernel"


@step("restart under traffic on the fast path: no connection, packet or event lost", seconds=300, variant=True)
def again():
    numbers = restart(FAST)
    wait_for_use()
    return numbers


@step("kill -9 under traffic on the fast path: started again, connections go on", seconds=300)
def kill():
    with peers.load(FAST) as traffic:
        crash()
        numbers = traffic.finish(crashed=True)
    wait_for_use()
    with_setting("")
    return numbers

# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine starts again, protected."""

import json

import baseline
import readme
import wire
from peers import POLICY
from step import check, equal, run, sh, step
from system import UNIT, own_rules, policy, shown

RULES_UNIT = "portreeve-rules.service"


def started(unit):
    return int(shown("ActiveEnterTimestampMonotonic", unit=unit)["ActiveEnterTimestampMonotonic"])


@step("README: save the rules; reboot", reboots=True)
def save():
    policy(POLICY + "engine: { fast-path: auto }\n")
    run("portreeve", "iptables", "--apply")
    readme.follow("last")


@step("after the reboot: protected before the network is up", seconds=240)
def after():
    wire.connect()
    sh(baseline.OTHERS)
    check(own_rules(), "no rules after the reboot")
    rules, agent, network = (started(unit) for unit in (RULES_UNIT, UNIT, "systemd-networkd.service"))
    check(0 < rules < network, f"rules at {rules} µs, network at {network} µs")
    check(0 < agent < network, f"agent at {agent} µs, network at {network} µs")
    equal(shown("NRestarts")["NRestarts"], "0", "NRestarts")
    path = json.loads(run("portreeve", "status", "--json"))["fast_path"]
    equal(path["state"], "active", f"the fast path: {path.get('why')}")
    for address in (wire.NEAR4, wire.NEAR6):
        check(wire.opens(22, address) and not wire.opens(9999, address, 1), f"the policy is not in force at {address}")
    return f"rules {rules / 1e6:.1f} s, agent {agent / 1e6:.1f} s, network {network / 1e6:.1f} s after the kernel"

# SPDX-License-Identifier: GPL-3.0-or-later
"""Flows that the kernel accepts by connection mark after their first packet."""

import json
import re
import subprocess

import peers
from step import check, equal, run, sh, step, wait_until
from system import Since, policy, write_policy
from wire import FAR, NEAR4

RULES = f"""
  - {{ name: Bulk, action: bypass, direction: incoming, protocol: tcp, destination: {{ ports: {peers.BULK_PORT} }}, offload: true }}
  - {{ name: Bulk answers, action: bypass, direction: outgoing, protocol: tcp, source: {{ ports: {peers.BULK_PORT} }} }}
"""
WITH = peers.POLICY.replace(f"[{peers.ECHO_PORT}, {peers.BULK_PORT}]", f"{peers.ECHO_PORT}") + RULES
# A flow that has no rule would be taken up as one from before the agent, with this machine as its opener: both directions denied.
WITHOUT = WITH.replace(RULES, f"""
  - {{ name: No bulk, action: deny, direction: incoming, protocol: tcp, destination: {{ ports: {peers.BULK_PORT} }} }}
  - {{ name: No answers, action: deny, direction: outgoing, protocol: tcp, source: {{ ports: {peers.BULK_PORT} }} }}
""")
# Somebody else's mark on every connection, outside Portreeve's mask.
FOREIGN = "iptables -t mangle -{} PREROUTING -i wan0 -j CONNMARK --set-xmark 0x5/0xff"


def judged():
    """{direction: packets that the agent has seen}."""
    hooks = json.loads(run("portreeve", "status", "--json"))["hooks"]
    counts = {one["hook"]: one["packets"] for one in hooks}
    return {"in": counts.get("input", 0) + counts.get("prerouting", 0), "out": counts.get("output", 0)}


def bulk(*options):
    return subprocess.Popen(
        [*FAR, "iperf3", "-J", "-c", NEAR4, "-p", str(peers.BULK_PORT), *options], stdout=subprocess.PIPE, text=True)


@step("offload: a bypassed flow costs a handful of packets, and ends with its rule", seconds=240)
def offload():
    write_policy(WITH)
    run("portreeve", "reload")
    sh(FOREIGN.format("I"))
    try:
        run("portreeve", "iptables", "--apply")
        return transfer() + end()
    finally:
        sh(FOREIGN.format("D"))
        policy(peers.POLICY)
        sh("portreeve iptables --remove; portreeve iptables --apply")


def transfer():
    """A gigabyte, or what goes through in twenty seconds."""
    before = judged()
    with peers.bulk_server():
        client = bulk("-t", "10")
        wait_until(lambda: "mark=" in run("conntrack", "-L", "-p", "tcp", "--dport", str(peers.BULK_PORT)), "a mark")
        result = json.loads(client.communicate(timeout=90)[0])
    check("error" not in result, f"iperf3: {result.get('error')}")
    table = run("conntrack", "-L", "-p", "tcp", "--dport", str(peers.BULK_PORT))
    marks = [int(mark) for mark in re.findall(r"mark=(\d+)", table)]
    check(any(mark >> 24 for mark in marks), f"no mark of ours: {table}")
    equal({mark & 0xffffff for mark in marks}, {5}, "the marks of others")
    seen = {direction: count - before[direction] for direction, count in judged().items()}
    sent = result["end"]["sum_sent"]["bytes"]
    check(sent > 20 << 20, f"only {sent} bytes were sent")
    check(seen["in"] <= 40, f"{seen['in']} incoming packets were judged")
    check(seen["out"] > 100, f"only {seen['out']} outgoing packets were judged")
    return f"{sent >> 20} MiB cost {seen['in']} packets, {seen['out']} of the other direction were judged"


def end():
    """The rule goes while its flow runs."""
    events = Since()
    with peers.bulk_server():
        client = bulk("-t", "60")
        before = judged()["out"]
        wait_until(lambda: judged()["out"] > before + 200, "the flow runs", 40)
        policy(WITHOUT)
        wait_until(lambda: any(event["portreeve"].get("rule") == "No bulk" for event in events.events()), "the flow is denied")
        client.kill()
        client.wait()
    return "; it ended with its rule"

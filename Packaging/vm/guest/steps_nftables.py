# SPDX-License-Identifier: GPL-3.0-or-later
"""Queues fed by nftables rules instead of iptables'."""

import json

from peers import POLICY
from step import check, contains, equal, run, sh, status, step
from system import Since, policy
from wire import NEAR4, far, far_status, opens

# In before conntrack's reassembly (-400), out at mangle's place; both queues by the same kind of rule.
TABLE = """
table inet portreeve_test {
    chain in { type filter hook prerouting priority -450; policy accept;
        iifname "wan0" fib daddr type { local, broadcast, multicast } queue num QUEUES
    }
    chain out { type filter hook output priority -150; policy accept;
        oifname "wan0" queue num QUEUES
    }
    chain tracked { type filter hook input priority 0; policy accept;
        ct state established counter
        ct state invalid counter
    }
}
"""


def queue_range():
    # Its status is not 0 while nothing is protected.
    report = json.loads(status("portreeve", "status", "--json")[1])
    numbers = sorted(queue["number"] for queue in report["queues"] if queue["kind"] == "established")
    return f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else str(numbers[0])


@step("nftables queue at -450 beside conntrack: fragments are seen")
def beside_conntrack():
    run("portreeve", "iptables", "--remove")
    run("nft", "-f", "-", input=TABLE.replace("QUEUES", queue_range()))
    try:
        policy(POLICY)
        events = Since()
        far("ping", "-c2", "-i0.2", "-W5", "-s", "4000", NEAR4)
        check(opens(22), "ssh")
        equal(events.reasons(), {}, "events while fragments are allowed")
        tracked = run("conntrack", "-L", "-p", "tcp")
        contains(tracked, "dport=22", "conntrack's own table")
        policy(POLICY + "stateful: { ip: { fragments: deny } }\n")
        check(far_status("ping", "-c1", "-W2", "-s", "4000", NEAR4)[0] != 0, "a fragmented ping was answered")
        reasons = events.reasons()
        contains(" ".join(reasons), "fragment", "reasons of the events")
        check(opens(22) and not opens(9999, patience=1), "whole packets are judged")
        return ", ".join(f"{reason} {count}" for reason, count in reasons.items())
    finally:
        policy(POLICY)
        sh("nft delete table inet portreeve_test; portreeve iptables --apply")

# SPDX-License-Identifier: GPL-3.0-or-later
"""One plan again and again, in several labs at a time, while packets are lost and every processor is busy."""

import concurrent.futures
import contextlib
import os
import re
import subprocess

from lab import Lab, wait_until
from paths import Reflector, scan

HERE = os.path.dirname(os.path.abspath(__file__))
BUSY = "while True: pass"
RULES = """
*filter
-A FORWARD -p tcp --dport 1100:1101 -j DROP
-A FORWARD -p udp --dport 1100:1101 -j DROP
-A FORWARD -p tcp --dport 1102 -j REJECT --reject-with tcp-reset
-A FORWARD -p tcp --dport 1103 -j REJECT
-A FORWARD -p udp --dport 1103 -j REJECT
-A FORWARD -p tcp --dport 1104 --tcp-flags PSH PSH -j DROP
-A FORWARD -p tcp --sport 1105 --tcp-flags PSH PSH -j DROP
-A FORWARD -p tcp --dport 1106 --tcp-flags PSH PSH -j REJECT --reject-with tcp-reset
-A FORWARD -p udp --sport 1107 -j DROP
COMMIT
*nat
-A PREROUTING -i in0 -p tcp --dport 1201:1205 -j REDIRECT --to-ports 11201-11205
COMMIT
"""
BOXES = {1201: "fin_after_request", 1202: "part_fin", 1203: "alter", 1204: "banner", 1205: "swallow"}
# By protocol and port, with numbers left out of the details.
EXPECTED = {
    **{("tcp", port): ("open", "answered") for port in range(1001, 1021)},
    **{("udp", port): ("open", "answered") for port in range(1001, 1011)},
    **{("tcp", port): ("handshake_timeout", "syn_sent=N") for port in (1100, 1101)},
    **{("udp", port): ("payload_timeout", "copies=N") for port in (1100, 1101, 1107)},
    ("tcp", 1102): ("handshake_refused", "rst"), ("tcp", 1103): ("handshake_refused", "icmp_port"),
    ("udp", 1103): ("payload_refused", "icmp_port"), ("tcp", 1104): ("payload_timeout", "unacked"),
    ("tcp", 1105): ("payload_timeout", "acked"), ("tcp", 1106): ("payload_refused", "rst at=recv"),
    ("tcp", 1201): ("payload_error", "closed"), ("tcp", 1202): ("payload_error", "truncated_fin"),
    ("tcp", 1203): ("payload_mismatch", "offset=N"), ("tcp", 1204): ("payload_mismatch", "offset=N"),
    ("tcp", 1205): ("payload_timeout", "acked"),
}


def ports(protocol):
    return ",".join(str(port) for each, port in EXPECTED if each == protocol)


class RepeatedScan:
    """A lab in which the plan can be run; the family is that of the probes."""

    def __init__(self, stack, family, loss):
        self.lab = stack.enter_context(Lab())
        self.address = self.lab.host.ip4 if family == 4 else self.lab.host.ip6
        rules = RULES
        for port in BOXES:
            rules = rules.replace("COMMIT\n*nat\n", f"COMMIT\n*nat\n-A PREROUTING -i in0 -p tcp --dport {port} -j REDIRECT "
                                  f"--to-ports {port + 10000}\n")
        self.lab.router.rules(rules.replace(
            "-A PREROUTING -i in0 -p tcp --dport 1201:1205 -j REDIRECT --to-ports 11201-11205\n", ""))
        self.lab.router.sysctl(net__ipv4__icmp_ratelimit=0, net__ipv6__icmp__ratelimit=0)
        boxes = self.lab.router.start(
            "/usr/bin/python3", f"{HERE}/middlebox.py", self.lab.host.ip4, self.lab.host.ip6,
            *[f"{port}:{behaviour}" for port, behaviour in BOXES.items()], name="middlebox")
        wait_until(lambda: "ready" in boxes.output(), "the proxies listen", process=boxes)
        self.reflector = stack.enter_context(Reflector(self.lab.host))
        self.lab.lose(loss)

    def differences(self):
        """What one run found otherwise than it should: {(protocol, port): (category, detail)}, and what it printed."""
        found = scan(self.lab.client, self.address, "-t", ports("tcp"), "-u", ports("udp"), "-i", "3000", "--retries", "1",
                     "--udp-rate", "400", key=self.reflector.key, seconds=120)
        results = {(row["proto"], int(row["dst"].rpartition(":")[2])): (row["category"], re.sub(r"=\d+", "=N", row["detail"]))
                   for row in found.rows}
        wrong = {key: results.get(key) for key, value in EXPECTED.items() if results.get(key) != value}
        return wrong, found.output if wrong else ""


@contextlib.contextmanager
def busy_machine(processes):
    """Keeps every processor busy in this block."""
    hogs = [subprocess.Popen(["/usr/bin/python3", "-c", BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def run(times, labs, loss=2):
    """Runs the plan so often, in so many labs at a time, IPv4 and IPv6 by turns; returns [(wrong, output)] of the runs that
    were not as they should be, and the number of results."""
    with contextlib.ExitStack() as stack:
        each = [RepeatedScan(stack, 4 + 2 * (number % 2), loss) for number in range(labs)]
        stack.enter_context(busy_machine(os.cpu_count()))
        with concurrent.futures.ThreadPoolExecutor(labs) as pool:
            shares = [times // labs + (number < times % labs) for number in range(labs)]
            work = lambda pair: [pair[0].differences() for _ in range(pair[1])]
            runs = [result for share in pool.map(work, zip(each, shares)) for result in share]
    return [result for result in runs if result[0]], len(runs) * len(EXPECTED)

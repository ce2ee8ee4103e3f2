# SPDX-License-Identifier: GPL-3.0-or-later
"""What refused packets are told, by the agent under its own unit: with its user, its rights and its system calls."""

import errno
import json
import sys

import peers
from step import check, equal, run, step, wait_until
from system import main_process, policy, process_status, protect
from wire import FAR, FAR4, FAR6, NEAR4, NEAR6

SETTINGS = """
default: { outgoing: allow, reply: prohibited }
"""
RULES = """
  - { name: Told in, action: deny, direction: incoming, protocol: tcp, destination: { ports: 71 }, priority: 4, reply: reset }
  - { name: Told out, action: deny, direction: outgoing, protocol: tcp, destination: { ports: 71 }, priority: 4, reply: unreachable }
"""
ASK = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.settimeout(10)
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
    print(0)
except OSError as error:
    print(error.errno or "nothing")
"""


def told(prefix, address, port):
    return run(*prefix, sys.executable, "-c", ASK, address, port).strip()


@step("answers: refused connections fail at once, in and out, by an agent that has given up its right to raw sockets", seconds=120)
def answers():
    protect()
    policy(peers.POLICY + RULES + SETTINGS)
    refused, prohibited = str(errno.ECONNREFUSED), str(errno.EHOSTUNREACH)
    # A reset takes the place of an ICMP error that would be longer than its SYN.
    found = [told(*question) for question in (
        (FAR, NEAR4, 71), (FAR, NEAR6, 71), (FAR, NEAR4, 9), (FAR, NEAR6, 9), ((), FAR4, 71), ((), FAR6, 71))]
    equal(found, [refused, refused, prohibited, refused, refused, refused], "what programs are told")
    equal(int(process_status(main_process())["CapPrm"], 16), 1 << 12, "capabilities: CAP_NET_ADMIN")
    counts = wait_until(lambda: json.loads(run("portreeve", "status", "--json"))["answers"], "status says what was answered")
    check(counts["reset"] >= 3 and counts["prohibited"] >= 1 and counts["unreachable"] >= 2, f"answers: {counts}")
    equal(counts["unsent"], 0, "answers that the kernel did not take")
    policy(peers.POLICY)
    return f"answers: {counts}"

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Portreeve against two plain C agents on the kernel's queue, in network namespaces, in one run (make bench-queue).

The C agents accept everything: nfq_fast with every trick that was found to pay, nfq_simple as the textbook has it. Portreeve
has 1,000 rules and full stateful tracking. queue/bench.py says what each column means; compare inside one run only.
Needs root for CPU placement and priorities.
"""

import argparse
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
QUEUE = os.path.join(HERE, "queue")


def policy(directory, rules, refusing=False):
    """Rules that never match, as the peers' baselines have them; in0 is the client's side, so traffic is outgoing."""
    lines = ["version: 1", f"events: {{ file: {{ path: {directory}/events.jsonl }} }}",
             "interfaces: { ignore: [lo], inside: [in0] }", "queue: { flood-numbers: 100 }", "rules:"]
    for number in range(rules):
        protocol = "tcp" if number % 2 else "udp"
        lines.append(
            f"  - {{ name: Rule {number}, action: deny, direction: outgoing, protocol: {protocol}, "
            f"source: {{ addresses: 203.0.113.{number % 256} }}, destination: {{ ports: {1 + number % 60000} }} }}")
    # What the generator of "illegal" sends; the C agents accept it, and the kernel's rules refuse it.
    if refusing:
        lines.append("  - { name: Illegal, action: deny, direction: outgoing, protocol: udp, destination: { ports: 9000 }, log: false }")
    path = os.path.join(directory, "policy.yaml")
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default=".build/release", help="where portreeved is")
    parser.add_argument("--rounds", default="3")
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--realtime", action="store_true", help="for a machine that others keep busy")
    parser.add_argument("--tests", default="load@100000,load@200000,crr,tcp,lat")
    parser.add_argument("--rfc3511", action="store_true", help="tear-down, a share of refused packets, fragments, beside the kernel too")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench_queue.py: the harness pins processes to CPUs and raises priorities: run it as root")
    subprocess.run(["make", "-s", "-C", QUEUE], check=True)
    build = os.path.join(QUEUE, "build")
    with tempfile.TemporaryDirectory(prefix="portreeve-bench.") as directory:
        agent = os.path.abspath(os.path.join(arguments.bin, "portreeved"))
        if arguments.rfc3511:
            arguments.tests = "teardown@8000,illegal@20000,illegal@80000,frag@8000"
        command = [
            sys.executable, os.path.join(QUEUE, "bench.py"), "--bin", build, "--rounds", arguments.rounds, "--tests",
            arguments.tests, "--budget", "240", "--agent",
            f"fast={build}/nfq_fast -q {{q}} -b 32 -v batch -z -g -r 8388608 -l 8192", "--agent",
            f"portreeve={agent} --policy {policy(directory, arguments.rules, arguments.rfc3511)} --queue {{q}} --control {directory}/control.sock",
            "--agent", f"simple={build}/nfq_simple {{q}}"] + (
                ["--agent", f"kernel=kernel:ctrefusing:{arguments.rules}", "--agent", "none=kernel:none"] if arguments.rfc3511 else []) + (["--realtime", "--quiet-wait", "0"] if arguments.realtime else [])
        sys.exit(subprocess.run(command).returncode)


main()

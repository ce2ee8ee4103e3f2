# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of a policy, sent to a host where an agent has it in force: what the agent counted beside what the plan says of each rule.

`python3 Tests/Live/policy_plans.py --bin DIRECTORY --rules 1000` is what `make scan-policy` runs."""

import argparse
import json
import os
import sys

import isolation

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default=".build/release")
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--results", help="a file for what was found")
    options = parser.parse_args()
    os.environ["PORTREEVE_BIN"] = os.path.abspath(options.bin)
    isolation.isolate()

from agent import Agent
from lab import Lab, wait_until
from paths import TOOL, Reflector

HEAD = """version: 1
stateful: { tcp: { log: true } }
engine:
  timeouts: { closed: 10m, time-wait: 10m, udp: 10m, udp-stream: 10m, close-wait: 10m, last-ack: 10m, fin-wait-2: 10m }
reconnaissance: { detect: { port-scan: false } }
rules:
  - { name: Control, action: allow, direction: incoming, protocol: tcp, destination: { ports: 7411 } }
"""


def policy(count, client):
    """Rules of each action and both protocols, some of them for others, some covered: their ports touch one another or leave gaps."""
    lines = []
    port = 2000
    for number in range(count):
        kind = number % 10
        first, last = port, port + number % 3
        port = last + 1 + number % 2
        ports = f"destination: {{ ports: \"{first}-{last}\" }}" if last > first else f"destination: {{ ports: {first} }}"
        source = ""
        if kind == 3:
            source = f"source: {{ addresses: {client} }}, "
        elif kind == 6:
            source = "source: { addresses: { not: [192.0.2.0/24, 203.0.113.7] } }, "
        elif kind == 9:
            source = "source: { addresses: 203.0.113.0/24 }, "
        action, protocol = {2: ("deny", "tcp"), 4: ("force-allow", "udp"), 5: ("deny", "udp"), 7: ("force-allow", "tcp+udp")}.get(kind, ("allow", "tcp"))
        lines.append(f"  - {{ name: R{number}, action: {action}, direction: incoming, protocol: {protocol}, {source}{ports} }}\n")
        if kind == 8:
            lines.append(f"  - {{ name: C{number}, action: deny, priority: 1, direction: incoming, protocol: tcp, {ports} }}\n")
    return HEAD + "".join(lines)


def simulated(client, path, address, *options):
    status, text = client.status(TOOL, "scan", address, "--from-policy", path, "--simulate", "--json", *options, seconds=300)
    assert status == 0, text
    rows = [json.loads(line) for line in text.splitlines()]
    return [row for row in rows if "for" in row], {name(row["rule"]): row["not_reached"] for row in rows if "not_reached" in row}


def name(place):
    return place.split('"')[1]


def deciders(agent):
    """The rules that have decided about packets, by the agent's events and the connections that it knows."""
    found = {event["portreeve"].get("rule") for event in agent.events()}
    for line in agent.tool("connections", "--json", "--limit", "1000000", seconds=120).splitlines():
        found.add(json.loads(line).get("rule"))
    return found - {None}


def compare(lab, count, *options, seconds=300):
    """What is wrong, and in a line what was done."""
    wrong = []
    agent = Agent(lab.host, policy(count, lab.client.ip4), fold="1s")
    with agent, Reflector(lab.host) as reflector:
        agent.feed()
        path = lab.file("plan.yaml", policy(count, lab.client.ip4))
        probes, unreached = simulated(lab.client, path, lab.host.ip4)
        planned = {name(row["decides"]) for row in probes if row["decides"]}
        status, text = lab.client.status(
            TOOL, "scan", lab.host.ip4, "--key", reflector.key, "--from-policy", path, *options, seconds=seconds)
        if status != 0:
            wrong.append(f"status {status}: {text[-3000:]}")
        rules = {f"R{n}" for n in range(count)} | {f"C{n}" for n in range(count) if n % 10 == 8} | {"Control"}
        if missing := rules - planned - set(unreached):
            wrong.append(f"neither reached nor said why not: {sorted(missing)}")
        expected = planned & rules
        wait_until(lambda: deciders(agent) >= expected, "the agent has told of each rule", seconds=20)
        if beyond := (deciders(agent) & rules) - expected - {"Control"}:
            wrong.append(f"decided, and the plan says of them {[(each, unreached.get(each)) for each in sorted(beyond)]}")
        passing = sum(row["expect"] == "allow" for row in probes)
        return wrong, probes, unreached, (f"{len(rules)} rules, {len(probes)} probes, of which {passing} pass; {len(expected)} rules decided about one "
                                          f"by the agent's own events and connections, {len(unreached)} are not reached from there")


def main(options):
    with Lab() as lab:
        wrong, _, _, text = compare(lab, options.rules, "-i", "1000", "--udp-rate", "500", "--parallel", "256", seconds=600)
    print(text)
    for each in wrong:
        print(each)
    if options.results and not wrong:
        with open(options.results, "w") as file:
            file.write(f"# A plan of a policy\n\n`make scan-policy`: {text}. Every probe fared as simulated, and no other rule decided about any.\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(options))

# SPDX-License-Identifier: GPL-3.0-or-later
"""What `portreeve check` and `portreeve diff` say, against two other ways to find it out: diagrams and a solver, which others have made.

Random policies, and the generated ones of the benchmarks.
"""

import json
import os
import random
import subprocess

from algebras import Diagrams, Solver
from meaning import Meaning, Policy

# What the tool says of a rule that decides about nothing.
USELESS = {"redundant", "shadowed", "matches-nothing", "admits-nothing", "outranked"}
VERDICTS = {"equivalent": (False, False), "more permissive": (True, False), "more restrictive": (False, True),
            "more permissive and more restrictive": (True, True)}
HEAD = "version: 1\ninterfaces: { ignore: [lo] }\nengine: { built-in-rules: { dhcp-dns: off, path-mtu: false }, sanity: { block-ipv6: true } }\n"


def rule_text(rng, number):
    action = rng.choice(["allow", "allow", "deny", "deny", "force-allow", "bypass"])
    words = [f"name: R{number}", f"action: {action}", f"direction: {rng.choice(['incoming', 'incoming', 'outgoing'])}", "frame: ipv4"]
    if action != "allow":
        words.append(f"priority: {rng.choice([0, 0, 0, 1, 2])}")
    protocol = inverted(rng, rng.choice(["tcp", "tcp", "udp", "icmp", "47", "any", "tcp+udp"]))
    words.append(f"protocol: {protocol}")
    for side in ("source", "destination"):
        criteria = []
        if rng.random() < 0.6:
            criteria.append("addresses: " + inverted(rng, [address_text(rng) for _ in range(rng.randint(1, 3))]))
        # Ports stand beside protocols that have some.
        if protocol in ("tcp", "udp", "tcp+udp") and rng.random() < (0.7 if side == "destination" else 0.2):
            criteria.append("ports: " + inverted(rng, [port_text(rng) for _ in range(rng.randint(1, 3))]))
        if criteria:
            words.append(f"{side}: {{ {', '.join(criteria)} }}")
    return "  - { " + ", ".join(words) + " }\n"


def inverted(rng, value):
    """At times what it is not; not where that leaves nothing, which is an error of the file."""
    if any(text.endswith("/0") for text in value) or is_all_ports(value):
        return f"[{', '.join(value)}]"
    text = f"[{', '.join(value)}]" if isinstance(value, list) else value
    return f"{{ not: {text} }}" if value != "any" and rng.random() < 0.15 else text


def is_all_ports(texts):
    """Whether a list of ports leaves none out."""
    if not isinstance(texts, list) or not all(text.replace("-", "").isdigit() for text in texts):
        return False
    end = 0
    for ends in sorted([int(end) for end in text.split("-")] for text in texts):
        if ends[0] > end:
            return False
        end = max(end, ends[-1] + 1)
    return end > 65535


def address_text(rng):
    """Few networks, so that rules meet."""
    length = rng.choice([0, 8, 15, 16, 23, 24, 30, 32])
    number = 10 << 24 | rng.randrange(2) << 16 | rng.randrange(4) << 8 | rng.randrange(8)
    number &= 0xFFFFFFFF << 32 - length & 0xFFFFFFFF
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0)) + f"/{length}"


def port_text(rng):
    first = rng.choice([0, 20, 22, 80, 443, 1024, rng.randrange(65536)])
    return f"{first}-{min(65535, first + rng.choice([1, 5, 100, 60000]))}" if rng.random() < 0.4 else str(first)


def policy_text(rng, count):
    text = HEAD
    if rng.random() < 0.3:
        text += f"default: {{ incoming: {rng.choice(['allow', 'deny'])} }}\n"
    stateful = []
    if rng.random() < 0.2:
        stateful.append("tcp: { enabled: false }")
    if rng.random() < 0.3:
        stateful.append("udp: { admit: allow }")
    if stateful:
        text += f"stateful: {{ {', '.join(stateful)} }}\n"
    return text + "rules:\n" + "".join(rule_text(rng, number) for number in range(count))


def changed(rng, text):
    """A rule less, one more, or another one in the place of one."""
    lines = text.splitlines(keepends=True)
    rules = [place for place, line in enumerate(lines) if line.startswith("  - ")]
    place = rng.choice(rules)
    choice = rng.randrange(4)
    if choice == 0 and len(rules) > 1:
        del lines[place]
    elif choice == 1:
        lines.insert(place, rule_text(rng, 99))
    elif choice == 2:
        lines[place] = rule_text(rng, 98)
    else:
        lines[rules[0]:] = reversed(lines[rules[0]:])
    return "".join(lines)


class Run:
    def __init__(self, binaries, folder):
        self.tool = os.path.join(binaries, "portreeve")
        self.bench = os.path.join(binaries, "portreeve-bench")
        self.folder = folder
        self.failures = []

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def json(self, *words):
        result = subprocess.run([self.tool, *words, "--json"], capture_output=True, text=True)
        if result.returncode not in (0, 2):
            raise SystemExit(f"{words}: {result.stdout}{result.stderr}")
        return json.loads(result.stdout)

    def differ(self, what, told, truth):
        self.failures.append(f"{what}: the tool says {told}, and it is {truth}")
        print(self.failures[-1], flush=True)

    def said_useless(self, path):
        findings = self.json("check", path)["findings"]
        undecided = [entry for entry in findings if entry["code"] == "undecided"]
        assert not undecided, undecided
        dead = {entry["line"] for entry in findings if entry["code"] == "dead" and "admits nothing" in entry["text"]}
        # A rule that others outrank may decide about what no deny rule stops.
        return dead | {entry["line"] for entry in findings
                       if entry["code"] in USELESS and entry["line"] and "admits nothing but" not in entry["text"]}

    def check(self, path, meaning, what):
        policy = Policy(path)
        told, truth = self.said_useless(path), meaning.useless(policy)
        if told != truth:
            self.differ(f"check of {what}", sorted(told - truth), f"not so; or unsaid: {sorted(truth - told)}")
        return sum(len(rules) for rules in policy.rules.values()), len(truth)

    def diff(self, old, new, meaning, what):
        told = self.json("diff", old, new)
        truth = meaning.change(Policy(old), Policy(new))
        if VERDICTS[told["verdict"]] != truth or not told["complete"]:
            self.differ(f"diff of {what}", told["verdict"], truth)
        return any(truth)

    def random_policies(self, algebra, count, first_seed):
        meaning, rules, useless = Meaning(algebra), 0, 0
        for seed in range(first_seed, first_seed + count):
            rng = random.Random(seed)
            path = self.write("policy.yaml", policy_text(rng, rng.randint(2, 14)))
            found = self.check(path, meaning, f"random policy {seed}")
            rules, useless = rules + found[0], useless + found[1]
        return f"{count} random policies, {rules} rules, of which {useless} decide nothing"

    def random_pairs(self, algebra, count, first_seed):
        meaning, differing = Meaning(algebra), 0
        for seed in range(first_seed, first_seed + count):
            rng = random.Random(seed)
            text = policy_text(rng, rng.randint(2, 10))
            old, new = self.write("old.yaml", text), self.write("new.yaml", changed(rng, text))
            differing += self.diff(old, new, meaning, f"random pair {seed}")
        return f"{count} random pairs of policies, of which {differing} differ"

    def generated(self, algebra, shape, rules):
        meaning = Meaning(algebra)
        text = subprocess.run([self.bench, "policy", "--shape", shape, "--rules", str(rules)], check=True, capture_output=True, text=True).stdout
        old = self.write("generated.yaml", text)
        _, useless = self.check(old, meaning, f"{rules} {shape} rules")
        lines = text.splitlines(keepends=True)
        places = [place for place, line in enumerate(lines) if line.startswith("  - ")]
        ends = [*places[1:], len(lines)]
        kept = lines[:places[0]]
        for number, (place, end) in enumerate(zip(places, ends)):
            if number % 100:
                kept += lines[place:end]
        new = self.write("fewer.yaml", "".join(kept))
        self.diff(old, new, meaning, f"{rules} {shape} rules and a hundredth less")
        return f"{rules} generated rules ({shape}), of which {useless} decide nothing, and the same without each hundredth"

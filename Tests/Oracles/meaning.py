# SPDX-License-Identifier: GPL-3.0-or-later
"""What a policy of IPv4 rules means, written down from POLICY.md a third time, over any algebra of formulas: that of a BDD, or z3's.

It reads the policy file itself, and knows nothing of the tool but its words.
"""

import ipaddress

import yaml

TCP, UDP, ICMP, IGMP, GRE, ESP = 6, 17, 1, 2, 47, 50
PROTOCOLS = {"tcp": (TCP,), "udp": (UDP,), "icmp": (ICMP,), "tcp+udp": (TCP, UDP), "igmp": (IGMP,), "gre": (GRE,), "esp": (ESP,)}
FIELDS = {"source": 32, "destination": 32, "sport": 16, "dport": 16, "protocol": 8, "flags": 6, "icmp": 16}
ORDER = ("bypass", "log-only", "force-allow", "deny", "allow")
SYN, OPENING = 2, 0b010111
DROP, REFUSE, ADMIT, BYPASS = range(4)


def load(path):
    with open(path) as file:
        return yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def listed(value):
    return value if isinstance(value, list) else [value]


def criterion(value):
    """(the values, whether inverted)."""
    if isinstance(value, dict):
        return listed(value["not"]), True
    return listed(value), False


def addresses(text):
    if "-" in str(text):
        first, last = str(text).split("-")
        return int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last))
    network = ipaddress.ip_network(str(text), strict=False)
    return int(network.network_address), int(network.broadcast_address)


def ports(text):
    first, _, last = str(text).partition("-")
    return int(first), int(last or first)


class Rule:
    def __init__(self, entry, lists, line):
        self.name, self.action, self.direction = entry["name"], entry["action"], entry["direction"]
        self.priority = entry.get("priority", 4 if self.action == "log-only" else 0)
        self.line, self.entry, self.lists = line, entry, lists
        self.enabled = entry.get("enabled", True)

    def rank(self, place):
        return -self.priority, ORDER.index(self.action), place

    def ranges(self, side, key, parse):
        value = self.entry.get(side, {}).get(key)
        if value is None:
            return None
        texts, inverted = criterion(value)
        found = []
        for text in texts:
            found += self.lists[text][key] if isinstance(text, str) and text in self.lists else [text]
        return [parse(text) for text in found], inverted


class Policy:
    """The rules of a file, by direction in the order in which they are asked."""

    def __init__(self, path):
        document = load(path)
        self.document = document
        lists = document.get("lists", {})
        lines = self.lines(path)
        rules = [Rule(entry, lists, lines[place]) for place, entry in enumerate(document.get("rules") or [])]
        self.rules = {}
        for direction in ("incoming", "outgoing"):
            here = [(place, rule) for place, rule in enumerate(rules)
                    if rule.direction == direction and rule.enabled and rule.action != "log-only"]
            self.rules[direction] = [rule for place, rule in sorted(here, key=lambda each: each[1].rank(each[0]))]

    @staticmethod
    def lines(path):
        """Of each rule, the line on which it begins."""
        with open(path) as file:
            return [number for number, line in enumerate(file, 1) if line.startswith("  - ")]

    def restricts(self, direction):
        default = self.document.get("default", {}).get(direction, "by-rules")
        return default == "deny" or default == "by-rules" and any(rule.action == "allow" for rule in self.rules[direction])

    def stateful(self, protocol):
        return self.document.get("stateful", {}).get(protocol, {}).get("enabled", True)

    def admits(self, protocol):
        return self.document.get("stateful", {}).get(protocol, {}).get("admit", "force-allow") == "allow"


class Meaning:
    """A policy's sets of packets in an algebra, which has true, false, both(a, b), either(a, b), no(a), between(field, first, last)."""

    def __init__(self, algebra):
        self.algebra = a = algebra
        reserved = a.between("source", 0xF0000000, 0xFFFFFFFF)
        unusable = [a.between("source", 0x7F000000, 0x7FFFFFFF), a.between("source", 0xE0000000, 0xEFFFFFFF), reserved,
                    a.between("destination", 0xF0000000, 0xFFFFFFFE), a.same("source", "destination")]
        known = self.any_of([self.protocol(number) for number in (TCP, UDP, ICMP, IGMP, GRE, ESP)])
        self.packets = a.both(known, a.no(self.any_of(unusable)))
        self.opening = a.both(self.protocol(TCP), a.masked("flags", OPENING, SYN))

    def any_of(self, formulas):
        result = self.algebra.false
        for formula in formulas:
            result = self.algebra.either(result, formula)
        return result

    def protocol(self, number):
        return self.algebra.between("protocol", number, number)

    def within(self, field, ranges, inverted):
        formula = self.any_of([self.algebra.between(field, *ends) for ends in ranges])
        return self.algebra.no(formula) if inverted else formula

    def matches(self, rule):
        a, formula, entry = self.algebra, self.algebra.true, rule.entry
        names, inverted = criterion(entry.get("protocol", "any"))
        if names != ["any"]:
            numbers = [number for name in names for number in PROTOCOLS.get(name) or (int(name),)]
            formula = a.both(formula, self.within("protocol", [(number, number) for number in numbers], inverted))
        for side in ("source", "destination"):
            if (found := rule.ranges(side, "addresses", addresses)) is not None:
                formula = a.both(formula, self.within(side, *found))
        has_ports = a.either(self.protocol(TCP), self.protocol(UDP))
        for side, field in (("source", "sport"), ("destination", "dport")):
            if (found := rule.ranges(side, "ports", ports)) is not None:
                formula = a.both(formula, a.both(has_ports, self.within(field, *found)))
        if rule.action == "deny" and names != ["igmp"]:
            formula = a.both(formula, a.no(self.protocol(IGMP)))
        return a.both(formula, self.packets)

    def purpose(self, rule, policy):
        """Of which packets a rule is asked to be of use."""
        a = self.algebra
        if rule.action != "allow":
            return a.true
        formula = a.no(self.protocol(IGMP))
        if policy.stateful("tcp"):
            formula = a.both(formula, a.either(a.no(self.protocol(TCP)), self.opening))
        if rule.direction == "incoming":
            for name, number in (("udp", UDP), ("icmp", ICMP)):
                if policy.stateful(name) and not policy.admits(name):
                    formula = a.both(formula, a.no(self.protocol(number)))
        return formula

    def effect(self, policy, direction, outcome):
        """The packets with each effect, of those with an outcome."""
        a = self.algebra
        if outcome == "deny":
            return {DROP: a.true}
        if outcome == "bypass":
            return {BYPASS: a.true}
        refused = outcome == "nothing"
        result = {each: a.false for each in (DROP, REFUSE, ADMIT)}

        def put(effect, formula):
            result[effect] = a.either(result[effect], formula)

        tcp = self.protocol(TCP)
        if policy.stateful("tcp"):
            put(REFUSE if refused else ADMIT, a.both(tcp, self.opening))
            put(ADMIT, a.both(tcp, a.no(self.opening)))
        else:
            put(DROP if refused else ADMIT, tcp)
        for name, number in (("udp", UDP), ("icmp", ICMP)):
            if policy.stateful(name):
                forced = direction == "incoming" and not policy.admits(name)
                put(REFUSE if refused or forced and outcome != "force-allow" else ADMIT, self.protocol(number))
            else:
                put(DROP if refused else ADMIT, self.protocol(number))
        for number in (GRE, ESP):
            put(DROP if refused else ADMIT, self.protocol(number))
        # Nothing refuses IGMP but a rule.
        put(ADMIT, self.protocol(IGMP))
        return result

    def effects(self, policy, direction):
        """The packets of a direction with each effect."""
        a, rest = self.algebra, self.packets
        outcomes = {}
        for rule in policy.rules[direction]:
            match = self.matches(rule)
            outcomes[rule.action] = a.either(outcomes.get(rule.action, a.false), a.both(rest, match))
            rest = a.both(rest, a.no(match))
        outcomes["nothing" if policy.restricts(direction) else "no match"] = rest
        result = {each: a.false for each in (DROP, REFUSE, ADMIT, BYPASS)}
        for outcome, formula in outcomes.items():
            for effect, packets in self.effect(policy, direction, outcome).items():
                result[effect] = a.either(result[effect], a.both(formula, packets))
        return result

    def change(self, old, new):
        """(whether anything passes more, whether anything passes less)."""
        a, opens, closes = self.algebra, False, False
        for direction in ("incoming", "outgoing"):
            before, after = self.effects(old, direction), self.effects(new, direction)
            for level in (REFUSE, ADMIT, BYPASS):
                less = self.any_of([before[each] for each in range(level)])
                more = self.any_of([after[each] for each in range(level, BYPASS + 1)])
                opens = opens or a.satisfiable(a.both(less, more))
                less = self.any_of([after[each] for each in range(level)])
                more = self.any_of([before[each] for each in range(level, BYPASS + 1)])
                closes = closes or a.satisfiable(a.both(less, more))
        return opens, closes

    def useless(self, policy):
        """The lines of the rules that decide about nothing that they are there for."""
        a, lines = self.algebra, set()
        for direction in ("incoming", "outgoing"):
            rest = self.packets
            for rule in policy.rules[direction]:
                match = self.matches(rule)
                if not a.satisfiable(a.both(a.both(rest, match), self.purpose(rule, policy))):
                    lines.add(rule.line)
                rest = a.both(rest, a.no(match))
        return lines

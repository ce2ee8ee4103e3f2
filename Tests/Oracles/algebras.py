# SPDX-License-Identifier: GPL-3.0-or-later
"""Two algebras of sets of packets by others: binary decision diagrams (oxidd), and bit vectors with a solver (z3)."""

from meaning import FIELDS


class Diagrams:
    """Sets as binary decision diagrams, one variable for each bit: the most telling fields first, and the bits of both addresses in
    turn, so that it takes few nodes to say that these are alike."""

    def __init__(self, nodes=1 << 24):
        from oxidd.bdd import BDDManager
        self.manager = BDDManager(nodes, nodes >> 2, 1)
        self.manager.add_vars(sum(FIELDS.values()))
        order = [(field, bit) for field in ("protocol", "flags", "icmp", "dport", "sport") for bit in range(FIELDS[field])]
        order += [(field, bit) for bit in range(32) for field in ("destination", "source")]
        self.bits = {field: [None] * bits for field, bits in FIELDS.items()}
        for place, (field, bit) in enumerate(order):
            self.bits[field][bit] = self.manager.var(place)
        self.true, self.false = self.manager.true(), self.manager.false()
        self.made = {}

    def both(self, a, b):
        return a & b

    def either(self, a, b):
        return a | b

    def no(self, a):
        return ~a

    def satisfiable(self, a):
        return a.satisfiable()

    def between(self, field, first, last):
        key = field, first, last
        if key not in self.made:
            self.made[key] = self.at_least(field, first) & ~self.at_least(field, last + 1)
        return self.made[key]

    def at_least(self, field, number):
        bits = self.bits[field]
        if number >> len(bits):
            return self.false
        formula = self.true
        # From the last bit on: a bit that has to be set, or one that makes the number greater.
        for place, bit in enumerate(reversed(bits)):
            formula = bit & formula if number >> place & 1 else bit | formula
        return formula

    def masked(self, field, mask, value):
        formula = self.true
        for place, bit in enumerate(reversed(self.bits[field])):
            if mask >> place & 1:
                formula = formula & (bit if value >> place & 1 else ~bit)
        return formula

    def same(self, one, other):
        formula = self.true
        for a, b in reversed(list(zip(self.bits[one], self.bits[other]))):
            formula = a.equiv(b) & formula
        return formula


class Solver:
    """Sets as formulas over bit vectors."""

    def __init__(self):
        import z3
        self.z3 = z3
        self.fields = {field: z3.BitVec(field, bits) for field, bits in FIELDS.items()}
        self.true, self.false = z3.BoolVal(True), z3.BoolVal(False)

    def both(self, a, b):
        return self.z3.And(a, b)

    def either(self, a, b):
        return self.z3.Or(a, b)

    def no(self, a):
        return self.z3.Not(a)

    def satisfiable(self, a):
        solver = self.z3.SolverFor("QF_BV")
        solver.add(a)
        answer = solver.check()
        assert answer != self.z3.unknown, solver.reason_unknown()
        return answer == self.z3.sat

    def between(self, field, first, last):
        number = self.fields[field]
        return self.z3.And(self.z3.ULE(first, number), self.z3.ULE(number, last))

    def masked(self, field, mask, value):
        return self.fields[field] & mask == value

    def same(self, one, other):
        return self.fields[one] == self.fields[other]

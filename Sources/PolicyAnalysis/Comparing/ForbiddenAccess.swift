// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallPolicy

/// Finds packets that a policy admits although a rule of another one names them as never to pass.
package struct ForbiddenAccess {
    package struct Part: Sendable {
        /// The rule that forbids, with its place.
        package let forbidding: String
        package let direction: Direction
        package let text: String
        /// What admits it.
        package let decision: RuleDecision
        package let witness: Witness
    }

    package private(set) var parts: [Part] = []
    package private(set) var isIncomplete = false

    /// Every enabled rule of `forbidding` counts, whatever its action says: its criteria are what must not pass.
    package init(_ policy: Policy, forbidding: Policy, moments: [PacketUniverse.Moment] = []) {
        for direction in Direction.allCases {
            guard let universe = PacketUniverse([policy, forbidding], direction, moments: moments) else {
                isIncomplete = true
                continue
            }
            let ranked = RankedRegions(policy, in: universe, place: 0)
            var lists = ListSets(forbidding)
            for rule in forbidding.document.rules where rule.direction == direction && rule.isEnabled {
                for kind in universe.kinds {
                    guard let region = Region(rule, of: kind, in: universe, place: 1, &lists, forbidding) else {
                        continue
                    }
                    look(region, rule, ranked, universe)
                }
            }
        }
    }

    private mutating func look(_ region: Region, _ rule: Rule, _ ranked: RankedRegions, _ universe: PacketUniverse) {
        var budget = 500_000
        var stack = [(region, 0)]
        let entries = ranked.entries(of: region.kind).filter { $0.region.intersects(region) }
        while let (part, start) = stack.popLast() {
            budget -= 1
            if budget < 0 {
                isIncomplete = true
                return
            }
            var index = start
            while index < entries.count, !entries[index].region.intersects(part) { index += 1 }
            var inside = part
            if index < entries.count, !part.isSubset(of: entries[index].region) {
                inside = part.intersection(entries[index].region)
                stack += part.subtracting(entries[index].region, in: universe).map { ($0, index + 1) }
            }
            if note(inside, rule, ranked.policy, universe) { return }
        }
    }

    /// One packet for each rule that forbids and each kind of packets is enough.
    private mutating func note(
        _ region: Region, _ rule: Rule, _ policy: Policy, _ universe: PacketUniverse
    ) -> Bool {
        let settings = EffectSettings(policy.document)
        var piece = region
        if settings.separatesOpenings(region.kind) { piece.narrow(.flags, to: Purpose.openings) }
        guard !piece.isEmpty, !piece.goesToItself(in: universe), let witness = piece.witness(in: universe) else {
            return false
        }
        let decision = policy.classify(witness.subject(of: policy, place: 0))
        let effect = settings.effect(of: decision.outcome, piece.kind, universe.direction, opens: piece.kind.isTCP)
        guard effect >= .admit else { return false }
        parts.append(
            Part(
                forbidding: rule.place, direction: universe.direction, text: piece.text(in: universe),
                decision: decision,
                witness: witness))
        return true
    }
}

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

    /// Every enabled rule of `forbidding` counts, whatever its action says: its criteria are what must not pass, at the times of its
    /// schedule. One packet for each of them and each kind of packets is enough.
    ///
    /// `moments`: of the two policies, in this order.
    package init(_ policy: Policy, forbidding: Policy, moments: [PacketUniverse.Moment] = []) {
        let judge = WitnessJudge(policy)
        let classes = ListClasses([policy, forbidding])
        for direction in Direction.allCases {
            guard let universe = PacketUniverse([policy, forbidding], direction, moments: moments, classes) else {
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
                    look(region, rule, ranked, judge)
                }
            }
        }
    }

    private mutating func look(_ region: Region, _ rule: Rule, _ ranked: RankedRegions, _ judge: WitnessJudge) {
        var wanted = region
        // Other segments fare as the connection does that was opened.
        if EffectSettings(ranked.policy.document).separatesOpenings(region.kind) {
            wanted.narrow(.flags, to: Purpose.openings)
        }
        guard !wanted.isEmpty else { return }
        var search = RegionSearch(ranked, judge)
        if let found = search.packet(in: wanted, { $1 > .refuse }) {
            parts.append(
                Part(
                    forbidding: rule.place, direction: ranked.universe.direction,
                    text: found.region.text(in: ranked.universe), decision: found.decision, witness: found.witness))
        } else if search.budget == 0 || search.isUnconfirmed {
            isIncomplete = true
        }
    }
}

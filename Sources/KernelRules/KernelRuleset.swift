// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy
package import PacketFilterRules

/// The ways to queues in this network namespace, as the kernel itself tells them: chains, their hooks, jumps and queue
/// rules, and nothing of what rules ask of packets. The agent, which starts no program, looks at it while it runs; the tool
/// reads everything through `iptables-save` and `nft`.
package struct KernelRuleset: Sendable {
    private let rulesets: [SavedRuleset]
    private let nftables: NFTablesRuleset
    /// The old kind of iptables may feed the queues, and could not be asked.
    package let mayBeLegacy: Bool

    /// - Parameters:
    ///   - queues: those that matter.
    ///   - isLegacy: the old kind of iptables is known to feed them. Otherwise it is asked for the tables that it has, as far as
    ///     that can be known, for asking makes those that it has not; and only where the new kind feeds nothing.
    /// - Returns: nil where the kernel cannot be asked, or the rules changed meanwhile.
    package static func read(_ queues: QueueLayout, isLegacy: Bool) -> KernelRuleset? {
        guard let socket = NetfilterSocket() else { return nil }
        var listing = RuleListing()
        do {
            try socket.list(.chains) { listing.add(chain: $0) }
            try socket.list(.rules) { listing.add(rule: $0) }
        } catch .refused(let error) where RuleListing.meansNoTables(error) {
            listing = RuleListing()
        } catch {
            return nil
        }
        return KernelRuleset(listing, queues, isLegacy: isLegacy)
    }

    private init(_ listing: RuleListing, _ queues: QueueLayout, isLegacy: Bool) {
        var rulesets = AddressFamily.allCases.map {
            SavedRuleset(listing.saved($0), command: $0.command, family: $0)
        }
        nftables = NFTablesRuleset(listing.listed)
        let fed = (rulesets.flatMap(\.feeds) + nftables.feeds).filter { $0.queues.map(queues.overlaps) ?? true }
        var mayBeLegacy = false
        for family in AddressFamily.allCases where !fed.contains(where: { $0.carries(family) }) {
            let present = LegacyTables.present(family)
            mayBeLegacy = mayBeLegacy || present == nil && !isLegacy
            let text = LegacyTables.saved(family, present ?? (isLegacy ? LegacyTables.names : []))
            guard !text.isEmpty else { continue }
            rulesets.append(SavedRuleset(text, command: "\(family.command)-legacy", family: family))
        }
        self.rulesets = rulesets
        self.mayBeLegacy = mayBeLegacy
    }

    /// By which bits of packet marks the units of a policy are known: those of the rules in place, and for a unit without one the bit
    /// that it would get. Until then no packet has that.
    package func unitMarks(for policy: PolicyDocument) -> [UnitMark] {
        let own = rulesets.map { OwnRules(in: $0) }
        let inPlace = own.flatMap(\.unitMarks)
        var plan = QueueRulePlan(policy, incoming: .input)
        plan.keepUnits(of: own.first { !$0.unitMarks.isEmpty } ?? OwnRules())
        return plan.unitMarks.filter { mark in !inPlace.contains { $0.bit == mark.bit && $0.unit != mark.unit } }
    }

    /// The units that a rule in place knows.
    package var unitsInPlace: Set<String> { Set(rulesets.flatMap { OwnRules(in: $0).unitMarks }.map(\.unit)) }

    /// A number that changes with every change of nftables' rules; nil where there is none to have.
    package static func generation() -> UInt32? {
        guard let socket = NetfilterSocket() else { return nil }
        return try? socket.generation()
    }

    /// Whether the old kind of iptables has queue rules.
    package var usesLegacy: Bool { rulesets.contains { $0.command.hasSuffix("-legacy") && !$0.feeds.isEmpty } }

    /// Whether any rule gives packets to one of these queues.
    package func feeds(_ queues: QueueLayout) -> Bool {
        (rulesets.flatMap(\.feeds) + nftables.feeds).contains { $0.queues.map(queues.overlaps) ?? true }
    }

    /// What of the packets that the policy is about does not come to its queues.
    package func gaps(for policy: PolicyDocument) -> [Finding] { inspection(for: policy).gaps }

    /// Which of its queues no rule feeds, where others are fed.
    package func idleQueues(for policy: PolicyDocument) -> [Finding] { inspection(for: policy).idleQueues }

    private func inspection(for policy: PolicyDocument) -> RulesInspection {
        var host = RulesInspection.Host.here
        host.readQueues.formUnion(policy.queue.layout.numbers)
        return RulesInspection(rulesets: rulesets, nftables: nftables, host: host, policy: policy)
    }
}

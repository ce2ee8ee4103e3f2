// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy
package import PacketFilterRules

/// The ways to queues in this network namespace, as the kernel itself tells them: chains, their hooks, jumps and queue
/// rules, and nothing of what rules ask of packets. The agent, which starts no program, looks at it while it runs; the tool
/// reads everything through `iptables-save` and `nft`.
package struct KernelRuleset: Sendable {
    private let rulesets: [SavedRuleset]
    private let nftables: NFTablesRuleset

    private init(rulesets: [SavedRuleset], nftables: NFTablesRuleset) {
        self.rulesets = rulesets
        self.nftables = nftables
    }

    /// - Returns: nil where the kernel cannot be asked, or the rules changed meanwhile.
    package static func read() -> KernelRuleset? {
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
        var rulesets: [SavedRuleset] = []
        for family in AddressFamily.allCases {
            rulesets.append(SavedRuleset(listing.saved(family), command: family.command, family: family))
        }
        let nftables = NFTablesRuleset(listing.listed)
        // The old kind of iptables is asked only where the new one feeds nothing: asking may make its tables.
        for family in AddressFamily.allCases
        where !(rulesets.flatMap(\.feeds) + nftables.feeds).contains(where: { $0.carries(family) }) {
            let command = "\(family.command)-legacy"
            rulesets.append(SavedRuleset(LegacyTables.saved(family), command: command, family: family))
        }
        return KernelRuleset(rulesets: rulesets, nftables: nftables)
    }

    /// A number that changes with every change of nftables' rules; nil where there is none to have.
    package static func generation() -> UInt32? {
        guard let socket = NetfilterSocket() else { return nil }
        return try? socket.generation()
    }

    /// Whether the old kind of iptables matters, which has no generations.
    package var mayChangeUnseen: Bool { rulesets.contains { $0.command.hasSuffix("-legacy") } }

    /// Whether any rule gives packets to one of these queues.
    package func feeds(_ queues: ClosedRange<UInt16>) -> Bool {
        (rulesets.flatMap(\.feeds) + nftables.feeds).contains { $0.queues.map(queues.overlaps) ?? true }
    }

    /// What of the packets that the policy is about does not come to its queues.
    package func gaps(for policy: PolicyDocument) -> [Finding] {
        var host = RulesInspection.Host.here
        host.readQueues.formUnion(policy.queue.numbers)
        return RulesInspection(rulesets: rulesets, nftables: nftables, host: host, policy: policy).gaps
    }
}

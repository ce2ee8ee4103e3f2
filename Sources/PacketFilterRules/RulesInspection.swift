// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// Looks at all rules of a network namespace that give packets to user space, and finds what cannot work. It reads no
/// file and runs no program: everything that it looks at is given to it.
package struct RulesInspection: Sendable {
    /// What is so on this host beside its rules.
    package struct Host: Sendable {
        /// Queues that a program reads, from /proc/net/netfilter/nfnetlink_queue.
        package var readQueues: Set<UInt16> = []
        /// An interface other than the loopback has an address of this family; for IPv6 a link-local one counts apart.
        package var usesIPv4 = true
        package var usesIPv6 = false
        package var hasOnlyLinkLocalIPv6 = false
        package var forwards: Set<AddressFamily> = []
        /// The control groups of the policy's units that run.
        package var controlGroups: [String: String] = [:]
        /// Paths of control groups that rules in place name and that were made anew since: the kernel means the old ones.
        package var staleGroups: Set<String> = []
        /// Connections that the kernel tracks in this namespace.
        package var trackedConnections = 0

        package init() {}
    }

    package let rulesets: [SavedRuleset]
    package let nftables: NFTablesRuleset
    package let host: Host
    package let policy: PolicyDocument
    package private(set) var feeds: [QueueFeed]

    package init(rulesets: [SavedRuleset], nftables: NFTablesRuleset, host: Host, policy: PolicyDocument) {
        self.rulesets = rulesets
        self.nftables = nftables
        self.host = host
        self.policy = policy
        feeds = rulesets.flatMap(\.feeds) + nftables.feeds
    }

    /// The worst first.
    package var findings: [Finding] {
        guard !feeds.isEmpty else { return [nothingFed] }
        let all =
            doubleJudgements + mixedHashes + splitConnections + fanouts + unreadQueues + unknownQueues + unfedQueues
            + sharedQueues + floodsAlone
            + failureSettings + shadowedRules + leftoverRules + absentRules + staleUnits + absentOffload
            + (policy.queue.family == .bridge
                ? unfedBridge
                : missingFamilies + missingDirections + forwarding + wrongHooks + wrongSides + fragmentChecks)
        return Finding.Severity.allCases.flatMap { severity in all.filter { $0.severity == severity } }
    }

    /// The first thing that switches connection tracking on in this namespace; nil where nothing does.
    package var trackingEvidence: String? {
        if let rule = rulesets.lazy.compactMap(\.trackingEvidence).first ?? nftables.trackingEvidence { return rule }
        guard host.trackedConnections > 0 else { return nil }
        return "nf_conntrack_count is \(host.trackedConnections)"
    }

    /// Where packets for this host should be taken.
    package var bestIncomingHook: QueueRulePlan.IncomingHook { trackingEvidence == nil ? .prerouting : .input }

    /// As if others were not there.
    func withFeeds(_ isMeant: (QueueFeed) -> Bool) -> RulesInspection {
        var inspection = self
        inspection.feeds = feeds.filter(isMeant)
        return inspection
    }

    var nothingFed: Finding {
        Finding(
            .refusal, "no rule gives packets to a queue: this host is not protected",
            cure: "run \"portreeve iptables --apply\"")
    }

    /// Every unordered pair of different feeds.
    var pairs: [(QueueFeed, QueueFeed)] {
        feeds.indices.flatMap { first in feeds[(first + 1)...].map { (feeds[first], $0) } }
    }

    var families: [AddressFamily] { AddressFamily.allCases.filter { $0 == .ipv4 ? host.usesIPv4 : host.usesIPv6 } }
}

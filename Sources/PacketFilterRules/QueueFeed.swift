// SPDX-License-Identifier: GPL-3.0-or-later

/// One way by which packets come to a queue: a queue rule and the hook from which it can be reached.
package struct QueueFeed: Hashable, Sendable {
    /// Who judges at the same place together: one table of one program at one hook.
    package struct Place: Hashable, Sendable {
        /// `iptables`, `ip6tables`, `iptables-legacy` …, or `nft`.
        package var program: String
        package var table: String
        /// The base chain; two chains of nftables may share a hook.
        package var chain: String
        package var hook: FilterHook
        /// Where among the others at the hook.
        package var priority: Int
    }

    package enum Layer: Hashable, Sendable {
        case ip(Set<AddressFamily>)
        /// Frames of a bridge.
        case bridge

        func carries(_ family: AddressFamily) -> Bool {
            switch self {
            case .ip(let families): families.contains(family)
            case .bridge: true
            }
        }
    }

    package var place: Place
    package var layer: Layer
    /// Of the rule and of the jumps that lead to it, ANDed.
    package var conditions: [RuleConditions]
    /// Nil where the rule computes the number in a way that is not understood.
    package var queues: ClosedRange<UInt16>?
    /// The packet passes where nobody reads the queue.
    package var bypasses = false
    /// The queue is chosen by CPU, not by address.
    package var fansOutByCPU = false
    /// The rule as its program prints it, after the program and the table: "iptables mangle: -A INPUT -j NFQUEUE".
    package var line: String

    package func carries(_ family: AddressFamily) -> Bool { layer.carries(family) }

    /// Whether it brings packets that come in for this host.
    package var isIncoming: Bool { place.hook == .prerouting || place.hook == .input }

    /// Whether it brings packets that this host sends.
    package var isOutgoing: Bool { place.hook == .output || place.hook == .postrouting }

    /// Whether it takes only packets whose destination is this host, a group or everybody.
    var isLimitedToThisHost: Bool {
        let own: Set = ["LOCAL", "BROADCAST", "MULTICAST", "ANYCAST"]
        return conditions.contains { conditions in
            guard let types = conditions.destinationTypes, !types.isInverted else { return false }
            return types.value.isSubset(of: own)
        }
    }

    func excludes(_ other: QueueFeed, addressesMayChange: Bool) -> Bool {
        conditions.contains { mine in
            other.conditions.contains { addressesMayChange ? mine.excludesOnAnyWay($0) : mine.excludes($0) }
        }
    }

    func excludesReverse(_ outgoing: QueueFeed) -> Bool {
        conditions.contains { mine in outgoing.conditions.contains { mine.excludesReverse($0) } }
    }
}

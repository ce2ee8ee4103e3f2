// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallEngine
import PacketWire

/// Events of one kind together: what a policy drops, or under tap would have dropped, by where it goes rather than by who
/// sends it.
package struct EventGroups: Sendable {
    package struct Kind: Hashable, Sendable {
        package var action: String
        package var reason: DropReason
        package var rule: String?
        package var direction: String
        package var protocolName: String
        /// The destination's port, or the type of an ICMP message.
        package var port: Int64?

        package init(_ event: LoggedEvent) {
            action = event.action
            reason = event.reason
            rule = event.rule
            direction = event.direction
            protocolName = event.protocolName
            port = event.destination?.port ?? event.icmpType
        }
    }

    package struct Group: Sendable {
        package var kind: Kind
        package var packets: Int64 = 0
        /// The addresses of the other ends; as many as are told apart.
        package fileprivate(set) var peers: Set<String> = []
        /// Microseconds since 1970.
        package var first = Int64.max
        package var last = Int64.min

        /// There are more peers than are told apart.
        package var hasManyPeers: Bool { peers.count >= EventGroups.mostPeers }
    }

    fileprivate static let mostPeers = 10_000
    /// A scan of all ports makes a group of each.
    private static let most = 200_000

    private var groups: [Kind: Group] = [:]
    /// Packets of kinds beyond those that are kept apart.
    package private(set) var others: Int64 = 0

    package init() {}

    package mutating func add(_ event: LoggedEvent) {
        let kind = Kind(event)
        guard groups[kind] != nil || groups.count < Self.most else {
            others += event.count
            return
        }
        var group = groups.removeValue(forKey: kind) ?? Group(kind: kind)
        group.packets += event.count
        group.first = min(group.first, event.first)
        group.last = max(group.last, event.last)
        let peer = event.direction == "outgoing" ? event.destination : event.source
        if let peer, group.peers.count < Self.mostPeers {
            group.peers.insert(peer.address.description(isIPv6: peer.isIPv6))
        }
        groups[kind] = group
    }

    /// The most packets first.
    package var all: [Group] {
        groups.values.sorted { a, b in
            if a.packets != b.packets { return a.packets > b.packets }
            return (a.first, a.kind.port ?? -1) < (b.first, b.kind.port ?? -1)
        }
    }
}

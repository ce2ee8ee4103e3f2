// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// Which direction a captured packet had, as seen from the host that is being replayed.
struct Conversations {
    private let local: [AddressRange]
    /// Address pair → the local side: the one that was found to be, otherwise the one that spoke first.
    private var localSide: [AddressPair: IPAddress]

    /// Pairs remembered; a capture with more is no conversation of one host.
    private static let most = 1 << 20

    init(local: [AddressRange], sides: [AddressPair: IPAddress] = [:]) {
        self.local = local
        localSide = sides
    }

    /// Nil: the packet neither comes from this host nor goes to it.
    mutating func direction(_ h: PacketHeaders) -> Direction? {
        guard h.isIP else { return .incoming }
        if local.isEmpty { return directionBySide(h) }
        if isLocal(h.source) { return .outgoing }
        if isLocal(h.destination) || h.destination.isGroup(h.network) { return .incoming }
        return nil
    }

    private func isLocal(_ a: IPAddress) -> Bool { local.contains { $0.first <= a && a <= $0.last } }

    private mutating func directionBySide(_ h: PacketHeaders) -> Direction {
        // An error from a router on the path belongs to the conversation that it quotes.
        if h.icmp.isError, h.quoted.network != .none,
            let first = localSide[AddressPair(h.quoted.source, h.quoted.destination)]
        {
            return h.destination == first ? .incoming : .outgoing
        }
        let pair = AddressPair(h.source, h.destination)
        if let first = localSide[pair] { return first == h.source ? .outgoing : .incoming }
        if localSide.count < Conversations.most { localSide[pair] = h.source }
        return .outgoing
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// Which direction a captured packet had, as seen from the host that is being replayed.
struct Conversations {
    private let local: [AddressRange]
    /// Address pair → the side that spoke first, which is then the local one.
    private var firstSpeaker: [Pair: IPAddress] = [:]

    private struct Pair: Hashable {
        let a: IPAddress
        let b: IPAddress
        init(_ x: IPAddress, _ y: IPAddress) { (a, b) = x < y ? (x, y) : (y, x) }
    }

    /// Pairs remembered; a capture with more is no conversation of one host.
    private static let most = 1 << 20

    init(local: [AddressRange]) { self.local = local }

    /// Nil: the packet neither comes from this host nor goes to it.
    mutating func direction(_ h: PacketHeaders) -> Direction? {
        guard h.isIP else { return .incoming }
        if local.isEmpty { return directionByFirstSpeaker(h) }
        if isLocal(h.source) { return .outgoing }
        if isLocal(h.destination) || isGroup(h.destination, h.network) { return .incoming }
        return nil
    }

    private func isLocal(_ a: IPAddress) -> Bool { local.contains { $0.first <= a && a <= $0.last } }

    private func isGroup(_ a: IPAddress, _ network: NetworkProtocol) -> Bool {
        network == .ipv4 ? a.v4 >> 28 == 0xe || a.v4 == .max : a.high >> 56 == 0xff
    }

    private mutating func directionByFirstSpeaker(_ h: PacketHeaders) -> Direction {
        // An error from a router on the path belongs to the conversation that it quotes.
        if h.icmp.isError, h.quoted.network != .none,
            let first = firstSpeaker[Pair(h.quoted.source, h.quoted.destination)]
        {
            return h.destination == first ? .incoming : .outgoing
        }
        let pair = Pair(h.source, h.destination)
        if let first = firstSpeaker[pair] { return first == h.source ? .outgoing : .incoming }
        if firstSpeaker.count < Conversations.most { firstSpeaker[pair] = h.source }
        return .outgoing
    }
}

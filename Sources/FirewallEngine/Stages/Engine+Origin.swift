// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// The end of stage V, for settings that the defaults leave off: whether the packet can have come from where it says. It takes
/// what is known of the host, hence not `SanityCheck`.
extension Engine {
    /// Of a packet that came in by an interface, whether it goes on or not. The loopback is none: what this host sends itself
    /// comes by it.
    mutating func findingOfOrigin(_ p: inout Inspection) -> Finding? {
        guard cameIn(&p), p.headers.isIP, p.headers.source.mayBeForeign, !isOfNeighbours(&p) else { return nil }
        if hot.sanity.denyOwnSource, hostAddresses.isOwn(p.headers.source, on: p.metadata.inInterface),
            p.isSubject(to: .ownSource)
        {
            return Finding(.spoofedOwnAddress, .ownSource)
        }
        if hot.sanity.denyBroadcastSource, hostAddresses.isBroadcast(p.headers.source),
            p.isSubject(to: .broadcastSource)
        {
            return Finding(.broadcastSource, .broadcastSource)
        }
        if hot.sanity.denyReversePath, !SanityCheck.isDHCP(&p),
            reversePaths.contradicts(p.headers.source, on: p.metadata.inInterface), p.isSubject(to: .reversePath)
        {
            return Finding(.reversePath, .reversePath)
        }
        return nil
    }

    private mutating func cameIn(_ p: inout Inspection) -> Bool {
        p.metadata.inInterface != 0 && !(interfaces[p.metadata.inInterface] ?? .unknown).isLoopback
    }

    /// Neighbour discovery tells of another computer that has an address of this host's, and has to come in to do so.
    private func isOfNeighbours(_ p: inout Inspection) -> Bool {
        p.headers.transport == .icmpv6 && SanityCheck.isNeighbourDiscoveryOrMLD(&p)
    }
}

extension IPAddress {
    /// It is an address at all, not 0.0.0.0 or `::`.
    fileprivate var mayBeForeign: Bool { self != .zero && !(isMappedV4 && v4 == 0) }
}

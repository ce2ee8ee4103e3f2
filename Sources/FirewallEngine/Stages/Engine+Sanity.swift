// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension Engine {
    /// Stage V after decoding: what the headers say must make sense before any rule is asked. Rules cannot bypass it.
    mutating func sanity(_ p: inout Inspection, _ bytes: RawSpan) -> Finding? {
        switch p.headers.network {
        case .ipv4: return sanityOfIPv4(&p) ?? sanityOfPayload(&p, bytes)
        case .ipv6: return sanityOfIPv6(&p) ?? sanityOfPayload(&p, bytes)
        default: return nil
        }
    }

    private mutating func sanityOfIPv4(_ p: inout Inspection) -> Finding? {
        let source = p.headers.source.v4
        if AddressSanity.refusesIPv4Source(source, onLoopback: p.isLoopback) { return Finding(.invalidIP) }
        if (source == 0 || p.headers.destination.v4 == 0) && !hot.sanity.allowNullIP && !isDHCP(&p) {
            return Finding(.nullIP)
        }
        return sameAddresses(&p)
    }

    private mutating func sanityOfIPv6(_ p: inout Inspection) -> Finding? {
        if hot.sanity.blockIPv6 { return Finding(.ipv6Packet) }
        if p.headers.hasRoutingHeaderZero && hot.sanity.denyRoutingHeader0 { return Finding(.ipv6RoutingHeader0) }
        if p.headers.source.high >> 56 == 0xff { return Finding(.ipv6SourceIsMulticast) }
        return (isNeighbourDiscoveryOrMLD(&p) ? nil : addressesOfIPv6(&p)) ?? sameAddresses(&p)
    }

    private mutating func addressesOfIPv6(_ p: inout Inspection) -> Finding? {
        if !p.isLoopback
            && (AddressSanity.refusesIPv6(p.headers.source, hot.sanity)
                || AddressSanity.refusesIPv6(p.headers.destination, hot.sanity))
        {
            return Finding(.invalidIPv6Address)
        }
        if !hot.sanity.allowNullIP && (p.headers.source == .zero || p.headers.destination == .zero) {
            return Finding(.nullIP)
        }
        return nil
    }

    private mutating func sameAddresses(_ p: inout Inspection) -> Finding? {
        guard hot.sanity.blockSameSourceDestination, !p.isLoopback, p.headers.source == p.headers.destination else {
            return nil
        }
        return Finding(.sameSourceAndDestinationIP)
    }

    private mutating func sanityOfPayload(_ p: inout Inspection, _ bytes: RawSpan) -> Finding? {
        if p.headers.hasNoPayload && hot.sanity.dropZeroPayload && !p.metadata.isSegmentationOffload {
            return Finding(.ipZeroPayload)
        }
        return checksum(&p, bytes)
    }

    private mutating func checksum(_ p: inout Inspection, _ bytes: RawSpan) -> Finding? {
        guard hot.checksum != .allow, p.headers.transport == .tcp, !p.metadata.checksumNotReady,
            !p.metadata.isSegmentationOffload, !p.headers.fragment.isFragment,
            !TransportChecksum.isValid(bytes, p.headers)
        else { return nil }
        guard hot.checksum.drops else {
            p.log(.invalidChecksum)
            return nil
        }
        return Finding(.invalidChecksum, posture: hot.checksum)
    }

    /// A DHCP client speaks from 0.0.0.0 before it has an address (RFC 2131 section 4.1).
    private func isDHCP(_ p: inout Inspection) -> Bool {
        guard p.headers.transport == .udp, p.headers.destination.v4 != 0 else { return false }
        switch (p.headers.sourcePort, p.headers.destinationPort) {
        case (68, 67), (67, 68): return true
        default: return false
        }
    }

    /// MLD and neighbour discovery (types 130–136 and 143; RFC 2710, 3810, 4861) use the unspecified address and any
    /// address that is being tried.
    private func isNeighbourDiscoveryOrMLD(_ p: inout Inspection) -> Bool {
        let type = p.headers.icmp.type
        return p.headers.transport == .icmpv6 && ((type >= 130 && type <= 136) || type == 143)
    }
}

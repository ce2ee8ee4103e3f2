// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// Stage V after decoding: what the headers say must make sense before any rule is asked. Rules cannot bypass it.
///
/// It needs headers and settings and no engine: what the kernel discards before any hook is judged by the same check. Both come
/// `inout` so that their addresses are passed (see `Inspection`); neither is changed but for the packet's notices.
enum SanityCheck {
    static func finding(_ p: inout Inspection, _ bytes: RawSpan, _ hot: inout HotSettings) -> Finding? {
        switch p.headers.network {
        case .ipv4: return findingOfIPv4(&p, &hot) ?? findingOfPayload(&p, bytes, &hot)
        case .ipv6: return findingOfIPv6(&p, &hot) ?? findingOfPayload(&p, bytes, &hot)
        default: return nil
        }
    }

    private static func findingOfIPv4(_ p: inout Inspection, _ hot: inout HotSettings) -> Finding? {
        let source = p.headers.source.v4
        if AddressSanity.refusesIPv4Source(source, onLoopback: p.isLoopback) {
            return Finding(.invalidIP, .invalidSource)
        }
        if hot.sanity.denyReservedAddresses,
            AddressSanity.isReservedIPv4(source) || AddressSanity.isReservedIPv4(p.headers.destination.v4),
            p.isSubject(to: .reservedAddress)
        {
            return Finding(.invalidIP, .reservedAddress)
        }
        if source == 0 || p.headers.destination.v4 == 0, !hot.sanity.allowNullIP, !isDHCP(&p),
            p.isSubject(to: .nullAddress)
        {
            return Finding(.nullIP, .nullAddress)
        }
        if !p.headers.options.isEmpty, let finding = findingOfOptions(&p, &hot) { return finding }
        return findingOfLinkLocal(&p, &hot) ?? findingOfSameAddresses(&p, &hot)
    }

    private static func findingOfOptions(_ p: inout Inspection, _ hot: inout HotSettings) -> Finding? {
        if hot.sanity.denySourceRouting, p.headers.options.contains(.sourceRoute), p.isSubject(to: .sourceRoute) {
            return Finding(.sourceRouted, .sourceRoute)
        }
        if hot.sanity.denyRecordRoute, p.headers.options.contains(.recordRoute), p.isSubject(to: .recordRoute) {
            return Finding(.recordRoute, .recordRoute)
        }
        return nil
    }

    @inline(__always)
    private static func findingOfLinkLocal(_ p: inout Inspection, _ hot: inout HotSettings) -> Finding? {
        guard hot.sanity.denyLinkLocal, !p.isLoopback,
            AddressSanity.isLinkLocal(p.headers.source) || AddressSanity.isLinkLocal(p.headers.destination),
            !isOfTheLink(&p), p.isSubject(to: .linkLocal)
        else { return nil }
        return Finding(.linkLocalAddress, .linkLocal)
    }

    private static func findingOfIPv6(_ p: inout Inspection, _ hot: inout HotSettings) -> Finding? {
        if hot.sanity.blockIPv6, p.isSubject(to: .ipv6Blocked) { return Finding(.ipv6Packet, .ipv6Blocked) }
        if p.headers.hasRoutingHeaderZero, hot.sanity.denyRoutingHeader0, p.isSubject(to: .routingHeader0) {
            return Finding(.ipv6RoutingHeader0, .routingHeader0)
        }
        if p.headers.source.high >> 56 == 0xff { return Finding(.ipv6SourceIsMulticast, .multicastSource) }
        return (isNeighbourDiscoveryOrMLD(&p) ? nil : findingOfIPv6Addresses(&p, &hot))
            ?? findingOfLinkLocal(&p, &hot) ?? findingOfSameAddresses(&p, &hot)
    }

    private static func findingOfIPv6Addresses(_ p: inout Inspection, _ hot: inout HotSettings) -> Finding? {
        if !p.isLoopback {
            var refusing = AddressSanity.refusedSets(p.headers.source, hot.sanity)
            refusing.formUnion(AddressSanity.refusedSets(p.headers.destination, hot.sanity))
            if !refusing.isEmpty,
                let cause = AddressSanity.causes.first(where: { refusing.contains($0) && p.isSubject(to: $0) })
            {
                return Finding(.invalidIPv6Address, cause)
            }
        }
        if !hot.sanity.allowNullIP, p.headers.source == .zero || p.headers.destination == .zero,
            p.isSubject(to: .nullAddress)
        {
            return Finding(.nullIP, .nullAddress)
        }
        return nil
    }

    private static func findingOfSameAddresses(_ p: inout Inspection, _ hot: inout HotSettings) -> Finding? {
        guard hot.sanity.blockSameSourceDestination, !p.isLoopback, p.headers.source == p.headers.destination,
            p.isSubject(to: .sameAddresses)
        else { return nil }
        return Finding(.sameSourceAndDestinationIP, .sameAddresses)
    }

    private static func findingOfPayload(
        _ p: inout Inspection, _ bytes: RawSpan, _ hot: inout HotSettings
    ) -> Finding? {
        if p.headers.hasNoPayload, hot.sanity.dropZeroPayload, !p.metadata.isSegmentationOffload,
            p.isSubject(to: .zeroPayload)
        {
            return Finding(.ipZeroPayload, .zeroPayload)
        }
        if lacksTransportHeader(&p) { return Finding(.unreadableProtocolHeader, .malformed) }
        return findingOfChecksum(&p, bytes, &hot)
    }

    /// Whether the protocol is one whose header is read here, and not one byte of it is there. Of fragments stage F judges.
    private static func lacksTransportHeader(_ p: inout Inspection) -> Bool {
        guard p.headers.hasNoPayload, !p.headers.fragment.isFragment, !p.metadata.isSegmentationOffload else {
            return false
        }
        return switch p.headers.protocolNumber {
        case IPProtocol.tcp, IPProtocol.udp: true
        case IPProtocol.icmp: p.headers.network == .ipv4
        case IPProtocol.icmpv6: p.headers.network == .ipv6
        default: false
        }
    }

    /// A wrong checksum is refused where the policy says so. Elsewhere its receiver discards the segment, so it must move no
    /// connection here either. What the kernel has verified, or let a device verify, is not summed up again for that.
    private static func findingOfChecksum(
        _ p: inout Inspection, _ bytes: RawSpan, _ hot: inout HotSettings
    ) -> Finding? {
        let row = hot.posture.checksum
        guard p.metadata.checksumNotVerified || row != .allow || hot.verifiesChecksum, p.headers.transport == .tcp,
            !p.metadata.checksumNotReady, !p.metadata.isSegmentationOffload, !p.headers.fragment.isFragment,
            !TransportChecksum.isValid(bytes, p.headers)
        else { return nil }
        p.isDisbelieved = p.metadata.checksumNotVerified
        if row.drops, p.isSubject(to: .checksumRow) { return Finding(.invalidChecksum, .checksumRow, posture: row) }
        if hot.verifiesChecksum, p.isSubject(to: .checksumSetting) {
            return Finding(.invalidChecksum, .checksumSetting)
        }
        if row == .log { p.notices.insert(.invalidChecksum) }
        return nil
    }

    /// A DHCP client speaks from 0.0.0.0 before it has an address (RFC 2131 section 4.1).
    static func isDHCP(_ p: inout Inspection) -> Bool {
        guard p.headers.transport == .udp, p.headers.destination.v4 != 0 else { return false }
        switch (p.headers.sourcePort, p.headers.destinationPort) {
        case (68, 67), (67, 68): return true
        default: return false
        }
    }

    /// MLD and neighbour discovery (types 130–136 and 143; RFC 2710, 3810, 4861) use the unspecified address and any
    /// address that is being tried.
    static func isNeighbourDiscoveryOrMLD(_ p: inout Inspection) -> Bool {
        let type = p.headers.icmp.type
        return p.headers.transport == .icmpv6 && ((type >= 130 && type <= 136) || type == 143)
    }

    /// What has to use link-local addresses: neighbour discovery with its redirects, MLD, DHCPv6 (RFC 8415 section 7.2), and what
    /// this host itself says to a group of the link, for which its stack takes such a source (RFC 6724 section 5).
    private static func isOfTheLink(_ p: inout Inspection) -> Bool {
        if isNeighbourDiscoveryOrMLD(&p) { return true }
        if p.direction == .outgoing, p.metadata.hook != .forward, AddressSanity.isLinkGroup(p.headers.destination) {
            return true
        }
        switch p.headers.transport {
        case .icmpv6: return p.headers.icmp.type == ICMPv6Type.redirect
        case .udp:
            return p.headers.network == .ipv6
                && (p.headers.destinationPort == 546 || p.headers.destinationPort == 547)
        default: return false
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// The number that the records of one connection have in common: of both its directions, and of the ICMP errors that quote it.
///
/// Made of the tuple with the seed of the run, so that it says nothing by itself and another run gives another number. Not 0,
/// and below 2^53, because some readers of JSON keep numbers as floating point.
enum FlowID {
    /// `nil` where it is not known what the packet belongs to: no IP, a later fragment, an unreadable transport header or quote.
    static func make(_ headers: PacketHeaders, seed: (UInt64, UInt64)) -> UInt64? {
        guard headers.fragment.offset == 0, let key = key(of: headers) else { return nil }
        var hash = SipHash(seed: seed)
        hash.absorb(key.lowAddress.high)
        hash.absorb(key.lowAddress.low)
        hash.absorb(key.highAddress.high)
        hash.absorb(key.highAddress.low)
        hash.absorb(
            UInt64(key.lowPortOrIdentifier) | UInt64(key.highPortOrIdentifier) << 16 | UInt64(key.protocolNumber) << 32
                | UInt64(key.version) << 40 | UInt64(key.queryType) << 48)
        return max(1, hash.finish() >> 11)
    }

    private static func key(of headers: PacketHeaders) -> ConnectionKey? {
        if headers.icmp.isError {
            let quoted = headers.quoted
            guard !quoted.isLaterFragment else { return nil }
            return ConnectionKey.make(quoted)?.key
                ?? untracked(
                    quoted.network, quoted.transport, quoted.protocolNumber, quoted.source, quoted.destination,
                    quoted.icmp)
        }
        return ConnectionKey.make(headers)?.key
            ?? untracked(
                headers.network, headers.transport, headers.protocolNumber, headers.source, headers.destination,
                headers.icmp)
    }

    /// What no connection is kept of: the pair of addresses and the protocol, of an echo over IPv6 its identifier too.
    private static func untracked(
        _ network: NetworkProtocol, _ transport: TransportProtocol, _ protocolNumber: UInt8, _ source: IPAddress,
        _ destination: IPAddress, _ icmp: ICMPFields
    ) -> ConnectionKey? {
        guard network == .ipv4 || network == .ipv6 else { return nil }
        let isICMP = transport == .icmp || transport == .icmpv6
        guard isICMP || transport == .other else { return nil }
        let identifier = isICMP ? icmp.identifier : 0
        return ConnectionKey(
            lowAddress: min(source, destination), highAddress: max(source, destination),
            lowPortOrIdentifier: identifier, highPortOrIdentifier: identifier, protocolNumber: protocolNumber,
            version: network == .ipv4 ? 4 : 6, queryType: 0)
    }
}

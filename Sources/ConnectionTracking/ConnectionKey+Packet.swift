// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// A packet's connection and the side of it that sent the packet.
public struct KeyedPacket: Hashable, Sendable, BitwiseCopyable {
    public var key: ConnectionKey
    public var sender: Side
    public init(key: ConnectionKey, sender: Side) {
        self.key = key
        self.sender = sender
    }
}

extension ConnectionKey {
    /// The connection of a packet. `nil` where there is none: no TCP, UDP or ICMPv4 query header was decoded (a later
    /// fragment, an ICMP error, ICMPv6, any other protocol).
    public static func make(_ packet: borrowing PacketHeaders) -> KeyedPacket? {
        make(
            network: packet.network, transport: packet.transport, source: packet.source,
            destination: packet.destination,
            sourcePort: packet.sourcePort, destinationPort: packet.destinationPort, icmp: packet.icmp)
    }

    /// The connection of the packet that an ICMP error quotes; `sender` is the side that sent the quoted packet.
    public static func make(_ quoted: borrowing QuotedPacket) -> KeyedPacket? {
        make(
            network: quoted.network, transport: quoted.transport, source: quoted.source,
            destination: quoted.destination, sourcePort: quoted.sourcePort, destinationPort: quoted.destinationPort,
            icmp: quoted.icmp)
    }

    @inline(__always)
    private static func make(
        network: NetworkProtocol, transport: TransportProtocol, source: IPAddress, destination: IPAddress,
        sourcePort: UInt16, destinationPort: UInt16, icmp: ICMPFields
    ) -> KeyedPacket? {
        guard let version = network.version else { return nil }
        switch transport {
        case .tcp, .udp:
            return ordered(
                source, sourcePort, destination, destinationPort,
                protocolNumber: transport == .tcp ? IPProtocol.tcp : IPProtocol.udp, version: version, queryType: 0)
        case .icmp:
            guard version == 4, let query = ICMPQuery(type: icmp.type) else { return nil }
            return ordered(
                source, icmp.identifier, destination, icmp.identifier,
                protocolNumber: IPProtocol.icmp, version: version, queryType: query.requestType)
        case .none, .icmpv6, .other:
            return nil
        }
    }

    /// The endpoint with the lower address, or with the lower port at equal addresses, is `low`; a packet from an endpoint
    /// to itself counts as sent by `low`.
    @inline(__always)
    private static func ordered(
        _ source: IPAddress, _ sourcePort: UInt16, _ destination: IPAddress, _ destinationPort: UInt16,
        protocolNumber: UInt8, version: UInt8, queryType: UInt8
    ) -> KeyedPacket {
        let sourceIsLow = source.isSame(as: destination) ? sourcePort <= destinationPort : source.isBefore(destination)
        let key = ConnectionKey(
            lowAddress: sourceIsLow ? source : destination, highAddress: sourceIsLow ? destination : source,
            lowPortOrIdentifier: sourceIsLow ? sourcePort : destinationPort,
            highPortOrIdentifier: sourceIsLow ? destinationPort : sourcePort,
            protocolNumber: protocolNumber, version: version, queryType: queryType)
        return KeyedPacket(key: key, sender: sourceIsLow ? .low : .high)
    }

    /// As `==`, without the calls that the addresses' own comparison takes from outside their module.
    @inline(__always)
    func isSame(as other: ConnectionKey) -> Bool {
        lowAddress.isSame(as: other.lowAddress) && highAddress.isSame(as: other.highAddress)
            && lowPortOrIdentifier == other.lowPortOrIdentifier && highPortOrIdentifier == other.highPortOrIdentifier
            && protocolNumber == other.protocolNumber && version == other.version && queryType == other.queryType
    }

    public func address(of side: Side) -> IPAddress { side == .low ? lowAddress : highAddress }
    public func portOrIdentifier(of side: Side) -> UInt16 {
        side == .low ? lowPortOrIdentifier : highPortOrIdentifier
    }

    /// The keyed hash that the table uses: five words, every field of the key in exactly one of them.
    @inline(__always)
    func hash(seed: (UInt64, UInt64)) -> UInt32 {
        var sip = SipHash(seed: seed)
        sip.absorb(lowAddress.high)
        sip.absorb(lowAddress.low)
        sip.absorb(highAddress.high)
        sip.absorb(highAddress.low)
        sip.absorb(
            UInt64(lowPortOrIdentifier) | UInt64(highPortOrIdentifier) << 16 | UInt64(protocolNumber) << 32
                | UInt64(version) << 40 | UInt64(queryType) << 48)
        return UInt32(truncatingIfNeeded: sip.finish())
    }
}

extension IPAddress {
    @inline(__always)
    public func isSame(as other: IPAddress) -> Bool { high == other.high && low == other.low }

    @inline(__always)
    fileprivate func isBefore(_ other: IPAddress) -> Bool { high != other.high ? high < other.high : low < other.low }
}

extension NetworkProtocol {
    @inline(__always)
    fileprivate var version: UInt8? {
        switch self {
        case .ipv4: 4
        case .ipv6: 6
        case .none, .arp, .other: nil
        }
    }
}

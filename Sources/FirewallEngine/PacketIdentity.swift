// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
public import PacketWire

/// From whom to whom a packet goes, and of which connections it may speak: by this an engine finds what judging it would read.
public struct PacketIdentity: Hashable, Sendable {
    /// 4 or 6.
    public var version: UInt8
    public var source: IPAddress
    public var destination: IPAddress
    /// 0 where it has none.
    public var sourcePort: UInt16
    public var destinationPort: UInt16
    /// Its own connection, and that of the packet that it quotes.
    public var keys: [ConnectionKey]

    /// No packet has more.
    public static let mostKeys = 2

    public init(
        version: UInt8, source: IPAddress, destination: IPAddress, sourcePort: UInt16, destinationPort: UInt16,
        keys: [ConnectionKey]
    ) {
        self.version = version
        self.source = source
        self.destination = destination
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.keys = keys
    }

    /// nil for what is no IP packet, or cannot be read.
    public init?(_ bytes: RawSpan, _ metadata: PacketMetadata) {
        var headers = PacketHeaders()
        do {
            try headers.decodePacket(bytes, etherType: metadata.etherType, PacketTraits(metadata))
        } catch {
            return nil
        }
        guard headers.isIP else { return nil }
        self.init(
            version: headers.network == .ipv6 ? 6 : 4, source: headers.source, destination: headers.destination,
            sourcePort: headers.sourcePort, destinationPort: headers.destinationPort,
            keys: [ConnectionKey.make(headers)?.key, ConnectionKey.make(headers.quoted)?.key].compactMap { $0 })
    }
}

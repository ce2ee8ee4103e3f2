// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// What both directions of a connection have in common: the two endpoints in a canonical order and the protocol.
///
/// TCP and UDP: ports. ICMP queries: the identifier stands in both ports and the query's type in `queryType`, so that
/// request and reply meet and two kinds of query do not.
public struct ConnectionKey: Hashable, Sendable, BitwiseCopyable {
    public var lowAddress: IPAddress
    public var highAddress: IPAddress
    public var lowPortOrIdentifier: UInt16
    public var highPortOrIdentifier: UInt16
    public var protocolNumber: UInt8
    /// 4 or 6: an IPv6 packet with mapped addresses is not an IPv4 packet.
    public var version: UInt8
    /// ICMP: the type of the query (8, 13, 15, 17), also for its reply; 0 otherwise.
    public var queryType: UInt8

    public init(
        lowAddress: IPAddress, highAddress: IPAddress, lowPortOrIdentifier: UInt16, highPortOrIdentifier: UInt16,
        protocolNumber: UInt8, version: UInt8, queryType: UInt8
    ) {
        self.lowAddress = lowAddress
        self.highAddress = highAddress
        self.lowPortOrIdentifier = lowPortOrIdentifier
        self.highPortOrIdentifier = highPortOrIdentifier
        self.protocolNumber = protocolNumber
        self.version = version
        self.queryType = queryType
    }

    /// Whether an endpoint speaks to itself: nothing tells then which of the two sent a packet.
    public var isOfOneEndpoint: Bool {
        lowPortOrIdentifier == highPortOrIdentifier && lowAddress.isSame(as: highAddress)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

/// A packet in the making. It reads as a sentence and ends in real bytes:
///
/// ```swift
/// PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2")
///     .tcp(40_000, 80, [.syn], seq: 1, options: [.mss(1460), .windowScale(7)])
///     .bytes
/// ```
///
/// Lengths, header lengths, protocol numbers and checksums are right unless a method says otherwise (`totalLength`,
/// `dataOffset`, `transportChecksum` …), whatever the order of the calls. Every method returns a changed copy, so that a test
/// can keep the good packet beside the bad one.
package struct PacketBuilder: Sendable {
    var link: LinkHeader?
    var network: NetworkHeader
    var extensions: [ExtensionHeader] = []
    var transport = TransportHeader.none
    var data: [UInt8] = []
    var fragment: FragmentPiece?
    var transportOverrides = TransportOverrides()
    var trailer: [UInt8] = []

    init(network: NetworkHeader) { self.network = network }

    /// A copy with one thing different.
    func with(_ change: (inout PacketBuilder) -> Void) -> PacketBuilder {
        var copy = self
        change(&copy)
        return copy
    }

    /// The packet from the Ethernet header on where `ethernet` was called, else from the network header on.
    package var bytes: [UInt8] { linkBytes + networkPacket + trailer }

    /// Whether `bytes` start with an Ethernet header.
    package var isFrame: Bool { link != nil }

    /// The packet without its Ethernet header and trailer.
    package var networkPacket: [UInt8] {
        switch network.kind {
        case .ipv4, .ipv6: network.header(before: self) + carriedPayload
        case .arp(let body), .raw(_, let body): body
        }
    }

    /// EtherType that belongs to the network header.
    package var etherType: UInt16 {
        switch network.kind {
        case .ipv4: 0x0800
        case .ipv6: 0x86dd
        case .arp: 0x0806
        case .raw(let etherType, _): etherType
        }
    }

    // MARK: Payload

    /// Data after the transport header, or after the IP header where there is no transport header.
    package func payload(_ bytes: [UInt8]) -> PacketBuilder { with { $0.data = bytes } }

    /// As `payload`, the text's UTF-8.
    package func payload(_ text: String) -> PacketBuilder { payload(Array(text.utf8)) }

    /// `count` bytes of data: 0, 1, 2 … 250, 0, 1 … (a prime period, so that shifted copies differ).
    package func payload(count: Int) -> PacketBuilder { payload((0..<count).map { UInt8($0 % 251) }) }

    /// Bytes after the end of the IP packet that its length does not count.
    package func trailer(_ bytes: [UInt8]) -> PacketBuilder { with { $0.trailer = bytes } }

    /// Only the first `count` bytes, as a snap length or copy range leaves them.
    package func cut(to count: Int) -> [UInt8] { Array(bytes.prefix(count)) }
}

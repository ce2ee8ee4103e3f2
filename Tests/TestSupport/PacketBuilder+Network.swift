// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

extension PacketBuilder {
    /// An IPv4 packet without payload.
    package static func ipv4(from source: IPAddress, to destination: IPAddress) -> PacketBuilder {
        PacketBuilder(network: NetworkHeader(kind: .ipv4, source: source, destination: destination))
    }

    /// An IPv6 packet without payload.
    package static func ipv6(from source: IPAddress, to destination: IPAddress) -> PacketBuilder {
        PacketBuilder(network: NetworkHeader(kind: .ipv6, source: source, destination: destination))
    }

    /// IPv6 if the destination is an IPv6 address, else IPv4; for tests that run over both families.
    package static func ip(from source: IPAddress, to destination: IPAddress) -> PacketBuilder {
        destination.isMappedV4 ? ipv4(from: source, to: destination) : ipv6(from: source, to: destination)
    }

    /// An ARP request of `sender` for `target` (RFC 826), for an Ethernet frame.
    package static func arpRequest(
        for target: IPAddress, from sender: IPAddress, mac: MACAddress = "02:00:00:00:00:01"
    ) -> PacketBuilder {
        var body: [UInt8] = [0, 1, 0x08, 0, 6, 4, 0, 1]
        body.append(mac)
        body.append(sender, isIPv6: false)
        body.append(contentsOf: [0, 0, 0, 0, 0, 0])
        body.append(target, isIPv6: false)
        return PacketBuilder(network: NetworkHeader(kind: .arp(body), source: sender, destination: target))
    }

    /// Any bytes under any EtherType.
    package static func raw(etherType: UInt16, _ bytes: [UInt8]) -> PacketBuilder {
        PacketBuilder(network: NetworkHeader(kind: .raw(etherType, bytes), source: .zero, destination: .zero))
    }

    // MARK: Both families

    /// TTL or hop limit; 64 unless set.
    package func timeToLive(_ hops: UInt8) -> PacketBuilder { with { $0.network.timeToLive = hops } }

    /// Identification of the datagram; in IPv6 it shows only in a fragment header.
    package func identification(_ number: UInt32) -> PacketBuilder { with { $0.network.identification = number } }

    /// The version field, wrong.
    package func version(_ number: UInt8) -> PacketBuilder { with { $0.network.version = number } }

    /// The protocol field or last next-header field, wrong.
    package func protocolNumber(_ number: UInt8) -> PacketBuilder { with { $0.network.protocolNumber = number } }

    // MARK: IPv4

    package func dontFragment() -> PacketBuilder { with { $0.network.dontFragment = true } }

    /// IPv4 options, padded with zeros to whole words.
    package func ipOptions(_ options: [UInt8]) -> PacketBuilder {
        with { $0.network.options = options + [UInt8](repeating: 0, count: -options.count & 3) }
    }

    /// The total length field, wrong.
    package func totalLength(_ bytes: UInt16) -> PacketBuilder { with { $0.network.length = bytes } }

    /// The header length field (IHL) in words, wrong.
    package func headerLength(words: UInt8) -> PacketBuilder { with { $0.network.headerWords = words } }

    /// The header checksum, wrong.
    package func headerChecksum(_ value: UInt16) -> PacketBuilder { with { $0.network.checksum = value } }

    // MARK: IPv6

    /// The payload length field, wrong, or 0 for a jumbogram.
    package func payloadLength(_ bytes: UInt16) -> PacketBuilder { with { $0.network.length = bytes } }
}

/// What stands at the network layer, with its overrides.
struct NetworkHeader: Sendable {
    enum Kind: Sendable {
        case ipv4
        case ipv6
        case arp([UInt8])
        case raw(UInt16, [UInt8])
    }

    var kind: Kind
    var source: IPAddress
    var destination: IPAddress
    var timeToLive: UInt8 = 64
    var identification: UInt32 = 1
    var dontFragment = false
    var options: [UInt8] = []
    var version: UInt8?
    var protocolNumber: UInt8?
    var length: UInt16?
    var headerWords: UInt8?
    var checksum: UInt16?

    init(kind: Kind, source: IPAddress, destination: IPAddress) {
        self.kind = kind
        self.source = source
        self.destination = destination
    }

    var isIPv6: Bool {
        if case .ipv6 = kind { true } else { false }
    }

    func header(before packet: PacketBuilder) -> [UInt8] {
        isIPv6 ? ipv6Header(before: packet) : ipv4Header(before: packet)
    }

    private func ipv4Header(before packet: PacketBuilder) -> [UInt8] {
        let words = headerWords ?? UInt8(5 + options.count / 4)
        let total = 20 + options.count + packet.carriedPayload.count
        let flags: UInt16 = (dontFragment ? 0x4000 : 0) | (packet.fragment?.more == true ? 0x2000 : 0)
        var header: [UInt8] = [(version ?? 4) << 4 | words & 0xf, 0]
        header.append(be: length ?? UInt16(truncatingIfNeeded: total))
        header.append(be: UInt16(truncatingIfNeeded: identification))
        header.append(be: flags | UInt16(truncatingIfNeeded: (packet.fragment?.offset ?? 0) / 8))
        header.append(timeToLive)
        header.append(protocolNumber ?? packet.upperProtocol)
        header.append(be: UInt16(0))
        header.append(source, isIPv6: false)
        header.append(destination, isIPv6: false)
        header.append(contentsOf: options)
        header.set(be: checksum ?? header.internetChecksum, at: 10)
        return header
    }

    private func ipv6Header(before packet: PacketBuilder) -> [UInt8] {
        let payload = packet.carriedPayload.count
        var header: [UInt8] = [(version ?? 6) << 4, 0, 0, 0]
        header.append(be: length ?? UInt16(truncatingIfNeeded: payload))
        header.append(packet.firstNextHeader)
        header.append(timeToLive)
        header.append(source, isIPv6: true)
        header.append(destination, isIPv6: true)
        return header
    }
}

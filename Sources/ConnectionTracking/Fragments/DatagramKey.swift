// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// What fragments of one datagram have in common for the host that reassembles them: for IPv4 addresses, protocol and
/// identification (RFC 791), for IPv6 addresses and identification (RFC 8200 section 4.5).
///
/// The interface is not part of it: fragments may legally arrive over several, the receiver puts them together whatever
/// they came by, and an overlap has to be seen as the receiver sees it. The direction is, because the two directions are
/// judged by different rules.
struct DatagramKey: Equatable, BitwiseCopyable {
    var source: IPAddress
    var destination: IPAddress
    var identification: UInt32
    var protocolNumber: UInt8
    var version: UInt8
    var direction: Direction

    init(_ packet: borrowing PacketHeaders, direction: Direction) {
        let isIPv4 = packet.network == .ipv4
        source = packet.source
        destination = packet.destination
        identification = packet.fragment.identification
        protocolNumber = isIPv4 ? packet.protocolNumber : 0
        version = isIPv4 ? 4 : 6
        self.direction = direction
    }

    func hash(seed: (UInt64, UInt64)) -> UInt32 { hash(seed: seed, identification: identification) }

    /// The hash of what consecutive datagrams of a pair of hosts have in common.
    func pairHash(seed: (UInt64, UInt64)) -> UInt32 { hash(seed: seed, identification: 0) }

    func isSamePair(as other: DatagramKey) -> Bool {
        source == other.source && destination == other.destination && protocolNumber == other.protocolNumber
            && version == other.version && direction == other.direction
    }

    private func hash(seed: (UInt64, UInt64), identification: UInt32) -> UInt32 {
        var sip = SipHash(seed: seed)
        sip.absorb(source.high)
        sip.absorb(source.low)
        sip.absorb(destination.high)
        sip.absorb(destination.low)
        sip.absorb(
            UInt64(identification) | UInt64(protocolNumber) << 32 | UInt64(version) << 40
                | UInt64(direction.rawValue) << 48)
        return UInt32(truncatingIfNeeded: sip.finish())
    }
}

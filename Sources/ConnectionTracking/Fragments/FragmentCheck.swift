// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// The checks that a fragment fails by itself, whatever else was seen of its datagram. The first that applies, in the order
/// of the reasons' numbers, is the reason.
enum FragmentCheck {
    static func refusal(of packet: borrowing PacketHeaders, _ settings: FragmentSettings) -> FragmentRefusal? {
        let fragment = packet.fragment
        if settings.row.drops { return .fragmentedByRow }
        if settings.isDenied { return .fragmented }
        if packet.network == .ipv4, settings.dontFragmentDenied, fragment.dontFragment { return .invalidOffset }
        if packet.network == .ipv6, fragment.moreFragments, fragment.dataLength % 8 != 0 { return .unevenLength }
        if fragment.offset == 0, packet.length < settings.minimumSize { return .firstTooSmall }
        if datagramLength(packet) > maximumLength { return .outOfBounds }
        if fragment.offset != 0, fragment.offset < settings.minimumOffset { return .offsetTooSmall }
        if packet.network == .ipv6, settings.smallIPv6Denied, fragment.moreFragments,
            packet.length < minimumIPv6MTU
        {
            return .ipv6TooSmall
        }
        return nil
    }

    private static let maximumLength: UInt32 = 65_535
    private static let minimumIPv6MTU: UInt32 = 1_280
    private static let ipv6FixedAndFragmentHeader: UInt32 = 48

    /// What the length field of the reassembled datagram would at least have to say: for IPv4 the total length (RFC 791),
    /// for IPv6 the payload length, extension headers before the fragment header included (RFC 8200 section 4.5). The
    /// original ping of death is 65,538 bytes long, though its data ends at 65,518.
    private static func datagramLength(_ packet: borrowing PacketHeaders) -> UInt32 {
        let length = packet.fragment.offset &+ packet.length
        guard packet.network == .ipv6 else { return length }
        return length &- min(ipv6FixedAndFragmentHeader, length)
    }
}

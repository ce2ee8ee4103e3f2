// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// Stage F.
extension ReasonCase {
    private static let whole = PacketBuilder.toHost.udp(5_000, 5_001).payload(count: 600)
    private static let whole6 = PacketBuilder.toHost6.udp(5_000, 5_001).payload(count: 3_000)
    private static let datagram = PacketBuilder.toHost.udp(5_000, 53).payload(count: 600)
    private static let service = """
        rules: [{ name: DNS, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }]
        """

    /// No rule that could look at the ports of a later fragment.
    private static let bare = stateless + "\nengine: { built-in-rules: { dhcp-dns: off } }"

    private static let noDF =
        stateless + "\nengine: { built-in-rules: { dhcp-dns: off }, sanity: { df-fragments: deny } }"

    static let fragments: [ReasonCase] = [
        ReasonCase(
            .fragmented, "while refused", "stateful: { ip: { fragments: deny }, udp: { enabled: false } }",
            whole.fragment(0..<304), but: whole),
        ReasonCase(
            .fragmented, "by the posture", stateless + "\nengine: { anti-evasion: { fragments: deny } }",
            whole6.fragment(0..<1_232), but: whole6.fragmentFields(offset: 0, more: false)),
        ReasonCase(
            .invalidFragmentOffset, "Don't Fragment with More Fragments", noDF, whole.dontFragment().fragment(0..<304),
            but: whole.fragment(0..<304)),
        ReasonCase(
            .invalidFragmentOffset, "Don't Fragment with an offset", noDF, whole.dontFragment().fragment(304..<608),
            but: whole.fragment(304..<608)),
        ReasonCase(
            .invalidFragmentOffset, "a first fragment of IPv6 that is no multiple of eight bytes long", bare,
            whole6.fragment(0..<1_244), but: whole6.fragment(0..<1_240)),
        ReasonCase(
            .invalidFragmentOffset, "one of IPv6 in the middle", bare, whole6.fragment(1_240..<2_484),
            but: whole6.fragment(1_240..<3_007, more: false)),
        ReasonCase(.firstFragmentTooSmall, "116 bytes", bare, whole.fragment(0..<96), but: whole.fragment(0..<104)),
        ReasonCase(
            .fragmentOutOfBounds, "ending at 65,536", bare,
            whole.payload(count: 32).fragmentFields(offset: 65_480, more: false),
            but: whole.payload(count: 24).fragmentFields(offset: 65_480, more: false)),
        ReasonCase(
            .fragmentOffsetTooSmall, "at byte 56", bare, whole.fragment(56..<304), but: whole.fragment(64..<304)),
        ReasonCase(
            .overlappingFragment, "by eight bytes", stateless, scene: { $0.receives(whole.fragment(0..<304)) },
            raises: { $0.receives(whole.fragment(296..<608)) }, spares: { $0.receives(whole.fragment(304..<608)) }),
        ReasonCase(
            .overlappingFragment, "the same place, one other byte", stateless,
            scene: { $0.receives(whole6.fragment(0..<1_232)) },
            raises: { $0.receives(whole6.payload(count: 3_001).fragment(0..<1_232)) },
            spares: { $0.receives(whole6.fragment(0..<1_232)) }),
        ReasonCase(
            .overlappingFragment, "the whole datagram is condemned", stateless,
            scene: {
                $0.receives(whole.fragment(0..<304))
            },
            raises: {
                $0.receives(whole.identification(2).fragment(0..<304))
                return $0.receives(whole.fragment(296..<400))
            },
            spares: { $0.receives(whole.fragment(0..<304)) }),
        ReasonCase(
            .ipv6FragmentTooSmall, "1,272 bytes", bare, whole6.fragment(0..<1_224), but: whole6.fragment(0..<1_232)),
        ReasonCase(
            .incompleteDatagram, "the first one does not come", service,
            raises: { engine in
                engine.receives(datagram.fragment(304..<608))
                engine.waits(.seconds(1))
                return engine.released.last ?? .hold
            },
            spares: { engine in
                engine.receives(datagram.fragment(304..<608))
                engine.waits(.milliseconds(999))
                engine.receives(datagram.fragment(0..<304))
                return engine.released.last ?? .hold
            }),
    ]
}

// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import Testing

@Suite("Each switch of engine.sanity decides about what it names")
struct SanitySettingTests {
    /// The switch that refuses nothing, its reason, and how the cases of that reason begin which it concerns.
    static let switches: [(setting: String, reason: DropReason, cases: String)] = [
        ("allow-null-ip: true", .nullIP, ""),
        ("block-ipv6: false", .ipv6Packet, ""),
        ("block-same-source-destination: false", .sameSourceAndDestinationIP, "LAND"),
        ("drop-zero-payload: false", .ipZeroPayload, ""),
        ("verify-tcp-checksum: false", .invalidChecksum, "one bit wrong"),
        ("minimum-fragment-size: 0", .firstFragmentTooSmall, ""),
        ("minimum-fragment-offset: 0", .fragmentOffsetTooSmall, ""),
        ("ipv6: { routing-header-0: allow }", .ipv6RoutingHeader0, ""),
        ("ipv6: { reserved: allow }", .invalidIPv6Address, "reserved"),
        ("ipv6: { bogon: allow }", .invalidIPv6Address, "documentation"),
        ("ipv6: { site-local: allow }", .invalidIPv6Address, "site-local"),
        ("ipv6: { 6to4-bogon: allow }", .invalidIPv6Address, "6to4"),
        ("reserved-addresses: allow", .invalidIP, "class E"),
        ("df-fragments: allow", .invalidFragmentOffset, "Don't Fragment"),
        ("source-routing: allow", .sourceRouted, ""),
        ("record-route: allow", .recordRoute, ""),
        ("own-source: allow", .spoofedOwnAddress, ""),
        ("link-local: allow", .linkLocalAddress, ""),
        ("reverse-path: allow", .reversePath, ""),
        ("broadcast-source: allow", .broadcastSource, ""),
        ("ipv6: { small-fragments: allow }", .ipv6FragmentTooSmall, ""),
    ]

    /// A case's policy with this setting instead of its own of the engine.
    private static func policy(_ text: String, _ setting: String) -> String {
        let kept = text.split(separator: "\n").filter { !$0.hasPrefix("engine:") }.joined(separator: "\n")
        return kept + "\nengine: { built-in-rules: { dhcp-dns: off }, sanity: { \(setting) } }"
    }

    @Test("The packet that raises the reason otherwise passes", arguments: switches.indices)
    func switched(_ place: Int) throws {
        let (setting, reason, what) = Self.switches[place]
        let cases = ReasonCase.all.filter { $0.reason == reason && $0.what.hasPrefix(what) }
        #expect(!cases.isEmpty)
        for reasonCase in cases {
            let engine = try EngineUnderTest(Self.policy(reasonCase.policy, setting))
            try reasonCase.scene(engine)
            #expect(try reasonCase.raises(engine) == .pass, "\(reasonCase.what)")
            #expect(engine.events.isEmpty, "\(reasonCase.what)")
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import PacketWire
import TestSupport
import Testing

/// The tuples and identifiers are those that the specification publishes (baseline_deflt.json, seed 0).
@Suite("Community ID 1.0")
struct CommunityIDTests {
    private func identifier(_ packet: PacketBuilder) -> String? { CommunityID(packet.headers)?.text }

    @Test(
        "TCP and UDP, both directions",
        arguments: [
            ("128.232.110.120", 34_855, "66.35.250.204", 80, true, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            ("66.35.250.204", 80, "128.232.110.120", 34_855, true, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            ("192.168.1.52", 54_585, "8.8.8.8", 53, false, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            ("8.8.8.8", 53, "192.168.1.52", 54_585, false, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            (
                "2001:470:e5bf:dead:4957:2174:e82c:4887", 63_943, "2607:f8b0:400c:c03::1a", 25, true,
                "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="
            ),
            (
                "2607:f8b0:400c:c03::1a", 25, "2001:470:e5bf:dead:4957:2174:e82c:4887", 63_943, true,
                "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="
            ),
        ] as [(IPAddress, UInt16, IPAddress, UInt16, Bool, String)])
    func ports(from: IPAddress, _ sport: UInt16, to: IPAddress, _ dport: UInt16, isTCP: Bool, expected: String) {
        let network: PacketBuilder = from.isMappedV4 ? .ipv4(from: from, to: to) : .ipv6(from: from, to: to)
        #expect(identifier(isTCP ? network.tcp(sport, dport, [.syn]) : network.udp(sport, dport)) == expected)
    }

    @Test(
        "ICMP: what answers what shares an identifier, and everything else has a direction",
        arguments: [
            ("192.168.0.89", "192.168.0.1", 8, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
            ("192.168.0.1", "192.168.0.89", 0, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
            ("10.0.0.1", "10.0.0.2", 11, 0, "1:YHxtAirCG//0OzkcVAukqKQN9xM="),
            ("fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
            ("fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
            ("fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 135, 0, "1:zavyT/cezQr1fmImYCwYnMXbgck="),
            ("fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 136, 0, "1:zavyT/cezQr1fmImYCwYnMXbgck="),
            ("3ffe:501:1800:2345::2", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0, "1:2ObVBgIn28oZvibYZhZMBgh7WdQ="),
            (
                "3ffe:501:410:0:2c0:dfff:fe47:33e", "3ffe:507:0:1:200:86ff:fe05:80da", 1, 4,
                "1:hLZd0XGWojozrvxqE0dWB1iM6R0="
            ),
            ("3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:501:0:1001::2", 128, 0, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="),
            ("3ffe:501:0:1001::2", "3ffe:507:0:1:200:86ff:fe05:80da", 129, 0, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="),
            ("fe80::200:86ff:fe05:80da", "ff02::2", 133, 0, "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0="),
            ("fe80::260:97ff:fe07:69ea", "ff02::1", 134, 0, "1:pkvHqCL88/tg1k4cPigmZXUtL00="),
        ] as [(IPAddress, IPAddress, UInt8, UInt8, String)])
    func icmp(from: IPAddress, to: IPAddress, type: UInt8, code: UInt8, expected: String) {
        let network: PacketBuilder = from.isMappedV4 ? .ipv4(from: from, to: to) : .ipv6(from: from, to: to)
        #expect(identifier(network.icmp(type, code: code)) == expected)
    }

    @Test("a protocol without ports: addresses and number")
    func noPorts() {
        let expected = "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="
        #expect(identifier(.ipv4(from: "10.1.12.1", to: "10.1.12.2").upperLayer(46).payload([1])) == expected)
        #expect(identifier(.ipv4(from: "10.1.12.2", to: "10.1.12.1").upperLayer(46).payload([1])) == expected)
    }

    @Test("there is none where the tuple is not known: SCTP's ports, a later fragment, a header cut short, no IP")
    func unknown() {
        let network = PacketBuilder.ipv4(from: "192.0.2.1", to: "192.0.2.2")
        #expect(identifier(network.upperLayer(132).payload(count: 20)) == nil)
        #expect(identifier(network.udp(1, 2).payload(count: 100).fragment(64..<108)) == nil)
        var cutShort = network.tcp(1, 2, [.syn]).headers
        (cutShort.transport, cutShort.sourcePort, cutShort.destinationPort) = (.none, 0, 0)
        #expect(CommunityID(cutShort) == nil)
        #expect(identifier(.arpRequest(for: "192.0.2.1", from: "192.0.2.2")) == nil)
        #expect(identifier(network.udp(1, 2).payload(count: 100).fragment(0..<64)) == identifier(network.udp(1, 2)))
    }
}

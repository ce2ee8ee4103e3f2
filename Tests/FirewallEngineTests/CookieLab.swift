// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// Engines with SYN cookies, and floods against them.
extension EngineUnderTest {
    static let web = """
        rules:
          - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
          - { name: None, action: deny, direction: outgoing, protocol: udp }

        """

    /// A host that listens at port 80 and answers by cookies from so many half-open connections on.
    static func withCookies(
        threshold: UInt32 = 10, limits: String = "", _ more: String = "", rules: String = web
    ) throws -> EngineUnderTest {
        let stateful =
            "stateful: { tcp: { syn-flood: { cookies: on, threshold: \(threshold) }, limits: { \(limits) } } }\n"
        let engine = try EngineUnderTest(rules + stateful + more)
        engine.listens(at: 80)
        return engine
    }

    func listens(at port: UInt16) {
        var ports = ListeningPorts()
        ports.insert(tcp: port)
        engine.listeningPorts = ports
        engine.hasSYNCookies = true
    }

    /// SYNs of so many computers, each of another.
    @discardableResult
    func flood(
        _ count: UInt32, from first: UInt32 = 0, to port: UInt16 = 80, at location: SourceLocation = #_sourceLocation
    ) -> Int {
        var passed = 0
        for n in first..<first + count {
            let syn = PacketBuilder.ipv4(from: IPAddress(v4: 0xcb00_0000 &+ n), to: .host).syn(1_024, port)
            if receives(syn, at: location) == .pass { passed += 1 }
        }
        return passed
    }

    /// As many seconds go by, with upkeep often enough to look at everything in each.
    func idles(_ seconds: Int) {
        for _ in 0..<seconds {
            waits(.seconds(1))
            for _ in 0..<5 { waits(.zero) }
        }
    }

    /// Whether port 80 of the host is in cookie mode.
    var isFlooded: Bool { engine.floodedListeners.contains { $0.port == 80 && $0.version == 4 } }
}

extension TCPTalk {
    /// This host's answer to an ACK or a segment with a wrong cookie.
    func refusal(shift: Int = 0) -> PacketBuilder {
        PacketBuilder.ip(from: host.address, to: peer.address)
            .tcp(
                host.port, peer.port, .rst, seq: peer.expected &+ UInt32(truncatingIfNeeded: shift), ack: 0, window: 0)
    }
}

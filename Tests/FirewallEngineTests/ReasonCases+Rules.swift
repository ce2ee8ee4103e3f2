// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

/// Stages R, U and C.
extension ReasonCase {
    private static let syn = PacketBuilder.toHost.syn(40_000, 80)
    private static let ping = PacketBuilder.toHost.echoRequest(id: 7, seq: 1)
    private static let web = """
        rules:
          - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
        """

    static let rules: [ReasonCase] = [
        ReasonCase(
            .logOnly, "a packet that passes",
            "rules: [{ name: Look, action: log-only, direction: incoming, protocol: tcp, destination: { ports: 80 } }]",
            syn, but: PacketBuilder.toHost.syn(40_000, 81)
        ).with {
            $0.rule = "Look"
            $0.action = .logOnly
        },
        ReasonCase(
            .deny, "an incoming packet",
            "rules: [{ name: No web, action: deny, direction: incoming, protocol: tcp, destination: { ports: 80 } }]",
            syn, but: PacketBuilder.toHost.syn(40_000, 81)
        ).with { $0.rule = "No web" },
        ReasonCase(
            .deny, "an outgoing packet",
            "rules: [{ name: No mail, action: deny, direction: outgoing, protocol: tcp, destination: { ports: 25 } }]",
            raises: { $0.sends(.fromHost.syn(40_000, 25)) }, spares: { $0.receives(.toHost.syn(40_000, 25)) }
        ).with {
            $0.rule = "No mail"
            $0.direction = .outgoing
        },
        ReasonCase(.outOfAllowedPolicy, "another port", web, PacketBuilder.toHost.syn(40_000, 81), but: syn),
        ReasonCase(
            .outOfAllowedPolicy, "outgoing",
            "rules: [{ name: Web, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 80 } }]",
            raises: { $0.sends(.fromHost.syn(40_000, 81)) }, spares: { $0.sends(.fromHost.syn(40_000, 80)) }
        ).with { $0.direction = .outgoing },
        ReasonCase(
            .outOfAllowedPolicyOpenPort, "TCP", web, scene: { $0.engine.listeningPorts.insert(tcp: 81) },
            raises: { $0.receives(.toHost.syn(40_000, 81)) }, spares: { $0.receives(.toHost.syn(40_000, 82)) }
        ).with { $0.spared = .drop(.outOfAllowedPolicy) },
        ReasonCase(
            .outOfAllowedPolicyOpenPort, "UDP, which is not TCP", web,
            scene: { $0.engine.listeningPorts.insert(udp: 53) },
            raises: { $0.receives(.toHost.udp(40_000, 53)) }, spares: { $0.receives(.toHost.syn(40_000, 53)) }
        ).with { $0.spared = .drop(.outOfAllowedPolicy) },
        ReasonCase(
            .outOfAllowedPolicyOpenPort, "never what is forwarded", web + "\ninterfaces: { inside: [eth1] }",
            scene: { $0.engine.listeningPorts.insert(tcp: 81) }, raises: { $0.receives(.toHost.syn(40_000, 81)) },
            spares: { $0.forwards(.toHost.syn(40_000, 81), from: 2, to: 3) }
        ).with { $0.spared = .drop(.outOfAllowedPolicy) },
        ReasonCase(
            .unsolicitedUDP, "nobody asked", raises: { $0.receives(.toHost.udp(53, 5_000)) },
            spares: {
                $0.sends(.fromHost.udp(5_000, 53))
                return $0.receives(.toHost.udp(53, 5_000))
            }),
        ReasonCase(
            .unsolicitedUDP, "an answer from another port", scene: { $0.sends(.fromHost.udp(5_000, 53)) },
            raises: { $0.receives(.toHost.udp(54, 5_000)) }, spares: { $0.receives(.toHost.udp(53, 5_000)) }),
        ReasonCase(
            .unsolicitedUDP, "an answer that comes too late", scene: { $0.sends(.fromHost.udp(5_000, 53)) },
            raises: {
                $0.waits(.seconds(20))
                return $0.receives(.toHost.udp(53, 5_000))
            },
            spares: {
                $0.waits(.milliseconds(19_999))
                return $0.receives(.toHost.udp(53, 5_000))
            }),
        ReasonCase(
            .unsolicitedICMP, "a request", "", ping, but: PacketBuilder.toHost6.echoRequest(id: 7, seq: 1)),
        ReasonCase(
            .unsolicitedICMP, "a reply to nothing", scene: { $0.sends(.fromHost.echoRequest(id: 7, seq: 1)) },
            raises: { $0.receives(.toHost.echoReply(id: 8, seq: 1)) },
            spares: { $0.receives(.toHost.echoReply(id: 7, seq: 1)) }),
        ReasonCase(
            .unsolicitedICMP, "an error about nothing", scene: { $0.sends(.fromHost.udp(5_000, 53)) },
            raises: { $0.receives(.toHost.unreachable(code: 3, quoting: .fromHost.udp(5_001, 53))) },
            spares: { $0.receives(.toHost.unreachable(code: 3, quoting: .fromHost.udp(5_000, 53))) }),
    ]

    static let connections: [ReasonCase] = perComputer + tables + rated

    private static func web(at rate: String, _ action: String) -> String {
        "rules: [{ name: Web, action: \(action), direction: incoming, protocol: tcp, rate: \(rate), destination: { ports: 80 } }]"
    }

    private static let rated: [ReasonCase] = ["allow", "force-allow"].map { action in
        ReasonCase(
            .connectionRate, "the third of two in a minute that a rule (\(action)) admits", web(at: "2/1m", action),
            scene: { for port in UInt16(1)...2 { $0.receives(.toHost.syn(port, 80)) } },
            raises: { $0.receives(.toHost.syn(3, 80)) },
            spares: {
                $0.waits(.seconds(30))
                return $0.receives(.toHost.syn(3, 80))
            }
        ).with { $0.rule = "Web" }
    }

    private static let perComputer: [ReasonCase] = [
        ReasonCase(
            .maxIncomingConnections, "the third of two", "stateful: { tcp: { limits: { incoming-per-computer: 2 } } }",
            scene: {
                TCPTalk($0, peerPort: 1).open()
                TCPTalk($0, peerPort: 2).open()
            },
            raises: { $0.receives(.toHost.syn(3, 80)) },
            spares: { $0.receives(.ipv4(from: .other, to: .host).syn(3, 80)) }),
        ReasonCase(
            .maxOutgoingConnections, "the third of two", "stateful: { tcp: { limits: { outgoing-per-computer: 2 } } }",
            scene: {
                TCPTalk($0, hostPort: 1, peerPort: 80).open(by: .host)
                $0.sends(.fromHost.syn(2, 80))
            },
            raises: { $0.sends(.fromHost.syn(3, 80)) },
            spares: { $0.sends(.ipv4(from: .host, to: .other).syn(3, 80)) }
        ).with { $0.direction = .outgoing },
        ReasonCase(
            .maxSYNSent, "the third of two half-open", "stateful: { tcp: { limits: { half-open-per-computer: 2 } } }",
            scene: { $0.receives(.toHost.syn(1, 80)) },
            raises: {
                $0.receives(.toHost.syn(2, 80))
                return $0.receives(.toHost.syn(3, 80))
            },
            spares: {
                TCPTalk($0, peerPort: 2).open()
                return $0.receives(.toHost.syn(3, 80))
            }),
        ReasonCase(
            .maxSYNSent, "one half-open more than all may have", "stateful: { tcp: { limits: { half-open: 2 } } }",
            scene: { $0.receives(.toHost.syn(1, 80)) },
            raises: {
                $0.receives(.ipv4(from: .other, to: .host).syn(2, 80))
                return $0.receives(.toHost.syn(3, 80))
            },
            spares: {
                TCPTalk($0, peerPort: 2).open()
                return $0.receives(.toHost.syn(3, 80))
            }),
        ReasonCase(
            .synCookieError, "an ACK that this host refuses",
            "stateful: { tcp: { syn-flood: { cookies: on, threshold: 1 } } }",
            scene: {
                $0.listens(at: 80)
                $0.flood(3)
                $0.receives(.toHost.tcp(9, 80, .ack, seq: 1, ack: 777))
            },
            raises: { $0.sends(.fromHost.tcp(80, 9, .rst, seq: 777, ack: 0)) },
            spares: { $0.sends(.fromHost.tcp(80, 9, .ack, seq: 777, ack: 1)) }
        ).with { $0.action = .notice },
    ]

    private static let tables: [ReasonCase] = [
        ReasonCase(
            .maxTCPConnections, "nothing can be given up", "engine: { limits: { tcp: 2 } }",
            scene: { TCPTalk($0, peerPort: 1).open() },
            raises: {
                TCPTalk($0, peerPort: 2).open()
                return $0.receives(.toHost.syn(3, 80))
            },
            spares: {
                $0.receives(.toHost.syn(2, 80))
                return $0.receives(.toHost.syn(3, 80))
            }),
        ReasonCase(
            .maxUDPConnections, "one more", "engine: { limits: { udp: 1 } }", scene: { $0.sends(.fromHost.udp(1, 53)) },
            raises: { $0.sends(.fromHost.udp(2, 53)) }, spares: { $0.sends(.fromHost.udp(1, 53)) }
        ).with { $0.direction = .outgoing },
        ReasonCase(
            .maxICMPConnections, "one more", "engine: { limits: { icmp: 1 } }",
            scene: { $0.sends(.fromHost.echoRequest(id: 1, seq: 1)) },
            raises: { $0.sends(.fromHost.echoRequest(id: 2, seq: 1)) },
            spares: { $0.sends(.fromHost.echoRequest(id: 1, seq: 2)) }
        ).with { $0.direction = .outgoing },
    ]
}

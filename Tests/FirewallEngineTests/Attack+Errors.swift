// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// ICMP errors about what was never sent.
extension Attack {
    private static let noTunnels = "rules: [{ name: No tunnels, action: deny, direction: outgoing, protocol: gre }]"
    private static let onlyWeb = """
        rules:
          - { name: Web, action: allow, direction: outgoing, protocol: tcp+udp, destination: { ports: 443 } }
          - { name: Web in, action: allow, direction: incoming, protocol: tcp, destination: { ports: 443 } }
        """

    static let quotes = quotes(.toHost, .fromHost, "ICMP", 20) + quotes(.toHost6, .fromHost6, "ICMPv6", 40)

    private static func quotes(
        _ toHost: PacketBuilder, _ fromHost: PacketBuilder, _ family: String, _ header: Int
    ) -> [Attack] {
        let datagram = fromHost.udp(1, 443)
        let tunnel = fromHost.upperLayer(47).payload(count: 100)
        return ofConnections(toHost, fromHost, family) + [
            Attack(
                "\(family): a path MTU about a datagram that was never sent", is: .drop(.unsolicitedICMP),
                { $0.receives(toHost.packetTooBig(mtu: 1_280, quoting: datagram)) },
                but: {
                    $0.sends(datagram)
                    return $0.receives(toHost.packetTooBig(mtu: 1_280, quoting: datagram))
                }),
            Attack(
                "\(family): an error that quotes seven bytes beyond the header", is: .drop(.unsolicitedICMP),
                { $0.receives(toHost.timeExceeded(quoting: tunnel, bytes: header + 7)) },
                but: { $0.receives(toHost.timeExceeded(quoting: tunnel, bytes: header + 8)) }),
            Attack(
                "\(family): a path MTU about a tunnel that the rules do not let out", noTunnels,
                is: .drop(.unsolicitedICMP), { $0.receives(toHost.packetTooBig(mtu: 1_280, quoting: tunnel)) },
                but: { $0.receives(toHost.packetTooBig(mtu: 1_280, quoting: tunnel.upperLayer(50))) }),
        ]
            + [0, 47, 132, 253].map { (number: UInt8) in
                let unsent = fromHost.upperLayer(number).payload(count: 40)
                return Attack(
                    "\(family): an error about protocol \(number), which the rules do not let out", onlyWeb,
                    is: .drop(header == 20 ? .outOfAllowedPolicy : .unsolicitedICMP),
                    { $0.receives(toHost.unreachable(code: 1, quoting: unsent)) },
                    but: {
                        $0.sends(datagram)
                        return $0.receives(toHost.unreachable(code: 1, quoting: datagram))
                    })
            }
    }

    private static func ofConnections(
        _ toHost: PacketBuilder, _ fromHost: PacketBuilder, _ family: String
    ) -> [Attack] {
        [
            Attack(
                "\(family): an error about a connection with a sequence number that was never sent",
                is: .drop(.unsolicitedICMP),
                {
                    $0.sends(fromHost.syn(1, 443))
                    return $0.receives(toHost.timeExceeded(quoting: fromHost.syn(1, 443, seq: 0x4000_0000)))
                },
                but: {
                    $0.sends(fromHost.syn(1, 443))
                    return $0.receives(toHost.timeExceeded(quoting: fromHost.syn(1, 443)))
                }),
            Attack(
                "\(family): an error about an error", is: .drop(.unsolicitedICMP),
                {
                    $0.sends(fromHost.udp(1, 53))
                    let error = fromHost.timeExceeded(quoting: toHost.udp(53, 1))
                    return $0.receives(toHost.unreachable(code: 1, quoting: error, bytes: 100))
                },
                but: {
                    $0.sends(fromHost.echoRequest(id: 1, seq: 1))
                    return $0.receives(toHost.unreachable(code: 1, quoting: fromHost.echoRequest(id: 1, seq: 1)))
                }),
        ]
    }

    static let redirects = [
        Attack(
            "A redirect about a tunnel: nobody knows whether anything was sent", is: .drop(.unsolicitedICMP),
            { $0.receives(.toHost.icmpError(5, code: 1, quoting: .fromHost.upperLayer(47).payload(count: 99))) },
            but: {
                $0.sends(.fromHost.udp(1, 53))
                return $0.receives(.toHost.icmpError(5, code: 1, quoting: .fromHost.udp(1, 53)))
            }),
        Attack(
            "A redirect after a start, about a connection that may be older", startsNow: true,
            is: .drop(.unsolicitedICMP),
            { $0.receives(.toHost.icmpError(5, code: 1, quoting: .fromHost.tcp(1, 443, .ack))) },
            but: { $0.receives(.toHost.unreachable(code: 1, quoting: .fromHost.tcp(1, 443, .ack))) }),
        Attack(
            "ICMPv6: a redirect that quotes nothing", is: .drop(.unsolicitedICMP),
            { $0.receives(.toHost6.redirect(quoting: nil)) },
            but: {
                $0.sends(.fromHost6.udp(1, 53))
                return $0.receives(.toHost6.redirect(quoting: .fromHost6.udp(1, 53)))
            }),
        Attack(
            "ICMPv6: a redirect about what was never sent", is: .drop(.unsolicitedICMP),
            { $0.receives(.toHost6.redirect(quoting: .fromHost6.udp(1, 53))) },
            but: {
                $0.sends(.fromHost6.syn(1, 443))
                return $0.receives(.toHost6.redirect(quoting: .fromHost6.syn(1, 443)))
            }),
    ]
}

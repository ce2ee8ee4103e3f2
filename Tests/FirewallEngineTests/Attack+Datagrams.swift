// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// Datagrams to groups that claim to be the host's own.
extension Attack {
    /// As the kernel hands over what a tunnel device brings whose header says that a checksum is still to be filled in.
    private static func notReady(_ m: inout PacketMetadata) { m.checksumNotReady = true }

    static let groups: [Attack] = [
        ("multicast", PacketBuilder.ipv4(from: .host, to: "224.0.0.251")),
        ("broadcast", .ipv4(from: .host, to: "192.0.2.255")),
        ("IPv6 multicast", .ipv6(from: .host6, to: "ff02::fb")),
    ].flatMap { (kind: String, packet: PacketBuilder) in
        let own = packet.udp(5_353, 5_353).payload("who is printer.local")
        return [
            Attack(
                "\(kind): a datagram that the host never sent", is: .drop(.unsolicitedUDP),
                { $0.receives(own, notReady) },
                but: {
                    $0.sends(own, notReady)
                    return $0.receives(own, notReady)
                }),
            Attack(
                "\(kind): another than the one that the host has sent", is: .drop(.unsolicitedUDP),
                {
                    $0.sends(own, notReady)
                    return $0.receives(packet.udp(5_353, 5_353).payload("I am printer.local!!"), notReady)
                },
                but: {
                    $0.sends(own, notReady)
                    return $0.receives(own.transportChecksum(7), notReady)
                }),
            Attack(
                "\(kind): the same again", is: .drop(.unsolicitedUDP),
                {
                    $0.sends(own)
                    $0.receives(own, notReady)
                    return $0.receives(own, notReady)
                },
                but: {
                    for _ in 0..<2 { $0.sends(own) }
                    $0.receives(own)
                    return $0.receives(own, notReady)
                }),
            Attack(
                "\(kind): the same, long after", is: .drop(.unsolicitedUDP),
                {
                    $0.sends(own)
                    $0.waits(.seconds(11))
                    return $0.receives(own, notReady)
                },
                but: {
                    $0.sends(own)
                    $0.waits(.seconds(9))
                    return $0.receives(own, notReady)
                }),
        ]
    }
}

/// What the copy range hides.
extension Attack {
    private static let cutOpen = """
        failure: { engine: open }
        rules:
          - { name: No telnet, action: deny, priority: 4, direction: incoming, protocol: tcp, destination: { ports: 23 } }
          - { name: Not there, action: deny, priority: 4, direction: incoming, destination: { addresses: "fd00:0:0:1::66" } }
          - { name: Unreachable, action: deny, priority: 4, direction: incoming, protocol: icmp, icmp: { type: 3 } }
        """
    private static let padded = PacketBuilder.toHost6.destinationOptions([1, 58] + [UInt8](repeating: 0, count: 60))

    static let cuts = [
        Attack(
            "A SYN whose options were pushed beyond the copy, to a port that is denied", cutOpen, is: .drop(.deny),
            { $0.receives(padded.syn(1, 23), cutTo: 128) },
            but: { $0.receives(.toHost6.syn(1, 24)) }),
        Attack(
            "A packet whose ports were, to an address that is denied", cutOpen, is: .drop(.deny),
            {
                let packet = PacketBuilder.ipv6(from: .peer6, to: "fd00:0:0:1::66")
                    .destinationOptions([1, 90] + [UInt8](repeating: 0, count: 92)).syn(1, 24)
                return $0.receives(packet, cutTo: 128)
            },
            but: { $0.receives(.toHost6.syn(1, 24)) }),
        Attack(
            "An error whose quote was, of a type that is denied", cutOpen, is: .drop(.deny),
            { $0.receives(.toHost.unreachable(code: 1, quoting: .fromHost.udp(1, 2)), cutTo: 40) },
            but: {
                $0.sends(.fromHost.udp(1, 2))
                return $0.receives(.toHost.timeExceeded(quoting: .fromHost.udp(1, 2)))
            }),
    ]
}

/// Marks.
extension Attack {
    static let marks = [
        Attack(
            "A packet with the agent's mark, of another user",
            "rules: [{ name: No, action: deny, direction: outgoing, protocol: udp }]", ownUser: 997, is: .drop(.deny),
            { engine in
                engine.sends(.fromHost.udp(1, 514)) {
                    $0.mark = 0xff00_0000
                    $0.senderUID = 1_000
                }
            },
            but: { engine in
                engine.sends(.fromHost.udp(1, 514)) {
                    $0.mark = 0xff00_0000
                    $0.senderUID = 997
                }
            })
    ]
}

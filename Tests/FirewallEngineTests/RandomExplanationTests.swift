// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyFile
import TestSupport
import Testing

/// Packets of a small world, in any order, under policies of any strictness. What is said of each that was dropped is turned, the
/// policy is put in force before it comes, and it has to pass; with any part of that turned it must not.
@Suite("What is said of random packets is true")
struct RandomExplanationTests {
    @Test("Turned just before the packet comes, all of it lets it pass and no part does", arguments: 0..<8)
    func holds(_ number: Int) throws {
        var random = SeededRandom(seed: UInt64(truncatingIfNeeded: number) &+ .random(in: 0 ... .max / 2))
        let seed = random
        let yaml = Self.policy(&random)
        let packets = (0..<30).map { _ in Self.packet(&random) }
        for index in packets.indices {
            let engine = try replay(packets[..<index], yaml)
            guard case .drop = packets[index].come(to: engine), let event = engine.lastEvent, event.action == .deny
            else { continue }
            let remedy = event.remedy.causes
            guard remedy.allSatisfy(Self.canBeTurnedNow) else { continue }
            let rule = engine.remedyRule(of: event)
            for causes in remedy.properSubsets + [remedy] {
                let again = try replay(packets[..<index], yaml)
                let turned = try Turning.policy(yaml, turning: causes, rule: rule, event.metadata.direction)
                again.adopts(turned)
                let fate = packets[index].come(to: again)
                let isWhole = causes.count == remedy.count && !remedy.isEmpty
                #expect(
                    (fate == .pass || fate == .hold) == isWhole,
                    "\(event.reason) of \(event.headers.tcp.flags.rawValue), turned \(causes) of \(remedy): \(fate); \(seed)\n\(yaml)"
                )
            }
        }
    }

    private func replay(_ packets: ArraySlice<RandomPacket>, _ yaml: String) throws -> EngineUnderTest {
        let engine = try EngineUnderTest(yaml)
        for packet in packets { packet.come(to: engine) }
        return engine
    }

    /// A longer timeout brings nothing back that is forgotten already, and a new policy's limits hold for what opens later.
    private static func canBeTurnedNow(_ cause: Cause) -> Bool {
        switch cause {
        case .coldStart, .copyRange, .fragmentHold, .fragmentTimeout, .fragmentedDatagrams: false
        case .tcpTable, .udpTable, .icmpTable: false
        default:
            !(cause.setting ?? "").hasPrefix("engine.timeouts.")
                && !(cause.setting ?? "").hasPrefix("stateful.tcp.limits")
        }
    }

    private static func policy(_ random: inout SeededRandom) -> String {
        func some(_ chance: Int, _ text: String) -> String {
            Int.random(in: 0..<10, using: &random) < chance ? text : ""
        }
        let rows = [
            "urgent-flags", "congestion-flags", "syn-fin", "syn-data", "rst-out-of-connection",
            "fin-out-of-connection", "outgoing-out-of-connection", "paws-zero", "checksum", "zero-flags",
        ]
        let chosen = rows.map { "\($0): \(["allow", "deny", "log", "deny"].randomElement(using: &random) ?? "deny")" }
        return """
            stateful: { tcp: { congestion-flags: \(some(5, "deny").isEmpty ? "allow" : "deny") }, udp: { admit: \(some(5, "x").isEmpty ? "allow" : "force-allow") } }
            engine: { anti-evasion: { posture: strict, \(chosen.joined(separator: ", ")) }, sanity: { verify-tcp-checksum: \(some(5, "x").isEmpty) } }
            rules:
              - { name: Never, action: log-only, direction: incoming, protocol: tcp, destination: { ports: 9 } }
            \(some(5, "  - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }\n"))\
            \(some(3, "  - { name: No web, action: deny, direction: incoming, protocol: tcp, destination: { ports: 80 } }\n"))\
            \(some(3, "  - { name: Out, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 80 } }\n"))\
            \(some(3, "  - { name: No names, action: deny, direction: incoming, priority: 2, protocol: udp }\n"))
            """
    }

    private static func packet(_ random: inout SeededRandom) -> RandomPacket {
        let isOutgoing = Bool.random(using: &random)
        let addresses: [IPAddress] = [.peer, .other, .host]
        let remote =
            Int.random(in: 0..<20, using: &random) == 0
            ? .host : addresses.dropLast().randomElement(using: &random) ?? .peer
        let base = isOutgoing ? PacketBuilder.ipv4(from: .host, to: remote) : .ipv4(from: remote, to: .host)
        let ports: [UInt16] = [80, 40_000]
        let (from, to) = Bool.random(using: &random) ? (ports[0], ports[1]) : (ports[1], ports[0])
        if Int.random(in: 0..<6, using: &random) == 0 {
            return RandomPacket(packet: base.udp(from, to).payload(count: 4), isOutgoing: isOutgoing)
        }
        let common: [TCPFlags] = [.syn, .syn, [.syn, .ack], .ack, .ack, [.fin, .ack], .rst, [.rst, .ack]]
        var flags = common.randomElement(using: &random) ?? .syn
        if Int.random(in: 0..<4, using: &random) == 0 {
            flags = TCPFlags(rawValue: .random(in: 0 ... .max, using: &random))
        }
        let numbers: [UInt32] = [1_000, 1_001, 1_002, 5_000, 5_001, 90_000]
        var packet = base.tcp(
            from, to, flags, seq: numbers.randomElement(using: &random) ?? 0,
            ack: numbers.randomElement(using: &random) ?? 0
        ).payload(count: Int.random(in: 0..<3, using: &random) == 0 ? 1 : 0)
        if Int.random(in: 0..<10, using: &random) == 0 { packet = packet.transportChecksum(1) }
        return RandomPacket(packet: packet, isOutgoing: isOutgoing)
    }
}

struct RandomPacket: Sendable {
    let packet: PacketBuilder
    let isOutgoing: Bool

    @discardableResult
    func come(to engine: EngineUnderTest) -> Fate { isOutgoing ? engine.sends(packet) : engine.receives(packet) }
}

extension EngineUnderTest {
    /// Puts a policy in force that differs in its settings.
    func adopts(_ new: Policy) {
        engine.adopt(new, interfaces: EngineUnderTest.interfaces(new), activeSchedules: 0)
    }
}

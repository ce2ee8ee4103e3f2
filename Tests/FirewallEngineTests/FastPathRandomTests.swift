// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import Glibc
import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

@Suite("Random conversations on the fast path", .loadsPrograms)
struct FastPathRandomTests {
    private static let allow = "rules: [{name: web, action: allow, direction: incoming, protocol: tcp}]\n"

    /// 2,000 conversations are 16 of them (`FASTPATH_RUNS`): each packet that the program is tried with takes a millisecond.
    private static let runs = unsafe getenv("FASTPATH_RUNS").flatMap { unsafe Int(String(cString: $0)) } ?? 2

    @Test(
        "are judged packet by packet as without it, and leave the same windows, also where they began before the agent",
        arguments: 0..<runs, [false, true])
    func sameVerdicts(run: Int, isTakenOver: Bool) throws {
        var random = SeededRandom(seed: UInt64(run) << 32)
        let plain = try EngineUnderTest(Self.allow, startsNow: isTakenOver)
        let fast = try EngineUnderTest.withProgram(Self.allow, flows: 256, startsNow: isTakenOver)
        for conversation in 0..<125 {
            var talk = RandomTalk(port: UInt16(20_000 + conversation), random, isTakenOver: isTakenOver)
            for step in 0..<40 {
                let (packet, party) = talk.next()
                let fates = [plain, fast].map { engine in
                    party == .host ? engine.sends(packet) : engine.receives(packet)
                }
                let place = "run \(run), conversation \(conversation), packet \(step)"
                #expect(fates[0] == fates[1], "\(place)")
                talk.note(fates[0], of: party)
                if fates[0] != fates[1] { return }
            }
            random = talk.random
        }
        #expect(plain.events.map(\.reason) == fast.events.map(\.reason))
        #expect(try #require(fast.program).passed > 1000)
        fast.engine.detachFastPath(at: fast.clock.now)
        #expect(windows(of: plain) == windows(of: fast))
    }

    /// What the two must have in common. That something was not seen may be remembered longer by one of them.
    private struct Windows: Equatable {
        let key: ConnectionKey
        let bounds: [UInt32]
        let marks: [UInt8]
        let phase: TCPPhase
        let traffic: [Traffic]

        init(_ c: Connection) {
            key = c.key
            let ends = [c.tcp.low, c.tcp.high]
            bounds = ends.flatMap {
                [$0.start, $0.end, $0.ceiling, $0.acknowledged, $0.timestamp, $0.largestWindow]
            }
            marks = ends.map { $0.marks.subtracting(.gapped).rawValue }
            phase = c.tcp.phase
            traffic = [c.trafficOfLow, c.trafficOfHigh]
        }
    }

    private func windows(of engine: EngineUnderTest) -> [Windows] {
        var list: [Connection] = []
        var next: ConnectionIndex? = 0
        while let from = next { next = engine.engine.connections(from: from, atMost: 100, into: &list) }
        return list.map(Windows.init).sorted { $0.key.highPortOrIdentifier < $1.key.highPortOrIdentifier }
    }
}

/// A conversation of two stacks and somebody who changes a number, a flag or an option now and then.
private struct RandomTalk {
    struct End {
        var next: UInt32
        var expected: UInt32 = 0
        var window: UInt16
        var timestamp: UInt32
    }

    var random: SeededRandom
    private let port: UInt16
    private let hasTimestamps: Bool
    private let isIPv6: Bool
    private var host: End
    private var peer: End
    private var sent = 0
    /// What the last packet takes of its sender's sequence space, where it is as the stack would send it.
    private var taken: UInt32 = 0

    init(port: UInt16, _ random: SeededRandom, isTakenOver: Bool) {
        self.random = random
        self.port = port
        hasTimestamps = Bool.random(using: &self.random)
        isIPv6 = Bool.random(using: &self.random)
        host = End(
            next: .random(in: 0 ... .max, using: &self.random), window: .random(in: 0 ... .max, using: &self.random),
            timestamp: .random(in: 1 ... .max, using: &self.random))
        peer = End(
            next: .random(in: 0 ... .max, using: &self.random), window: .random(in: 0 ... .max, using: &self.random),
            timestamp: .random(in: 1 ... .max, using: &self.random))
        if isTakenOver {
            sent = 3
            host.expected = peer.next
            peer.expected = host.next
        }
    }

    private subscript(party: TCPTalk.Party) -> End {
        get { party == .host ? host : peer }
        set { if party == .host { host = newValue } else { peer = newValue } }
    }

    mutating func next() -> (PacketBuilder, TCPTalk.Party) {
        sent += 1
        switch sent {
        case 1: return (packet(.peer, .syn, data: 0), .peer)
        case 2: return (packet(.host, [.syn, .ack], data: 0), .host)
        case 3: return (packet(.peer, .ack, data: 0), .peer)
        default: break
        }
        let party: TCPTalk.Party = chance(50) ? .host : .peer
        let data = chance(60) ? Int.random(in: 1...600, using: &random) : 0
        self[party].timestamp &+= UInt32.random(in: 0...3, using: &random)
        if chance(20) { self[party].window = .random(in: 0 ... .max, using: &random) }
        return (chance(75) ? packet(party, chance(30) ? [.psh, .ack] : .ack, data: data) : mutated(party, data), party)
    }

    /// What passed was received.
    mutating func note(_ fate: Fate, of party: TCPTalk.Party) {
        guard fate == .pass, taken > 0 else { return }
        self[party].next &+= taken
        // Now and then the answer is late.
        if sent < 4 || chance(80) {
            host.expected = peer.next
            peer.expected = host.next
        }
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    private mutating func packet(
        _ party: TCPTalk.Party, _ flags: TCPFlags, data: Int, by shift: UInt32 = 0, acknowledging: UInt32 = 0,
        sack: [(UInt32, UInt32)] = [], timestamp: UInt32 = 0
    ) -> PacketBuilder {
        let end = self[party]
        taken = shift == 0 ? UInt32(data) + (flags.contains(.syn) ? 1 : 0) : 0
        var options: [TCPOption] = flags.contains(.syn) ? [.mss(1460), .windowScale(4), .noOperation] : []
        if hasTimestamps { options += [.noOperation, .noOperation, .timestamps(end.timestamp &+ timestamp, echo: 0)] }
        if !sack.isEmpty { options += [.noOperation, .noOperation, .sack(sack)] }
        let (own, other): (IPAddress, IPAddress) = isIPv6 ? (.host6, .peer6) : (.host, .peer)
        let (from, to) = party == .host ? (own, other) : (other, own)
        return PacketBuilder.ip(from: from, to: to)
            .tcp(
                party == .host ? 80 : port, party == .host ? port : 80, flags, seq: end.next &+ shift,
                ack: flags.contains(.ack) ? end.expected &+ acknowledging : 0, window: end.window, options: options
            )
            .payload(count: data)
    }

    private mutating func mutated(_ party: TCPTalk.Party, _ data: Int) -> PacketBuilder {
        let other = party == .host ? peer : host
        // At and around the bounds, and anywhere.
        let right = other.expected &+ UInt32(other.window) << 4 &- self[party].next &- UInt32(data)
        let steps: [UInt32] = [
            0, 1, .max, 100, 0 &- 100, right, right &+ 1, right &- 1, 0 &- 66_000, 0 &- 65_000, 1 << 31,
            .random(in: 0 ... .max, using: &random),
        ]
        let (shift, ackShift) = (steps.randomElement(using: &random) ?? 0, steps.randomElement(using: &random) ?? 0)
        let edge = self[party].expected
        switch Int.random(in: 0..<7, using: &random) {
        case 0: return packet(party, .ack, data: data, by: shift)
        case 1: return packet(party, .ack, data: data, by: shift, acknowledging: ackShift)
        case 2: return packet(party, .ack, data: data, acknowledging: ackShift)
        case 3: return packet(party, .ack, data: data, sack: [(edge &+ 10, edge &+ ackShift)])
        case 4: return packet(party, .ack, data: data, sack: [(edge &- 90, edge), (edge &+ 10, edge &+ shift)])
        // No jump that leads half round in two.
        case 5: return packet(party, .ack, data: data, timestamp: min(shift, 1 << 29))
        default:
            let flags = TCPFlags(rawValue: UInt8.random(in: 0...255, using: &random))
            // What opens or resets it ends most conversations.
            return packet(party, chance(10) ? flags : flags.subtracting([.syn, .rst, .fin]), data: data, by: shift)
        }
    }
}

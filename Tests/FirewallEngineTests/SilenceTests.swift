// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

/// That nothing is uncounted, whatever is silenced, is checked by `EngineUnderTest` after every packet.
@Suite("What settings silence is dropped and counted all the same")
struct SilenceTests {
    private func silent(_ policy: String, _ reason: DropReason, _ packets: [PacketBuilder]) throws {
        let engine = try EngineUnderTest(policy)
        for packet in packets { #expect(engine.receives(packet) == .drop(reason)) }
        #expect(engine.events.isEmpty)
        #expect(engine.engine.counters.silenced[Int(reason.rawValue)] == UInt64(packets.count))
    }

    @Test("A rule with log: false")
    func rule() throws {
        try silent(
            "rules: [{ name: No, action: deny, direction: incoming, protocol: tcp, log: false }]", .deny,
            [.toHost.syn(1, 2), .toHost.syn(1, 3)])
    }

    @Test("tcp.log, udp.log and icmp.log")
    func protocols() throws {
        try silent("stateful: { tcp: { log: false } }", .outOfConnection, [.toHost.tcp(1, 2, .ack)])
        try silent("stateful: { tcp: { log: false } }", .invalidFlags, [.toHost.tcp(1, 2, [])])
        try silent("stateful: { udp: { log: false } }", .unsolicitedUDP, [.toHost.udp(1, 2)])
        try silent("stateful: { icmp: { log: false } }", .unsolicitedICMP, [.toHost.echoRequest(id: 1, seq: 1)])
    }

    @Test("tcp.log covers the limits that stand under stateful.tcp")
    func limits() throws {
        let engine = try EngineUnderTest("stateful: { tcp: { log: false, limits: { incoming-per-computer: 1 } } }")
        engine.receives(.toHost.syn(1, 2))
        #expect(engine.receives(.toHost.syn(2, 2)) == .drop(.maxIncomingConnections))
        #expect(engine.events.isEmpty)
    }

    @Test("events.ignore")
    func ignored() throws {
        try silent("events: { ignore: [unsolicited-udp] }", .unsolicitedUDP, [.toHost.udp(1, 2)])
        let engine = try EngineUnderTest("events: { ignore: [unsolicited-udp] }")
        engine.receives(.toHost.echoRequest(id: 1, seq: 1))
        #expect(engine.events.count == 1)
    }

    @Test("A posture row that says deny-silent, also for the fragments that follow")
    func silentRow() throws {
        let policy = "engine: { anti-evasion: { urgent-flags: deny-silent } }"
        try silent(policy, .invalidFlags, [.toHost.tcp(1, 2, [.syn, .urg])])
        let segment = PacketBuilder.toHost.tcp(1, 2, [.ack, .urg]).payload(count: 300)
        try silent(policy, .invalidFlags, [segment.fragment(0..<104), segment.fragment(104..<320)])
    }

    @Test("A posture row that says log lets the packet pass, and says so once")
    func loggingRows() throws {
        for (row, packet, reason) in [
            ("urgent-flags", PacketBuilder.toHost.tcp(1, 2, [.syn, .urg]), DropReason.invalidFlags),
            ("congestion-flags", .toHost.tcp(1, 2, [.syn, .ece]), .ceFlags),
            ("checksum", .toHost.tcp(1, 2, .syn).transportChecksum(1), .invalidChecksum),
            ("rst-out-of-connection", .toHost.tcp(1, 2, .rst), .outOfConnection),
            ("fragments", .toHost.tcp(1, 2, .rst).payload(count: 300).fragment(0..<104), .fragmented),
        ] {
            let engine = try EngineUnderTest("engine: { anti-evasion: { \(row): log } }")
            #expect(engine.receives(packet) == .pass, "\(row)")
            #expect(engine.events.map(\.reason) == [reason], "\(row)")
            #expect(engine.lastEvent?.action == .logOnly)
            #expect(engine.lastEvent?.note == .posture)
        }
    }

    @Test("One row that allows does not undo another that logs")
    func twoRows() throws {
        let engine = try EngineUnderTest("engine: { anti-evasion: { fragments: log } }")
        #expect(engine.receives(.toHost.tcp(1, 2, [.rst, .urg]).payload(count: 300).fragment(0..<104)) == .pass)
        #expect(engine.events.map(\.reason) == [.fragmented])
    }

    @Test("An outbox that nobody empties loses events, not counts")
    func fullOutbox() throws {
        let engine = try EngineUnderTest()
        let metadata = PacketMetadata()
        let bytes = PacketBuilder.toHost.udp(1, 2).bytes
        var packet = metadata
        packet.fullLength = UInt32(bytes.count)
        for _ in 0..<1_000 { _ = unsafe engine.engine.inspect(bytes.span.bytes, packet, at: engine.clock.now) }
        let counters = engine.engine.counters
        let index = Int(DropReason.unsolicitedUDP.rawValue)
        #expect(counters.dropped[index] == 1_000)
        #expect(engine.engine.outbox.events.count == Outbox.capacity)
        #expect(counters.merged[index] == UInt64(1_000 - Outbox.capacity))
    }
}

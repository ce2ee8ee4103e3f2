// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@Suite("Packets of known connections")
struct ConnectionPacketTests {
    @Test("a packet renews its connection, counts for its side, and takes it to its new stage")
    func noted() throws {
        var bench = TableBench()
        let connection = bench.syn(port: 1)
        let index = try bench.opened(connection)
        bench.table[index].tcp.opener = connection.opener
        bench.clock.advance(by: .seconds(5))
        bench.table[index].tcp.phase = .established
        bench.table.noteSeen(
            index, from: connection.opener.opposite, direction: .outgoing, bytes: 60, at: bench.clock.now)
        #expect(bench.table[index].lastSeen == bench.clock.now)
        #expect(bench.table.census[.established] == 1)
        let traffic = bench.table[index]
        let (own, other) =
            connection.opener == .low
            ? (traffic.trafficOfLow, traffic.trafficOfHigh) : (traffic.trafficOfHigh, traffic.trafficOfLow)
        #expect(own == Traffic())
        #expect(other.packets == 1 && other.bytes == 60)
        #expect(bench.table[index].opener == connection.opener)
        #expect(bench.table[index].openingDirection == .incoming)
    }

    @Test("an opener that the tracker names anew turns the connection's direction")
    func turned() throws {
        for (sender, direction) in [(0, Direction.outgoing), (1, .incoming)] {
            var bench = TableBench(computers: ComputerLimits(incoming: 1, outgoing: 1))
            let connection = bench.syn(port: 1)
            let index = try bench.opened(connection)
            bench.table[index].tcp.opener = connection.opener.opposite
            let side = sender == 0 ? connection.opener.opposite : connection.opener
            bench.table.noteSeen(index, from: side, direction: direction, bytes: 60, at: bench.clock.now)
            #expect(bench.table[index].opener == connection.opener.opposite)
            #expect(bench.table[index].openingDirection == .outgoing)
            #expect(bench.refusal(bench.syn(port: 2)) == nil)
            #expect(bench.refusal(bench.syn(to: "203.0.113.1", port: 2)) == .outgoingPerComputer)
        }
    }

    @Test("a UDP pair's opener stays, whoever sends")
    func udp() throws {
        var bench = TableBench()
        let connection = bench.udp(1)
        let index = try bench.opened(connection)
        for side in Side.allCases {
            UDPTracker.step(&bench.table[index], sender: side, at: bench.clock.now)
            bench.table.noteSeen(
                index, from: side, direction: connection.direction(of: side), bytes: 1, at: bench.clock.now)
        }
        #expect(bench.table[index].opener == connection.opener)
        #expect(bench.table.census[.udpStream] + bench.table.census[.udpAnswered] == 1)
    }

    @Test("decisions are kept for each side, and the standing is the connection's")
    func decisions() throws {
        var bench = TableBench()
        let index = try bench.opened(bench.syn(port: 1))
        var decision = CachedRuleDecision()
        decision.rule = 7
        bench.table.keep(decision, of: index, for: .high)
        let (low, high) = (bench.table.decision(of: index, for: .low), bench.table.decision(of: index, for: .high))
        #expect(low.rule == -1 && high.rule == 7)
        bench.table[index].generation = 3
        bench.table[index].refusal = Refusal(reason: 21, rule: 4)
        let standing = bench.table.standing(of: index)
        #expect(standing.generation == 3 && standing.refusal.rule == 4 && standing.openingMAC == .none)
    }

    @Test("the source MAC of the opening is kept to the bit, and so is that there was none")
    func macAddress() {
        let bench = TableBench()
        var connection = bench.syn(port: 1)
        for bits: UInt64 in [0, 1, 0x0123_4567_89ab, 0xffff_ffff_fffe] {
            connection.openingMAC = MACAddress(bits: bits)
            #expect(connection.openingMAC.bits == bits)
        }
        connection.openingMAC = .none
        #expect(connection.openingMAC == .none)
        #expect(bench.syn(port: 1).openingMAC == .none)
    }
}

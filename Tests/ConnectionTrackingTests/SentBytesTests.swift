// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

private struct SentBench {
    var sent: SentBytes
    let key = SentBench.key(40_000)

    init(blocks: Int = 1_000) {
        sent = SentBytes(blocks: blocks, seed: (1, 2))
        sent.prepare(isUsed: true)
    }

    static func key(_ port: UInt16) -> ConnectionKey {
        ConnectionKey(
            lowAddress: "192.0.2.10", highAddress: "198.51.100.7", lowPortOrIdentifier: 80, highPortOrIdentifier: port,
            protocolNumber: IPProtocol.tcp, version: 4, queryType: 0)
    }

    /// The byte of a stream at a number.
    static func byte(_ number: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: number &* 2_654_435_761 >> 13) }

    func data(_ start: UInt32, _ end: UInt32, wrong: UInt32? = nil) -> [UInt8] {
        (0..<end &- start).map { SentBench.byte(start &+ $0) ^ (start &+ $0 == wrong ? 0x20 : 0) }
    }

    /// Compares a segment; keeps it if it does not differ.
    mutating func sends(
        _ start: UInt32, _ end: UInt32, wrong: UInt32? = nil, acknowledging: UInt32 = 0, of key: ConnectionKey? = nil,
        from side: Side = .low
    ) -> RetransmitDifference? {
        var s = TCPFields()
        s.flags = .ack
        s.sequence = start
        s.acknowledgement = acknowledging
        s.dataLength = end &- start
        s.dataOffset = 5
        let packet = [0, 0, 0, 0, 0] + data(start, end, wrong: wrong)
        let difference = unsafe sent.difference(packet.span.bytes, s, of: key ?? self.key, from: side)
        if difference == nil { unsafe sent.keep(packet.span.bytes, s, of: key ?? self.key, from: side) }
        return difference
    }

    mutating func acknowledges(_ number: UInt32, from side: Side = .high) {
        var s = TCPFields()
        s.flags = .ack
        s.acknowledgement = number
        unsafe sent.keep([0].span.bytes, s, of: key, from: side)
    }
}

@Suite("Bytes that are sent again")
struct SentBytesTests {
    @Test("The notes are those of Deep Security's table", arguments: [0, 0xffff_f9c0] as [UInt32])
    func notes(_ base: UInt32) {
        func queued(_ segments: [(UInt32, UInt32)]) -> SentBench {
            var bench = SentBench()
            for (start, end) in segments { #expect(bench.sends(base &+ start, base &+ end) == nil) }
            return bench
        }
        var one = queued([(1_000, 1_500)])
        #expect(one.sends(base &+ 1_100, base &+ 1_300, wrong: base &+ 1_150) == .previousFull)
        #expect(one.sends(base &+ 1_400, base &+ 1_700, wrong: base &+ 1_450) == .previousPart)
        #expect(one.sends(base &+ 1_000, base &+ 1_500, wrong: base &+ 1_499) == .previousFull)
        #expect(one.sends(base &+ 900, base &+ 1_600, wrong: base &+ 1_000) == .nextFull)
        #expect(one.sends(base &+ 1_100, base &+ 1_300) == nil)
        var two = queued([(1_500, 1_800), (1_000, 1_500)])
        #expect(two.sends(base &+ 1_400, base &+ 2_000, wrong: base &+ 1_600) == .nextFull)
        #expect(two.sends(base &+ 1_400, base &+ 1_700, wrong: base &+ 1_600) == .nextPart)
        #expect(two.sends(base &+ 1_400, base &+ 2_000, wrong: base &+ 1_900) == nil, "new bytes may be any")
        #expect(two.sends(base &+ 1_900, base &+ 1_901) == .previousFull, "and are kept")
    }

    @Test("A segment of 64 KiB is one, and compared with 44 of the wire")
    func offload() {
        var bench = SentBench()
        #expect(bench.sends(0, 65_000) == nil)
        for start in stride(from: UInt32(0), to: 65_000, by: 1_448) {
            let end = min(start + 1_448, 65_000)
            #expect(bench.sends(start, end) == nil)
            #expect(bench.sends(start, end, wrong: end - 1) == .previousFull)
        }
        #expect(bench.sends(1_448, 65_160, wrong: 64_999) == .previousPart)
        var wire = SentBench()
        for start in stride(from: UInt32(0), to: 65_160, by: 1_448) { #expect(wire.sends(start, start + 1_448) == nil) }
        #expect(wire.sends(0, 65_160) == nil)
        #expect(wire.sends(0, 65_160, wrong: 40_000) == .nextFull)
        #expect(wire.sends(0, 65_000, wrong: 64_990) == .nextPart)
    }

    @Test(
        "Any pieces in any order differ where, and only where, a byte is another than the first in its place",
        arguments: 0..<20 as Range<UInt64>)
    func random(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var bench = SentBench(blocks: 2_000)
        let base = UInt32.random(in: 0...UInt32.max, using: &random)
        // By place, whether the first byte there was wrong.
        var seen: [UInt32: Bool] = [:]
        for _ in 0..<150 {
            let start = UInt32.random(in: 0..<4_000, using: &random)
            let length = UInt32.random(in: 1...([8, 40, 2_000].randomElement(using: &random) ?? 1), using: &random)
            let wrong = Bool.random(using: &random) ? start + UInt32.random(in: 0..<length, using: &random) : nil
            let differs = (start..<start + length).contains { isOther($0, seen, wrong) }
            let found = bench.sends(base &+ start, base &+ start &+ length, wrong: wrong.map { base &+ $0 })
            #expect((found != nil) == differs)
            guard found == nil else { continue }
            for place in start..<start + length where seen[place] == nil { seen[place] = place == wrong }
        }
        #expect(bench.sent.bytesKept == UInt64(seen.count))
    }

    private func isOther(_ place: UInt32, _ seen: [UInt32: Bool], _ wrong: UInt32?) -> Bool {
        guard let first = seen[place] else { return false }
        return first != (place == wrong)
    }

    @Test("Each side is compared with itself")
    func sides() {
        var bench = SentBench()
        #expect(bench.sends(0, 100) == nil)
        #expect(bench.sends(0, 100, wrong: 5, from: .high) == nil)
        #expect(bench.sends(0, 100, wrong: 5) == .previousFull)
        #expect(bench.sends(0, 100, from: .high) == .previousFull)
    }

    @Test("What was acknowledged is compared while there is room, and goes first: the oldest")
    func acknowledged() {
        var bench = SentBench(blocks: 4)
        for start in [0, 100, 200, 300] as [UInt32] { #expect(bench.sends(start, start + 100) == nil) }
        bench.acknowledges(200)
        #expect(bench.sends(0, 100, wrong: 7) == .previousFull)
        #expect(bench.sends(400, 500) == nil)
        #expect(bench.sent.bytesNotCompared == 0)
        #expect(bench.sends(0, 100, wrong: 7) == nil, "the oldest is gone")
        #expect(bench.sent.bytesNotCompared == 100, "and that is counted")
        #expect(bench.sends(100, 200, wrong: 107) == .previousFull)
        #expect(bench.sends(500, 600) == nil)
        #expect(bench.sends(600, 700) == nil)
        #expect(bench.sent.bytesNotCompared == 200, "what is not acknowledged never goes")
        #expect(bench.sends(200, 300, wrong: 207) == .previousFull)
        #expect(bench.sent.usedBlocks == 4)
    }

    @Test("No side has more than its share, and a connection that is forgotten gives all back")
    func bounds() {
        var bench = SentBench(blocks: 5_000)
        for number in 0..<UInt32(SentBytes.mostBlocksPerSide + 500) {
            #expect(bench.sends(2 * number, 2 * number + 1) == nil)
        }
        #expect(bench.sent.usedBlocks == SentBytes.mostBlocksPerSide)
        #expect(bench.sent.bytesNotCompared == 500)
        bench.sent.forget(bench.key)
        #expect(bench.sent.usedBlocks == 0)
        for port in UInt16(1)...900 { #expect(bench.sends(0, 1, of: SentBench.key(port)) == nil) }
        #expect(bench.sent.usedBlocks == 900)
        for port in UInt16(1)...900 { bench.sent.forget(SentBench.key(port)) }
        #expect(bench.sent.usedBlocks == 0)
        #expect(bench.sent.blocks.count == SentBytes.mostBlocksPerSide)
    }

    @Test("What the copy range cut off is counted")
    func cut() {
        var bench = SentBench()
        var s = TCPFields()
        s.flags = .ack
        s.dataLength = 1_000
        s.dataOffset = 0
        unsafe bench.sent.keep(bench.data(0, 100).span.bytes, s, of: bench.key, from: .low)
        #expect(bench.sent.bytesNotCompared == 900)
        #expect(bench.sends(0, 100) == nil)
    }
}

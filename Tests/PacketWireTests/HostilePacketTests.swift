// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

/// Random damage. A failure prints the seed and the bytes that repeat it.
@Suite("Hostile packets")
struct HostilePacketTests {
    @Test(
        "no mutation of a packet traps or breaks a promise",
        arguments: [0x5eed_0001, 0x5eed_0002, 0x5eed_0003 as UInt64])
    func mutations(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<5_000 {
            let entry = PacketCorpus.all.randomElement(using: &random) ?? PacketCorpus.all[0]
            var bytes = entry.packet.isFrame ? entry.packet.bytes : entry.packet.ethernet().bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&bytes, &random) }
            inspect(bytes, fullLength: bytes.count + Int.random(in: 0...20, using: &random), seed, &random)
        }
    }

    @Test("no noise behind a plausible first byte traps or breaks a promise", arguments: [0x5eed_0004 as UInt64])
    func noise(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<5_000 {
            var bytes = (0..<Int.random(in: 14...120, using: &random)).map { _ in
                UInt8(truncatingIfNeeded: random.next())
            }
            bytes.set(be: Bool.random(using: &random) ? 0x0800 : 0x86dd, at: 12)
            if bytes.count > 14 { bytes[14] = bytes[13] == 0 ? 0x45 : 0x60 }
            inspect(bytes, fullLength: bytes.count, seed, &random)
        }
    }

    private func inspect(_ bytes: [UInt8], fullLength: Int, _ seed: UInt64, _ random: inout SeededRandom) {
        let traits = PacketTraits(
            fullLength: UInt32(fullLength), isSegmentationOffload: Int.random(in: 0..<4, using: &random) == 0)
        var headers = PacketHeaders()
        do throws(DecodeError) {
            try unsafe headers.decodeFrame(bytes.span.bytes, traits)
        } catch {
            return
        }
        let broken = headers.inconsistency(count: bytes.count, fullLength: fullLength)
        #expect(broken == nil, "seed \(seed), full length \(fullLength), \(bytes.hex)")
        _ = unsafe TransportChecksum.isValid(bytes.span.bytes, headers)
    }

    private func mutate(_ bytes: inout [UInt8], _ random: inout SeededRandom) {
        guard !bytes.isEmpty else { return }
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: bytes[place] = [0, 1, 4, 5, 6, 7, 0x40, 0x80, 0xff].randomElement(using: &random) ?? 0
        case 3: bytes.removeLast(Swift.min(bytes.count, Int.random(in: 1...8, using: &random)))
        case 4: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
        default: bytes.remove(at: place)
        }
    }
}

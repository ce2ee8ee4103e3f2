// SPDX-License-Identifier: GPL-3.0-or-later

/// SHA-1 (FIPS 180-4 section 6.1.2) of a message that fits one block: whole 16-bit units, 54 bytes at most.
///
/// The community ID asks for it, as a checksum by which tools find each other's records; nothing is protected by it. It stands
/// here because the library that has it, swift-crypto, would bring all of BoringSSL into the agent for this one function.
struct ShortSHA1 {
    private var words = InlineArray<16, UInt32>(repeating: 0)
    private var count = 0

    /// Units that a message may have: the block's 64 bytes without the end mark and the length.
    static let mostUnits = 27

    /// Takes in the next two bytes of the message, big-endian.
    mutating func absorb(_ unit: UInt16) {
        precondition(count < ShortSHA1.mostUnits)
        setUnit(unit)
        count += 1
    }

    /// The hash of everything absorbed; the value must not be used afterwards.
    mutating func finish() -> SHA1Digest {
        setUnit(0x8000)
        words[15] = UInt32(count * 16)
        var state = SHA1Digest.initial
        for round in 0..<20 { state.turn(state.choice, 0x5a82_7999, word(round)) }
        for round in 20..<40 { state.turn(state.parity, 0x6ed9_eba1, word(round)) }
        for round in 40..<60 { state.turn(state.majority, 0x8f1b_bcdc, word(round)) }
        for round in 60..<80 { state.turn(state.parity, 0xca62_c1d6, word(round)) }
        return SHA1Digest.initial.adding(state)
    }

    private mutating func setUnit(_ unit: UInt16) {
        words[count / 2] |= count % 2 == 0 ? UInt32(unit) << 16 : UInt32(unit)
    }

    /// The message schedule, of which only the last 16 words are ever needed.
    private mutating func word(_ round: Int) -> UInt32 {
        let place = round & 15
        guard round >= 16 else { return words[place] }
        let mixed = words[(round + 13) & 15] ^ words[(round + 8) & 15] ^ words[(round + 2) & 15] ^ words[place]
        words[place] = mixed.rotated(left: 1)
        return words[place]
    }
}

/// The five words of a SHA-1 hash.
struct SHA1Digest: Hashable, Sendable, BitwiseCopyable {
    var a: UInt32
    var b: UInt32
    var c: UInt32
    var d: UInt32
    var e: UInt32

    static let initial = SHA1Digest(a: 0x6745_2301, b: 0xefcd_ab89, c: 0x98ba_dcfe, d: 0x1032_5476, e: 0xc3d2_e1f0)

    /// The hash as bytes, big-endian.
    var bytes: InlineArray<20, UInt8> {
        let words: InlineArray<5, UInt32> = [a, b, c, d, e]
        return InlineArray { place in UInt8(truncatingIfNeeded: words[place / 4] >> UInt32(24 - place % 4 * 8)) }
    }

    fileprivate var choice: UInt32 { (b & c) | (~b & d) }
    fileprivate var parity: UInt32 { b ^ c ^ d }
    fileprivate var majority: UInt32 { (b & c) | (b & d) | (c & d) }

    fileprivate mutating func turn(_ function: UInt32, _ constant: UInt32, _ word: UInt32) {
        let next = a.rotated(left: 5) &+ function &+ e &+ constant &+ word
        (e, d, c, b, a) = (d, c, b.rotated(left: 30), a, next)
    }

    fileprivate func adding(_ other: SHA1Digest) -> SHA1Digest {
        SHA1Digest(a: a &+ other.a, b: b &+ other.b, c: c &+ other.c, d: d &+ other.d, e: e &+ other.e)
    }
}

extension UInt32 {
    fileprivate func rotated(left bits: UInt32) -> UInt32 { (self &<< bits) | (self &>> (32 &- bits)) }
}

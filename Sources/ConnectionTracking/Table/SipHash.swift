// SPDX-License-Identifier: GPL-3.0-or-later

/// SipHash-1-3 of a message that is a whole number of 64-bit words (Aumasson and Bernstein, "SipHash: a fast short-input
/// PRF", 2012; one round per word and three at the end).
///
/// The tables use it in place of the standard library's `Hasher`, which is the same function, for two reasons: the seed
/// comes from the caller, so that a replay repeats itself exactly, and it is inlined into the look-up.
public struct SipHash: BitwiseCopyable {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64
    private var words: UInt64 = 0

    public init(seed: (UInt64, UInt64)) {
        v0 = seed.0 ^ 0x736f_6d65_7073_6575
        v1 = seed.1 ^ 0x646f_7261_6e64_6f6d
        v2 = seed.0 ^ 0x6c79_6765_6e65_7261
        v3 = seed.1 ^ 0x7465_6462_7974_6573
    }

    /// Takes in the next eight bytes of the message, little-endian.
    @inline(__always)
    public mutating func absorb(_ word: UInt64) {
        compress(word)
        words &+= 1
    }

    /// The hash of everything absorbed; the value must not be used afterwards.
    @inline(__always)
    public mutating func finish() -> UInt64 {
        compress(words << 59)  // The message's length in bytes, modulo 256, is the top byte of its last block.
        v2 ^= 0xff
        for _ in 0..<3 { round() }
        return v0 ^ v1 ^ v2 ^ v3
    }

    @inline(__always)
    private mutating func compress(_ block: UInt64) {
        v3 ^= block
        round()
        v0 ^= block
    }

    @inline(__always)
    private mutating func round() {
        v0 = v0 &+ v1
        v1 = v1.rotated(left: 13) ^ v0
        v0 = v0.rotated(left: 32)
        v2 = v2 &+ v3
        v3 = v3.rotated(left: 16) ^ v2
        v0 = v0 &+ v3
        v3 = v3.rotated(left: 21) ^ v0
        v2 = v2 &+ v1
        v1 = v1.rotated(left: 17) ^ v2
        v2 = v2.rotated(left: 32)
    }
}

extension UInt64 {
    @inline(__always)
    fileprivate func rotated(left bits: UInt64) -> UInt64 { (self &<< bits) | (self &>> (64 &- bits)) }
}

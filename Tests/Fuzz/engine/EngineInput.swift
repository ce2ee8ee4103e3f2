// SPDX-License-Identifier: GPL-3.0-or-later

/// An input for the engine: packets one after the other, each behind a head of four bytes.
///
///     0  circumstances (`Circumstances`)
///     1  time that passes before it, as a power of two of milliseconds (0: none; at most 2^24)
///     2  length of the packet, high byte
///     3  low byte
enum EngineInput {
    static let headLength = 4

    enum Circumstances {
        /// Bits 0–2: prerouting, input, forward, output, postrouting, none, unknown, none as a frame.
        static let hook: UInt8 = 0b111
        static let otherInterface: UInt8 = 1 << 3
        static let segmentationOffload: UInt8 = 1 << 4
        static let checksumNotReady: UInt8 = 1 << 5
        /// The policy changes before this packet.
        static let reload: UInt8 = 1 << 6
        /// As many bytes more were cut off as it has.
        static let cut: UInt8 = 1 << 7
    }

    /// Number of the hook that means a frame of a capture.
    static let frame: UInt8 = 7

    static func entry(_ circumstances: UInt8, after exponent: UInt8 = 0, _ packet: [UInt8]) -> [UInt8] {
        [
            circumstances, exponent, UInt8(truncatingIfNeeded: packet.count >> 8),
            UInt8(truncatingIfNeeded: packet.count),
        ]
            + packet
    }
}

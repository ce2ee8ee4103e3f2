// SPDX-License-Identifier: GPL-3.0-or-later

/// The first bytes of an input for the decoder: flags, then in two bytes how much of the packet was cut away.
enum DecodeInput {
    static let headLength = 3
    static let frame: UInt8 = 1
    static let segmentationOffload: UInt8 = 2
    static let etherTypeShift: UInt8 = 2

    static func etherType(_ flags: UInt8) -> UInt16 {
        [0, 0x0800, 0x86dd, 0x0806][Int(flags >> etherTypeShift & 3)]
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// The number of leading bits of each field that a key holds.
struct Tuple: Hashable, Sendable, BitwiseCopyable {
    var source: UInt8
    var destination: UInt8
    var sourcePort: UInt8
    var destinationPort: UInt8
    var protocolNumber: UInt8

    /// Whether a rule that is specific to these bits can be in a table whose keys hold those of `table`.
    func covers(_ table: Tuple) -> Bool {
        source >= table.source && destination >= table.destination && sourcePort >= table.sourcePort
            && destinationPort >= table.destinationPort && protocolNumber >= table.protocolNumber
    }

    /// The masks of a table whose keys hold these bits.
    func table(seed: UInt64, firstRank: UInt32) -> TupleTable {
        TupleTable(
            sourceMask: IPAddress(Tuple.mask(source, width: 128)),
            destinationMask: IPAddress(Tuple.mask(destination, width: 128)),
            transportMask: TupleKey.transport(
                UInt16(truncatingIfNeeded: Tuple.mask(sourcePort, width: 16)),
                UInt16(truncatingIfNeeded: Tuple.mask(destinationPort, width: 16)),
                UInt8(truncatingIfNeeded: Tuple.mask(protocolNumber, width: 8))),
            seed: seed, firstRank: firstRank)
    }

    private static func mask(_ length: UInt8, width: Int) -> UInt128 {
        let all: UInt128 = width == 128 ? .max : (1 << UInt128(width)) - 1
        return length == 0 ? 0 : all & ~((1 << UInt128(width - Int(length))) - 1)
    }

    /// An arbitrary total order, so that the same policy always gives the same tables.
    var order: UInt64 {
        UInt64(source) << 32 | UInt64(destination) << 24 | UInt64(sourcePort) << 16 | UInt64(destinationPort) << 8
            | UInt64(protocolNumber)
    }
}

/// One combination of a rule's blocks as it enters an index: values of the fields, of which the first bits count.
struct IndexKey: Sendable, BitwiseCopyable {
    var source: IPAddress
    var destination: IPAddress
    var transport: UInt64
    var tuple: Tuple
    var rank: UInt32
}

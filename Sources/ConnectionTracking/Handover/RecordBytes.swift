// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Writes the fields of a record one behind the other, in network byte order.
struct RecordWriter {
    var bytes: [UInt8]

    mutating func put(_ value: UInt8) { bytes.append(value) }
    mutating func put(_ value: Bool) { bytes.append(value ? 1 : 0) }

    mutating func put(_ value: UInt16) {
        bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value))
    }

    mutating func put(_ value: UInt32) {
        put(UInt16(truncatingIfNeeded: value >> 16))
        put(UInt16(truncatingIfNeeded: value))
    }

    mutating func put(_ value: UInt64) {
        put(UInt32(truncatingIfNeeded: value >> 32))
        put(UInt32(truncatingIfNeeded: value))
    }

    mutating func put(_ value: Instant) { put(UInt64(bitPattern: value.nanoseconds)) }

    mutating func put(_ value: IPAddress) {
        put(value.high)
        put(value.low)
    }

    /// Zeros up to this length.
    mutating func pad(to count: Int) {
        while bytes.count < count { bytes.append(0) }
    }
}

/// Reads what `RecordWriter` wrote. Who uses it has checked that the bytes are long enough; what they say is unknown, so
/// everything that is not a plain number is checked as it is read, and `isSound` says whether all of it was.
struct RecordReader {
    private(set) var position: Int
    private(set) var isSound = true

    init(at position: Int) { self.position = position }

    mutating func byte(_ bytes: RawSpan) -> UInt8 {
        defer { position += 1 }
        return bytes.byte(at: position)
    }

    mutating func number16(_ bytes: RawSpan) -> UInt16 {
        defer { position += 2 }
        return bytes.bigEndian16(at: position)
    }

    mutating func number32(_ bytes: RawSpan) -> UInt32 {
        UInt32(number16(bytes)) << 16 | UInt32(number16(bytes))
    }

    mutating func number64(_ bytes: RawSpan) -> UInt64 {
        UInt64(number32(bytes)) << 32 | UInt64(number32(bytes))
    }

    mutating func instant(_ bytes: RawSpan) -> Instant { Instant(nanoseconds: Int64(bitPattern: number64(bytes))) }

    mutating func address(_ bytes: RawSpan) -> IPAddress {
        let high = number64(bytes)
        return IPAddress(high: high, low: number64(bytes))
    }

    /// 0 or 1.
    mutating func flag(_ bytes: RawSpan) -> Bool {
        let value = byte(bytes)
        require(value <= 1)
        return value == 1
    }

    /// One of the cases, or `other` and unsound.
    mutating func choice<Choice: RawRepresentable<UInt8>>(_ bytes: RawSpan, else other: Choice) -> Choice {
        guard let choice = Choice(rawValue: byte(bytes)) else {
            isSound = false
            return other
        }
        return choice
    }

    mutating func require(_ isTrue: Bool) { if !isTrue { isSound = false } }
}

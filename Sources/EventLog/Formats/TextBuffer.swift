// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Text in the making. Formats write many short pieces, whose cost is all in what is done beside copying them: here that is one look
/// at the room that is left.
@safe
struct TextBuffer: ~Copyable {
    private var start: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private var used = 0
    /// What the caller has written before.
    private var before: [UInt8] = []
    private var scratch: [UInt8] = []

    /// Enough for nearly every record.
    private static let usualCapacity = 4096

    init() {
        capacity = TextBuffer.usualCapacity
        unsafe start = .allocate(capacity: TextBuffer.usualCapacity)
    }

    deinit { unsafe start.deallocate() }

    /// Takes a buffer to write behind what it holds, or gives it back with everything that was written.
    mutating func exchange(_ buffer: inout [UInt8]) {
        unsafe before.append(contentsOf: UnsafeBufferPointer(start: start, count: used))
        used = 0
        swap(&before, &buffer)
    }

    mutating func append(_ byte: UInt8) {
        unsafe write(1)[0] = byte
    }

    mutating func append(_ constant: StaticString) {
        let count = constant.utf8CodeUnitCount
        unsafe write(count).update(from: constant.utf8Start, count: count)
    }

    /// A constant behind one or two bytes and before two, as keys are written. The first is left out where it is 0.
    mutating func append(_ first: UInt8, _ second: UInt8, _ constant: StaticString, _ third: UInt8, _ fourth: UInt8) {
        let count = constant.utf8CodeUnitCount
        if first != 0 { append(first) }
        let place = unsafe write(count + 3)
        unsafe place[0] = second
        unsafe (place + 1).update(from: constant.utf8Start, count: count)
        unsafe place[count + 1] = third
        unsafe place[count + 2] = fourth
    }

    mutating func append(_ bytes: Span<UInt8>) {
        let place = unsafe write(bytes.count)
        unsafe bytes.withUnsafeBufferPointer { piece in
            if let first = piece.baseAddress { unsafe place.update(from: first, count: piece.count) }
        }
    }

    /// In the fewest digits.
    mutating func append(decimal number: UInt64) {
        var count = 1
        var bound: UInt64 = 10
        while count < 20, number >= bound {
            count += 1
            bound = bound.multipliedReportingOverflow(by: 10).partialValue
        }
        let place = unsafe write(count)
        var rest = number
        for digit in stride(from: count - 1, through: 0, by: -1) {
            unsafe place[digit] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }

    /// Lower-case, with colons.
    mutating func append(_ address: MACAddress) {
        let place = unsafe write(17)
        for octet in 0..<6 {
            let value = UInt8(truncatingIfNeeded: address.bits >> UInt64(40 - octet * 8))
            unsafe place[octet * 3] = hexadecimalDigit(value >> 4)
            unsafe place[octet * 3 + 1] = hexadecimalDigit(value & 0xf)
            if octet < 5 { unsafe place[octet * 3 + 2] = UInt8(ascii: ":") }
        }
    }

    /// With padding (RFC 4648 section 4).
    mutating func append(base64 data: Span<UInt8>) {
        let place = unsafe write((data.count + 2) / 3 * 4)
        for (group, start) in stride(from: 0, to: data.count, by: 3).enumerated() {
            let given = min(3, data.count - start)
            var bits = UInt32(data[start]) << 16
            if given > 1 { bits |= UInt32(data[start + 1]) << 8 }
            if given > 2 { bits |= UInt32(data[start + 2]) }
            for digit in 0..<4 {
                unsafe place[group * 4 + digit] =
                    digit <= given
                    ? base64Digit(UInt8(truncatingIfNeeded: bits >> UInt32(18 - digit * 6)) & 0x3f) : UInt8(ascii: "=")
            }
        }
    }

    /// For what is appended by others.
    mutating func withArray(_ append: (inout [UInt8]) -> Void) {
        var text: [UInt8] = []
        swap(&text, &scratch)
        text.removeAll(keepingCapacity: true)
        append(&text)
        self.append(text.span)
        swap(&text, &scratch)
    }

    /// The place of so many bytes, which the caller writes at once.
    @inline(__always)
    private mutating func write(_ count: Int) -> UnsafeMutablePointer<UInt8> {
        if capacity - used < count { makeRoom(count) }
        let place = unsafe start + used
        used += count
        return unsafe place
    }

    @inline(never)
    private mutating func makeRoom(_ count: Int) {
        let wanted = max(capacity * 2, used + count)
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: wanted)
        unsafe larger.update(from: start, count: used)
        unsafe start.deallocate()
        unsafe (start, capacity) = (larger, wanted)
    }
}

func hexadecimalDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") &+ value : UInt8(ascii: "a") &- 10 &+ value
}

/// Of six bits.
private func base64Digit(_ value: UInt8) -> UInt8 {
    switch value {
    case 0..<26: UInt8(ascii: "A") &+ value
    case 26..<52: UInt8(ascii: "a") &- 26 &+ value
    case 52..<62: UInt8(ascii: "0") &- 52 &+ value
    case 62: UInt8(ascii: "+")
    default: UInt8(ascii: "/")
    }
}

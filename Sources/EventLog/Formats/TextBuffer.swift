// SPDX-License-Identifier: GPL-3.0-or-later

/// Text in the making. Formats write many short pieces: there is room behind what was written, so that a piece costs one look at the
/// room and one copy. Appending each to the array itself, or byte by byte, took several times as long.
struct TextBuffer {
    /// What was written, and room.
    private var text: [UInt8] = []
    private var used = 0

    /// Takes a buffer to write behind what it holds, or gives it back with everything that was written.
    mutating func exchange(_ buffer: inout [UInt8]) {
        text.removeLast(text.count - used)
        swap(&text, &buffer)
        used = text.count
    }

    mutating func append(_ byte: UInt8) {
        unsafe write(1) { place in unsafe place[0] = byte }
    }

    mutating func append(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { piece in unsafe append(piece) }
    }

    mutating func append(_ constant: StaticString) {
        unsafe append(unsafe UnsafeBufferPointer(start: constant.utf8Start, count: constant.utf8CodeUnitCount))
    }

    /// A constant between two bytes and another one, as keys are written.
    mutating func append(_ first: UInt8, _ constant: StaticString, _ second: UInt8, _ third: UInt8) {
        let count = constant.utf8CodeUnitCount
        unsafe write(count + 3) { place in
            unsafe place[0] = first
            unsafe (place + 1).update(from: constant.utf8Start, count: count)
            unsafe place[count + 1] = second
            unsafe place[count + 2] = third
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
        unsafe write(count) { place in
            var rest = number
            for digit in stride(from: count - 1, through: 0, by: -1) {
                unsafe place[digit] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
        }
    }

    /// For what is appended by others.
    mutating func withArray(_ append: (inout [UInt8]) -> Void) {
        text.removeLast(text.count - used)
        append(&text)
        used = text.count
    }

    private mutating func append(_ piece: UnsafeBufferPointer<UInt8>) {
        guard let start = unsafe piece.baseAddress else { return }
        unsafe write(piece.count) { place in unsafe place.update(from: start, count: piece.count) }
    }

    /// `body` writes that many bytes.
    @inline(__always)
    private mutating func write(_ count: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Void) {
        if text.count - used < count { makeRoom(count) }
        let used = used
        unsafe text.withUnsafeMutableBufferPointer { bytes in
            if let start = bytes.baseAddress { unsafe body(start + used) }
        }
        self.used = used + count
    }

    @inline(never)
    private mutating func makeRoom(_ count: Int) {
        repeat { text.append(contentsOf: unwritten) } while text.count - used < count
    }
}

private let unwritten = [UInt8](repeating: 0, count: 512)

private let base64Alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

/// With padding (RFC 4648 section 4).
func appendBase64(_ data: Span<UInt8>, to text: inout [UInt8]) {
    for start in stride(from: 0, to: data.count, by: 3) {
        let given = min(3, data.count - start)
        var group: UInt32 = 0
        for offset in 0..<3 { group = group << 8 | (offset < given ? UInt32(data[start + offset]) : 0) }
        for place in 0..<4 {
            let sextet = Int(group >> UInt32(18 - place * 6)) & 0x3f
            text.append(place <= given ? base64Alphabet[sextet] : UInt8(ascii: "="))
        }
    }
}

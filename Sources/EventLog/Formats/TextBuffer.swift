// SPDX-License-Identifier: GPL-3.0-or-later

/// Text in the making. Formats write many short pieces: these go to a buffer of fixed size, which is copied to the array whenever
/// it is full. Appending each to the array itself took three times as long.
struct TextBuffer {
    private var chunk = InlineArray<512, UInt8>(repeating: 0)
    private var used = 0
    private var text: [UInt8] = []

    private static let capacity = 512

    /// Takes a buffer to write behind what it holds, or gives it back with everything that was written.
    mutating func exchange(_ buffer: inout [UInt8]) {
        flush()
        swap(&text, &buffer)
    }

    mutating func append(_ byte: UInt8) {
        if used == TextBuffer.capacity { flush() }
        chunk[used] = byte
        used += 1
    }

    mutating func append(_ bytes: Span<UInt8>) {
        for place in bytes.indices { append(bytes[place]) }
    }

    mutating func append(_ constant: StaticString) {
        constant.withUTF8Buffer { bytes in
            for place in 0..<bytes.count { unsafe append(bytes[place]) }
        }
    }

    mutating func append(decimal number: UInt64) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var start = 20
        var rest = number
        repeat {
            start -= 1
            digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        for place in start..<20 { append(digits[place]) }
    }

    /// For what is appended by others.
    mutating func withArray(_ append: (inout [UInt8]) -> Void) {
        flush()
        append(&text)
    }

    private mutating func flush() {
        unsafe chunk.span.withUnsafeBufferPointer { bytes in
            unsafe text.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[..<used]))
        }
        used = 0
    }
}

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

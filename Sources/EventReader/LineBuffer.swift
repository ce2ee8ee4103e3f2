// SPDX-License-Identifier: GPL-3.0-or-later

/// Cuts bytes that come in pieces into lines. Lines over `longestLine` are skipped: they are none of ours, and memory is
/// bounded.
struct LineBuffer {
    /// Bytes put in and not yet given out, from `start` on.
    private var bytes: [UInt8] = []
    private var start = 0
    /// Bytes from `start` on in which no newline was found.
    private var searched = 0
    private var isSkipping = false

    static let longestLine = 1 << 20
    private static let newline = UInt8(ascii: "\n")

    mutating func append(_ more: ArraySlice<UInt8>) {
        if start > 0 {
            bytes.removeFirst(start)
            start = 0
        }
        bytes.append(contentsOf: more)
    }

    /// The next complete line without its end; `nil` where there is none yet.
    mutating func next() -> [UInt8]? {
        while let end = bytes[(start + searched)...].firstIndex(of: LineBuffer.newline) {
            let line = Array(bytes[start..<end])
            start = end + 1
            searched = 0
            if !isSkipping && line.count <= LineBuffer.longestLine { return line }
            isSkipping = false
        }
        searched = bytes.count - start
        if searched > LineBuffer.longestLine {
            isSkipping = true
            forget()
        }
        return nil
    }

    /// Begins anew, with another file.
    mutating func removeAll() {
        isSkipping = false
        forget()
    }

    private mutating func forget() {
        bytes.removeAll(keepingCapacity: true)
        start = 0
        searched = 0
    }
}

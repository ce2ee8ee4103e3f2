// SPDX-License-Identifier: GPL-3.0-or-later

/// The bytes of one file and where its lines begin.
package struct SourceText: Sendable {
    let name: String
    let bytes: [UInt8]
    /// Byte offset of each line's first byte. Lines end at LF, CR LF or CR, as editors count them.
    private let lineStarts: [Int]
    /// For each block of bytes how many before it are continuations, so that a column in a long line costs one block.
    private let continuations: [Int]

    private static let block = 1_024

    /// The byte order mark of UTF-8 is left out.
    package init(name: String, bytes: [UInt8]) {
        self.name = name
        let bytes = bytes.starts(with: byteOrderMark) ? Array(bytes.dropFirst(byteOrderMark.count)) : bytes
        self.bytes = bytes
        var starts = [0]
        var counts: [Int] = []
        var count = 0
        for index in bytes.indices {
            if index % SourceText.block == 0 { counts.append(count) }
            if SourceText.endsLine(bytes, at: index) { starts.append(index + 1) }
            if isContinuation(bytes[index]) { count += 1 }
        }
        lineStarts = starts
        continuations = counts
    }

    private static func endsLine(_ bytes: [UInt8], at index: Int) -> Bool {
        switch bytes[index] {
        case UInt8(ascii: "\n"): true
        case UInt8(ascii: "\r"): index + 1 == bytes.count || bytes[index + 1] != UInt8(ascii: "\n")
        default: false
        }
    }

    /// Line and column, both 1-based, of a byte offset.
    func position(of offset: Int) -> (line: Int, column: Int) {
        let line = lineIndex(of: offset)
        let end = min(offset, bytes.count)
        return (line + 1, 1 + characters(before: end) - characters(before: min(lineStarts[line], end)))
    }

    private func characters(before offset: Int) -> Int {
        guard offset > 0 else { return 0 }
        let block = (offset - 1) / SourceText.block
        let rest = bytes[block * SourceText.block..<offset].count { isContinuation($0) }
        return offset - continuations[block] - rest
    }

    /// The line that holds a byte offset, or the part of a long one around it.
    func excerpt(around offset: Int) -> SourceExcerpt {
        let line = lineIndex(of: offset)
        var end = line + 1 < lineStarts.count ? lineStarts[line + 1] : bytes.count
        while end > lineStarts[line], bytes[end - 1] == UInt8(ascii: "\n") || bytes[end - 1] == UInt8(ascii: "\r") {
            end -= 1
        }
        return SourceExcerpt(of: bytes[lineStarts[line]..<end], around: offset)
    }

    private func lineIndex(of offset: Int) -> Int {
        var low = 0
        var high = lineStarts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if lineStarts[middle] <= offset { low = middle } else { high = middle }
        }
        return low
    }
}

/// What a diagnostic keeps of a line: all of it, or a part of a line that nobody wrote by hand.
struct SourceExcerpt {
    var text: String
    /// 1-based, in characters of the text.
    var caret: Int

    /// More than is ever shown of a line.
    private static let reach = 1_000

    init(of line: ArraySlice<UInt8>, around offset: Int) {
        let offset = min(max(offset, line.startIndex), line.endIndex)
        var start = max(line.startIndex, offset - SourceExcerpt.reach)
        var end = min(line.endIndex, offset + SourceExcerpt.reach)
        if start > line.startIndex { while start < offset, isContinuation(line[start]) { start += 1 } }
        if end < line.endIndex { while end > offset, isContinuation(line[end]) { end -= 1 } }
        text = String(decoding: line[start..<end], as: UTF8.self)
        caret = 1 + line[start..<offset].count { !isContinuation($0) }
    }
}

/// What editors of other systems write in front of UTF-8.
let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]

/// Whether the text says by its byte order mark that it is in UTF-16.
func isUTF16(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff]) }

/// Whether the byte is not the first of its character in UTF-8 (RFC 3629 section 3).
func isContinuation(_ byte: UInt8) -> Bool { byte & 0xc0 == 0x80 }

extension SourceText {
    /// The first byte that no policy file may hold, and what it is.
    func firstForbiddenByte() -> (offset: Int, found: String)? {
        if isUTF16(bytes) { return (0, "UTF-16") }
        for index in bytes.indices {
            switch bytes[index] {
            case 0: return (index, "a NUL byte")
            case 0x09, 0x0a, 0x0d: continue
            case 0x01..<0x20, 0x7f: return (index, "the control character 0x" + String(bytes[index], radix: 16))
            default: continue
            }
        }
        return firstInvalidSequence().map { ($0, "bytes that are not UTF-8") }
    }

    /// Where decoding as UTF-8 (RFC 3629) fails first.
    private func firstInvalidSequence() -> Int? {
        var index = 0
        while index < bytes.count {
            guard bytes[index] >= 0x80 else {
                index += 1
                continue
            }
            let length = wellFormedLength(at: index)
            guard length > 0 else { return index }
            index += length
        }
        return nil
    }

    /// Bytes of the well-formed character of two to four bytes that begins here, or 0 (RFC 3629 section 4).
    private func wellFormedLength(at index: Int) -> Int {
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xbf
        switch bytes[index] {
        case 0xc2...0xdf: length = 2
        case 0xe0: (length, second) = (3, 0xa0...0xbf)
        case 0xed: (length, second) = (3, 0x80...0x9f)
        case 0xe1...0xef: length = 3
        case 0xf0: (length, second) = (4, 0x90...0xbf)
        case 0xf1...0xf3: length = 4
        case 0xf4: (length, second) = (4, 0x80...0x8f)
        default: return 0
        }
        guard index + length <= bytes.count, second.contains(bytes[index + 1]) else { return 0 }
        for next in index + 2..<index + length where !isContinuation(bytes[next]) { return 0 }
        return length
    }
}

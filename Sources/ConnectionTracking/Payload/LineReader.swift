// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// The lines that one side of a connection sends, in the order of their sequence numbers: whatever the segments' borders, out
/// of order and repeated. Of bytes that come twice the first count, as for a receiver that got them.
///
/// It holds what one line may have, 4,096 bytes. A longer line is skipped up to its end, and bytes that lie further ahead than
/// that are not kept: when its sender does not repeat them, `resume` goes on behind them.
struct LineReader: BitwiseCopyable {
    static let longestLine = 4096
    private static let mostStretches = 4

    /// What was read and not taken yet; the first `head` bytes were taken.
    private(set) var bytes = InlineArray<4096, UInt8>(repeating: 0)
    /// The sequence number of the first byte of the buffer.
    private var start: UInt32
    private var head = 0
    /// So many bytes are there without a gap, and so many of them were searched for the end of a line.
    private var filled = 0
    private var searched = 0
    /// What came ahead of a gap.
    private var stretches = InlineArray<4, Stretch>(repeating: Stretch(lower: 0, upper: 0))
    private var stretchCount = 0
    private var isSkipping = false
    /// A line was too long.
    private(set) var hasSkipped = false

    private struct Stretch: BitwiseCopyable {
        var lower: Int
        var upper: Int
    }

    init(at sequence: UInt32) { start = sequence }

    /// The sequence number of the first byte that was not read.
    var next: UInt32 { start &+ UInt32(truncatingIfNeeded: filled) }

    /// Goes on at a sequence number: what lies before it was never seen here. What was read of a line before is lost; what
    /// comes next counts as the beginning of one.
    mutating func resume(at sequence: UInt32) { self = LineReader(at: sequence) }

    /// Takes in as much as there is room for of the bytes that a segment carries.
    ///
    /// - Parameters:
    ///   - packet: the packet.
    ///   - offset: where its data begin.
    ///   - count: how many of them are at hand.
    ///   - sequence: the sequence number of the first.
    mutating func absorb(_ packet: RawSpan, at offset: Int, count: Int, sequence: UInt32) {
        giveRoom()
        let position = Int(Int32(bitPattern: sequence &- start))
        let lower = max(position, filled)
        let upper = min(position + count, Self.longestLine)
        guard lower < upper else { return }
        for place in lower..<upper where !isAhead(place) {
            bytes[place] = packet.byte(at: offset + place - position)
        }
        guard lower == filled else { return note(Stretch(lower: lower, upper: upper)) }
        filled = upper
        joinStretches()
    }

    /// The next whole line, without its end, without what Telnet puts between (RFC 854: commands after IAC, NUL) and without
    /// blanks around it: a part of `bytes`, until more is absorbed.
    mutating func takeLine() -> Range<Int>? {
        while searched < filled {
            searched += 1
            guard bytes[searched - 1] == Character.lineFeed else { continue }
            let line = head..<searched - 1
            head = searched
            if !isSkipping { return clean(line) }
            isSkipping = false
        }
        if filled - head == Self.longestLine { (isSkipping, hasSkipped) = (true, true) }
        if isSkipping { head = filled }
        return nil
    }

    /// Moves what was not taken yet to the beginning.
    private mutating func giveRoom() {
        guard head > 0 else { return }
        var end = filled
        for i in 0..<stretchCount {
            end = max(end, stretches[i].upper)
            stretches[i].lower -= head
            stretches[i].upper -= head
        }
        for place in head..<end { bytes[place - head] = bytes[place] }
        start = start &+ UInt32(truncatingIfNeeded: head)
        filled -= head
        searched -= head
        head = 0
    }

    private func isAhead(_ place: Int) -> Bool {
        for i in 0..<stretchCount where stretches[i].lower <= place && place < stretches[i].upper { return true }
        return false
    }

    /// Keeps what came ahead of a gap, if it is not scattered too much; one that it touches is made longer.
    private mutating func note(_ stretch: Stretch) {
        for i in 0..<stretchCount where stretches[i].lower <= stretch.upper && stretch.lower <= stretches[i].upper {
            stretches[i].lower = min(stretches[i].lower, stretch.lower)
            stretches[i].upper = max(stretches[i].upper, stretch.upper)
            return
        }
        guard stretchCount < Self.mostStretches else { return }
        stretches[stretchCount] = stretch
        stretchCount += 1
    }

    private mutating func joinStretches() {
        var i = 0
        while i < stretchCount {
            guard stretches[i].lower <= filled else {
                i += 1
                continue
            }
            filled = max(filled, stretches[i].upper)
            stretchCount -= 1
            stretches[i] = stretches[stretchCount]
            i = 0
        }
    }

    private mutating func clean(_ line: Range<Int>) -> Range<Int> {
        var end = line.lowerBound
        var place = line.lowerBound
        while place < line.upperBound {
            let byte = bytes[place]
            place += 1
            if byte == Character.null { continue }
            if byte == Character.interpretAsCommand, place < line.upperBound {
                let command = bytes[place]
                place += command >= Character.will && command < Character.interpretAsCommand ? 2 : 1
                if command != Character.interpretAsCommand { continue }
            }
            bytes[end] = byte
            end += 1
        }
        var start = line.lowerBound
        while end > start, Character.isBlank(bytes[end - 1]) { end -= 1 }
        while start < end, Character.isBlank(bytes[start]) { start += 1 }
        return start..<end
    }
}

/// Bytes that mean something between lines.
private enum Character {
    static let null: UInt8 = 0
    static let lineFeed: UInt8 = 10
    /// WILL, WON'T, DO and DON'T, which an option follows, are 251 to 254 (RFC 854).
    static let will: UInt8 = 251
    static let interpretAsCommand: UInt8 = 255

    static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 13 }
}

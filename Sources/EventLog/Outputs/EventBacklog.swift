// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine

/// The lines that wait for one output, and the count of those that it has taken.
///
/// Everything that was ever added = written + waiting + lost, for every reason and action.
struct EventBacklog {
    /// Bytes that may wait; the line that reaches it is still taken.
    static let limit = 1 << 20

    /// Lines that have not arrived, from `start` on.
    private(set) var text: [UInt8] = []
    private(set) var start = 0
    private var lines: [Line] = []
    /// Lines at the front that have arrived and are not yet forgotten.
    private var done = 0
    private(set) var written = EventTally()
    private(set) var records = EventTally()
    private(set) var lost = EventTally()
    /// Totals of the tallies.
    private(set) var arrivedCount: UInt64 = 0
    private(set) var lostCount: UInt64 = 0

    /// What one line stands for.
    private struct Line {
        let length: Int
        let count: UInt64
        let reason: DropReason
        let action: EventAction
    }

    var isEmpty: Bool { done == lines.count }
    var isFull: Bool { text.count - start >= EventBacklog.limit }

    /// Bytes of the first line that waits; 0 where none does.
    var firstLength: Int { isEmpty ? 0 : lines[done].length }

    /// Where in `text` the lines end that fit into a room, of which the first is taken at any rate. Of that one the `torn` bytes
    /// have arrived and need none.
    func end(within room: Int64, torn: Int) -> Int {
        var end = start
        for line in lines[done...] {
            guard end == start || Int64(end + line.length - start - torn) <= room else { break }
            end += line.length
        }
        return end
    }

    /// Adds one line: `append` writes it, with its end, behind the buffer it is given.
    ///
    /// - Returns: its length in bytes.
    mutating func add(_ summary: EventSummary, _ append: (inout [UInt8]) -> Void) -> Int {
        let before = text.count
        append(&text)
        lines.append(
            Line(
                length: text.count - before, count: summary.count, reason: summary.event.reason,
                action: summary.event.action))
        return text.count - before
    }

    /// Counts the lines that have arrived whole.
    ///
    /// - Parameter count: bytes from `start` on that have arrived.
    /// - Returns: those of the first line that is not whole.
    mutating func noteArrived(_ count: Int) -> Int {
        var rest = count
        while done < lines.count, rest >= lines[done].length {
            let line = lines[done]
            rest -= line.length
            start += line.length
            done += 1
            arrivedCount &+= 1
            written.add(line.count, line.reason, line.action)
            records.add(1, line.reason, line.action)
        }
        return rest
    }

    /// Gives back the memory of what has arrived.
    mutating func forgetArrived() {
        if isEmpty {
            text.removeAll(keepingCapacity: text.count < 1 << 18)
            lines.removeAll(keepingCapacity: lines.count < 1 << 12)
        } else {
            text.removeFirst(start)
            lines.removeFirst(done)
        }
        start = 0
        done = 0
    }

    /// Counts everything that waits as lost.
    mutating func giveUp() {
        for line in lines[done...] { lose(line.count, line.reason, line.action) }
        done = lines.count
        forgetArrived()
    }

    /// Counts a record as lost that never became a line.
    mutating func giveUp(_ summary: EventSummary) { lose(summary.count, summary.event.reason, summary.event.action) }

    private mutating func lose(_ count: UInt64, _ reason: DropReason, _ action: EventAction) {
        lost.add(count, reason, action)
        lostCount &+= count
    }
}

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

    /// Lines that have left, arrived or lost, and the events of this run that they stood for.
    private(set) var goneLines = 0
    private(set) var goneEvents: UInt64 = 0

    private struct Line {
        let length: Int
        let account: LineAccount
    }

    var isEmpty: Bool { done == lines.count }
    var isFull: Bool { text.count - start >= EventBacklog.limit }

    /// Bytes of the first line that waits; 0 where none does.
    var firstLength: Int { isEmpty ? 0 : lines[done].length }

    /// Bytes of a line that waits, of which the first has number 0; nil behind the last.
    func length(ofWaiting number: Int) -> Int? { done + number < lines.count ? lines[done + number].length : nil }

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
        lines.append(Line(length: text.count - before, account: summary.account))
        return text.count - before
    }

    /// Adds a line as it is.
    mutating func add(_ line: ArraySlice<UInt8>, _ account: LineAccount) {
        text += line
        lines.append(Line(length: line.count, account: account))
    }

    /// Each line that waits, in order.
    func forEachWaiting(_ body: (ArraySlice<UInt8>, LineAccount) -> Bool) -> [Int] {
        var lengths: [Int] = []
        var place = start
        for line in lines[done...] {
            guard body(text[place..<place + line.length], line.account) else { break }
            lengths.append(line.length)
            place += line.length
        }
        return lengths
    }

    var waitingLines: Int { lines.count - done }

    /// Forgets everything that waits, which is kept elsewhere.
    mutating func letGo() {
        done = lines.count
        forgetArrived()
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
            leave(line)
            arrivedCount &+= 1
            guard line.account.isOfThisRun else { continue }
            written.add(line.account.count, line.account.reason, line.account.action)
            records.add(1, line.account.reason, line.account.action)
        }
        return rest
    }

    /// Gives back the memory of what has arrived, so that each byte is moved once at most in the mean.
    mutating func forgetArrived() {
        guard isEmpty || start * 2 >= text.count else { return }
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
        for line in lines[done...] { lose(line.account) }
        done = lines.count
        forgetArrived()
    }

    /// Counts the first line that waits as lost.
    mutating func giveUpFirst() {
        guard !isEmpty else { return }
        let line = lines[done]
        leave(line)
        lose(line.account)
    }

    /// Counts a record as lost that never became a line.
    mutating func giveUp(_ summary: EventSummary) { lose(summary.account) }

    private mutating func leave(_ line: Line) {
        start += line.length
        done += 1
        goneLines += 1
        if line.account.isOfThisRun { goneEvents &+= line.account.count }
    }

    private mutating func lose(_ account: LineAccount) {
        guard account.isOfThisRun else { return }
        lost.add(account.count, account.reason, account.action)
        lostCount &+= account.count
    }
}

extension EventSummary {
    var account: LineAccount { LineAccount(count: count, reason: event.reason, action: event.action) }
}

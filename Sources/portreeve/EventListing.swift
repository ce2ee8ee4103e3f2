// SPDX-License-Identifier: GPL-3.0-or-later

import EventReader

/// Prints the events that a query wants, as they come.
struct EventListing {
    /// Rows that are laid out together: the table's columns are as wide as they need until then.
    private static let batch = 500

    private let query: EventQuery
    private let asJSON: Bool
    private var table = EventTable(width: terminalWidth)
    private var hasTitle = false
    /// Lines that are no events of ours.
    private(set) var foreign = 0

    init(query: EventQuery, asJSON: Bool) {
        self.query = query
        self.asJSON = asJSON
    }

    /// Everything up to the end of the file, or the last so many events of it.
    mutating func print(from reader: inout LineReader, last: Int?) throws(ReadError) {
        var found: [(line: [UInt8], event: LoggedEvent)] = []
        while let line = try reader.next() {
            guard let event = LoggedEvent(line: line) else {
                foreign += line.isEmpty ? 0 : 1
                continue
            }
            guard query.matches(event) else { continue }
            found.append((line, event))
            if last == nil, found.count == Self.batch {
                show(found[...])
                found.removeAll(keepingCapacity: true)
            }
            // Not one by one: removing the first moves all others.
            if let last, found.count - Self.batch >= last { found.removeFirst(found.count - last) }
        }
        show(found.suffix(last ?? found.count))
        flush()
    }

    private mutating func show(_ events: ArraySlice<(line: [UInt8], event: LoggedEvent)>) {
        if asJSON {
            for (line, _) in events { Swift.print(String(decoding: line, as: UTF8.self)) }
            return
        }
        let lines = table.lines(events.map(\.event))
        if !hasTitle, !lines.isEmpty {
            Swift.print(table.header)
            hasTitle = true
        }
        for line in lines { Swift.print(line) }
    }
}

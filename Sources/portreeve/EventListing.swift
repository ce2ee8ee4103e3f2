// SPDX-License-Identifier: GPL-3.0-or-later

/// Prints the events that a filter admits.
struct EventListing {
    let filter: EventFilter
    let asJSON: Bool
    /// Lines that are no events.
    private(set) var unreadable = 0
    private var hasTitle = false

    init(filter: EventFilter, asJSON: Bool) {
        self.filter = filter
        self.asJSON = asJSON
    }

    /// Everything up to the file's end, or the last so many of it.
    mutating func printEnd(of reader: inout EventFileReader, last: Int?) {
        guard let last else { return printRest(of: &reader) }
        var kept: [String] = []
        while let line = reader.next() {
            guard last > 0, let text = text(line) else { continue }
            kept.append(text)
            // Not one by one: removing the first moves all others.
            if kept.count >= last * 2 { kept.removeFirst(kept.count - last) }
        }
        for text in kept.suffix(last) { show(text) }
    }

    mutating func printRest(of reader: inout EventFileReader) {
        while let line = reader.next() {
            if let text = text(line) { show(text) }
        }
    }

    private mutating func text(_ line: [UInt8]) -> String? {
        guard let event = EventRecord(line) else {
            unreadable += line.isEmpty ? 0 : 1
            return nil
        }
        guard filter.admits(event) else { return nil }
        return asJSON ? String(decoding: line, as: UTF8.self) : EventTable.line(event)
    }

    private mutating func show(_ text: String) {
        if !hasTitle && !asJSON { print(EventTable.title) }
        hasTitle = true
        print(text)
    }
}

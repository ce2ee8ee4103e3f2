// SPDX-License-Identifier: GPL-3.0-or-later

import EventReader

/// Prints events: a table whose columns are as wide as they need until then, or the lines as they stand in the file.
struct EventListing {
    private let asJSON: Bool
    private var table = EventTable(width: terminalWidth)
    /// How the titles stand that were printed last.
    private var titled: [Range<Int>]?

    private(set) var isEmpty = true

    init(asJSON: Bool) { self.asJSON = asJSON }

    mutating func show(_ events: [EventSource.Found]) {
        guard !events.isEmpty else { return }
        isEmpty = false
        if asJSON {
            for (line, _) in events { Swift.print(String(decoding: line, as: UTF8.self)) }
        } else {
            let lines = table.lines(events.map(\.event))
            if titled != table.layout.lines { table.header.forEach { Swift.print($0) } }
            titled = table.layout.lines
            lines.forEach { Swift.print($0) }
        }
        flush()
    }
}

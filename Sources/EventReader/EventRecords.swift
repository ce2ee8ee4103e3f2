// SPDX-License-Identifier: GPL-3.0-or-later

/// The event records of one file as it is now, compressed with gzip or not, or of standard input (`-`).
package struct EventRecords: ~Copyable {
    private var file: RotatedFile
    /// Lines that are no event records.
    package private(set) var foreign = 0

    package init(path: String) throws(ReadError) { file = try RotatedFile(path: path) }

    /// The next one; nil at the end.
    package mutating func next() throws(ReadError) -> LoggedEvent? {
        while let line = try file.next() {
            if let event = LoggedEvent(line: line) { return event }
            if !line.isEmpty { foreign += 1 }
        }
        return nil
    }
}

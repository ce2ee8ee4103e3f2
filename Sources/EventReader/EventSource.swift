// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// The events of a file and of its predecessors that a query wants, oldest first.
package struct EventSource: ~Copyable {
    package typealias Found = (line: [UInt8], event: LoggedEvent)

    private let query: EventQuery
    private let history: EventHistory
    /// `nil` where only predecessors are left of the file.
    private var live: LineReader?
    /// How many lines are no events of ours, by file.
    package private(set) var foreign: [String: Int] = [:]
    /// What could not be read.
    package private(set) var errors: [ReadError]

    /// Events that are given out together at most.
    private static let batch = 500

    /// The file may be missing only where predecessors are left of it.
    package init(path: String, query: EventQuery) throws(ReadError) {
        self.query = query
        var failure: ReadError?
        var identity: FileIdentity?
        do throws(ReadError) {
            let reader = try LineReader(path: path)
            identity = reader.identity
            live = consume reader
        } catch {
            live = nil
            failure = error
        }
        history = EventHistory(of: path, without: identity)
        errors = history.unreadable
        if let failure, failure.code != ENOENT || history.files.isEmpty { throw failure }
    }

    /// Everything there is, in batches.
    package mutating func all(_ give: ([Found]) -> Void) throws(ReadError) {
        for file in history.files where canMatter(file) { read(file, give) }
        try more(give)
    }

    /// The last so many. Older files are read only as far as newer ones do not have enough.
    package mutating func last(_ count: Int) throws(ReadError) -> [Found] {
        var found: [Found] = []
        try more { EventSource.add($0, to: &found, keeping: count) }
        for file in history.files.reversed() where found.count < count && canMatter(file) {
            var older: [Found] = []
            read(file) { EventSource.add($0, to: &older, keeping: count - found.count) }
            found = older + found
        }
        return found
    }

    /// What the file has got since it was read last, in batches.
    package mutating func more(_ give: ([Found]) -> Void) throws(ReadError) {
        guard let path = live?.path else { return }
        var found: [Found] = []
        while let line = try live?.next() { take(line, of: path, &found, give) }
        give(found)
    }

    /// No record of a file is newer than its last change.
    private func canMatter(_ file: EventHistory.Past) -> Bool { query.since.map { file.modified >= $0 } ?? true }

    private mutating func read(_ file: EventHistory.Past, _ give: ([Found]) -> Void) {
        var found: [Found] = []
        do throws(ReadError) {
            var reader = try RotatedFile(path: file.path)
            while let line = try reader.next() { take(line, of: file.path, &found, give) }
        } catch {
            errors.append(error)
        }
        give(found)
    }

    private mutating func take(_ line: [UInt8], of path: String, _ found: inout [Found], _ give: ([Found]) -> Void) {
        guard let event = LoggedEvent(line: line) else {
            if !line.isEmpty { foreign[path, default: 0] += 1 }
            return
        }
        guard query.matches(event) else { return }
        found.append((line, event))
        guard found.count == EventSource.batch else { return }
        give(found)
        found.removeAll(keepingCapacity: true)
    }

    private static func add(_ more: [Found], to found: inout [Found], keeping count: Int) {
        found += more
        if found.count > count { found.removeFirst(found.count - count) }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
package import PacketWire

/// What the writer thread owns: folds what the queues bring, formats it, and hands it to the file.
///
/// While the file takes nothing and its backlog is full, records are merged: they wait as one line per reason, action and
/// direction until the file takes lines again, and no count is lost before the log is closed.
struct EventWriter: ~Copyable {
    private var folder: Folder
    private var format: JSONLines
    private var file: EventFileWriter
    private var stalled = MergedEvents()
    private var clock = LogClock(now: Instant(nanoseconds: 0), offset: .zero)
    private var records: [EventRecord] = []

    init(settings: EventSettings, host: String?) {
        folder = Folder(window: settings.fold)
        format = JSONLines(host: host)
        file = EventFileWriter(path: settings.path)
    }

    /// Whether nothing is left in memory.
    var isIdle: Bool { folder.isEmpty && file.isSettled && stalled.isEmpty }
    var fileState: EventFileState { file.state }
    var written: EventTally { file.written }
    var lost: EventTally { file.lost }
    var lines: EventTally { file.records }

    mutating func open() throws(EventFileError) { try file.open() }

    /// Sets the time of what follows.
    mutating func begin(_ clock: LogClock) { self.clock = clock }

    /// Takes over what the control thread asked for since the last step.
    mutating func adopt(_ orders: LogOrders) {
        for names in orders.policies { format.policies.register(names) }
        if let interfaces = orders.interfaces { format.interfaces = interfaces }
        if let settings = orders.settings {
            folder.window = settings.fold
            if settings.path != file.path { file.reopen(path: settings.path) }
        }
        if orders.mustReopen { file.reopen() }
        for record in orders.reports { emit(record) }
        for summary in orders.mergedReports.summaries { emit(EventRecord(summary)) }
    }

    /// Folds the content of a buffer.
    mutating func add(_ buffer: borrowing EventBuffer) {
        for event in buffer.events {
            folder.add(event, packet: buffer.bytes(of: event), into: &records)
            emitFolded()
        }
        for summary in buffer.merged.summaries { folder.add(merged: summary, into: &records) }
        emitFolded()
    }

    /// Lets go of what is ready, and writes it.
    mutating func write() {
        folder.flush(at: clock.now, into: &records)
        emitFolded()
        file.flush(at: clock.now)
        guard file.isEmpty, !stalled.isEmpty else { return }
        releaseStalled()
        file.flush(at: clock.now)
    }

    /// Writes everything, folded or not, and closes the file; what it does not take is lost.
    mutating func finish() {
        folder.flushAll(into: &records)
        emitFolded()
        releaseStalled()
        file.close(at: clock.now)
    }

    private mutating func emitFolded() {
        guard !records.isEmpty else { return }
        for record in records { emit(record) }
        records.removeAll(keepingCapacity: true)
    }

    private mutating func emit(_ record: EventRecord) {
        if file.isFull { file.flush(at: clock.now) }
        if file.isFull || !stalled.isEmpty {
            stalled.merge(record.summary)
        } else {
            addLine(record)
        }
    }

    private mutating func releaseStalled() {
        for summary in stalled.summaries { addLine(EventRecord(summary)) }
        stalled.removeAll()
    }

    private mutating func addLine(_ record: EventRecord) {
        let clockOffset = clock.offset
        let format = format
        file.add(record.summary) { text in format.append(record, clockOffset: clockOffset, to: &text) }
    }
}

/// The writer's time: the clock of the events' instants, and how far Unix time is ahead of it.
package struct LogClock: Sendable, BitwiseCopyable {
    package var now: Instant
    package var offset: Instant.Span

    package init(now: Instant, offset: Instant.Span) {
        self.now = now
        self.offset = offset
    }
}

/// What the control thread asks of the writer, gathered between two steps.
struct LogOrders: Sendable {
    var policies: [PolicyNames] = []
    var interfaces: InterfaceNames?
    var settings: EventSettings?
    var mustReopen = false
    var reports: [EventRecord] = []
    /// Reports beyond those that are kept one by one.
    var mergedReports = MergedEvents()

    static let reportCapacity = 256
}

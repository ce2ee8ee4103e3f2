// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
package import PacketWire

/// What the writer thread owns: folds what the queues bring, resolves it once, and hands it to every output.
struct EventWriter: ~Copyable {
    private var folder: Folder
    private var resolver: RecordResolver
    private var feeds: [OutputFeed] = []
    private var clock = LogClock(now: Instant(nanoseconds: 0), offset: .zero)
    private var records: [EventRecord] = []
    /// Everything that was ever handed to the outputs.
    private var handedOut = EventTally()
    private let peers = OwnPeers()

    init(fold: Instant.Span, outputs: [OutputSettings], host: String?, flowSeed: (UInt64, UInt64)) {
        folder = Folder(window: fold)
        resolver = RecordResolver(host: host, flowSeed: flowSeed)
        feeds = []
        feeds = outputs.map { OutputFeed(EventOutput($0, receivedBefore: EventTally(), peers)) }
    }

    var outputs: [EventOutput] { feeds.map(\.output) }

    /// Whether nothing is left in memory but what waits in outputs that have threads of their own.
    var isIdle: Bool { folder.isEmpty && feeds.allSatisfy(\.isIdle) }

    /// Sets the time of what follows.
    mutating func begin(_ clock: LogClock) { self.clock = clock }

    /// Takes over what the control thread asked for since the last step.
    ///
    /// - Returns: whether there are other outputs now.
    mutating func adopt(_ orders: LogOrders) -> Bool {
        for names in orders.policies { resolver.register(names) }
        if let interfaces = orders.interfaces { resolver.interfaces = interfaces }
        if let users = orders.users { resolver.users = users }
        if let unitOfSender = orders.unitOfSender { folder.unitOfSender = unitOfSender }
        if let blocks = orders.blocks { resolver.blocks = blocks }
        if let fold = orders.fold { folder.window = fold }
        let hasChanged = orders.outputs.map { follow($0) } ?? false
        if orders.mustReopen { for feed in feeds { feed.output.reopen() } }
        for record in orders.reports { emit(record) }
        for summary in orders.mergedReports.summaries { emit(EventRecord(summary)) }
        return hasChanged
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

    /// Lets go of what is ready.
    mutating func write() {
        folder.flush(at: clock.now, into: &records)
        emitFolded()
        for place in feeds.indices { feeds[place].pass(&resolver, clock) }
    }

    /// Lets go of everything, folded or not.
    mutating func finish() {
        folder.flushAll(into: &records)
        emitFolded()
        for place in feeds.indices { feeds[place].pass(&resolver, clock, always: true) }
    }

    private mutating func emitFolded() {
        guard !records.isEmpty else { return }
        for record in records { emit(record) }
        records.removeAll(keepingCapacity: true)
    }

    private mutating func emit(_ record: EventRecord) {
        let (event, count) = (record.summary.event, record.summary.count)
        handedOut.add(count, event.reason, event.action)
        let fields = resolver.fields(record, clockOffset: clock.offset)
        let isOfOwnPackets = peers.concern(fields)
        for place in feeds.indices {
            if feeds[place].output.wants(fields, isOfOwnPackets: isOfOwnPackets) {
                feeds[place].offer(fields, at: clock.now)
            } else {
                feeds[place].output.spare(fields.summary)
            }
        }
    }

    /// Goes on with the outputs that are still wanted, begins those that are new, and ends the others.
    private mutating func follow(_ wanted: [OutputSettings]) -> Bool {
        let old = feeds
        feeds = wanted.map { settings in
            guard let feed = old.first(where: { $0.output.name == settings.name }) else {
                let output = EventOutput(settings, receivedBefore: handedOut, peers)
                // Opened without an event, so that status tells at once where it cannot be.
                output.reopen()
                return OutputFeed(output)
            }
            feed.output.adopt(settings)
            return feed
        }
        let now = clock.now
        for feed in old where !wanted.contains(where: { $0.name == feed.output.name }) {
            if feed.output.hasThread { feed.output.stop() } else { feed.output.finish(at: now) }
        }
        return old.map(\.output.name) != feeds.map(\.output.name)
    }
}

/// An output as the writer sees it: while it takes nothing, records are merged; they wait as one per reason, action and
/// direction until it takes records again, and no count is lost.
private struct OutputFeed {
    let output: EventOutput
    private var stalled = MergedEvents()
    private var hasNews = false

    init(_ output: EventOutput) { self.output = output }

    /// An output without a thread has to be stepped until nothing waits.
    var isIdle: Bool { stalled.isEmpty && (output.hasThread || output.isSettled) }

    mutating func offer(_ fields: RecordFields, at now: Instant) {
        if stalled.isEmpty, output.offer(fields, at: now) {
            hasNews = true
        } else {
            stalled.merge(fields.summary)
        }
    }

    /// Tells the output of what it was given, and gives it what was merged once it has taken all else.
    mutating func pass(_ resolver: inout RecordResolver, _ clock: LogClock, always: Bool = false) {
        if !stalled.isEmpty, always || output.isDone {
            for summary in stalled.summaries {
                let fields = resolver.fields(EventRecord(summary), clockOffset: clock.offset)
                _ = output.offer(fields, at: clock.now, always: true)
            }
            stalled.removeAll()
            hasNews = true
        }
        guard output.hasThread else { return output.step(at: clock.now) }
        if hasNews { output.wake() }
        hasNews = false
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
    var blocks: [BlockedAddress: String]?
    var users: [UInt32: String]?
    var unitOfSender: (@Sendable (Event) -> String?)?
    var fold: Instant.Span?
    var outputs: [OutputSettings]?
    var mustReopen = false
    var reports: [EventRecord] = []
    /// Reports beyond those that are kept one by one.
    var mergedReports = MergedEvents()

    static let reportCapacity = 256
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallEngine
import FirewallPolicy
package import PacketWire

/// How many different events the folding table holds before it merges.
package struct FoldLimits: Sendable, BitwiseCopyable {
    /// Records open at one time, of all reasons.
    package var total = 4096
    /// Of one reason, so that a flood of one kind leaves room for the others.
    package var perReason = 1024
    /// Of one reason while it floods: what keeps a flood of spoofed sources from filling the disk.
    package var perFloodingReason = 128
    /// A reason floods until a window and this long after the last event that found no room.
    package var calmAfter = Instant.Span.seconds(10)

    package init() {}
}

/// Makes one record of events that are alike and close in time.
///
/// A record is open for one window from its first event on; then it leaves, in the order of opening. When the table is
/// full, events go into one merged record per reason, action and direction (`MergedEvents`), whose source is left out.
/// What goes in comes out: the counts of all records ever returned add up to the events added, once `flushAll` was
/// called. The same events at the same instants give the same records, so that a replay can be repeated.
///
/// Instants need not be in order: several workers' clocks differ by a little, and a capture may jump back by any amount,
/// which ends the open records.
package struct Folder: Sendable {
    /// Open for this long; zero folds nothing.
    package var window: Instant.Span
    private let limits: FoldLimits
    /// Tells the unit of the process that has sent an event's packet, as long as its socket is there: asked once for each record.
    package var unitOfSender: (@Sendable (Event) -> String?)?
    /// Open records by key: their number in the order of opening.
    private var numbers: [FoldKey: Int] = [:]
    /// Open records in order of opening; `nil` where one left early. Number `base` is at index 0.
    private var entries: [Entry?] = []
    private var base = 0
    /// Entries before this index have left.
    private var head = 0
    private var openByReason = [Int](repeating: 0, count: DropReason.count)
    private var floodEnds = [Instant?](repeating: nil, count: DropReason.count)
    private var merged = MergedEvents()
    /// When the oldest merged record was opened.
    private var mergedSince: Instant?

    private struct Entry: Sendable {
        var key: FoldKey
        var opened: Instant
        var record: EventRecord
    }

    package init(window: Instant.Span, limits: FoldLimits = FoldLimits()) {
        self.window = window
        self.limits = limits
    }

    package var isEmpty: Bool { numbers.isEmpty && merged.isEmpty }
    /// Records in the table now, merged ones included.
    package var openRecords: Int { numbers.count + merged.summaries.count }

    /// Adds one event, and the bytes of its packet where they are wanted; records whose time is over by then are
    /// appended to `records`.
    package mutating func add(_ event: Event, packet: ArraySlice<UInt8> = [], into records: inout [EventRecord]) {
        // What is told of a connection is true of no other.
        guard window > .zero, !event.reason.isOfConnectionLog else {
            return records.append(record(of: event, packet))
        }
        flush(at: event.instant, into: &records)
        let key = FoldKey(event)
        if let number = numbers[key], let opened = entries[number - base]?.opened {
            if !isOver(opened, at: event.instant) {
                entries[number - base]?.record.summary.fold(event)
                return
            }
            leave(number - base, into: &records)
        }
        if hasRoom(for: event) {
            open(key, event, packet)
        } else {
            mergeFlooding(event)
        }
    }

    /// Adds events that were merged before they came here.
    package mutating func add(merged summary: EventSummary, into records: inout [EventRecord]) {
        guard window > .zero else { return records.append(EventRecord(summary)) }
        merge(summary)
    }

    /// Appends the records whose window is over.
    package mutating func flush(at now: Instant, into records: inout [EventRecord]) {
        while head < entries.count {
            if let opened = entries[head]?.opened {
                guard window == .zero || isOver(opened, at: now) else { break }
                leave(head, into: &records)
            }
            head += 1
        }
        forgetLeft()
        if let since = mergedSince, window == .zero || isOver(since, at: now) { leaveMerged(into: &records) }
    }

    /// Appends every open record.
    package mutating func flushAll(into records: inout [EventRecord]) {
        for index in head..<entries.count where entries[index] != nil { leave(index, into: &records) }
        head = entries.count
        forgetLeft()
        leaveMerged(into: &records)
    }
}

extension Folder {
    /// Time is up, or it went back by more than a window.
    private func isOver(_ opened: Instant, at now: Instant) -> Bool {
        let age = now - opened
        return age >= window || age.nanoseconds < 0 &- window.nanoseconds
    }

    private mutating func hasRoom(for event: Event) -> Bool {
        let reason = Int(event.reason.rawValue)
        let limit = isFlooding(reason, at: event.instant) ? limits.perFloodingReason : limits.perReason
        return numbers.count < limits.total && openByReason[reason] < limit
    }

    private func isFlooding(_ reason: Int, at now: Instant) -> Bool {
        guard let ends = floodEnds[reason] else { return false }
        let left = ends - now
        return left > .zero && left <= calm
    }

    private var calm: Instant.Span {
        Instant.Span(nanoseconds: limits.calmAfter.nanoseconds &+ window.nanoseconds)
    }

    private mutating func open(_ key: FoldKey, _ event: Event, _ packet: ArraySlice<UInt8>) {
        numbers[key] = base + entries.count
        openByReason[Int(event.reason.rawValue)] += 1
        entries.append(Entry(key: key, opened: event.instant, record: record(of: event, packet)))
    }

    private func record(of event: Event, _ packet: ArraySlice<UInt8>) -> EventRecord {
        let hasSender = event.metadata.senderUID != .max && event.metadata.direction == .outgoing
        return EventRecord(
            EventSummary(event), packet: Array(packet), unit: hasSender ? unitOfSender?(event) : nil)
    }

    private mutating func mergeFlooding(_ event: Event) {
        floodEnds[Int(event.reason.rawValue)] = event.instant + calm
        merge(EventSummary(event))
    }

    private mutating func merge(_ summary: EventSummary) {
        if mergedSince == nil { mergedSince = summary.first }
        merged.merge(summary)
    }

    private mutating func leave(_ index: Int, into records: inout [EventRecord]) {
        guard let entry = entries[index] else { return }
        entries[index] = nil
        numbers[entry.key] = nil
        openByReason[Int(entry.record.summary.event.reason.rawValue)] -= 1
        records.append(entry.record)
    }

    private mutating func leaveMerged(into records: inout [EventRecord]) {
        for summary in merged.summaries { records.append(EventRecord(summary)) }
        merged.removeAll()
        mergedSince = nil
    }

    /// Gives back the space before `head`, so that each entry is moved once at most in the mean.
    private mutating func forgetLeft() {
        guard head > 0, head * 2 >= entries.count else { return }
        entries.removeFirst(head)
        base += head
        head = 0
    }
}

/// What events must have in common to become one record, packed into words that hash fast.
struct FoldKey: Hashable, Sendable {
    private let source: IPAddress
    private let destination: IPAddress
    private let interfaces: UInt64
    /// A rule's index means something only within the policy of its epoch; without a rule the epoch does not matter.
    private let rules: UInt64
    private let epoch: UInt32
    private let kind: UInt64
    private let remedy: CauseSet
    /// EtherType, and the destination port; of ICMP, type and code.
    private let frame: UInt32
    private let user: UInt32

    init(_ event: Event) {
        source = event.headers.source
        destination = event.headers.destination
        interfaces = UInt64(event.metadata.inInterface) << 32 | UInt64(event.metadata.outInterface)
        rules = UInt64(UInt32(bitPattern: event.rule)) << 32 | UInt64(UInt32(bitPattern: event.remedyRule))
        epoch = event.rule < 0 && event.remedyRule < 0 ? .max : event.policyEpoch
        kind = FoldKey.kind(event)
        remedy = event.remedy
        user = event.metadata.senderUID
        frame = UInt32(event.headers.etherType) << 16 | UInt32(FoldKey.port(event.headers))
    }

    private static func kind(_ event: Event) -> UInt64 {
        var bits = UInt64(event.reason.rawValue)
        bits = bits << 8 | UInt64(event.action.rawValue)
        bits = bits << 8 | UInt64(event.metadata.direction.rawValue)
        bits = bits << 8 | UInt64(event.headers.network.rawValue)
        bits = bits << 8 | UInt64(event.cause.rawValue)
        bits = bits << 8 | UInt64(event.reply.rawValue)
        return bits << 8 | UInt64(event.headers.protocolNumber)
    }

    private static func port(_ headers: PacketHeaders) -> UInt16 {
        switch headers.transport {
        case .icmp, .icmpv6: UInt16(headers.icmp.type) << 8 | UInt16(headers.icmp.code)
        default: headers.destinationPort
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import PacketWire

/// What an output's thread owns: it numbers and formats records, and brings the lines to their target.
///
/// Records that have not become lines wait as they are, so that the text in memory stays bounded.
struct OutputSender: ~Copyable {
    private var settings: OutputSettings
    private var target: OutputTarget
    private let peers: OwnPeers
    private(set) var backlog = EventBacklog()
    /// Records taken over, of which those before `next` have become lines.
    private var taken: [RecordFields] = []
    private var next = 0
    private var budget: OutputBudget
    /// What the budget had no room for, until its window is over.
    private var coarse = CoarseRecords()
    /// Events that became part of a coarser record.
    private(set) var coarseCount: UInt64 = 0
    private var retry = RetryPause()
    /// Why lines wait; `nil` while the target takes them.
    private(set) var trouble: OutputError?
    /// The target was said to take bytes, and has not taken any since.
    private var isSaidToBeWritable = false
    private var lastSent = Instant(nanoseconds: 0)
    /// Where lines wait that the target does not take. Once one does, all others pass through it, for the order's sake: the
    /// backlog then holds copies of its first lines, of which `spoolGone` have left.
    private var spool: EventSpool?
    private var hasLooked = false
    private var spoolGone = (lines: 0, events: UInt64(0))
    private var sequence: UInt64 = 0
    /// Of `backlog.lostCount`: what a record has told.
    private var lostTold: UInt64 = 0

    /// Opens nothing yet.
    init(_ settings: OutputSettings, _ peers: OwnPeers = OwnPeers()) {
        self.settings = settings
        self.peers = peers
        target = OutputTarget(settings.target, peers)
        budget = OutputBudget(settings.budget)
        spool = settings.spool.map { EventSpool(path: $0.path, size: $0.size) }
    }

    /// Nothing is left to send or to open now.
    var isDone: Bool { hasNoRecords && backlog.isEmpty && !target.mustOpen && !mayHaveSpooled }
    private var mayHaveSpooled: Bool { spool.map { !hasLooked || !$0.isEmpty } ?? false }
    private var isSpooling: Bool { spool.map { !$0.isEmpty } ?? false }
    /// Events that wait on disk.
    var spooledCount: UInt64 { spool?.events ?? 0 }
    /// Nothing is left to send or to open, now or at the end of the budget's window.
    var isSettled: Bool { isDone && coarse.isEmpty }
    /// What was taken over has all become lines: more may be taken.
    var hasNoRecords: Bool { next == taken.count }
    var nextAttempt: Instant? { retry.nextAttempt }
    /// When to send although nothing came: an attempt after a failure, a look at what is under way, or the end of the budget's
    /// window.
    var wakeAt: Instant? { nextAttempt ?? nextLook ?? (isDone ? budget.end : nil) }
    private var nextLook: Instant? { target.isAwaitingConfirmation ? lastSent + OutputSender.lookEvery : nil }
    private static let lookEvery = Instant.Span.milliseconds(50)
    var warning: String? { target.warning ?? spool?.warning }
    /// What takes bytes again when its reader has read, or -1. What said so in vain is not asked again before it takes some.
    var awaited: Int32 { trouble?.mayPassSoon == true && !isSaidToBeWritable ? target.descriptor : -1 }
    var targetText: String { target.text }
    var format: String { settings.formatName }

    /// Opens the target now, to learn at the start whether it takes anything.
    mutating func open() throws(OutputError) { try target.open() }

    /// Takes records over.
    mutating func take(_ records: consuming [RecordFields]) {
        if hasNoRecords {
            forgetTaken()
            taken = records
        } else {
            taken += records
        }
    }

    /// Follows the policy. Records that wait go where it says now.
    mutating func adopt(_ new: OutputSettings) {
        if new.target != settings.target {
            target.follow(new.target, peers)
            retry.end()
        }
        budget.limit = new.budget
        followSpool(new.spool)
        settings = new
    }

    mutating func reopen() {
        target.reopen()
        retry.end()
    }

    /// The next attempt need not wait.
    mutating func noteWritable() {
        retry.end()
        isSaidToBeWritable = true
    }

    /// Sends what waits, unless the last failure was too short a time ago.
    mutating func send(at now: Instant) {
        if budget.begin(at: now), !coarse.isEmpty { makeCoarseLines() }
        guard !isDone else { return }
        guard retry.isOver(at: now) else { return spoolMeanwhile() }
        let (before, taken) = (backlog.arrivedCount, target.progress)
        lastSent = now
        do throws(OutputError) {
            repeat {
                refill()
                makeLines()
                try target.send(&backlog, at: now)
                noteGone()
                backlog.forgetArrived()
                // What is under way and not confirmed takes up room.
            } while !(hasNoRecords && isExhausted) && !backlog.isFull
            trouble = nil
            retry.end()
            isSaidToBeWritable = false
        } catch {
            trouble = error
            let progressed = backlog.arrivedCount != before
            retry.noteFailure(at: now, progressed: progressed)
            // Of a long line a part is something, too.
            if progressed || target.progress != taken { isSaidToBeWritable = false }
            noteGone()
            spill()
        }
        backlog.forgetArrived()
        if hasNoRecords { forgetTaken() }
    }

    /// The last attempt: what a slow reader does not take within half a second at a time and ten seconds in all, and what
    /// others do not take at once, is lost.
    mutating func close(at now: Instant) {
        retry.end()
        // The rest is bounded by what may wait.
        budget.limit = nil
        makeCoarseLines()
        send(at: now)
        for _ in 0..<20 {
            guard !isSettled, trouble?.mayPassSoon == true else { break }
            let before = backlog.arrivedCount
            target.waitUntilWritable(milliseconds: 500)
            retry.end()
            send(at: now)
            if backlog.arrivedCount == before { break }
        }
        settle(at: now)
        // What waits on disk is for the next run.
        spill()
        if isSpooling { backlog.letGo() } else { backlog.giveUp() }
        for fields in taken[next...] { backlog.giveUp(fields.summary) }
        forgetTaken()
        target.close()
    }

    /// What one datagram has found out lets the others go, and what they have found out is waited for, too.
    private mutating func settle(at now: Instant) {
        for _ in 0..<4 where target.isAwaitingConfirmation {
            target.settle(&backlog)
            noteGone()
            backlog.forgetArrived()
            send(at: now)
        }
    }

    private mutating func forgetTaken() {
        taken = []
        next = 0
    }

    /// Makes lines of records, as far as there is room. What the budget has no room for waits for its end.
    private mutating func makeLines() {
        while !hasNoRecords, isSpooling ? spool?.hasRoom == true : !backlog.isFull {
            let fields = taken[next]
            next += 1
            if budget.admits(fields.event.reason) {
                makeLine(fields)
            } else {
                coarse.add(fields)
                coarseCount &+= fields.summary.count
            }
        }
    }

    /// A few hundred at most, whatever the budget says.
    private mutating func makeCoarseLines() {
        for fields in coarse.take() { makeLine(fields) }
    }

    private mutating func makeLine(_ fields: RecordFields) {
        sequence += 1
        let place = RecordPlace(sequence: sequence, lost: backlog.lostCount &- lostTold)
        lostTold = backlog.lostCount
        let (target, format) = (target, settings.format)
        let length: Int
        if isSpooling {
            var line: [UInt8] = []
            target.append(fields, at: place, format, to: &line)
            length = line.count
            if spool?.append(line[...], fields.summary.account) != true { backlog.giveUp(fields.summary) }
        } else {
            length = backlog.add(fields.summary) { target.append(fields, at: place, format, to: &$0) }
        }
        budget.note(length, fields.event.reason)
    }
}

// MARK: - The spool

extension OutputSender {
    private var isExhausted: Bool { spool?.isExhausted ?? true }

    /// Takes lines from the spool, where there are any.
    private mutating func refill() {
        guard let spool else { return }
        if !hasLooked { spool.look() }
        hasLooked = true
        spool.give(to: &backlog)
    }

    /// What the target does not take goes to disk.
    private mutating func spill() {
        guard let spool, !backlog.isEmpty || !hasNoRecords else { return }
        if !isSpooling {
            guard spool.prepare() else { return }
            noteGone()
            let lengths = backlog.forEachWaiting { spool.hasRoom && spool.append($0, $1) }
            guard lengths.count == backlog.waitingLines else { return spool.abandon() }
            spool.noteGivenOut(lengths)
        }
        makeLines()
    }

    /// Between two attempts too, what comes goes to disk.
    private mutating func spoolMeanwhile() {
        guard isSpooling else { return }
        makeLines()
        if hasNoRecords { forgetTaken() }
    }

    /// Lets go of what has left the backlog.
    private mutating func noteGone() {
        let (lines, events) = (backlog.goneLines - spoolGone.lines, backlog.goneEvents &- spoolGone.events)
        spoolGone = (backlog.goneLines, backlog.goneEvents)
        if isSpooling { spool?.noteGone(lines, events: events) }
    }

    /// One that is to be no more is used until it is empty.
    private mutating func followSpool(_ new: OutputSettings.Spool?) {
        if let new {
            if spool == nil {
                spool = EventSpool(path: new.path, size: new.size)
                hasLooked = false
            }
            spool?.size = new.size
        } else if !isSpooling {
            spool = nil
        }
    }
}

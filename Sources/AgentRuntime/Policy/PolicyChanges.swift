// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import Locking
import Logging
import PacketWire
import PolicyAnalysis
import PolicyFile

/// One policy in the place of another.
struct PolicyChange: Sendable {
    let old: Policy
    let new: Policy
    let asker: ReloadAsker
    let at = Clocks.monotonic()
}

/// Says of each policy that has come into force what it changes and who asked for it: in the log, and by an event (921).
///
/// The policies are compared afterwards and aside, on a thread of the lowest priority that exists only meanwhile: no reload and no
/// verdict waits for it. The work has a bound; beyond it, that is what is said.
final class PolicyChanges: Sendable {
    private struct Waiting {
        var changes: [PolicyChange] = []
        var isTold = false
    }

    private let waiting = Guarded(Waiting())
    private let log: EventLog
    private let logger: Logger

    /// More rules, of both policies, are not compared here: their regions alone take a hundred megabytes.
    private static let mostRules = 20_000
    /// More addresses of lists neither: a million of them take as much.
    private static let mostAddresses = 200_000
    private static let longest = Instant.Span.seconds(10)
    /// Changes that wait to be compared hold their policies in memory.
    private static let mostWaiting = 4

    init(_ log: EventLog, _ logger: Logger) {
        self.log = log
        self.logger = logger
    }

    func tell(_ change: PolicyChange) {
        let (isCrowded, mustStart) = waiting.withLock { waiting in
            if waiting.changes.count >= Self.mostWaiting { return (true, false) }
            waiting.changes.append(change)
            defer { waiting.isTold = true }
            return (false, !waiting.isTold)
        }
        if isCrowded { return report(change, Self.undecided) }
        if mustStart, Thread.start(name: "policy change", { self.run() }) == nil {
            for change in takeAll() { report(change, Self.undecided) }
        }
    }

    private static let undecided =
        "what it changes was not decided within the budget; \"portreeve diff\" takes its time"

    private static func tooMany(_ what: String, _ count: Int, _ most: Int) -> String {
        "what it changes was not decided within the budget: both policies have \(count) \(what), of which at most \(most) are compared "
            + "beside the packets; \"portreeve diff\" takes its time"
    }

    private func run() {
        // The priority of this thread alone (setpriority(2), on Linux); without it the comparison is only less polite.
        _ = setpriority(Int32(PRIO_PROCESS.rawValue), 0, 19)
        while let change = takeNext() {
            report(change, Self.text(of: change))
            ResidentMemory.giveBack()
        }
    }

    /// The oldest, which waits no more; at the end of them the thread ends.
    private func takeNext() -> PolicyChange? {
        waiting.withLock { waiting in
            guard !waiting.changes.isEmpty else {
                waiting.isTold = false
                return nil
            }
            return waiting.changes.removeFirst()
        }
    }

    private func takeAll() -> [PolicyChange] {
        waiting.withLock { waiting in
            defer { waiting = Waiting() }
            return waiting.changes
        }
    }

    private static func text(of change: PolicyChange) -> String {
        let both = [change.old, change.new]
        let addresses = both.reduce(0) { $0 + $1.document.addressLists.reduce(0) { $0 + $1.values.count } }
        let rules = both.reduce(0) { $0 + $1.rules.count }
        guard rules <= mostRules else { return tooMany("rules", rules, mostRules) }
        guard addresses <= mostAddresses else { return tooMany("entries of address lists", addresses, mostAddresses) }
        let end = Clocks.monotonic() + longest
        let zones = (SystemTimeZones.zones(of: change.old.document), SystemTimeZones.zones(of: change.new.document))
        let moments = PacketUniverse.moments(
            [(change.old, zones.0), (change.new, zones.1)], from: Clocks.calendarSeconds())
        let difference = PolicyDifference(from: change.old, to: change.new, moments: moments) {
            Clocks.monotonic() < end
        }
        return difference.isIncomplete ? undecided : difference.summary
    }

    private func report(_ change: PolicyChange, _ summary: String) {
        let text =
            "epoch \(change.new.epoch) after \(change.old.epoch), asked for by \(change.asker.text): \(summary)"
        logger.notice("policy changed: \(text)")
        var event = Event(
            reason: .policyChanged, action: .notice, instant: change.at, metadata: PacketMetadata(),
            headers: PacketHeaders())
        event.metadata.hook = .none
        event.policyEpoch = change.new.epoch
        log.report(event, detail: text)
    }
}

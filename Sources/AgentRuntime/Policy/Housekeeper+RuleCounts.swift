// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import Locking
import Logging
import PacketWire
import PolicyFile

/// What the main thread remembers of the rules' counts.
struct RuleCounting {
    var ledger = RuleLedger()
    var due = Instant(nanoseconds: 0)
    /// A failure is told when it begins, not every time.
    var hasFailed = false
}

extension Housekeeper {
    private static let countsEvery = Instant.Span.seconds(60)

    private var ruleCountsFile: RuleCountsFile { RuleCountsFile(path: options.ruleCountsPath) }

    /// Before the first packet: what the runs before have counted of the same rules.
    func restoreRuleCounts() {
        let now = Clocks.calendarMicroseconds()
        _ = ruleCounting.ledger.follow(to: identities(of: policies.current), at: now)
        ruleCounting.due = Clocks.monotonic() + Housekeeper.countsEvery
        do {
            guard let known = try ruleCountsFile.read() else { return }
            ruleCounting.ledger.restore(known, at: now)
        } catch {
            logger.warning("\(error); rules are counted anew")
        }
    }

    /// Goes on to the rules of another policy; returns which of those before each is, or -1.
    func followRules(to policy: Policy) -> [Int32] {
        ruleCounting.ledger.follow(to: identities(of: policy), at: Clocks.calendarMicroseconds())
    }

    private func identities(of policy: Policy) -> [RuleLedger.Identity] {
        let fingerprints = PolicyFile.fingerprints(of: policy.document)
        return policy.rules.enumerated().map { place, rule in
            // Built-in ones stand behind, and their names say all.
            RuleLedger.Identity(name: rule.name, fingerprint: place < fingerprints.count ? fingerprints[place] : 0)
        }
    }

    /// Once in a while, for a crash.
    func refreshRuleCounts() {
        let now = Clocks.monotonic()
        guard now >= ruleCounting.due else { return }
        ruleCounting.due = now + Housekeeper.countsEvery
        keepRuleCounts()
    }

    /// For the next run.
    func keepRuleCounts() {
        // Where the start has failed, they are still those of the run before.
        guard !ruleCounting.ledger.identities.isEmpty else { return }
        let text = RuleLedger.text(ruleCounting.ledger.identities, countedEntries())
        let isKept = ruleCountsFile.write(text)
        if !isKept, !ruleCounting.hasFailed {
            logger.warning(
                "\(options.ruleCountsPath) cannot be written: how often rules have decided would not survive a restart")
        }
        ruleCounting.hasFailed = !isKept
    }

    /// What was counted before and by each worker.
    private func countedEntries() -> [RuleLedger.Entry] {
        var entries = ruleCounting.ledger.entries
        let offset = Clocks.calendarOffset()
        for worker in workers {
            let counts = worker.engine.withLock { $0.countsOfRules }
            for (place, count) in counts.enumerated() where place < entries.count {
                entries[place].add(count, offset: offset)
            }
        }
        return entries
    }

    func rules(_ query: RuleQuery) -> RulePage {
        let policy = policies.current
        let entries = countedEntries()
        let begin = min(Int(query.after), policy.rules.count)
        let end = min(policy.rules.count, begin + query.limit)
        let now = Clocks.calendarSeconds()
        let zones = SystemTimeZones.zones(of: policy.document)
        let rows = (begin..<end).map { place in
            let rule = policy.rules[place]
            var report = RuleReport(rule, place < entries.count ? entries[place] : nil)
            if let end = rule.schedule.flatMap({ policy.document.schedules[$0].end }) {
                (report.until, report.isOver) = (end.text, end.unixTime(zones) <= now)
            }
            return report
        }
        return RulePage(epoch: policy.epoch, rows: rows, next: end < policy.rules.count ? UInt32(end) : nil)
    }
}

extension RuleReport {
    fileprivate init(_ rule: Rule, _ entry: RuleLedger.Entry?) {
        let position = rule.position
        self.init(
            name: rule.name, place: rule.isBuiltIn ? nil : "\(position.file):\(position.line)", action: rule.action,
            priority: rule.priority, direction: rule.direction, isEnabled: rule.isEnabled, since: entry?.since ?? 0)
        guard let entry, entry.packets > 0 else { return }
        (packets, bytes, first, last) = (entry.packets, entry.bytes, entry.first, entry.last)
    }
}

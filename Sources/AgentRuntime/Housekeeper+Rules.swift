// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import KernelRules
import PacketFilterRules
import PacketWire
import Synchronization

/// What the main thread knows of the rules that feed the queues.
struct RulesWatch {
    /// What of the policy's packets does not come to the queues, or not as it should; in sentences.
    private(set) var complaints: [String] = []
    /// Nil until the rules were seen.
    private(set) var areComplete: Bool?
    private var due = Instant(nanoseconds: 0)
    private var generation: UInt32?
    private var ruleset: KernelRuleset?
    private var found: [String] = []
    /// There were some at some time of this run.
    private var wereThere = false

    /// Twice within this long enough for who is alarmed, and seldom enough where a cluster changes its rules all the time.
    private static let every = Instant.Span.seconds(3)

    /// - Parameter isSettled: the agent runs so long that rules should be there, even if they never were.
    mutating func look(_ policy: PolicyDocument, at now: Instant, isSettled: Bool) {
        guard now >= due else { return }
        due = now + Self.every
        refresh()
        guard let ruleset else { return }
        let gaps = ruleset.gaps(for: policy).map { "\($0.text): \($0.cure)" }
        // Rules of several tables come one table after the other, so what is missing is missing twice.
        let lasting = gaps.filter(found.contains)
        found = gaps
        wereThere = wereThere || ruleset.feeds(policy.queue.numbers)
        areComplete = gaps.isEmpty ? true : lasting.isEmpty ? areComplete : false
        complaints = wereThere || isSettled ? lasting : []
    }

    /// Reads the rules where they may have changed. What cannot be read now is as it was.
    private mutating func refresh() {
        let now = KernelRuleset.generation()
        let mayDiffer = now == nil || now != generation || ruleset?.mayChangeUnseen ?? true
        guard mayDiffer, let new = KernelRuleset.read() else { return }
        ruleset = new
        generation = now
    }
}

extension Housekeeper {
    /// Nobody else says that rules were flushed, or fit no more: a queue that gets nothing may as well be quiet.
    func refreshRules(_ policy: Policy) {
        let now = Clocks.monotonic()
        // The agent's own queues, which its command line may have named.
        var document = policy.document
        if let first = workers.first?.number, let last = workers.last?.number { document.queue.numbers = first...last }
        rules.look(document, at: now, isSettled: now - agent.startedAt >= .minutes(1))
        agent.areRulesComplete.store(rules.areComplete.map { $0 ? 1 : 0 } ?? -1, ordering: .relaxed)
    }
}

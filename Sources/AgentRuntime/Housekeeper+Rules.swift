// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import KernelRules
import Locking
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
    /// The units that rules in place know; nil: the rules were not seen.
    var unitsInPlace: Set<String>? { ruleset?.unitsInPlace }
    /// There were some at some time of this run.
    private var wereThere = false
    /// Packets come without a rule of the new iptables or of nftables.
    private var isLegacy = false
    /// What had come at the last look, if no rule was seen then.
    private var packetsUnfed: UInt64?

    /// Twice within this is long enough for who is alarmed, and seldom enough where a cluster changes its rules all the time.
    static let every = Instant.Span.seconds(3)

    /// Looks again, if it is time.
    ///
    /// - Parameters:
    ///   - policy: what the rules are measured by.
    ///   - packets: how many have come to the queues so far.
    ///   - now: the monotonic clock.
    ///   - isSettled: the agent runs so long that rules should be there, even if they never were.
    mutating func look(_ policy: PolicyDocument, packets: UInt64, at now: Instant, isSettled: Bool) {
        guard now >= due else { return }
        due = now + Self.every
        refresh(policy.queue.layout)
        guard let ruleset else { return }
        let isFed = ruleset.feeds(policy.queue.layout)
        wereThere = wereThere || isFed
        if !isFed, let before = packetsUnfed, packets > before { isLegacy = true }
        packetsUnfed = isFed ? nil : packets
        guard isFed || wereThere || !ruleset.mayBeLegacy else { return }
        judge(
            ruleset.gaps(for: policy).map(Self.sentence), idle: ruleset.idleQueues(for: policy).map(Self.sentence),
            mayComplain: wereThere || isSettled)
    }

    private static func sentence(_ finding: Finding) -> String { "\(finding.text): \(finding.cure)" }

    /// By which bits the policy's units are known; nil: the rules were not seen.
    func unitMarks(_ policy: PolicyDocument) -> [UnitMark]? { ruleset?.unitMarks(for: policy) }

    /// Rules of several tables come one table after the other, so what is missing is missing twice. An idle queue is worth a
    /// word, and leaves no packet out.
    private mutating func judge(_ gaps: [String], idle: [String], mayComplain: Bool) {
        let lasting = gaps.filter(found.contains)
        let lastingIdle = idle.filter(found.contains)
        found = gaps + idle
        areComplete = gaps.isEmpty ? true : lasting.isEmpty ? areComplete : false
        complaints = mayComplain ? lasting + lastingIdle : []
    }

    /// Reads the rules where they may have changed; those of the old iptables have no generations. What cannot be read now is
    /// as it was.
    private mutating func refresh(_ queues: QueueLayout) {
        let now = KernelRuleset.generation()
        let mayDiffer =
            now == nil || now != generation || packetsUnfed != nil || isLegacy || ruleset?.usesLegacy == true
        guard mayDiffer, let new = KernelRuleset.read(queues, isLegacy: isLegacy) else { return }
        ruleset = new
        generation = now
    }
}

extension Housekeeper {
    /// A unit is known by the bit that the rules in place give it, which may not be those of the policy in force.
    func followUnits(of policy: Policy) {
        guard !policy.units.isEmpty, let marks = rules.unitMarks(policy.document) else { return }
        for worker in workers { worker.engine.withLock { $0.setUnitMarks(marks) } }
    }

    /// What is to be done for units that a policy has come with.
    func notes(onUnitsOf policy: Policy) -> [String] {
        guard let known = rules.unitsInPlace else { return [] }
        let unknown = policy.document.units.filter { !known.contains($0) }
        guard !unknown.isEmpty else { return [] }
        return [
            "warning: no rule before the queue knows packets of \(unknown.joined(separator: ", ")), so that no rule for them matches: "
                + "run \"portreeve iptables --units\" while they run"
        ]
    }

    /// Nobody else says that rules were flushed, or fit no more: a queue that gets nothing may as well be quiet.
    func refreshRules(_ policy: Policy) {
        let now = Clocks.monotonic()
        // The agent's own queues, which its command line may have named.
        var document = policy.document
        document.queue.numbers = agent.layout.established
        document.queue.floodNumbers = agent.layout.floods.map { .from($0.lowerBound) } ?? .off
        let packets = workers.reduce(0) { $0 &+ $1.engine.withLock { $0.counters.inspected } }
        rules.look(document, packets: packets, at: now, isSettled: now - agent.startedAt >= .minutes(1))
        followUnits(of: policy)
        agent.areRulesComplete.store(rules.areComplete.map { $0 ? 1 : 0 } ?? -1, ordering: .relaxed)
    }
}

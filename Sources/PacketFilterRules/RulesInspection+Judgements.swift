// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

// Each packet is judged exactly once, and all packets of a connection by the same worker.

extension RulesInspection {
    /// Two rules that one packet can meet. Rules of one chain are no such pair: a packet that comes back from user space
    /// goes on behind the whole table.
    var doubleJudgements: [Finding] {
        pairs.compactMap { first, second in
            guard canMeetBoth(first, second) else { return nil }
            let (early, late) = inOrder(first, second)
            return Finding(
                .refusal,
                "one packet can meet two queue rules, first at \(Self.name(early)) and then at \(Self.name(late)): "
                    + "it would be judged twice and its second judgement be wrong",
                [early.line, late.line], cure: Self.cure(early, late))
        }.merged
    }

    private func canMeetBoth(_ a: QueueFeed, _ b: QueueFeed) -> Bool {
        guard a.place != b.place, shareLayer(a, b) else { return false }
        if (a.layer == .bridge) != (b.layer == .bridge) { return !a.excludes(b, addressesMayChange: true) }
        let hooks = (a.place.hook, b.place.hook)
        guard hooks.0 == hooks.1 || hooks.0.canPrecede(hooks.1) || hooks.1.canPrecede(hooks.0) else { return false }
        if staysOnThisHost(a, b) || staysOnThisHost(b, a) { return false }
        return !a.excludes(b, addressesMayChange: hooks.0 != hooks.1 && translates(a, b))
    }

    private func shareLayer(_ a: QueueFeed, _ b: QueueFeed) -> Bool {
        AddressFamily.allCases.contains { a.carries($0) && b.carries($0) }
    }

    /// A packet that is addressed to this host at PREROUTING is forwarded only if its destination is rewritten.
    private func staysOnThisHost(_ early: QueueFeed, _ late: QueueFeed) -> Bool {
        early.place.hook == .prerouting && (late.place.hook == .forward || late.place.hook == .postrouting)
            && early.isLimitedToThisHost && destinationTranslation(early, late) == nil
    }

    private func destinationTranslation(_ a: QueueFeed, _ b: QueueFeed) -> String? {
        rulesets.lazy.filter { a.carries($0.family) && b.carries($0.family) }.compactMap(\.destinationTranslation).first
            ?? nftables.destinationTranslation
    }

    private func translates(_ a: QueueFeed, _ b: QueueFeed) -> Bool {
        nftables.hasTranslation
            || rulesets.contains { $0.hasTranslation && a.carries($0.family) && b.carries($0.family) }
    }

    private func inOrder(_ a: QueueFeed, _ b: QueueFeed) -> (QueueFeed, QueueFeed) {
        if a.place.hook == b.place.hook { return a.place.priority <= b.place.priority ? (a, b) : (b, a) }
        return b.place.hook.canPrecede(a.place.hook) ? (b, a) : (a, b)
    }

    private static func name(_ feed: QueueFeed) -> String { "\(feed.place.table) \(feed.place.hook.chain)" }

    private static func cure(_ early: QueueFeed, _ late: QueueFeed) -> String {
        switch (early.place.hook, late.place.hook) {
        case (.prerouting, .input): "keep one of the two: PREROUTING where nothing tracks connections, else INPUT"
        case (_, .postrouting): "remove the rule at POSTROUTING"
        case (.prerouting, .forward):
            "restrict the rule at PREROUTING with -m addrtype --dst-type LOCAL,BROADCAST,ANYCAST,MULTICAST, or, where "
                + "destinations are translated, take incoming packets at INPUT"
        default: "remove one of the two rules"
        }
    }

    /// Each program hashes with a seed of its own, so the directions of a connection would reach different workers.
    var mixedHashes: [Finding] {
        pairs.compactMap { first, second in
            guard (first.place.program == "nft") != (second.place.program == "nft"), shareLayer(first, second),
                let a = first.queues, let b = second.queues,
                policy.queue.layout.workers(of: a).overlaps(policy.queue.layout.workers(of: b)),
                a.count > 1 || b.count > 1
            else { return nil }
            return Finding(
                .refusal,
                "queues \(Self.text(a)) are fed by an nftables queue statement and by NFQUEUE: each balances with a "
                    + "seed of its own, and the two directions of a connection reach different workers",
                [first.line, second.line], cure: "feed the queues from one of the two only")
        }.uniqued
    }

    /// An incoming and an outgoing rule that one connection can meet and that name different queues.
    var splitConnections: [Finding] {
        feeds.filter(\.isIncoming).flatMap { incoming in
            feeds.filter(\.isOutgoing).compactMap { outgoing -> Finding? in
                guard let a = incoming.queues, let b = outgoing.queues,
                    policy.queue.layout.workers(of: a) != policy.queue.layout.workers(of: b),
                    shareLayer(incoming, outgoing),
                    !incoming.excludesReverse(outgoing)
                else { return nil }
                return Finding(
                    .refusal,
                    "incoming packets go to queue \(Self.text(a)) and outgoing ones to queue \(Self.text(b)): the two "
                        + "directions of a connection reach different workers, which do not know each other's state",
                    [incoming.line, outgoing.line], cure: "give both rules the same queue or the same range")
            }
        }.uniqued
    }

    var fanouts: [Finding] {
        feeds.filter(\.fansOutByCPU).map { feed in
            Finding(
                .refusal,
                "the queue is chosen by the CPU that received the packet: the packets of a connection reach different "
                    + "workers", [feed.line], cure: "remove --queue-cpu-fanout (nftables: fanout)")
        }.merged
    }

    static func text(_ queues: ClosedRange<UInt16>) -> String {
        queues.count == 1 ? "\(queues.lowerBound)" : "\(queues.lowerBound)-\(queues.upperBound)"
    }
}

extension [Finding] {
    /// The same fault of several rules is one finding with several lines, in the order of the first.
    var merged: [Finding] {
        var findings: [Finding] = []
        for finding in self {
            let same = findings.firstIndex {
                $0.severity == finding.severity && $0.text == finding.text && $0.cure == finding.cure
            }
            guard let same else {
                findings.append(finding)
                continue
            }
            findings[same].lines += finding.lines.filter { !findings[same].lines.contains($0) }
        }
        return findings
    }

    /// Each once: a rule that is reached by several ways is one rule.
    var uniqued: [Finding] {
        var seen: Set<Finding> = []
        return filter { seen.insert($0).inserted }
    }
}

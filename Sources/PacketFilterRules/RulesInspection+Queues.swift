// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

// Rules, queues and readers belong together.

extension RulesInspection {
    /// Rules that feed a queue that nobody reads.
    var unreadQueues: [Finding] {
        feeds.compactMap { feed in
            guard let queues = feed.queues else { return nil }
            let unread = queues.filter { !host.readQueues.contains($0) }
            guard let first = unread.first, let last = unread.last else { return nil }
            return Finding(
                .refusal,
                "nobody reads queue \(Self.text(first...last)): "
                    + (feed.bypasses ? "its packets pass unchecked" : "its packets are dropped"),
                [feed.line], cure: "start portreeved with these queues, or run \"portreeve iptables --remove\"")
        }.merged
    }

    /// Rules that feed a queue that the policy does not name.
    var unknownQueues: [Finding] {
        let known = policy.queue.layout
        return feeds.compactMap { feed in
            guard let queues = feed.queues else {
                return Finding(
                    .advice, "the queue numbers of this rule are computed and were not checked", [feed.line],
                    cure: "make sure that they lie within queue.numbers, \(Self.text(known.established))")
            }
            guard known.kind(of: queues) == nil else { return nil }
            return Finding(
                .refusal,
                "queue \(Self.text(queues)) is not within the policy's queue.numbers, \(Self.text(known.established))"
                    + (known.floods.map { ", or queue.flood-numbers, \(Self.text($0))" } ?? ""),
                [feed.line], cure: "change queue.numbers, or run \"portreeve iptables --apply\"")
        }.merged
    }

    /// Queues of the policy that no rule feeds: their workers are idle.
    var unfedQueues: [Finding] {
        guard feeds.allSatisfy({ $0.queues != nil }) else { return [] }
        let idle = policy.queue.numbers.filter { number in !feeds.contains { $0.queues?.contains(number) ?? false } }
        guard !idle.isEmpty else { return [] }
        let numbers = idle.map { "\($0)" }.joined(separator: ", ")
        return [
            Finding(
                .advice, "no rule feeds queue \(numbers) of the policy's queue.numbers: that worker is idle",
                cure: "use --queue-balance \(policy.queue.numbers.lowerBound):\(policy.queue.numbers.upperBound), or "
                    + "lower queue.numbers")
        ]
    }

    /// Rules by which what can be sent in floods comes to the queues of what goes on: those of an earlier release, or of
    /// somebody's own. Nothing goes unjudged by them.
    var sharedQueues: [Finding] {
        let layout = policy.queue.layout
        let incoming = feeds.filter { !$0.isOutgoing && $0.layer != .bridge }
        let fed = Set(incoming.compactMap { $0.queues.flatMap(layout.kind) })
        guard layout.separatesFloods, fed.contains(.established) else { return [] }
        let kinds: [QueueKind] =
            trackingEvidence == nil ? [.openings, .fragments, .datagrams] : [.openings, .datagrams]
        let absent = kinds.filter { !fed.contains($0) }
        guard !absent.isEmpty else { return [] }
        return [
            Finding(
                .advice,
                "\(absent.map(\.word).joined(separator: ", ")) come to the queue of established connections, as by "
                    + "the rules of earlier releases: a flood of them holds up everything",
                cure: "run \"portreeve iptables --apply\" again, or write rules as --print shows them")
        ]
    }

    /// Rules that feed queues of floods, and no rule the queue of what goes on.
    var floodsAlone: [Finding] {
        let layout = policy.queue.layout
        guard layout.separatesFloods else { return [] }
        return families.flatMap { family -> [Finding] in
            let fed = feeds.filter { $0.carries(family) && !$0.isOutgoing && $0.layer != .bridge }
            let others = fed.filter { $0.queues.flatMap(layout.kind).map { $0 != .established } ?? false }
            guard !others.isEmpty, others.count == fed.count else { return [] }
            return [
                Finding(
                    .refusal,
                    "\(family.title): no rule gives what is neither an opening nor a fragment nor a datagram to a queue",
                    others.map(\.line), cure: "run \"portreeve iptables --apply\"")
            ]
        }
    }

    /// Own rules that feed a queue which is none of the policy's: nobody, or somebody else, judges what they give it.
    var strayQueues: [Finding] {
        let layout = policy.queue.layout
        return feeds.filter { feed in
            feed.line.contains("PORTREEVE-") && feed.queues.map { layout.kind(of: $0) == nil } ?? false
        }.map { feed in
            Finding(
                .refusal, "rules in place feed queue \(feed.queues.map(Self.text) ?? ""), which is none of the agent's",
                [feed.line], cure: "run \"portreeve iptables --apply\"")
        }.merged
    }

    /// Rules whose answer to a dead agent is not the policy's.
    var failureSettings: [Finding] {
        let isOpen = policy.failure.engine == .open || policy.mode == .tap
        return feeds.filter { $0.bypasses != isOpen }.map { feed in
            let option = feed.place.program == "nft" ? "bypass" : "--queue-bypass"
            return isOpen
                ? Finding(
                    .advice,
                    "the policy fails open, but this rule has no \(option): without an agent its packets are dropped",
                    [feed.line], cure: "run \"portreeve iptables --apply\", or add \(option)")
                : Finding(
                    .advice,
                    "the policy fails closed, but this rule has \(option): without an agent its packets pass",
                    [feed.line], cure: "run \"portreeve iptables --apply\", or remove \(option)")
        }.merged
    }
}

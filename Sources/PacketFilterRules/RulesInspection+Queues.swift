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
        let known = policy.queue.numbers
        return feeds.compactMap { feed in
            guard let queues = feed.queues else {
                return Finding(
                    .advice, "the queue numbers of this rule are computed and were not checked", [feed.line],
                    cure: "make sure that they lie within queue.numbers, \(Self.text(known))")
            }
            guard queues.lowerBound < known.lowerBound || queues.upperBound > known.upperBound else { return nil }
            return Finding(
                .refusal, "queue \(Self.text(queues)) is not within the policy's queue.numbers, \(Self.text(known))",
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

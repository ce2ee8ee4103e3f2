// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

extension RulesInspection {
    /// What of the packets that the policy is about does not come to its own queues, or not where it can be judged. It takes
    /// chains, jumps and queue rules alone, and nothing of what rules ask of packets.
    package var gaps: [Finding] {
        let layout = policy.queue.layout
        let mine = withFeeds { $0.queues.map(layout.overlaps) ?? true }
        guard !mine.feeds.isEmpty else { return [nothingFed] }
        let all =
            policy.queue.family == .bridge
            ? mine.unfedBridge
            : mine.missingFamilies + mine.missingDirections + mine.forwarding + mine.wrongSides + mine.floodsAlone
                + (mine.feeds.isEmpty ? [] : strayQueues)
        return all.filter { $0.severity == .refusal || $0.severity == .gap }
    }

    /// Queues of the policy that get nothing although others of them do; every packet is judged all the same.
    package var idleQueues: [Finding] {
        let mine = withFeeds { $0.queues.map(policy.queue.numbers.overlaps) ?? true }
        return mine.feeds.isEmpty ? [] : mine.unfedQueues
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy

/// What is known of the fragments that wait, for their events; at most `FragmentTracker.heldCapacity`.
struct HeldFragments {
    private var entries: [(ticket: UInt32, inspection: Inspection)] = []

    init() { entries.reserveCapacity(FragmentTracker.heldCapacity) }

    mutating func keep(_ p: Inspection, ticket: UInt32) { entries.append((ticket, p)) }

    /// The rules got new numbers.
    mutating func forgetRules() {
        for i in entries.indices { entries[i].inspection.ruling = RuleDecision(outcome: .undetermined) }
    }

    mutating func take(ticket: UInt32) -> Inspection? {
        guard let i = entries.firstIndex(where: { $0.ticket == ticket }) else { return nil }
        entries.swapAt(i, entries.count - 1)
        return entries.removeLast().inspection
    }
}

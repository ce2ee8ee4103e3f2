// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking

/// What is known of the fragments that wait, for their events; at most `FragmentTracker.maximumHeld`.
struct HeldFragments {
    private var entries: [(ticket: UInt32, inspection: Inspection)] = []

    init() { entries.reserveCapacity(FragmentTracker.maximumHeld) }

    mutating func keep(_ p: Inspection, ticket: UInt32) { entries.append((ticket, p)) }

    mutating func take(ticket: UInt32) -> Inspection? {
        guard let i = entries.firstIndex(where: { $0.ticket == ticket }) else { return nil }
        return entries.remove(at: i).inspection
    }
}

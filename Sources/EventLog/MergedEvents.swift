// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine

/// Where events go when there is no room for each of them: one summary per reason, action and direction (and per rule,
/// for the first rules that come), which keeps what all of them have in common. No count is ever lost here, whatever
/// arrives, and nothing grows: the space is reserved once and touched only when used.
package struct MergedEvents: Sendable {
    /// In the order in which they were opened.
    package private(set) var summaries: [EventSummary] = []
    /// Position in `summaries` by place, or `unused`.
    private var positions: [Int16]

    private static let unused: Int16 = -1
    private static let plainPlaces = DropReason.count * EventAction.allCases.count * 2
    /// A power of two: a rule's place is its index modulo this, and the first to come has it.
    private static let rulePlaces = 64
    private static let places = plainPlaces + rulePlaces

    package init() {
        positions = Array(repeating: MergedEvents.unused, count: MergedEvents.places)
        summaries.reserveCapacity(MergedEvents.places)
    }

    package var isEmpty: Bool { summaries.isEmpty }

    /// Adds a summary to the one of its kind. Of a merged summary no single packet is told.
    ///
    /// - Returns: its position in `summaries`.
    @discardableResult
    package mutating func merge(_ summary: EventSummary) -> Int {
        let event = summary.event
        if event.rule >= 0 {
            let place = MergedEvents.plainPlaces + Int(event.rule) & (MergedEvents.rulePlaces - 1)
            if isFree(place) || isOfSameRule(summaries[Int(positions[place])].event, event) {
                return merge(summary, at: place)
            }
        }
        return merge(summary, at: MergedEvents.plainPlace(event))
    }

    /// Forgets all of them, for the next use.
    package mutating func removeAll() {
        guard !isEmpty else { return }
        summaries.removeAll(keepingCapacity: true)
        for place in positions.indices { positions[place] = MergedEvents.unused }
    }

    private mutating func merge(_ summary: EventSummary, at place: Int) -> Int {
        if isFree(place) {
            positions[place] = Int16(summaries.count)
            summaries.append(summary)
            summaries[summaries.count - 1].shared.remove(.packet)
        } else {
            summaries[Int(positions[place])].merge(summary)
        }
        return Int(positions[place])
    }

    private func isFree(_ place: Int) -> Bool { positions[place] == MergedEvents.unused }

    private func isOfSameRule(_ a: Event, _ b: Event) -> Bool {
        a.rule == b.rule && a.policyEpoch == b.policyEpoch && MergedEvents.plainPlace(a) == MergedEvents.plainPlace(b)
    }

    private static func plainPlace(_ event: Event) -> Int {
        (Int(event.reason.rawValue) * EventAction.allCases.count + Int(event.action.rawValue)) * 2
            + Int(event.metadata.direction.rawValue)
    }
}

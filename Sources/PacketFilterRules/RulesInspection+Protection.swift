// SPDX-License-Identifier: GPL-3.0-or-later

/// What the rules do while no agent reads the queues.
package enum Protection: Hashable, Sendable {
    /// No rule gives packets to a queue.
    case noRules
    /// Every packet that meets a queue rule passes unchecked.
    case unprotected
    /// Every packet that meets a queue rule is dropped.
    case shut
    /// Some of both.
    case mixed
    /// A program reads the queues: an agent with another control socket, or something else.
    case read(ClosedRange<UInt16>)
}

extension RulesInspection {
    package var protection: Protection {
        if let read = feeds.lazy.compactMap(\.queues).first(where: { !host.readQueues.isDisjoint(with: $0) }) {
            return .read(read)
        }
        guard let first = feeds.first else { return .noRules }
        guard feeds.allSatisfy({ $0.bypasses == first.bypasses }) else { return .mixed }
        return first.bypasses ? .unprotected : .shut
    }
}

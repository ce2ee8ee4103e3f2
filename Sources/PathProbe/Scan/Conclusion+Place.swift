// SPDX-License-Identifier: GPL-3.0-or-later

extension Conclusion {
    /// Where a probe ended, as far as both sides show it.
    static func place(_ outcome: ProbeOutcome, _ witness: WitnessView, _ opening: OpeningView) -> String {
        switch outcome.finding.category {
        case .handshakeTimeout, .handshakeRefused: handshakePlace(outcome.finding.category, witness, opening)
        case .payloadTimeout, .payloadRefused, .payloadMismatch: payloadPlace(outcome, witness)
        case .payloadSend: outcome.finding.detail == .stalled ? "the other end" : "this host"
        default: unknown
        }
    }

    private static let there = "on the way there"
    private static let back = "on the way back"
    private static let unknown = "direction unknown"

    private static func handshakePlace(
        _ category: Category, _ witness: WitnessView, _ opening: OpeningView
    ) -> String {
        if case .seen = witness { return back }
        if case .stranger(_, isCertain: true) = witness { return back }
        switch opening {
        case .unknown: return unknown
        case .notSeen: return there
        case .seen(let sighting):
            if category == .handshakeRefused { return sighting.isRefused ? "the reflector's host" : back }
            return sighting.isAnswered ? back : "the reflector's host"
        }
    }

    private static func payloadPlace(_ outcome: ProbeOutcome, _ witness: WitnessView) -> String {
        switch witness {
        case .absent, .stranger(_, isCertain: false): return unknown
        case .nothing:
            let isOthers = outcome.job.transport == .tcp && outcome.finding.detail != .unacknowledged
            return isOthers || outcome.finding.category == .payloadMismatch ? "before the reflector's host" : there
        case .seen(let record) where hasArrived(record, of: outcome): return back
        case .seen, .stranger(_, isCertain: true): return there
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

internal import PacketWire

extension Conclusion {
    /// The sentence on a probe, which says of one that was silent first how long that was: what passes without, and not after it, may have
    /// been forgotten meanwhile by a device that keeps state.
    package static func afterSilence(
        _ outcome: ProbeOutcome, _ witness: WitnessView, _ opening: OpeningView = .unknown
    ) -> String {
        let sentence = sentence(outcome, witness, opening)
        let rest = outcome.job.deadlines.rest
        guard rest > .zero, let silence = outcome.finding.evidence.silence else { return sentence }
        if silence < rest {
            let seconds = Instant.Span(nanoseconds: silence.nanoseconds / 1_000_000_000 * 1_000_000_000)
            return "within the silence, after \(seconds.inUnits): \(sentence)"
        }
        if outcome.finding.category == .open { return "still passes after \(rest.inUnits) of silence: \(sentence)" }
        return "after \(rest.inUnits) of silence: \(sentence)"
    }
}

extension Instant.Span {
    /// In the largest unit that has no remainder.
    fileprivate var inUnits: String {
        let milliseconds = nanoseconds / 1_000_000
        if milliseconds == 0 { return "less than a second" }
        for (unit, size) in [("h", 3_600_000 as Int64), ("m", 60_000), ("s", 1_000)] where milliseconds % size == 0 {
            return "\(milliseconds / size) \(unit)"
        }
        return "\(milliseconds) ms"
    }
}

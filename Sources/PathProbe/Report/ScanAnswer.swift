// SPDX-License-Identifier: GPL-3.0-or-later

/// Where a probe ended, why and by whom, out of all that was asked: one line. What nobody saw is said to be unknown.
package struct ScanAnswer: Hashable, Sendable {
    /// "the reflector's host, incoming", "198.18.1.1", "on the way back"; "-" for an open port.
    package var place: String
    /// The reason of the agent that dropped, or what was seen in its place.
    package var cause: String
    /// The rule, or the device, that did it; nil where nobody says.
    package var author: String?

    package var text: String { "\(place): \(cause), by \(author ?? "whom is unknown")" }
}

extension ScanReport.Line {
    /// Nil for an open port, and where nothing was found out.
    package var answer: ScanAnswer? {
        let finding = outcome.finding
        guard finding.category != .open, finding.category.isVerdict else { return nil }
        if let first = drops.first(where: { $0.drop.isDrop }) {
            let doubt = first.match == .probable ? "probably " : ""
            return ScanAnswer(place: doubt + first.drop.host, cause: first.drop.cause, author: first.drop.author)
        }
        if finding.evidence.phase == .local {
            return ScanAnswer(place: "this host", cause: cause, author: "its own route, policy or packet filter")
        }
        if let icmp = finding.evidence.icmp, let offender = icmp.offender {
            return ScanAnswer(
                place: offender.host, cause: "ICMP type \(icmp.type) code \(icmp.code)", author: offender.host)
        }
        return ScanAnswer(place: Conclusion.place(outcome, witness, opening), cause: cause, author: nil)
    }

    private var cause: String {
        let finding = outcome.finding
        switch finding.category {
        case .handshakeTimeout, .payloadTimeout: return "silence"
        case .handshakeRefused, .payloadRefused: return finding.detail.text.hasPrefix("rst") ? "a reset" : "a refusal"
        case .payloadMismatch: return "other bytes"
        case .payloadError: return "an early end"
        default: return finding.detail.text
        }
    }

    /// How often it was repeated, and under which rule; nil for what one probe told.
    package var retry: String? {
        guard outcome.attempt > 0 else { return nil }
        let times = outcome.attempt == 1 ? "once" : "\(outcome.attempt) times"
        let most = retries == 1 ? "one repetition" : "\(retries) repetitions"
        return "repeated \(times) after all others, since nothing had come back; \(most) at most"
    }

    /// The line for people and for logs: what became of which port, where, why and by whom.
    package var sentence: String {
        let finding = outcome.finding
        let name = "\(outcome.job.transport.rawValue) \(outcome.job.target)"
        var text = "\(name) \(finding.category.rawValue) \(finding.detail.text): \(conclusion)"
        if let answer { text += "; \(answer.text)" }
        if let location { text += "; \(location.text)" }
        if let retry { text += "; \(retry)" }
        if isUnreliable { text += "; unreliable, the reflector's host dropped connections or datagrams meanwhile" }
        return text
    }

    /// Whether the result is as expected, in a word.
    package var judgement: Judgement {
        if !outcome.finding.category.isVerdict {
            return outcome.finding.category == .skipped ? .skipped : .inconclusive
        }
        if isInconclusive { return .inconclusive }
        return isAsExpected.map { $0 ? .asExpected : .notAsExpected } ?? .unjudged
    }

    package enum Judgement: Hashable, Sendable { case asExpected, notAsExpected, unjudged, inconclusive, skipped }
}

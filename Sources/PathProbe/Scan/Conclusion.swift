// SPDX-License-Identifier: GPL-3.0-or-later

/// What follows from both sides of a probe, in one sentence that claims no more than they show.
package enum Conclusion {
    package static func sentence(
        _ outcome: ProbeOutcome, _ witness: WitnessView, _ opening: OpeningView = .unknown
    ) -> String {
        let finding = outcome.finding
        switch finding.category {
        case .open: return open(outcome, witness)
        case .handshakeInit: return "this host did not send it: \(localCause(finding))"
        case .handshakeTimeout: return handshakeTimeout(witness, opening)
        case .handshakeRefused: return handshakeRefused(finding, witness, opening)
        case .payloadSend: return payloadSend(finding)
        case .payloadRefused: return payloadRefused(finding, witness, outcome.job.transport)
        case .payloadTimeout: return payloadTimeout(outcome, witness)
        case .payloadMismatch: return payloadMismatch(outcome, witness)
        case .payloadError: return payloadError(finding)
        case .localResource: return "not sent for lack of something on this host; says nothing about the path"
        case .skipped: return skipped(finding)
        }
    }

    private static func open(_ outcome: ProbeOutcome, _ witness: WitnessView) -> String {
        var text: String
        switch outcome.finding.detail {
        case .connected: text = "a handshake was completed; without a reflector it is not known by whom"
        case .replied: text = "something answered; without a reflector it is not known what"
        case .played: text = "every message arrived as it was sent, both ways"
        default: text = "answered by the reflector"
        }
        if outcome.attempt > 0 { text += ", when repeated" }
        if outcome.finding.evidence.isFlapping { text += ", after an ICMP error" }
        if case .seen(let record) = witness, let peer = record.peer, let local = outcome.local,
            peer.port != local.port || (peer.address != local.address && !local.isAny)
        {
            text += "; the address is translated on the way"
        }
        return text
    }

    private static func localCause(_ finding: ProbeFinding) -> String {
        switch finding.detail {
        case .noRoute: "it has no route"
        case .unreachableRoute: "its route says unreachable"
        case .blackholeRoute: "its route is a black hole, or the address cannot be sent to"
        case .familyUnsupported: "it does not have this family of addresses"
        case .networkDown: "its network is down"
        case .localPolicy: "its own policy forbids it"
        case .localReject: "its own packet filter rejects it"
        case .neighbourUnresolved: "nobody answers for the address of the next hop"
        default: finding.evidence.fault.map { "\($0)" } ?? "for a reason of its own"
        }
    }

    private static func handshakeTimeout(_ witness: WitnessView, _ opening: OpeningView) -> String {
        switch (witness, opening) {
        case (.seen, _), (.stranger(_, isCertain: true), _):
            return "nothing came back, though the reflector accepted the connection: the way back drops"
        case (_, .notSeen): return "nothing came back, and no SYN reached the reflector's host: the way there drops it"
        case (_, .seen(let sighting)) where sighting.isAnswered:
            return "nothing came back, though the reflector's host answered the SYN: the way back drops"
        case (_, .seen):
            return
                "nothing came back: the SYN reached the reflector's host, which answered nothing: its own filter drops"
        case (_, .unknown): break
        }
        switch witness {
        case .absent: return "nothing came back: dropped, or lost, direction unknown"
        default:
            return "nothing came back, and the reflector accepted no connection: dropped there or on the way back, "
                + "direction unknown"
        }
    }

    private static func handshakeRefused(
        _ finding: ProbeFinding, _ witness: WitnessView, _ opening: OpeningView = .unknown
    ) -> String {
        switch finding.detail {
        case .reset:
            switch (witness, opening) {
            case (_, .notSeen): return "refused, and no SYN reached the reflector's host: by something before it"
            case (_, .seen(let sighting)) where sighting.isRefused:
                return "refused by the reflector's host itself, though the reflector listens there: its own filter"
            case (_, .seen): return "refused, though the reflector's host sent no reset: by something on the way back"
            case (.absent, .unknown): return "refused by the target or something before it"
            default:
                return "refused, though the reflector listens there: by something before it, or the target's own filter"
            }
        case .portUnreachable(byTarget: true):
            return "refused in the target's name: a filter there or before it, or nothing listens"
        case .portUnreachable: return "rejected by \(offender(finding))"
        case .filtered: return "rejected by \(offender(finding)), which says that it filters"
        case .unreachable: return "\(offender(finding)) says that it cannot be reached: routing, or a filter"
        case .hopsExceeded: return "\(offender(finding)) says that it went over too many hops: a routing loop"
        default: return "refused by something on the way"
        }
    }

    private static func offender(_ finding: ProbeFinding) -> String {
        finding.evidence.icmp?.offender?.host ?? "a host on the way"
    }

    private static func payloadSend(_ finding: ProbeFinding) -> String {
        if finding.detail == .stalled { return "the other end took the connection and then no more bytes" }
        return "this host did not send it: \(localCause(finding))"
    }

    private static func payloadRefused(
        _ finding: ProbeFinding, _ witness: WitnessView, _ transport: Transport
    ) -> String {
        guard transport == .tcp else { return handshakeRefused(finding, .absent) }
        if finding.detail == .softError { return "a device on the way rejects what follows the handshake" }
        switch witness {
        case .nothing:
            return "reset after the handshake, and the reflector accepted no connection: by something between"
        case .seen(let record) where record.marks.contains(.answered):
            return "reset when the answer came: something between does not like it"
        case .seen(let record) where record.marks.contains(.reset): return "both ends were reset by something between"
        case .stranger(let stranger, isCertain: true) where stranger.wasReset:
            return "both ends were reset by something between"
        default: return "reset after the handshake, by the target or something before it"
        }
    }

    private static func payloadTimeout(_ outcome: ProbeOutcome, _ witness: WitnessView) -> String {
        guard outcome.job.transport == .tcp else { return datagramTimeout(witness) }
        let isAcknowledged = outcome.finding.detail == .acknowledged
        switch witness {
        case .nothing:
            return isAcknowledged
                ? "acknowledged by something that is not the reflector: a proxy took the connection"
                : "the reflector accepted no connection: only the handshake's beginning passes"
        case .seen(let record) where hasArrived(record, of: outcome):
            return outcome.finding.evidence.bytesSent > 0
                ? "the payload arrived; the answer is dropped on the way back"
                : "the connection arrived; what the reflector says first is dropped on the way back"
        case .seen(let record): return halfWay(record.bytesIn)
        case .stranger(let stranger, isCertain: true): return halfWay(stranger.bytesIn)
        default:
            return isAcknowledged ? "the payload was acknowledged and not answered" : "the payload was not acknowledged"
        }
    }

    private static func halfWay(_ bytes: Int) -> String {
        bytes == 0
            ? "the connection arrived, and its payload did not"
            : "the connection arrived, and no more than a part of its payload"
    }

    private static func datagramTimeout(_ witness: WitnessView) -> String {
        switch witness {
        case .nothing: "no datagram arrived: dropped, or lost, on the way there"
        case .seen(let record) where record.marks.contains(.proven):
            "the datagram arrived; the answer is dropped, or lost, on the way back"
        case .seen, .stranger(_, isCertain: true): "something arrived, and not the datagram as it was sent"
        case .stranger(_, isCertain: false): "no answer; what arrived at that port may be somebody else's"
        case .absent: "no answer: dropped, lost, or refused by a host that says so only now and then"
        }
    }

    private static func payloadMismatch(_ outcome: ProbeOutcome, _ witness: WitnessView) -> String {
        let finding = outcome.finding
        if finding.detail == .wrongSource, let from = finding.evidence.from {
            return "answered by the reflector, and the answer comes from \(from)"
        }
        let what = finding.evidence.guess.map { "other bytes came, perhaps from \($0)" } ?? "other bytes came"
        switch witness {
        case .nothing: return "\(what); the reflector saw nothing: something between answers by itself"
        case .seen(let record) where hasArrived(record, of: outcome):
            return finding.evidence.bytesSent > 0
                ? "\(what), though the payload arrived as it was sent: the answer is changed on the way back"
                : "\(what) before anything was sent: what the reflector says first is changed on the way back"
        case .seen, .stranger(_, isCertain: true):
            return "\(what), and the payload arrived changed: something between rewrites it"
        default: return what
        }
    }

    /// Whether all that was sent came as it was sent. What a script's reflector counts is what stands in the script, and a conversation
    /// of several steps may have ended at one of its answers.
    static func hasArrived(_ record: WitnessRecord, of outcome: ProbeOutcome) -> Bool {
        record.marks.contains(.proven)
            || outcome.job.transport == .tcp
                && record.bytesIn >= outcome.finding.evidence.bytesSent * (outcome.attempt + 1)
    }

    private static func payloadError(_ finding: ProbeFinding) -> String {
        switch finding.detail {
        case .closed:
            "closed without a byte, by the target or something on the way"
        case .truncatedByEnd: "a part of the answer came, then the end"
        case .truncatedByReset: "a part of the answer came, then a reset"
        case .truncatedByTime: "a part of the answer came, then nothing"
        default: finding.evidence.fault.map { "receiving failed: \($0)" } ?? "receiving failed"
        }
    }

    private static func skipped(_ finding: ProbeFinding) -> String {
        if case .refusedByReflector(let reason) = finding.detail {
            return "the reflector cannot listen there (\(reason)): not probed"
        }
        return "the scan ended before"
    }
}

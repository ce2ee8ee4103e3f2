// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension Engine {
    /// The one exit: counts, writes the events, gives the verdict.
    mutating func conclude(_ p: inout Inspection, _ finding: Finding?, _ bytes: RawSpan) -> Decision {
        counters.inspected &+= 1
        if p.ruling.rule >= 0 { countRule(p.ruling.rule, p.headers.length, at: p.now) }
        if hot.watchesScans, p.isUnknown || finding != nil { watchForScans(&p, finding, bytes) }
        if p.ruling.logOnlyRule >= 0 || !p.notices.isEmpty { writeNotices(&p, passes: finding == nil, bytes) }
        guard let finding else {
            if records(&p) { record(.passed) }
            counters.passed &+= 1
            noteLetOut(&p, bytes)
            return passed(&p)
        }
        if records(&p) { recordRefusal(&p, finding, passes: overrides(finding) != nil, bytes) }
        if let action = overrides(finding) {
            counters.passed &+= 1
            noteLetOut(&p, bytes)
            counters.refusedButPassed[Int(finding.reason.rawValue)] &+= 1
            if !isSilenced(finding) {
                explain(&p, finding, bytes)
                emit(&p, finding, action, bytes)
            }
            return Decision(verdict: .pass, reason: finding.reason, rule: finding.rule)
        }
        counters.dropped[Int(finding.reason.rawValue)] &+= 1
        let reply = hot.answers ? answer(&p, finding, bytes) : .none
        if isSilenced(finding) {
            counters.silenced[Int(finding.reason.rawValue)] &+= 1
        } else {
            explain(&p, finding, bytes)
            emit(&p, finding, .deny, bytes, reply)
        }
        return Decision(verdict: .drop, reason: finding.reason, rule: finding.rule)
    }

    /// How a refused packet passes all the same: tap mode, or the failure setting of its stage.
    mutating func overrides(_ finding: Finding) -> EventAction? {
        if hot.isTap { return .tapDeny }
        switch finding.reason.stage {
        case .sanity, .fragments, .tracking: return hot.sanityFailsOpen ? .failOpen : nil
        case .agent: return hot.engineFailsOpen ? .failOpen : nil
        case .connections: return hot.engineFailsOpen && finding.reason.isTableLimit ? .failOpen : nil
        case .rules, .unsolicited, .notice: return nil
        }
    }

    /// Whether a setting keeps this event from being written; the drop is counted all the same.
    mutating func isSilenced(_ finding: Finding) -> Bool {
        finding.posture == .denySilent || hot.silenced.contains(finding.reason)
            || (finding.rule >= 0 && finding.reason.stage == .rules && !policy.rules[Int(finding.rule)].log)
    }

    /// What is told of a packet beside its verdict. A Log Only rule speaks of a packet that finally passes (POLICY.md); a
    /// trait that the packet shows is told whether it passes or not.
    private mutating func writeNotices(_ p: inout Inspection, passes: Bool, _ bytes: RawSpan) {
        if passes, p.ruling.logOnlyRule >= 0 {
            if p.ruling.logOnlyRule != p.ruling.rule { countRule(p.ruling.logOnlyRule, p.headers.length, at: p.now) }
            log(&p, Finding(.logOnly, .none, rule: p.ruling.logOnlyRule), bytes)
        }
        while let reason = p.notices.popFirst() {
            if reason == .newConnection {
                if passes { notify(&p, Finding(.newConnection, .none, rule: p.ruling.rule), bytes) }
                continue
            }
            let note = reason == .droppedRetransmit ? p.retransmitNote : .posture
            log(&p, Finding(reason, .none, note: note), bytes)
        }
    }

    /// Tells of a packet beside its verdict what is no drop.
    mutating func notify(_ p: inout Inspection, _ finding: Finding, _ bytes: RawSpan) {
        counters.noticed[Int(finding.reason.rawValue)] &+= 1
        if !isSilenced(finding) { emit(&p, finding, .notice, bytes) }
    }

    private mutating func log(_ p: inout Inspection, _ finding: Finding, _ bytes: RawSpan) {
        if !isSilenced(finding) { emit(&p, finding, .logOnly, bytes) }
    }

    private mutating func emit(
        _ p: inout Inspection, _ finding: Finding, _ action: EventAction, _ bytes: RawSpan, _ reply: Reply = .none
    ) {
        var event = Event(
            reason: finding.reason, action: action, instant: p.now, metadata: p.metadata, headers: p.headers)
        event.rule = finding.rule
        event.policyEpoch = hot.policyEpoch
        event.note = finding.note
        event.cause = finding.cause
        event.remedy = p.remedy
        event.remedyRule = p.remedyRule
        event.reply = reply
        let isOfRule = finding.rule >= 0 && policy.rules[Int(finding.rule)].packetData
        if isOfRule || (hot.capturesRefused && action != .logOnly && action != .notice) {
            event.packetIsForCapture = !isOfRule
            (event.packetData, event.packetDataCount) = outbox.keep(bytes)
        }
        if outbox.append(event) { return }
        if action == .deny {
            counters.merged[Int(finding.reason.rawValue)] &+= 1
        } else {
            counters.mergedOfPassed[Int(finding.reason.rawValue)] &+= 1
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension Engine {
    /// The one exit: counts, writes the events, gives the verdict.
    mutating func conclude(_ p: inout Inspection, _ finding: Finding?, _ bytes: RawSpan) -> Decision {
        counters.inspected &+= 1
        guard let finding else {
            counters.passed &+= 1
            logPassed(&p, bytes)
            return passed(&p)
        }
        if let action = overrides(finding) {
            counters.passed &+= 1
            counters.refusedButPassed[Int(finding.reason.rawValue)] &+= 1
            if !isSilenced(finding) { emit(&p, finding, action, bytes) }
            return Decision(verdict: .pass, reason: finding.reason, rule: finding.rule)
        }
        counters.dropped[Int(finding.reason.rawValue)] &+= 1
        if isSilenced(finding) {
            counters.silenced[Int(finding.reason.rawValue)] &+= 1
        } else {
            emit(&p, finding, .deny, bytes)
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

    /// A Log Only rule, or a posture row that says `log`, speaks only of a packet that passes.
    private mutating func logPassed(_ p: inout Inspection, _ bytes: RawSpan) {
        if p.ruling.logOnlyRule >= 0 { log(&p, Finding(.logOnly, rule: p.ruling.logOnlyRule), bytes) }
        if let reason = p.logged { log(&p, Finding(reason, note: .posture), bytes) }
    }

    private mutating func log(_ p: inout Inspection, _ finding: Finding, _ bytes: RawSpan) {
        if !isSilenced(finding) { emit(&p, finding, .logOnly, bytes) }
    }

    private mutating func emit(_ p: inout Inspection, _ finding: Finding, _ action: EventAction, _ bytes: RawSpan) {
        var event = Event(
            reason: finding.reason, action: action, instant: p.now, metadata: p.metadata, headers: p.headers)
        event.rule = finding.rule
        event.policyEpoch = hot.policyEpoch
        event.note = finding.note
        if finding.rule >= 0 && policy.rules[Int(finding.rule)].packetData {
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

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
package import PacketWire
import PolicyFile

/// What can be done about each cause for which a packet is refused, the smallest first. Whether it helps is tried afterwards.
struct Remedies {
    private let explanation: Explanation
    private let refusal: Step.Refused
    private let subject: RuleSubject

    init(_ explanation: Explanation, _ refusal: Step.Refused) {
        self.explanation = explanation
        self.refusal = refusal
        subject = explanation.ruling?.subject ?? explanation.headersAsSubject
    }

    func choices(for cause: Cause) -> [[Addition.Part]] {
        switch cause {
        case .denyRule:
            let priority = refusal.remedyRule >= 0 ? Int(explanation.policy.rules[Int(refusal.remedyRule)].priority) : 4
            return [[.rule(RuleText(subject).line(.forceAllow, priority: priority))]]
        case .ruleRate:
            // A rule without a rate that is asked before it.
            let rule = refusal.remedyRule >= 0 ? explanation.policy.rules[Int(refusal.remedyRule)] : nil
            let priority = rule.map { Int($0.priority) + ($0.action == .forceAllow ? 1 : 0) } ?? 4
            return priority > 4 ? [] : [[.rule(RuleText(subject).line(.forceAllow, priority: priority))]]
        case .noAllowRule:
            let texts = [RuleText(subject), RuleText(subject.reversed)]
            return texts.map { [.rule($0.line(.allow, priority: 0))] }
                + texts.map { [.rule($0.line(.forceAllow, priority: 0))] }
        case .udpAdmit, .icmpAdmit:
            return [
                [.rule(RuleText(subject).line(.forceAllow, priority: 0))], [.setting(cause.setting ?? "", "allow")],
            ]
        default:
            guard let setting = cause.setting else { return [] }
            return values(of: setting).map { [.setting(setting, $0)] + posture(setting) }
        }
    }

    /// A row of the strict posture is set beside it.
    private func posture(_ setting: String) -> [Addition.Part] {
        let section = "engine.anti-evasion"
        let isStrict = PolicyFile.values(of: explanation.policy.document)[section]?.contains("strict") ?? false
        return setting.hasPrefix(section + ".") && isStrict ? [.setting("\(section).posture", "strict")] : []
    }

    /// Values of a setting that may let pass, those that change least first.
    private func values(of setting: String) -> [String] {
        switch setting {
        case "engine.sanity.allow-null-ip": return ["true"]
        case "engine.sanity.block-ipv6", "engine.sanity.block-same-source-destination",
            "engine.sanity.drop-zero-payload",
            "engine.sanity.verify-tcp-checksum":
            return ["false"]
        case "engine.sanity.minimum-fragment-size", "engine.sanity.minimum-fragment-offset":
            return explanation.headers.map { ["\(setting.hasSuffix("size") ? $0.length : $0.fragment.offset)", "0"] }
                ?? ["0"]
        case "engine.timeouts.fragment-hold": return ["2s", "5s", "30s", "60s"]
        case "queue.copy-bytes": return ["full"]
        case "stateful.tcp.ack-storm.threshold": return more(than: setting) + ["off"]
        case "engine.limits.memory": return ["2GiB", "4GiB", "8GiB", "16GiB", "off"]
        case _ where setting.hasPrefix("stateful.ftp."): return ["false"]
        case _ where setting.hasPrefix("engine.timeouts."):
            return ["1m", "2m", "5m", "10m", "30m", "1h", "2h", "4h", "8h", "1d", "2d", "7d", "30d"]
        case _ where setting.hasPrefix("engine.limits."), _ where setting.hasPrefix("stateful.tcp.limits."):
            return more(than: setting) + (setting.hasPrefix("stateful.") ? ["unlimited"] : ["1000000"])
        default: return ["allow"]
        }
    }

    /// Numbers beyond the present one.
    private func more(than setting: String) -> [String] {
        let present = PolicyFile.values(of: explanation.policy.document)[setting].flatMap { Int($0) }
        return present.map { ["\($0 + 1)", "\($0 * 2)", "\($0 * 10)"] } ?? []
    }
}

extension Explanation {
    /// As they were read; nil where they could not be.
    package var headers: PacketHeaders? {
        steps.lazy.compactMap { step in
            if case .decoded(let headers) = step { return headers }
            return nil
        }.last
    }

    /// The packet as rules would have seen it, where it did not get so far.
    fileprivate var headersAsSubject: RuleSubject {
        var direction = Direction.incoming
        for case .placed(let its, _, _) in steps { direction = its }
        return RuleSubject(headers ?? PacketHeaders(), direction: direction, interfacePatterns: 0, activeSchedules: 0)
    }
}

extension RuleSubject {
    /// The packet that would have opened the connection from the other side.
    fileprivate var reversed: RuleSubject {
        var other = self
        other.direction = direction.opposite
        swap(&other.source, &other.destination)
        swap(&other.sourcePort, &other.destinationPort)
        return other
    }
}

/// A rule for one packet and those like it, in one line of the policy file: from whom to which port, or to whom.
struct RuleText {
    private let subject: RuleSubject

    init(_ subject: RuleSubject) { self.subject = subject }

    func line(_ action: RuleAction, priority: Int) -> String {
        var parts = ["name: \"\(name(action))\"", "action: \(action.word)"]
        if priority > 0 { parts.append("priority: \(priority)") }
        parts.append("direction: \(subject.direction == .incoming ? "incoming" : "outgoing")")
        guard isIP else { return "{ \((parts + ["frame: any"]).joined(separator: ", ")) }" }
        parts.append("protocol: \(protocolText)")
        var destination = subject.direction == .outgoing ? ["addresses: \"\(peer)\""] : []
        if subject.direction == .incoming { parts.append("source: { addresses: \"\(peer)\" }") }
        if subject.hasPorts { destination.append("ports: \(subject.destinationPort)") }
        if !destination.isEmpty { parts.append("destination: { \(destination.joined(separator: ", ")) }") }
        if subject.hasICMP { parts.append("icmp: { type: \(subject.icmpType), code: \(subject.icmpCode) }") }
        return "{ \(parts.joined(separator: ", ")) }"
    }

    private var isIP: Bool { subject.network == .ipv4 || subject.network == .ipv6 }

    private var peer: String {
        (subject.direction == .incoming ? subject.source : subject.destination).description(
            isIPv6: subject.network == .ipv6)
    }

    private var protocolText: String {
        switch subject.protocolNumber {
        case IPProtocol.tcp: "tcp"
        case IPProtocol.udp: "udp"
        case IPProtocol.icmp: "icmp"
        case IPProtocol.icmpv6: "icmpv6"
        case let number: "\(number)"
        }
    }

    private func name(_ action: RuleAction) -> String {
        let verb = action == .deny ? "Stop" : "Let"
        let way = subject.direction == .incoming ? "from" : "to"
        guard isIP else { return "\(verb) other frames" }
        return "\(verb) \(protocolText)\(subject.hasPorts ? " \(subject.destinationPort)" : "") \(way) \(peer)"
    }
}

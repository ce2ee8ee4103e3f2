// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension CanonicalPrinter {
    mutating func printRules() {
        guard !document.rules.isEmpty else { return }
        line(0, "rules:")
        for rule in document.rules {
            line(2, "- name: \(yamlText(rule.name))")
            for key in RuleKey.allCases.dropFirst() {
                if let value = value(of: key, in: rule) { line(4, "\(key.rawValue): \(value)") }
            }
        }
    }

    /// What a rule says of its decisions: a line for each key.
    func decisionLines(of rule: Rule) -> [String] {
        RuleKey.allCases.compactMap { key in
            switch key {
            case .name, .until, .log, .reply, .rate, .isEnabled, .comment, .packetData, .offload: nil
            default: value(of: key, in: rule).map { "\(key.rawValue): \($0)" }
            }
        }
    }

    /// nil where the rule does not say it.
    private func value(of key: RuleKey, in rule: Rule) -> String? {
        switch key {
        case .name: yamlText(rule.name)
        case .action: rule.action.word
        case .priority: String(rule.priority)
        case .direction: Direction.form.print(rule.direction)
        case .frame: rule.frame == Criterion(.ip) && !complete ? nil : text(rule.frame) { $0.text }
        case .protocols: rule.protocols.map { text($0) { $0.text } }
        case .source: endpoint(rule.source)
        case .destination: endpoint(rule.destination)
        case .sender: sender(rule.sender)
        case .flags: rule.flags.map { text($0, flags) }
        case .icmp: rule.icmp.map { text($0) { icmp($0, of: rule) } }
        case .interfaces: rule.interfaces.map { text($0, ValueForm.interfaces.print) }
        case .schedule: rule.schedule.flatMap { document.schedules[$0].writtenName.map(yamlText) }
        case .until: rule.schedule.flatMap { document.schedules[$0].end?.text }
        case .log: rule.log == rule.action.logs ? nil : rule.log ? "true" : "false"
        case .reply: rule.reply == .none ? nil : rule.reply.word
        case .rate: rule.rate.map(OpeningRate.form.print)
        case .isEnabled: rule.isEnabled ? nil : "false"
        case .comment: rule.comment.map(yamlText)
        case .packetData: rule.packetData ? "true" : nil
        case .offload: rule.offload ? "true" : nil
        }
    }

    private func text<Value>(_ criterion: Criterion<Value>, _ print: (Value) -> String) -> String {
        criterion.isInverted ? "{ not: \(print(criterion.value)) }" : print(criterion.value)
    }

    private func endpoint(_ criteria: EndpointCriteria) -> String? {
        var parts: [String] = []
        if let addresses = criteria.addresses {
            let list = document.addressLists[addresses.value]
            parts.append(
                "addresses: " + text(addresses) { _ in list.name.map(yamlText) ?? flowSequence(list.items(\.texts)) })
        }
        if let ports = criteria.ports {
            let list = document.portLists[ports.value]
            parts.append(
                "ports: " + text(ports) { _ in list.name.map(yamlText) ?? flowSequence(list.items(\.texts)) })
        }
        if let macs = criteria.macs {
            let list = document.macLists[macs.value]
            parts.append(
                "macs: " + text(macs) { _ in list.name.map(yamlText) ?? flowSequence(list.items(\.texts)) })
        }
        return parts.isEmpty ? nil : "{ \(parts.joined(separator: ", ")) }"
    }

    private func sender(_ criteria: SenderCriteria) -> String? {
        func names(_ criterion: Criterion<[SenderName]>) -> String {
            text(criterion) { flowSequence($0.map { yamlText($0.text) }) }
        }
        let parts = [
            criteria.users.map { "users: " + names($0) }, criteria.groups.map { "groups: " + names($0) },
            criteria.units.map { "units: " + text($0) { flowSequence($0.map(yamlText)) } },
        ].compactMap { $0 }
        return parts.isEmpty ? nil : "{ \(parts.joined(separator: ", ")) }"
    }

    private func flags(_ match: FlagMatch) -> String {
        if match.tested == .ruleFlags { return TCPFlags.form.print(match.set) }
        let clear = match.tested.subtracting(match.set)
        return "{ set: \(TCPFlags.form.print(match.set)), clear: \(TCPFlags.form.print(clear)) }"
    }

    private func icmp(_ match: ICMPMatch, of rule: Rule) -> String {
        let form = ValueForm<UInt8>.icmpType(isV6: rule.isICMPv6)
        let code = match.code.map { ", code: \($0)" } ?? ""
        return "{ type: \(form.print(match.type))\(code) }"
    }
}

extension Schedule {
    /// The name by which a rule calls it.
    fileprivate var writtenName: String? { end == nil ? name : hoursOf }
}

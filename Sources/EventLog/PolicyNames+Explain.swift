// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy

extension CauseSet {
    /// What an administrator has to turn, one text for each, in the order of the packet's way: `path: present value` of a
    /// setting, the rule with its place and action, or that no rule admits the packet.
    ///
    /// - Parameters:
    ///   - names: those of the event's policy; without them values and places are not known.
    ///   - rule: index of the rule among the members, or -1.
    /// - Returns: one text for each member; none for the empty set.
    func explanations(_ names: PolicyNames?, rule: Int32) -> [String] {
        var texts: [String] = []
        var last = Cause.none
        while let cause = next(after: last) {
            texts.append(cause.explanation(names, names?.rule(rule)))
            last = cause
        }
        return texts
    }
}

extension Cause {
    fileprivate func explanation(_ names: PolicyNames?, _ rule: RuleName?) -> String {
        switch row.remedy {
        case .setting(let path): names?.values[path].map { "\(path): \($0)" } ?? path
        case .rule: rule?.explanation(of: self) ?? "rule: no longer known"
        case .rules: "rules: no allow or force-allow rule matches"
        case .nothing: row.slug
        }
    }
}

extension RuleName {
    /// `rule "No telnet" (/etc/portreeve/policy.yaml:12:5): deny`; a built-in rule has no place. Of a rule that admits it is its rate
    /// that decided.
    fileprivate func explanation(of cause: Cause) -> String {
        let place = position.file.isEmpty ? "" : " (\(position.file):\(position.line):\(position.column))"
        return "rule \"\(name)\"\(place): \(cause == .ruleRate ? "rate" : action.text)"
    }
}

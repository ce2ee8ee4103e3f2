// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
package import FirewallPolicy
import PolicyFile

/// A change of the policy under which a packet fares otherwise; it was tried: the packet was judged again by the policy with it.
package struct Change: Hashable, Sendable {
    /// What is changed, in a few words each.
    package var what: [String]
    /// A policy file, for `policy.d`, that makes the change.
    package var file: String
}

/// Settings and rules that are added to a policy by a file read after the others.
struct Addition: Hashable, Sendable {
    enum Part: Hashable, Sendable {
        /// A full path, and the value as the file writes it.
        case setting(String, String)
        /// One rule in one line.
        case rule(String)
    }

    var parts: [Part] = []

    var what: [String] {
        parts.map { part in
            switch part {
            case .setting(let path, let value): "set \(path): \(value)"
            case .rule: "add a rule"
            }
        }
    }

    /// The text of the file.
    var file: String {
        var text = "version: 1\n"
        let settings = parts.compactMap { part -> (path: [Substring], value: String)? in
            if case .setting(let path, let value) = part { return (path.split(separator: "."), value) }
            return nil
        }
        append(settings, indent: 0, to: &text)
        let rules = parts.compactMap { part -> String? in
            if case .rule(let line) = part { return line }
            return nil
        }
        if !rules.isEmpty { text += "rules:\n" + rules.map { "  - \($0)\n" }.joined() }
        return text
    }

    private func append(_ settings: [(path: [Substring], value: String)], indent: Int, to text: inout String) {
        var done: Set<Substring> = []
        for setting in settings {
            guard let key = setting.path.first, done.insert(key).inserted else { continue }
            let margin = String(repeating: " ", count: indent)
            let deeper = settings.filter { $0.path.first == key }
            if setting.path.count == 1 {
                text += "\(margin)\(key): \(setting.value)\n"
            } else {
                text += "\(margin)\(key):\n"
                append(deeper.map { (Array($0.path.dropFirst()), $0.value) }, indent: indent + 2, to: &text)
            }
        }
    }
}

/// Looks for the smallest change that lets a refused packet pass, or stops one that passes.
package struct ChangeSearch {
    /// The policy with this text read after its other files; nil where that is no policy.
    let reread: (_ file: String) -> PolicyDocument?
    /// What becomes of the packet by a policy.
    let judge: (_ policy: Policy) -> Explanation?

    package init(
        reread: @escaping (_ file: String) -> PolicyDocument?, judge: @escaping (_ policy: Policy) -> Explanation?
    ) {
        self.reread = reread
        self.judge = judge
    }

    /// Of a policy that is only tried: none that was in force has it.
    static let epoch = UInt32.max

    /// nil where nothing helps, or where what could help cannot be tried.
    package func toPass(_ explanation: Explanation) -> Change? {
        guard let refusal = explanation.refusal, !refusal.remedy.isEmpty else { return nil }
        let choices = refusal.remedy.causes.map { Remedies(explanation, refusal).choices(for: $0) }
        guard choices.allSatisfy({ !$0.isEmpty }) else { return nil }
        return smallest(of: choices) { $0.passes == true && $0.refusal == nil }
    }

    /// nil where no rule stops it.
    package func toDrop(_ explanation: Explanation) -> Change? {
        guard let ruling = explanation.ruling else { return nil }
        let rules = (0...4).map { [Addition.Part.rule(RuleText(ruling.subject).line(.deny, priority: $0))] }
        return smallest(of: [rules]) { $0.refusal != nil }
    }

    /// More combinations are not tried.
    private static let mostTried = 400

    /// Of each row one choice, all of which together serve: the combination that comes first where choices that stand further
    /// behind come later, so that the smallest changes are tried before others.
    private func smallest(of rows: [[[Addition.Part]]], _ serves: (Explanation) -> Bool) -> Change? {
        var combinations: [[Int]] = [[]]
        for row in rows {
            combinations = combinations.flatMap { chosen in row.indices.map { chosen + [$0] } }
            guard combinations.count <= Self.mostTried else { return nil }
        }
        let ordered = combinations.enumerated().sorted {
            ($0.element.reduce(0, +), $0.offset) < ($1.element.reduce(0, +), $1.offset)
        }
        for (_, chosen) in ordered {
            let parts = zip(rows, chosen).map { $0[$1] }
            guard let explanation = outcome(of: parts), serves(explanation) else { continue }
            let addition = Addition(parts: parts.flatMap { $0 }.uniqued)
            return Change(what: addition.what, file: addition.file)
        }
        return nil
    }

    /// What there is to say where no change was found.
    package static func absence(_ explanation: Explanation) -> String? {
        guard let refusal = explanation.refusal else { return nil }
        if refusal.remedy.isEmpty { return "No setting and no rule lets it pass." }
        let causes = refusal.remedy.causes.map { $0.setting ?? $0.row.sentence }
        return
            "No change of a setting, of a rule's criterion, or by a rule was found that lets it pass, by trying. What refuses it: "
            + "\(causes.joined(separator: "; "))."
    }

    private func outcome(of parts: [[Addition.Part]]) -> Explanation? {
        guard let document = reread(Addition(parts: parts.flatMap { $0 }.uniqued).file),
            let policy = try? Policy(document, epoch: Self.epoch)
        else { return nil }
        return judge(policy)
    }
}

extension [Addition.Part] {
    fileprivate var uniqued: [Addition.Part] {
        reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }
}

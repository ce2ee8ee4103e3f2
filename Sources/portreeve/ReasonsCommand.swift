// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import FirewallEngine
import FirewallPolicy
import PolicyFile

struct ReasonsCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "reasons", abstract: "List the reasons of events, or explain one.",
        discussion: discussion(
            """
            Of one reason it lists everything that can decide for it, each with its present value: that of the running agent's \
            policy or, where no agent answers or a file is named, that of the policy file.
            """))

    static let examples = [
        Example("portreeve reasons", "All of them."),
        Example("portreeve reasons out-of-connection", "What it means, what can decide for it, and what to do."),
        Example(
            "portreeve reasons 100 --policy policy.yaml",
            "The same by number, with the values of a policy that is not in force."),
    ]

    @Argument(help: "The reason's name (out-of-connection) or number (100).", completion: Completions.reasons)
    var reason: String?

    @Flag(help: "Print JSON lines.")
    var json = false

    @Option(
        name: .customLong("control"), help: ArgumentHelp("The agent's control socket.", valueName: "socket"),
        completion: .file())
    var control = ControlProtocol.defaultPath

    @Option(
        name: .customLong("policy"),
        help: ArgumentHelp("Read the present values from this policy file, and not from the agent.", valueName: "file"),
        completion: Completions.policy)
    var policy: String?

    func run() throws {
        guard let reason else { return list() }
        guard let known = DropReason(slug: reason) ?? UInt16(reason).flatMap({ DropReason(number: $0) }) else {
            throw fail(DropReason.unknown(reason))
        }
        let present = try PresentSettings(policy: policy, control: control)
        if json { return print(known.row.json(present).printed) }
        for line in known.row.explanation(present) {
            line.wrapped(to: terminalWidth, indent: line.prefix { $0 == " " }.count).forEach { print($0) }
        }
    }

    private func list() {
        if json { return ReasonRow.all.forEach { print($0.json(nil).printed) } }
        var table = TextTable([.number("ID"), .text("REASON"), .text("STAGE"), .text("NAME"), .text("TURNED BY")])
        for row in ReasonRow.all {
            table.add(["\(row.number)", row.slug, row.stage.letter, row.name, row.turnedBy])
        }
        for line in table.lines(width: terminalWidth) { print(line) }
    }
}

extension ReasonRow {
    /// The one thing that turns it, or how many.
    fileprivate var turnedBy: String {
        guard isAvailable else { return "not in this version" }
        let remedies = reason.causes.filter(\.isTurnable).map(\.row.remedy)
        guard let only = remedies.first, remedies.count == 1 else {
            return remedies.isEmpty ? "" : "\(remedies.count) settings or rules"
        }
        return only.words
    }

    fileprivate func explanation(_ present: PresentSettings) -> [String] {
        var lines = ["\(number) \(slug): \(name)", "  raised when  \(raisedWhen)"]
        if !advice.isEmpty { lines.append("  advice       \(advice)") }
        lines.append("  stage        \(stage.letter), seen: \(seen)" + (isAvailable ? "" : "; not in this version"))
        if !reason.causes.isEmpty { lines.append("  causes       values: \(present.origin)") }
        for cause in reason.causes {
            lines += ["    \(cause.row.slug): \(cause.row.sentence)", "      \(present[cause])"]
        }
        return lines
    }

    fileprivate func json(_ present: PresentSettings?) -> JSONValue {
        [
            "id": .count(number), "reason": .text(slug), "name": .text(name), "stage": .text(stage.letter),
            "raised_when": .text(raisedWhen), "seen": .text(seen), "advice": .text(advice),
            "available": .bool(isAvailable), "causes": .list(reason.causes.map { $0.json(present) }),
        ]
    }
}

extension CauseRow.Remedy {
    /// What is to be turned.
    fileprivate var words: String {
        switch self {
        case .setting(let path): path
        case .rule: "the rule that the event names"
        case .rules: "the rules: one that admits it is missing"
        case .nothing: "nothing turns it"
        }
    }
}

extension Cause {
    fileprivate func json(_ present: PresentSettings?) -> JSONValue {
        [
            "cause": .text(row.slug), "sentence": .text(row.sentence), "setting": .optional(setting),
            "turned_by": .text(row.remedy.words), "value": .optional(setting.flatMap { present?.values[$0] }),
        ]
    }
}

/// The settings as they are now, and where that is known from.
private struct PresentSettings {
    let values: [String: String]
    let origin: String

    init(policy: String?, control: String) throws {
        let path = policy ?? PolicyOptions.defaultPath
        if policy == nil,
            case .settings(let report)? = try? ControlClient(path: control, timeoutSeconds: 5).request(.settings)
        {
            values = report.values
            origin = "the running agent's, policy epoch \(report.policyEpoch)"
        } else if let document = try? PolicyFile.loading(path) {
            values = PolicyFile.values(of: document)
            origin = policy == nil ? "\(path)'s, for no agent answers at \(control)" : "\(path)'s"
        } else if policy == nil {
            values = PolicyFile.values(of: PolicyDocument())
            origin = "the defaults, for no agent answers at \(control) and \(path) does not load"
        } else {
            do { _ = try PolicyFile.loading(path) } catch { throw fail("\(error)") }
            throw fail("\(path) does not load")
        }
    }

    subscript(cause: Cause) -> String {
        guard let path = cause.setting else { return cause.row.remedy.words }
        return values[path].map { "\(path): \($0)" } ?? path
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser

/// With what a command ends, and when. The help, the manual pages and the exits themselves have it from here.
struct ExitStatus: Sendable {
    let code: Int32
    let meaning: String

    /// Throwing it ends the program.
    var exit: ExitCode { ExitCode(code) }

    func when(_ meaning: String) -> ExitStatus { ExitStatus(code: code, meaning: meaning) }

    static let done = ExitStatus(code: 0, meaning: "done")
    static let failed = ExitStatus(code: 1, meaning: "refused, or failed")
    static let usage = ExitStatus(code: 64, meaning: "wrong usage")

    static let onlyWarnings = ExitStatus(code: 2, meaning: "warnings only, and --strict")
    static let noAgent = ExitStatus(code: 2, meaning: "no agent is running")
    static let notProtected = ExitStatus(
        code: 3, meaning: "an agent, but no rules, not all that its policy needs, or tap")
    static let rulesUnread = ExitStatus(code: 4, meaning: "the rules cannot be read: run this as root")
    static let shutsOut = ExitStatus(
        code: 2, meaning: "it would shut out an administrator who is connected")
    static let isDropped = ExitStatus(code: 2, meaning: "the packet is dropped")
    static let waits = ExitStatus(code: 3, meaning: "the packet waits for others that are still to come")
    static let untraced = ExitStatus(
        code: 4, meaning: "what the kernel does cannot be watched: tracing is not allowed or not there")
    static let differs = ExitStatus(code: 2, meaning: "the policies differ, or what is demanded does not hold")
    static let inconclusive = ExitStatus(code: 2, meaning: "inconclusive, or no answer from the reflector")
    static let cannotScan = ExitStatus(code: 3, meaning: "this host lacks something that the scan needs")
}

/// An example of a command line, and what it is for.
struct Example: Sendable {
    let line: String
    let purpose: String

    init(_ line: String, _ purpose: String) {
        self.line = line
        self.purpose = purpose
    }
}

/// A command that says of itself how it is used and how it ends.
protocol DescribedCommand: ParsableCommand {
    static var examples: [Example] { get }
    /// All but `usage`, which each command has.
    static var ends: [ExitStatus] { get }
}

extension DescribedCommand {
    static var ends: [ExitStatus] { [.done, .failed] }

    /// What the help says after the abstract: the text, the examples and the exit statuses.
    static func discussion(_ text: String) -> String {
        let examples = examples.map { "  \($0.line)\n      \($0.purpose)" }
        let ends = (ends + [.usage]).map { "  \("\($0.code)".padded(to: 4))\($0.meaning)" }
        let parts = [
            text, "Examples:\n" + examples.joined(separator: "\n"), "Exit status:\n" + ends.joined(separator: "\n"),
        ]
        return parts.filter { !$0.isEmpty }.joined(separator: "\n\n")
    }
}

extension ExitStatus {
    /// The exit statuses of all commands: each but 0, 1 and 64, which say the same everywhere, with those that it is of.
    static func table(of commands: [any ParsableCommand.Type]) -> String {
        var rows = ["  0   done; nothing is wrong", "  1   refused, failed, or something is wrong"]
        let described = commands.compactMap { $0 as? any DescribedCommand.Type }
        for code in Set(described.flatMap { $0.ends.map(\.code) }).subtracting([done.code, failed.code]).sorted() {
            for command in described {
                guard let end = command.ends.first(where: { $0.code == code }) else { continue }
                rows.append("  \("\(code)".padded(to: 4))\(command.configuration.commandName ?? ""): \(end.meaning)")
            }
        }
        return (rows + ["  64  wrong usage"]).joined(separator: "\n")
    }
}

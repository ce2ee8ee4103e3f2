// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PolicyFile

/// What shells offer for the values of options.
enum Completions {
    static let policy = CompletionKind.file(extensions: ["yaml", "yml"])
    static let captures = CompletionKind.file(extensions: ["pcap", "pcapng", "cap"])
    static let states = CompletionKind.list(ConnectionStage.names)
    static let reasons = CompletionKind.list(ReasonRow.all.map(\.slug))
    static let directions = CompletionKind.list(Direction.allCases.map(\.word))
    static let actions = CompletionKind.list(EventsCommand.actions)
    static let protocols = CompletionKind.list(["tcp", "udp", "icmp"])

    /// The rules of the policy that the command line names, or of the host's.
    static let rules = CompletionKind.custom { words, _, _ in
        let option = words.firstIndex(of: "--policy").map { words.index(after: $0) }
        let path = option.flatMap { $0 < words.endIndex ? words[$0] : nil } ?? PolicyOptions.defaultPath
        guard let document = PolicyFile.read(path).document else { return [] }
        return document.ruleNames.map { completion(of: $0, in: CompletionShell.requesting) }
    }

    /// A name as the scripts of a shell take it. In bash's it is a word that the shell expands, so that one which is not quoted
    /// could run a command; in zsh's a colon ends it.
    static func completion(of name: String, in shell: CompletionShell?) -> String {
        switch shell {
        case .bash?:
            "'" + escaped(name) { !($0.isLetter || $0.isNumber || "-_./".contains($0)) }.map(quotedForBash).joined()
                + "'"
        case .zsh?: escaped(name) { $0 == ":" || $0 == "\\" }
        default: name
        }
    }

    private static func escaped(_ name: String, where mustBe: (Character) -> Bool) -> String {
        name.map { mustBe($0) ? "\\\($0)" : "\($0)" }.joined()
    }

    /// Within single quotes.
    private static func quotedForBash(_ character: Character) -> String { character == "'" ? "'\\''" : "\(character)" }
}

extension PolicyDocument {
    /// The names of its rules, in the order of the file, and of the built-in ones that it turns on.
    var ruleNames: [String] {
        (try? Policy(self, epoch: 1).rules.map(\.name)) ?? rules.map(\.name)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import Testing

@testable import portreeve

@Suite("What commands say of themselves")
struct CommandTextTests {
    @Test("Each has examples and all its exit statuses in its help")
    func described() throws {
        for command in Portreeve.commands {
            let described = try #require(command as? any DescribedCommand.Type, "\(command)")
            #expect(!described.examples.isEmpty, "\(command)")
            let help = described.helpMessage(columns: 200)
            for end in described.ends + [.usage] { #expect(help.contains("  \(end.code)  "), "\(command): \(end)") }
            for example in described.examples { #expect(help.contains(example.line)) }
        }
    }

    @Test("Each example is a command line that is taken")
    func examples() throws {
        for command in Portreeve.commands {
            for example in (command as? any DescribedCommand.Type)?.examples ?? [] {
                #expect(throws: Never.self, "\(example.line)") {
                    try Portreeve.parseAsRoot(Self.words(of: example.line))
                }
            }
        }
    }

    /// The words behind `portreeve`, as a shell would give them to it.
    private static func words(of line: String) -> [String] {
        var words: [String] = []
        for (place, part) in line.split(separator: "\"", omittingEmptySubsequences: false).enumerated() {
            words += place % 2 == 1 ? [String(part)] : part.split(separator: " ").map(String.init)
        }
        let own = words.drop { $0 != "portreeve" }.dropFirst()
        return Array(own.prefix { $0 != "|" && $0 != "||" && !$0.hasPrefix(">") })
    }

    @Test("The table of exit statuses has those of every command, and no status means two things for one")
    func table() throws {
        let table = ExitStatus.table(of: Portreeve.commands).split(separator: "\n")
        for command in Portreeve.commands {
            let described = try #require(command as? any DescribedCommand.Type)
            #expect(Set(described.ends.map(\.code)).count == described.ends.count)
            for end in described.ends where end.code > 1 {
                let row = "\(end.code)   \(command.configuration.commandName ?? ""): \(end.meaning)"
                #expect(table.contains { $0.hasSuffix(row) }, "\(row)")
            }
        }
    }
}

@Suite("Names that shells complete")
struct CompletionTests {
    @Test(
        "run no command, and are inserted as one word",
        arguments: [
            (CompletionShell.bash, "SSH", "'SSH'"), (.bash, "No telnet", #"'No\ telnet'"#),
            (.bash, "$(reboot)", #"'\$\(reboot\)'"#), (.bash, "a'b`c", #"'a\'\''b\`c'"#),
            (.zsh, "Built-in: DNS", #"Built-in\: DNS"#), (.fish, "No telnet", "No telnet"),
        ])
    func quoted(shell: CompletionShell, name: String, text: String) {
        #expect(Completions.completion(of: name, in: shell) == text)
    }
}

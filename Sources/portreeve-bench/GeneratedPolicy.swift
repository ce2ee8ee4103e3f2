// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import FirewallPolicy
import PolicyFile
import TestSupport

/// Prints one of the generated policies as a policy file, for other programs to look at.
struct GeneratedPolicy: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Print a generated policy of IPv4 rules, without the built-in rules.")

    @Option(help: "acl, fw or ipc.")
    var shape = "acl"

    @Option(help: "How many rules.")
    var rules = 1_000

    @Option(help: "The same policy from the same seed.")
    var seed: UInt64 = 42

    func run() throws {
        guard let shape = RuleSetShape(rawValue: shape) else { throw ValidationError("--shape is acl, fw or ipc") }
        var generator = RuleSetGenerator(shape, seed: seed)
        var document = generator.document(rules: rules)
        document.engine.dhcpAndDNS = .off
        document.engine.pathMTU = false
        document.engine.sanity.blockIPv6 = true
        for index in document.rules.indices { document.rules[index].frame = Criterion(.ipv4) }
        print(PolicyFile.canonical(document), terminator: "")
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import PolicyFile

struct SchemaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema", abstract: "Print a JSON Schema of the policy file, for editors.",
        discussion: """
            With it an editor completes keys and values, and marks most mistakes as they are made: for the YAML language server, \
            a first line `# yaml-language-server: $schema=FILE`. What depends on several values only `check` knows.
            """)

    func run() { printBytes(Array(PolicyFile.jsonSchema().utf8)) }
}

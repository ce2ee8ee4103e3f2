// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import EventReader
import PolicyFile

struct SchemaCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema", abstract: "Print a JSON Schema: of the policy file, or of the events.",
        discussion: discussion(
            """
            With that of the policy file an editor completes keys and values, and marks most mistakes as they are made: for the YAML \
            language server, a first line `# yaml-language-server: $schema=FILE`. What depends on several values only `check` \
            knows. That of the events describes every key of a record, for programs that read them.
            """))

    static let examples = [
        Example(
            "portreeve schema >policy.schema.json",
            "For an editor: a policy whose first line names it is checked as it is typed."),
        Example("portreeve schema --events", "What each key of an event means."),
    ]

    @Flag(help: "Of an event record, one line of the events file.")
    var events = false

    func run() {
        printBytes(Array((events ? RecordSchema.json.printed + "\n" : PolicyFile.jsonSchema()).utf8))
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import FirewallEngine

struct ReasonsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reasons", abstract: "List the reasons of events, or explain one.")

    @Argument(help: "The reason's name (out-of-connection) or number (100).")
    var reason: String?

    @Flag(help: "Print JSON lines.")
    var json = false

    func run() throws {
        guard let reason else { return list() }
        guard let known = DropReason(slug: reason) ?? UInt16(reason).flatMap({ DropReason(number: $0) }) else {
            throw fail("there is no reason \"\(reason.harmless)\"; \"portreeve reasons\" lists them")
        }
        if json { return print(known.row.json.printed) }
        for line in known.row.explanation { print(line) }
    }

    private func list() {
        if json { return ReasonRow.all.forEach { print($0.json.printed) } }
        var table = TextTable([.number("ID"), .text("REASON"), .text("STAGE"), .text("NAME"), .text("SETTING")])
        for row in ReasonRow.all {
            let setting = row.isAvailable ? row.setting ?? "" : "not in this version"
            table.add(["\(row.number)", row.slug, row.stage.letter, row.name, setting])
        }
        for line in table.lines() { print(line) }
    }
}

extension ReasonRow {
    fileprivate var explanation: [String] {
        var lines = ["\(number) \(slug): \(name)", "  raised when  \(raisedWhen)"]
        switch setting {
        case "rule": lines.append("  setting      the rule that the event names")
        case let path?: lines.append("  setting      \(path)")
        case nil: lines.append("  setting      none changes it")
        }
        if !advice.isEmpty { lines.append("  advice       \(advice)") }
        lines.append("  stage        \(stage.letter), seen: \(seen)" + (isAvailable ? "" : "; not in this version"))
        return lines
    }

    fileprivate var json: JSONValue {
        [
            "id": .count(number), "reason": .text(slug), "name": .text(name), "stage": .text(stage.letter),
            "raised_when": .text(raisedWhen), "setting": .optional(setting), "seen": .text(seen),
            "advice": .text(advice), "available": .bool(isAvailable),
        ]
    }
}

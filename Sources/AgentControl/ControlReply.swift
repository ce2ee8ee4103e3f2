// SPDX-License-Identifier: GPL-3.0-or-later

/// What the agent answers.
package enum ControlReply: Hashable, Sendable {
    case pong(AgentIdentity)
    case status(StatusReport)
    case connections(ConnectionPage)
    case scene(SceneReport)
    case settings(SettingsReport)
    case reloaded(ReloadReport)
    case coldStarted
    case reopened
    case blocked(BlockReport)
    /// It was blocked so until now.
    case unblocked(BlockReport)
    /// All that are blocked; or, of an address that a program would unblock, the block of another's that stays, if any.
    case blocks([BlockReport])
    case rules(RulePage)
    case failure(ControlFailure)
}

/// Who answers on the control socket.
package struct AgentIdentity: Hashable, Sendable {
    package var version: String
    package var processIdentifier: Int32

    package init(version: String, processIdentifier: Int32) {
        self.version = version
        self.processIdentifier = processIdentifier
    }
}

extension ControlReply {
    /// The reply in one line, without its line feed.
    package var message: [UInt8] {
        var bytes: [UInt8] = []
        JSONValue.object([ControlProtocol.marker, JSONValue.Member("reply", .text(word))] + members)
            .append(to: &bytes)
        return bytes
    }

    private var word: String {
        switch self {
        case .pong: "pong"
        case .status: "status"
        case .connections: "connections"
        case .scene: "scene"
        case .settings: "settings"
        case .reloaded: "reloaded"
        case .coldStarted: "cold-started"
        case .reopened: "reopened"
        case .blocked: "blocked"
        case .unblocked: "unblocked"
        case .blocks: "blocks"
        case .rules: "rules"
        case .failure: "error"
        }
    }

    private var members: [JSONValue.Member] {
        switch self {
        case .pong(let identity):
            [.init("version", .text(identity.version)), .init("pid", .count(identity.processIdentifier))]
        case .status(let report): [.init("status", report.json)]
        case .connections(let page): page.members
        case .scene(let report): report.members
        case .settings(let report): report.members
        case .reloaded(let report): report.members
        case .coldStarted, .reopened: []
        case .blocked(let report), .unblocked(let report): report.members
        case .rules(let page): page.members
        case .blocks(let reports): [.init("blocks", .list(reports.map(\.json)))]
        case .failure(let failure):
            [.init("code", .text(failure.code.rawValue)), .init("message", .text(failure.message))]
        }
    }

    /// The reply of one received line.
    package init(message: [UInt8]) throws(ControlFailure) {
        let reader = try MessageReader(message: message)
        switch try reader.text("reply") {
        case "pong":
            self = .pong(
                AgentIdentity(version: try reader.text("version"), processIdentifier: try reader.integer("pid")))
        case "status": self = .status(try StatusReport(reader.object("status")))
        case "connections": self = .connections(try ConnectionPage(reader))
        case "scene": self = .scene(try SceneReport(reader))
        case "settings": self = .settings(try SettingsReport(reader))
        case "reloaded": self = .reloaded(try ReloadReport(reader))
        case "cold-started": self = .coldStarted
        case "reopened": self = .reopened
        case "blocked": self = .blocked(try BlockReport(reader))
        case "unblocked": self = .unblocked(try BlockReport(reader))
        case "blocks":
            self = .blocks(
                try reader.list("blocks") { item throws(ControlFailure) in try BlockReport(item) })
        case "rules": self = .rules(try RulePage(reader))
        case "error":
            // A later release may refuse for reasons that this one has no code for.
            let code = ControlFailure.Code(rawValue: try reader.text("code")) ?? .failed
            self = .failure(ControlFailure(code, try reader.text("message")))
        case let word: throw ControlFailure(.malformed, "unknown reply \"\(word)\"")
        }
    }
}

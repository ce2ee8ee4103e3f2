// SPDX-License-Identifier: GPL-3.0-or-later

/// What the tool asks of the agent.
package enum ControlRequest: Hashable, Sendable {
    /// Who is there; answered even while the agent is starting.
    case ping
    case status
    case connections(ConnectionQuery)
    /// What judging one packet would read of the present.
    case scene(SceneQuery)
    /// The settings of the policy in force.
    case settings
    /// Load, check and compile the policy files again; on any error the old policy stays.
    case reload(ReloadRequest)
    /// Confirm a policy that is on trial.
    case keep(KeepRequest)
    /// Rules begin to feed the queues: connections older than now are admitted as after a start (docs/policy.md, cold start).
    case coldStart
    /// Close the events file and open it under its name again, after a rotation.
    case reopen
    /// Drop everything from a source for a while.
    case block(BlockRequest)
    case unblock(UnblockRequest)
    /// The sources that are blocked.
    case blocks
    /// The rules of the policy in force, and how often each has decided.
    case rules(RuleQuery)
}

extension ControlRequest {
    /// The request in one line, without its line feed.
    package var message: [UInt8] {
        var members = [ControlProtocol.marker, JSONValue.Member("request", .text(word))]
        switch self {
        case .connections(let query): members += query.members
        case .rules(let query): members += query.members
        case .scene(let query): members += query.members
        case .reload(let request): members += request.members
        case .keep(let request): members += request.members
        case .block(let request): members += request.members
        case .unblock(let request): members += request.members
        case .ping, .status, .settings, .coldStart, .reopen, .blocks: break
        }
        var bytes: [UInt8] = []
        JSONValue.object(members).append(to: &bytes)
        return bytes
    }

    private var word: String {
        switch self {
        case .ping: "ping"
        case .status: "status"
        case .connections: "connections"
        case .scene: "scene"
        case .settings: "settings"
        case .reload: "reload"
        case .keep: "keep"
        case .coldStart: "cold-start"
        case .reopen: "reopen"
        case .block: "block"
        case .unblock: "unblock"
        case .blocks: "blocks"
        case .rules: "rules"
        }
    }

    /// The request of one received line.
    package init(message: [UInt8]) throws(ControlFailure) {
        let reader = try MessageReader(message: message)
        switch try reader.text("request") {
        case "ping": self = .ping
        case "status": self = .status
        case "connections": self = .connections(try ConnectionQuery(reader))
        case "scene": self = .scene(try SceneQuery(reader))
        case "settings": self = .settings
        case "reload": self = .reload(try ReloadRequest(reader))
        case "keep": self = .keep(try KeepRequest(reader))
        case "cold-start": self = .coldStart
        case "reopen": self = .reopen
        case "block": self = .block(try BlockRequest(reader))
        case "unblock": self = .unblock(try UnblockRequest(reader))
        case "blocks": self = .blocks
        case "rules": self = .rules(try RuleQuery(reader))
        case let word:
            throw ControlFailure(
                .unknownRequest,
                "unknown request \"\(word)\"; known: ping, status, connections, scene, settings, reload, "
                    + "keep, cold-start, reopen, block, unblock, blocks, rules")
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

internal import AgentControl

/// What a reflector answers.
package enum ProbeAnswer: Hashable, Sendable {
    case challenge(nonce: [UInt8])
    /// The reflector's proof; the session's number goes into every payload.
    case accepted(proof: [UInt8], session: UInt64)
    case scripted
    /// Ports of the request that it could not listen on, each with errno's symbol.
    case opened(refused: [RefusedPort])
    case ready
    case alive(ReflectorCounters)
    /// Records in the order of their probes, and strangers; a number to go on from where there are more.
    case witness(records: [WitnessRecord], strangers: [Stranger], more: Bool)
    /// Openings that were seen; `isComplete` is nil where this host may not look, and false where some were missed.
    case sightings([OpeningSighting], isComplete: Bool?, more: Bool)
    /// What the agent there did; `settling` is for how many milliseconds it may keep events back, nil where it is not asked.
    case drops([AgentDrop], settling: Int?, more: Bool)
    case ended
    /// And the channel ends.
    case refused(String)
}

package struct RefusedPort: Hashable, Sendable {
    package var port: UInt16
    package var reason: String

    package init(port: UInt16, reason: String) {
        self.port = port
        self.reason = reason
    }
}

extension ProbeAnswer {
    private var json: JSONValue {
        switch self {
        case .challenge(let nonce): ["answer": .text("challenge"), "nonce": .text(hexadecimal(nonce))]
        case .accepted(let proof, let session):
            [
                "answer": .text("accepted"), "proof": .text(hexadecimal(proof)),
                "session": .text(String(session, radix: 16)),
            ]
        case .scripted: ["answer": .text("scripted")]
        case .opened(let refused):
            ["answer": .text("opened"), "refused": .list(refused.map { .list([.count($0.port), .text($0.reason)]) })]
        case .ready: ["answer": .text("ready")]
        case .alive(let counters): ["answer": .text("alive"), "counters": counters.json]
        case .witness(let records, let strangers, let more):
            [
                "answer": .text("witness"), "records": .list(records.map(\.json)),
                "strangers": .list(strangers.map(\.json)), "more": .bool(more),
            ]
        case .sightings(let found, let isComplete, let more):
            [
                "answer": .text("sightings"), "sightings": .list(found.map(\.json)),
                "complete": isComplete.map { .bool($0) } ?? .null, "more": .bool(more),
            ]
        case .drops(let drops, let settling, let more):
            [
                "answer": .text("drops"), "drops": .list(drops.map(\.json)),
                "settling": settling.map { .count($0) } ?? .null, "more": .bool(more),
            ]
        case .ended: ["answer": .text("ended")]
        case .refused(let reason): ["answer": .text("refused"), "reason": .text(reason)]
        }
    }

    /// The text of a line, without its line feed.
    package var message: [UInt8] {
        var text: [UInt8] = []
        json.append(to: &text)
        return text
    }

    package init(message: [UInt8]) throws(MessageFault) {
        let message = try Message(message)
        switch try message.text("answer") {
        case "challenge": self = .challenge(nonce: try message.bytes("nonce"))
        case "accepted":
            guard let session = UInt64(try message.text("session"), radix: 16) else {
                throw message.wrong("session", "a hexadecimal number")
            }
            self = .accepted(proof: try message.bytes("proof"), session: session)
        case "scripted": self = .scripted
        case "opened": self = .opened(refused: try Self.refusedPorts(message))
        case "ready": self = .ready
        case "alive": self = .alive(try ReflectorCounters(try message.value("counters")))
        case "witness":
            var (records, strangers): ([WitnessRecord], [Stranger]) = ([], [])
            for value in try message.list("records") { records.append(try WitnessRecord(value)) }
            for value in try message.list("strangers") { strangers.append(try Stranger(value)) }
            self = .witness(records: records, strangers: strangers, more: try message.value("more") == .bool(true))
        case "sightings": self = try Self.sightings(message)
        case "drops": self = try Self.drops(message)
        case "ended": self = .ended
        case "refused": self = .refused(try message.text("reason"))
        default: throw MessageFault("unknown answer")
        }
    }

    private static func sightings(_ message: Message) throws(MessageFault) -> ProbeAnswer {
        var found: [OpeningSighting] = []
        for value in try message.list("sightings") { found.append(try OpeningSighting(value)) }
        return .sightings(
            found, isComplete: try message.value("complete").asBool, more: try message.value("more") == .bool(true))
    }

    private static func drops(_ message: Message) throws(MessageFault) -> ProbeAnswer {
        var drops: [AgentDrop] = []
        for value in try message.list("drops") { drops.append(try AgentDrop(value)) }
        let settling = message.has("settling") ? try message.integer("settling") : nil
        return .drops(drops, settling: settling, more: try message.value("more") == .bool(true))
    }

    private static func refusedPorts(_ message: Message) throws(MessageFault) -> [RefusedPort] {
        var ports: [RefusedPort] = []
        for value in try message.list("refused") {
            guard let pair = value.asList, pair.count == 2, let reason = pair[1].asText,
                let port = pair[0].asInteger.flatMap({ UInt16(exactly: $0) })
            else { throw message.wrong("refused", "pairs of a port and a reason") }
            ports.append(RefusedPort(port: port, reason: reason))
        }
        return ports
    }
}

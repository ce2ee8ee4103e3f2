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
        case "ended": self = .ended
        case "refused": self = .refused(try message.text("reason"))
        default: throw MessageFault("unknown answer")
        }
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

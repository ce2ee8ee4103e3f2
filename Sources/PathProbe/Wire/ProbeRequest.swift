// SPDX-License-Identifier: GPL-3.0-or-later

internal import AgentControl

/// What a scan says to its reflector.
package enum ProbeRequest: Hashable, Sendable {
    /// The first line, unproven.
    case hello(version: Int, nonce: [UInt8])
    case prove([UInt8])
    /// Numbered by its sender, for the `open` that names it.
    case script(id: Int, transport: Transport, [PayloadScript.Step])
    case open(Opening)
    /// Asked when all is opened, and answered when all of it listens.
    case go
    /// Keeps the lease.
    case alive
    /// Records of the probes from this number on, then of connections that no probe belongs to.
    case witness(from: Int, strangersFrom: Int)
    /// Openings of connections that the reflector's host saw, from this number on.
    case sightings(from: Int)
    /// What the agent on the reflector's host did to packets of the lease, from this number on.
    case drops(from: Int)
    case end

    package static let version = 3
}

/// Ports to listen on, one for each probe.
package struct Opening: Hashable, Sendable {
    package var transport: Transport
    package var isIPv6: Bool
    package var ports: PortSet
    /// Number of the probe of the first port; the others follow.
    package var first: Int
    /// The script to play there; keyed payloads without one.
    package var script: Int?
    /// Who may play a script and be told of an agent's drops, beside the address that the control channel comes from.
    package var sources: [Endpoint]
    /// Milliseconds for which a connection there may say nothing, beside the time that any has.
    package var rest = 0
    /// Whether answers there may not be taken apart on the way.
    package var isWhole = false

    package init(
        _ transport: Transport, isIPv6: Bool, ports: PortSet, first: Int, script: Int? = nil, sources: [Endpoint] = [],
        rest: Int = 0, isWhole: Bool = false
    ) {
        self.transport = transport
        self.isIPv6 = isIPv6
        self.ports = ports
        self.first = first
        self.script = script
        self.sources = sources
        self.rest = rest
        self.isWhole = isWhole
    }
}

extension ProbeRequest {
    private var json: JSONValue {
        switch self {
        case .hello(let version, let nonce):
            ["ask": .text("hello"), "version": .count(version), "nonce": .text(hexadecimal(nonce))]
        case .prove(let proof): ["ask": .text("prove"), "proof": .text(hexadecimal(proof))]
        case .script(let id, let transport, let steps):
            [
                "ask": .text("script"), "id": .count(id), "protocol": .text(transport.rawValue),
                "steps": .list(steps.map { .list([.text($0.sender.rawValue), .text(hexadecimal($0.bytes))]) }),
            ]
        case .open(let opening):
            [
                "ask": .text("open"), "protocol": .text(opening.transport.rawValue),
                "family": .count(opening.isIPv6 ? 6 : 4), "ports": .text("\(opening.ports)"),
                "first": .count(opening.first), "script": opening.script.map { .count($0) } ?? .null,
                "sources": .list(opening.sources.map { .text($0.host) }), "rest": .count(opening.rest),
                "whole": .bool(opening.isWhole),
            ]
        case .go: ["ask": .text("go")]
        case .alive: ["ask": .text("alive")]
        case .witness(let from, let strangers):
            ["ask": .text("witness"), "from": .count(from), "strangers": .count(strangers)]
        case .sightings(let from): ["ask": .text("sightings"), "from": .count(from)]
        case .drops(let from): ["ask": .text("drops"), "from": .count(from)]
        case .end: ["ask": .text("end")]
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
        switch try message.text("ask") {
        case "hello": self = .hello(version: try message.integer("version"), nonce: try message.bytes("nonce"))
        case "prove": self = .prove(try message.bytes("proof"))
        case "script":
            self = .script(
                id: try message.integer("id"), transport: try message.transport(), try message.steps())
        case "open": self = .open(try Opening(message))
        case "go": self = .go
        case "alive": self = .alive
        case "witness":
            self = .witness(from: try message.integer("from"), strangersFrom: try message.integer("strangers"))
        case "sightings": self = .sightings(from: try message.integer("from"))
        case "drops": self = .drops(from: try message.integer("from"))
        case "end": self = .end
        default: throw MessageFault("unknown request")
        }
    }
}

extension Opening {
    fileprivate init(_ message: Message) throws(MessageFault) {
        let family = try message.integer("family")
        guard family == 4 || family == 6 else { throw MessageFault("member \"family\": expected 4 or 6") }
        let list = try message.text("ports")
        do throws(PortSet.Fault) {
            ports = try PortSet(parsing: list)
        } catch {
            throw MessageFault("member \"ports\": \(error)")
        }
        transport = try message.transport()
        isIPv6 = family == 6
        first = try message.integer("first")
        rest = message.has("rest") ? try message.integer("rest") : 0
        if message.has("whole") {
            guard let isWhole = try message.value("whole").asBool else { throw message.wrong("whole", "true or false") }
            self.isWhole = isWhole
        }
        script = message.has("script") ? try message.integer("script") : nil
        sources = []
        for text in try message.texts("sources") {
            guard let source = Endpoint(address: text) else { throw MessageFault("member \"sources\": no address") }
            sources.append(source)
        }
    }
}

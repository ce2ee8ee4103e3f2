// SPDX-License-Identifier: GPL-3.0-or-later

internal import AgentControl

/// What the reflector saw of one probe. Only what reached a socket is seen: of a SYN that was answered by nobody it knows
/// nothing.
package struct WitnessRecord: Hashable, Sendable {
    package struct Marks: OptionSet, Hashable, Sendable {
        package let rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }

        /// A connection was accepted, or a datagram came.
        package static let arrived = Marks(rawValue: 1)
        /// The payload came whole and proven.
        package static let proven = Marks(rawValue: 2)
        /// The answer was written whole.
        package static let answered = Marks(rawValue: 4)
        /// The other end acknowledged the answer (TCP).
        package static let acknowledged = Marks(rawValue: 8)
        /// The connection was reset from the other end.
        package static let reset = Marks(rawValue: 16)
        /// The same request came again, and was not answered again.
        package static let repeated = Marks(rawValue: 32)
    }

    package var marks: Marks = []
    package var bytesIn = 0
    package var bytesOut = 0
    /// The sender's address and port as they arrived: after any translation.
    package var peer: Endpoint?
    /// DSCP and ECN of the last datagram.
    package var trafficClass: UInt8?

    package init() {}
}

/// A connection or datagram at a port of the lease that no probe could be told of.
package struct Stranger: Hashable, Sendable {
    package var transport: Transport
    package var port: UInt16
    package var peer: Endpoint
    package var bytesIn: Int
    package var wasReset: Bool
}

/// What may make a silence the reflector's own fault, counted since the lease began.
package struct ReflectorCounters: Hashable, Sendable {
    /// Connections that the kernel dropped because a listener's queue was full, in the whole network namespace.
    package var listenOverflows = 0
    package var listenDrops = 0
    /// Datagrams that no receive buffer had room for, in the whole network namespace.
    package var receiveBufferErrors = 0
    /// Connections closed because the lease had too many, or answers left out because they came too fast.
    package var refusedByLimits = 0
    /// Datagrams and connections that did not authenticate.
    package var unauthenticated = 0

    package init() {}

    /// Whether a silence may be the reflector's.
    package var isOverloaded: Bool { listenOverflows + listenDrops + receiveBufferErrors + refusedByLimits > 0 }

    func since(_ earlier: ReflectorCounters) -> ReflectorCounters {
        var change = self
        change.listenOverflows -= earlier.listenOverflows
        change.listenDrops -= earlier.listenDrops
        change.receiveBufferErrors -= earlier.receiveBufferErrors
        return change
    }
}

extension WitnessRecord {
    /// `[marks, bytes in, bytes out, peer, traffic class]`: a scan has thousands.
    var json: JSONValue {
        .list([
            .count(marks.rawValue), .count(bytesIn), .count(bytesOut), peer.map { .text("\($0)") } ?? .null,
            trafficClass.map { .count($0) } ?? .null,
        ])
    }

    init(_ json: JSONValue) throws(MessageFault) {
        guard let list = json.asList, list.count == 5, let marks = list[0].asInteger.flatMap({ UInt16(exactly: $0) }),
            let bytesIn = list[1].asInteger, let bytesOut = list[2].asInteger, bytesIn >= 0, bytesOut >= 0
        else { throw MessageFault("a witness record of another form") }
        self.marks = Marks(rawValue: marks)
        self.bytesIn = Int(bytesIn)
        self.bytesOut = Int(bytesOut)
        if let text = list[3].asText {
            guard let peer = Endpoint(parsing: text) else { throw MessageFault("a witness record without a peer") }
            self.peer = peer
        }
        guard list[4] != .null else { return }
        guard let trafficClass = list[4].asInteger.flatMap({ UInt8(exactly: $0) }) else {
            throw MessageFault("a witness record without a traffic class")
        }
        self.trafficClass = trafficClass
    }
}

extension WitnessRecord {
    /// One line of what an offline reflector saw.
    func line(session: UInt64, probe: Int) -> String {
        let value: JSONValue = [
            "v": .integer(1), "session": .text(String(session, radix: 16)), "probe": .count(probe),
            "arrived": .bool(marks.contains(.arrived)), "proven": .bool(marks.contains(.proven)),
            "answered": .bool(marks.contains(.answered)), "acknowledged": .bool(marks.contains(.acknowledged)),
            "reset": .bool(marks.contains(.reset)), "repeated": .bool(marks.contains(.repeated)),
            "bytes_in": .count(bytesIn), "bytes_out": .count(bytesOut), "peer": peer.map { .text("\($0)") } ?? .null,
        ]
        return value.printed
    }
}

extension Stranger {
    var json: JSONValue {
        .list([
            .text(transport.rawValue), .count(port), .text("\(peer)"), .count(bytesIn), .bool(wasReset),
        ])
    }

    init(_ json: JSONValue) throws(MessageFault) {
        guard let list = json.asList, list.count == 5,
            let transport = list[0].asText.flatMap(Transport.init(rawValue:)),
            let port = list[1].asInteger.flatMap({ UInt16(exactly: $0) }),
            let peer = list[2].asText.flatMap(Endpoint.init(parsing:)), let bytesIn = list[3].asInteger, bytesIn >= 0,
            let wasReset = list[4].asBool
        else { throw MessageFault("a stranger of another form") }
        self.init(transport: transport, port: port, peer: peer, bytesIn: Int(bytesIn), wasReset: wasReset)
    }
}

extension ReflectorCounters {
    var json: JSONValue {
        [
            "listen_overflows": .count(listenOverflows), "listen_drops": .count(listenDrops),
            "receive_buffer_errors": .count(receiveBufferErrors), "refused_by_limits": .count(refusedByLimits),
            "unauthenticated": .count(unauthenticated),
        ]
    }

    init(_ json: JSONValue) throws(MessageFault) {
        func number(_ name: String) throws(MessageFault) -> Int {
            guard let number = json[name]?.asInteger, (0...Int64(Int32.max)).contains(number) else {
                throw MessageFault("counters without \(name)")
            }
            return Int(number)
        }
        listenOverflows = try number("listen_overflows")
        listenDrops = try number("listen_drops")
        receiveBufferErrors = try number("receive_buffer_errors")
        refusedByLimits = try number("refused_by_limits")
        unauthenticated = try number("unauthenticated")
    }
}

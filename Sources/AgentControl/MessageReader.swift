// SPDX-License-Identifier: GPL-3.0-or-later

/// Reads the members of a received object. What is missing or of the wrong type is named in the refusal.
struct MessageReader {
    private let object: JSONValue

    init(_ object: JSONValue) { self.object = object }

    /// A whole message: an object of this version of the protocol.
    init(message bytes: [UInt8]) throws(ControlFailure) {
        do {
            object = try JSONValue(parsing: bytes)
        } catch {
            throw ControlFailure(.malformed, "not a JSON text: \(error)")
        }
        guard let version = object["portreeve"]?.asInteger else {
            throw ControlFailure(.malformed, "not a control message: no member \"portreeve\" with the protocol version")
        }
        guard version == ControlProtocol.version else {
            throw ControlFailure(
                .unsupportedVersion,
                "control protocol version \(version), but this is version \(ControlProtocol.version): agent and tool "
                    + "are of different releases; restart the agent after an upgrade")
        }
    }

    private func wrong(_ name: String, _ expected: String) -> ControlFailure {
        ControlFailure(.malformed, "member \"\(name)\": expected \(expected)")
    }

    func text(_ name: String) throws(ControlFailure) -> String {
        guard let text = object[name]?.asText else { throw wrong(name, "a string") }
        return text
    }

    func bool(_ name: String) throws(ControlFailure) -> Bool {
        guard let bool = object[name]?.asBool else { throw wrong(name, "true or false") }
        return bool
    }

    func integer<Number: FixedWidthInteger>(
        _ name: String, as type: Number.Type = Number.self
    ) throws(ControlFailure)
        -> Number
    {
        guard let integer = object[name]?.asInteger, let number = Number(exactly: integer) else {
            throw wrong(name, "an integer from \(Number.min) to \(Number.max)")
        }
        return number
    }

    func members(_ name: String) throws(ControlFailure) -> [JSONValue.Member] {
        guard case .object(let members) = object[name] else { throw wrong(name, "an object") }
        return members
    }

    func list(_ name: String) throws(ControlFailure) -> [JSONValue] {
        guard let list = object[name]?.asList else { throw wrong(name, "a list") }
        return list
    }

    func texts(_ name: String) throws(ControlFailure) -> [String] {
        var texts: [String] = []
        for value in try list(name) {
            guard let text = value.asText else { throw wrong(name, "a list of strings") }
            texts.append(text)
        }
        return texts
    }

    func object(_ name: String) throws(ControlFailure) -> MessageReader {
        guard case .object? = object[name] else { throw wrong(name, "an object") }
        return MessageReader(object[name] ?? .null)
    }

    /// Each value of a list, read by `read`.
    func list<Value>(
        _ name: String, _ read: (MessageReader) throws(ControlFailure) -> Value
    ) throws(ControlFailure)
        -> [Value]
    {
        var values: [Value] = []
        for value in try list(name) { values.append(try read(MessageReader(value))) }
        return values
    }

    /// One of the words that `value` knows.
    func word<Value>(_ name: String, _ value: (String) -> Value?) throws(ControlFailure) -> Value {
        let word = try text(name)
        guard let value = value(word) else { throw wrong(name, "a known word, not \"\(word)\"") }
        return value
    }

    /// What `read` makes of the member, or nil where it is absent or null.
    func optional<Value>(
        _ name: String, _ read: (String) throws(ControlFailure) -> Value
    ) throws(ControlFailure)
        -> Value?
    {
        guard let value = object[name], value != .null else { return nil }
        return try read(name)
    }
}

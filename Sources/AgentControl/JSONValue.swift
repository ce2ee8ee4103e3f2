// SPDX-License-Identifier: GPL-3.0-or-later

/// A JSON text (RFC 8259) as a value, for the control socket, for `--json` and for reading the events file. The standard
/// library has none, and Foundation's would bring all of Foundation into the agent.
///
/// Objects keep the order of their members; of members with the same name the first one counts.
package indirect enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    /// Every number without fraction and exponent that fits.
    case integer(Int64)
    case number(Double)
    case text(String)
    case list([JSONValue])
    case object([Member])

    package struct Member: Hashable, Sendable {
        package var name: String
        package var value: JSONValue
        package init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }
}

extension JSONValue {
    /// The member with this name; `nil` where there is none or the value is no object.
    package subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    package var asText: String? {
        guard case .text(let text) = self else { return nil }
        return text
    }

    package var asInteger: Int64? {
        guard case .integer(let integer) = self else { return nil }
        return integer
    }

    package var asBool: Bool? {
        guard case .bool(let bool) = self else { return nil }
        return bool
    }

    package var asList: [JSONValue]? {
        guard case .list(let list) = self else { return nil }
        return list
    }
}

// Reports are written down as literals: `["version": .text(v), "queues": .list(…)]`.
extension JSONValue: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral members: (String, JSONValue)...) {
        self = .object(members.map { Member($0.0, $0.1) })
    }
}

extension JSONValue {
    /// A counter; the 2⁶³ that do not fit in JSON's integers as read here are out of any counter's reach.
    package static func count<Number: BinaryInteger>(_ number: Number) -> JSONValue {
        .integer(Int64(clamping: number))
    }

    /// The text, or null.
    package static func optional(_ text: String?) -> JSONValue {
        text.map { .text($0) } ?? .null
    }

    package static func texts(_ texts: [String]) -> JSONValue {
        .list(texts.map { .text($0) })
    }
}

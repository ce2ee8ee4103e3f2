// SPDX-License-Identifier: GPL-3.0-or-later

/// Pieces of a JSON Schema (draft 2020-12) as JSON text.
///
/// The schema describes what a reader of YAML makes of the file, and readers differ: for one of YAML 1.1, which many editors
/// and PyYAML are, `off` is the boolean false and `52:54:00:11:22:33` a number to the base of sixty. Each piece accepts a
/// value in every such guise, and a number also in quotes, as the parser does.
enum SchemaText {
    /// One of a few words.
    static func words(_ words: some Sequence<String>) -> String {
        var values = words.map(jsonText)
        for (boolean, names) in [("true", ["yes", "on"]), ("false", ["no", "off"])]
        where words.contains(where: names.contains) { values.append(boolean) }
        return #"{"enum":[\#(values.joined(separator: ","))]}"#
    }

    /// What stands under this name in the schema's definitions.
    static func definition(_ name: String) -> String { ##"{"$ref":"#/$defs/\##(name)"}"## }

    /// These values alone, as JSON.
    static func values(_ values: String...) -> String { Self.values(values) }

    static func values(_ values: [String]) -> String { #"{"enum":[\#(values.joined(separator: ","))]}"# }

    /// A text of a form.
    static func text(_ pattern: String) -> String { #"{"type":"string","pattern":\#(jsonText("^(?:\(pattern))$"))}"# }

    /// A text of a form, some of which are booleans of YAML 1.1.
    static func name(_ pattern: String) -> String { anyOf(text(pattern), #"{"type":"boolean"}"#) }

    /// Whatever can be read as one line of text.
    static let line = anyOf(text(#"[^\u0000-\u001f\u007f-\u009f]+"#), #"{"type":["number","boolean"]}"#)

    /// Any text.
    static let scalar = #"{"type":["string","number","boolean"]}"#

    static func number(_ range: ClosedRange<UInt64>) -> String {
        let integer = #"{"type":"integer","minimum":\#(range.lowerBound),"maximum":\#(range.upperBound)}"#
        return anyOf(integer, text(SchemaPattern.decimal(range)))
    }

    static func anyOf(_ schemas: String...) -> String { anyOf(schemas) }

    static func anyOf(_ schemas: [String]) -> String { #"{"anyOf":[\#(schemas.joined(separator: ","))]}"# }

    static func oneOrSeveral(_ schema: String, atLeast count: Int = 0) -> String {
        let minimum = count > 0 ? #","minItems":\#(count)"# : ""
        return anyOf(schema, #"{"type":"array","items":\#(schema)\#(minimum)}"#)
    }

    /// A mapping with no other keys; `more` are members that say what else must hold.
    static func object(
        _ properties: [(key: String, schema: String)], required: [String] = [], more: [String] = []
    ) -> String {
        let members = properties.map { "\(jsonText($0.key)):\($0.schema)" }.joined(separator: ",")
        var parts = [#""type":"object""#, #""additionalProperties":false"#, #""properties":{\#(members)}"#]
        if !required.isEmpty { parts.append(#""required":[\#(required.map(jsonText).joined(separator: ","))]"#) }
        return "{\((parts + more).joined(separator: ","))}"
    }

    /// `any`, a value, or the value inside `not`.
    static func criterion(_ schema: String) -> String {
        let inverted = adding([#""not":{"const":"any"}"#], to: schema)
        return anyOf(values(#""any""#), schema, object([("not", inverted)], required: ["not"]))
    }

    /// The schema with members in front of its own.
    static func adding(_ members: [String], to schema: String) -> String {
        let own = schema.dropFirst().dropLast()
        return "{\((members + (own.isEmpty ? [] : [String(own)])).joined(separator: ","))}"
    }

    /// The schema with what an editor shows where it does not hold.
    static func explained(_ schema: String, _ expected: String) -> String {
        adding([#""errorMessage":\#(jsonText("expected " + expected))"#], to: schema)
    }
}

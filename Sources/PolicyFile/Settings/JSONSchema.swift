// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension PolicyFile {
    /// A JSON Schema (draft 2020-12) of the format, for editors. It says which keys and values there are; what depends on
    /// several values (names, combinations) only the parser knows.
    package static func jsonSchema() -> String {
        let settings = Setting.all.map { "\(jsonText($0.key)):\($0.schema(under: ""))" }
        let properties =
            [#""version":{"const":1}"#] + settings + [
                #""lists":\#(named(Schema.list, Schema.listNames))"#,
                #""schedules":\#(named(Schema.schedule, #""maxProperties":64"#))"#,
                #""rules":{"type":["array","null"],"items":\#(Schema.rule)}"#,
            ]
        return #"{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"Portreeve policy","#
            + #""type":"object","required":["version"],"additionalProperties":false,"#
            + #""properties":{\#(properties.joined(separator: ","))}}"# + "\n"
    }

    /// A mapping of names to one kind of value, and what else must hold of it.
    private static func named(_ schema: String, _ more: String) -> String {
        #"{"type":["object","null"],"additionalProperties":\#(schema),\#(more)}"#
    }
}

extension Setting {
    /// The schema with what there is to say about it. `section` is the full name of the mapping that the key stands in.
    func schema(under section: String) -> String {
        let name = section.isEmpty ? key : "\(section).\(key)"
        let schema = children.isEmpty ? schema : Setting.objectSchema(children, under: name)
        var members: [String] = []
        if let summary = Setting.summaries[name] { members.append(#""description":\#(jsonText(summary))"#) }
        if let value = print(PolicyDocument()) { members.append(#""default":\#(Setting.json(value))"#) }
        if schema != "{}" { members.append(String(schema.dropFirst().dropLast())) }
        return "{\(members.joined(separator: ","))}"
    }

    static func objectSchema(_ children: [Setting], under section: String) -> String {
        let properties = children.map { "\(jsonText($0.key)):\($0.schema(under: section))" }.joined(separator: ",")
        return #"{"type":["object","null"],"additionalProperties":false,"properties":{\#(properties)}}"#
    }

    /// A default as the canonical printer writes it: a scalar, or a sequence of them in brackets.
    private static func json(_ text: String) -> String {
        if text.hasPrefix("[") {
            let items = text.dropFirst().dropLast().split(separator: ", ").map { json(String($0)) }
            return "[\(items.joined(separator: ","))]"
        }
        let isJSON = text.hasPrefix("\"") || ["true", "false"].contains(text) || Int(text) != nil
        return isJSON ? text : jsonText(text)
    }
}

private enum Schema {
    static let scalars = oneOrSeveral(#"{"type":["string","integer"]}"#)

    /// Letters of any script; not every validator knows Unicode's classes.
    static let listNames = #""propertyNames":{"pattern":"^(?!(any|not)$)[^\\s0-9.,:/-][^\\s,:/]*$"}"#

    static let list = object([("addresses", scalars), ("addresses-file", text), ("ports", scalars), ("macs", scalars)])

    static let schedule = object([
        ("timezone", text), ("weekly", #"{"type":"object","additionalProperties":\#(oneOrSeveral(text))}"#),
    ])

    static let rule: String = {
        let properties = RuleKey.allCases.map { ($0.rawValue, value(of: $0)) }
        return object(properties, required: ["name", "action", "direction"])
    }()

    private static let text = #"{"type":"string"}"#

    private static func oneOrSeveral(_ schema: String) -> String {
        #"{"anyOf":[\#(schema),{"type":"array","items":\#(schema)}]}"#
    }

    private static func object(_ properties: [(String, String)], required: [String] = []) -> String {
        let members = properties.map { "\(jsonText($0.0)):\($0.1)" }.joined(separator: ",")
        let names = required.map(jsonText).joined(separator: ",")
        return #"{"type":"object","additionalProperties":false,"required":[\#(names)],"properties":{\#(members)}}"#
    }

    /// `any`, the value, or the value inside `not`.
    private static func criterion(_ schema: String) -> String {
        #"{"anyOf":[{"const":"any"},\#(schema),\#(object([("not", schema)], required: ["not"]))]}"#
    }

    private static func value(of key: RuleKey) -> String {
        switch key {
        case .name: #"{"type":["string","integer","boolean"]}"#
        case .action: RuleAction.form.schema
        case .priority: #"{"type":"integer","minimum":0,"maximum":4}"#
        case .direction: Direction.form.schema
        case .frame: criterion(FrameMatch.form.schema)
        case .protocols: criterion(ProtocolMatch.form.schema)
        case .source, .destination: endpoint
        case .flags: criterion(flags)
        case .icmp: criterion(icmp)
        case .interfaces: criterion(ValueForm.interfaces.schema)
        case .schedule: text
        case .log, .isEnabled, .packetData, .offload: ValueForm.flag.schema
        case .comment: #"{"type":["string","integer","number","boolean"]}"#
        }
    }

    private static let endpoint: String = {
        let values = criterion(scalars)
        let mapping = object([("addresses", values), ("ports", values), ("macs", values)])
        return #"{"anyOf":[{"const":"any"},\#(mapping)]}"#
    }()

    private static let flags =
        #"{"anyOf":[\#(TCPFlags.form.schema),\#(object([("set", TCPFlags.form.schema), ("clear", TCPFlags.form.schema)]))]}"#

    private static let icmp = object(
        [
            ("type", ValueForm<UInt8>.icmpType(isV6: false).schema),
            ("code", #"{"anyOf":[{"const":"any"},{"type":"integer","minimum":0,"maximum":255}]}"#),
        ], required: ["type"])
}

// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

extension PolicyFile {
    /// A JSON Schema (draft 2020-12) of the format, for editors. It refuses what one file can be told to be wrong by itself;
    /// what depends on other files, on names, on how a number is written or on the order of two only the parser knows.
    package static func jsonSchema() -> String {
        let settings = Setting.all.map { (key: $0.key, schema: $0.schema(under: "")) }
        let root = SchemaText.object(
            [("version", #"{"type":"integer","const":1}"#)] + settings + [
                ("lists", names(of: list, SchemaPattern.newName)),
                ("schedules", names(of: schedule, SchemaPattern.name, #""maxProperties":64"#)),
                ("rules", #"{"type":["array","null"],"items":\#(RuleSchema.rule)}"#),
            ], required: ["version"], more: [#""$defs":\#(RuleSchema.definitions)"#])
        return SchemaText.adding(
            [#""$schema":"https://json-schema.org/draft/2020-12/schema""#, #""title":"Portreeve policy""#], to: root)
            + "\n"
    }

    /// A mapping of names to values of one kind, and what else must hold of it.
    private static func names(of schema: String, _ pattern: String, _ more: String...) -> String {
        let names = #""propertyNames":\#(SchemaText.text(pattern))"#
        let members = [#""type":["object","null"]"#, #""additionalProperties":\#(schema)"#, names] + more
        return "{\(members.joined(separator: ","))}"
    }

    private static let list = SchemaText.object(
        [
            ("addresses", SchemaText.oneOrSeveral(RuleSchema.addresses)), ("addresses-file", SchemaText.text(".+")),
            ("ports", SchemaText.oneOrSeveral(RuleSchema.ports)), ("macs", SchemaText.oneOrSeveral(RuleSchema.macs)),
        ], more: [#""minProperties":1,"maxProperties":1"#])

    private static let schedule: String = {
        let times = SchemaText.explained(
            SchemaText.oneOrSeveral(SchemaText.text(SchemaPattern.dayTime), atLeast: 1),
            "a time such as \"08:00-18:00\", or a sequence of these")
        let days = SchemaText.text(SchemaPattern.days)
        return SchemaText.object(
            [
                ("timezone", SchemaText.text(SchemaPattern.timeZone)),
                (
                    "weekly",
                    #"{"type":"object","minProperties":1,"propertyNames":\#(days),"additionalProperties":\#(times)}"#
                ),
            ], more: [#""minProperties":1"#])
    }()
}

extension Setting {
    /// The schema with what there is to say about it. `section` is the full name of the mapping that the key stands in.
    func schema(under section: String) -> String {
        let name = section.isEmpty ? key : "\(section).\(key)"
        let schema = children.isEmpty ? schema : Setting.objectSchema(children, under: name)
        var members: [String] = []
        if let summary = Setting.summaries[name] {
            let values = Setting.valuesOfPostures(name).map { " " + $0 } ?? ""
            members.append(#""description":\#(jsonText(summary + values))"#)
        }
        if let value = print(PolicyDocument()) { members.append(#""default":\#(Setting.json(value))"#) }
        return SchemaText.adding(members, to: schema)
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

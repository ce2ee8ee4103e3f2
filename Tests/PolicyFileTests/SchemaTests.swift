// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import Foundation
import Testing

@testable import PolicyFile

@Suite("The JSON Schema")
struct SchemaTests {
    @Test("It is JSON and has every key of the table")
    func keys() throws {
        let object = try JSONSerialization.jsonObject(with: Data(PolicyFile.jsonSchema().utf8))
        let root = try #require(object as? [String: Any])
        let properties = try #require(root["properties"] as? [String: Any])
        #expect(Set(properties.keys) == Set(PolicyDraft.keys))
        try check(Setting.all, properties)
        let rules = try #require(properties["rules"] as? [String: Any])
        let rule = try #require((rules["items"] as? [String: Any])?["properties"] as? [String: Any])
        #expect(Set(rule.keys) == Set(RuleKey.names))
    }

    private func check(_ settings: [Setting], _ properties: [String: Any]) throws {
        for setting in settings {
            let schema = try #require(properties[setting.key] as? [String: Any], "\(setting.key)")
            guard !setting.children.isEmpty else { continue }
            try check(setting.children, try #require(schema["properties"] as? [String: Any]))
        }
    }

    @Test("Every setting that an event can name has a value to say")
    func valuesOfCauses() {
        let values = PolicyFile.values(of: PolicyDocument())
        #expect(Cause.allCases.compactMap(\.setting).filter { values[$0] == nil } == [])
        #expect(values["engine.anti-evasion.paws-zero"] == "deny")
        #expect(values["events.fold"] == "1s")
        #expect(values["lists"] == nil && values["engine"] == nil)
    }

    @Test("Each setting says what it does, and nothing else is said")
    func summaries() {
        #expect(Set(Setting.summaries.keys) == Set(names(Setting.all, under: "")))
    }

    /// Full names of the values, rows of the anti-evasion posture included.
    private func names(_ settings: [Setting], under section: String) -> [String] {
        settings.flatMap { setting in
            let name = section + setting.key
            guard setting.children.isEmpty else { return names(setting.children, under: name + ".") }
            guard name == "engine.anti-evasion" else { return [name] }
            return [name] + names(Setting.antiEvasionKeys, under: name + ".")
        }
    }

    @Test("A default is JSON of the value that an empty policy has")
    func defaults() throws {
        let object = try JSONSerialization.jsonObject(with: Data(PolicyFile.jsonSchema().utf8))
        let properties = try #require((object as? [String: Any])?["properties"] as? [String: [String: Any]])
        #expect(properties["mode"]?["default"] as? String == "inline")
        let interfaces = try #require(properties["interfaces"]?["properties"] as? [String: [String: Any]])
        #expect(interfaces["ignore"]?["default"] as? [String] == ["lo"])
        let queue = try #require(properties["queue"]?["properties"] as? [String: [String: Any]])
        #expect(queue["numbers"]?["default"] as? String == "0")
        #expect(queue["length"]?["default"] as? Int == 8192)
    }
}

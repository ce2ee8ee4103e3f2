// SPDX-License-Identifier: GPL-3.0-or-later

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
}

// SPDX-License-Identifier: GPL-3.0-or-later

/// The settings of the policy in force, each by its full path with its value as the canonical printer writes it.
package struct SettingsReport: Hashable, Sendable {
    package var policyEpoch: UInt32
    package var values: [String: String]

    package init(policyEpoch: UInt32, values: [String: String]) {
        self.policyEpoch = policyEpoch
        self.values = values
    }
}

extension SettingsReport {
    var members: [JSONValue.Member] {
        let sorted = values.sorted { $0.key < $1.key }
        return [
            .init("policy_epoch", .count(policyEpoch)),
            .init("settings", .object(sorted.map { JSONValue.Member($0.key, .text($0.value)) })),
        ]
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        let settings = try reader.members("settings")
        var values: [String: String] = [:]
        for member in settings {
            guard let text = member.value.asText else {
                throw ControlFailure(.malformed, "member \"settings\": expected strings")
            }
            values[member.name] = text
        }
        self.init(policyEpoch: try reader.integer("policy_epoch"), values: values)
    }
}

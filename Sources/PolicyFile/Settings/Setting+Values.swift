// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallPolicy

extension PolicyFile {
    /// Every setting as the canonical printer writes it, by its full path: `engine.timeouts.established` → `3h`. The rows of
    /// the anti-evasion posture have their own, whatever the posture. Without lists, schedules and rules.
    package static func values(of document: PolicyDocument) -> [String: String] {
        var values: [String: String] = [:]
        collect(Setting.all, under: "", document, &values)
        let posture = document.engine.antiEvasion
        for row in AntiEvasion.rows {
            values["engine.anti-evasion.\(row.key)"] = ValueForm.posture.print(posture[keyPath: row.field])
        }
        return values
    }

    private static func collect(
        _ settings: [Setting], under section: String, _ document: PolicyDocument, _ values: inout [String: String]
    ) {
        for setting in settings {
            let path = section.isEmpty ? setting.key : "\(section).\(setting.key)"
            collect(setting.children, under: path, document, &values)
            if let value = setting.print(document) { values[path] = value }
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// The forms in which records can be written; each stands in a file of its own beside this one. Any output takes any of them.
extension EventFormat {
    /// Appends one record, with its end.
    ///
    /// - Parameters:
    ///   - fields: the record.
    ///   - place: its number in the output that it is for.
    ///   - text: a buffer that the caller keeps.
    package func append(_ fields: RecordFields, at place: RecordPlace, to text: inout [UInt8]) {
        switch self {
        case .json: JSONLines.append(fields, at: place, to: &text)
        case .cef: CEF.append(fields, at: place, to: &text)
        case .leef: LEEF.append(fields, at: place, to: &text)
        case .ecs: ECS.append(fields, at: place, to: &text)
        case .ocsf: OCSF.append(fields, at: place, to: &text)
        }
    }
}

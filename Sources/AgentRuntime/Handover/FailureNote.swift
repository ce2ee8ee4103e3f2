// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// What the last run that failed leaves to whoever asks why no agent is there, for the log may be out of reach. The next run
/// that is ready takes it away.
///
///     at 1764064800
///     /etc/portreeve/policy.yaml:3:7: error: …
package struct FailureNote: Sendable {
    package static let name = "failure"

    /// Seconds since 1970.
    package let at: Int64
    /// One or more lines.
    package let text: String

    private static let longest = 64 << 10

    /// Nil where no run has failed since one was ready.
    package init?(in directory: String) {
        guard let note = SmallFile.read("\(directory)/\(Self.name)"), note.utf8.count <= Self.longest + 64 else {
            return nil
        }
        let parts = note.split(separator: "\n", maxSplits: 1)
        guard parts.count == 2, parts[0].hasPrefix("at "), let at = Int64(parts[0].dropFirst(3)) else { return nil }
        self.at = at
        text = String(parts[1])
    }

    /// Leaves one; where that cannot be, the log has it.
    static func leave(_ text: String, in directory: String) {
        let path = "\(directory)/\(name)"
        let cut = String(decoding: text.utf8.prefix(longest), as: UTF8.self)
        SmallFile.replace(path, with: "at \(Clocks.calendarSeconds())\n\(cut)\n")
    }

    static func remove(in directory: String) { _ = unsafe unlink("\(directory)/\(name)") }
}

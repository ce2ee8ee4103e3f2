// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// What the last run of the agent that failed leaves to whoever asks why no agent is there, for the log may be out of reach.
/// The next run that is ready takes it away.
///
///     at 1764064800
///     /etc/portreeve/policy.yaml:3:7: error: …
package struct FailureNote: Hashable, Sendable {
    package static let name = "failure"

    /// Seconds since 1970.
    package let at: Int64
    /// One or more lines.
    package let text: String

    private static let longest = 64 << 10

    package init(at: Int64, text: String) {
        self.at = at
        self.text = String(decoding: text.utf8.prefix(Self.longest), as: UTF8.self)
    }

    /// Nil where no run has failed since one was ready, or the directory is out of reach.
    package init?(in directory: String) {
        let descriptor = unsafe open("\(directory)/\(Self.name)", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: Self.longest + 64)
        let count = unsafe read(descriptor, &bytes, bytes.count)
        let parts = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n", maxSplits: 1)
        guard parts.count == 2, parts[0].hasPrefix("at "), let at = Int64(parts[0].dropFirst(3)) else { return nil }
        self.init(at: at, text: String(parts[1].trimmingSuffix { $0.isNewline }))
    }

    /// Where it cannot be left, the log has it.
    package func leave(in directory: String) {
        let path = "\(directory)/\(Self.name)"
        let new = path + ".new"
        _ = unsafe unlink(new)
        let descriptor = unsafe open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o640)
        guard descriptor >= 0 else { return }
        let note = "at \(at)\n\(text)\n"
        let isWhole = unsafe write(descriptor, note, note.utf8.count) == note.utf8.count
        close(descriptor)
        if isWhole { _ = unsafe rename(new, path) } else { _ = unsafe unlink(new) }
    }

    package static func remove(in directory: String) { _ = unsafe unlink("\(directory)/\(name)") }
}

extension Substring {
    fileprivate func trimmingSuffix(_ isTrimmed: (Character) -> Bool) -> Substring {
        var rest = self
        while let last = rest.last, isTrimmed(last) { rest.removeLast() }
        return rest
    }
}

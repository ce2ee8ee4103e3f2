// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import KernelRules

/// Which control groups rules were made for, by the kernel's numbers: no listing of rules tells them. A file for the tool alone, gone with
/// the boot as the numbers are.
enum ControlGroupNumbers {
    static let path = "/run/portreeve-rules/control-groups"
    private static let directory = "/run/portreeve-rules"
    private static let mostBytes = 1 << 16

    /// Rules for these were put in place just now.
    static func keep(_ paths: Set<String>) {
        if paths.isEmpty { return _ = unsafe unlink(path) }
        let groups = ControlGroups()
        let lines = paths.sorted().compactMap { path in groups.number(of: path).map { "\($0) \(path)\n" } }
        unsafe mkdir(directory, 0o700)
        // Without it --check does not know, which is no reason to fail.
        _ = replaceFile(path, with: lines.joined())
    }

    /// Those that have another number now.
    static var changed: Set<String> {
        guard let text = readText(path), text.utf8.count <= mostBytes else { return [] }
        let groups = ControlGroups()
        let changed = text.split(separator: "\n").compactMap { line -> String? in
            let words = line.split(separator: " ", maxSplits: 1)
            guard words.count == 2, let then = UInt64(words[0]) else { return nil }
            guard let now = groups.number(of: String(words[1])), now != then else { return nil }
            return String(words[1])
        }
        return Set(changed)
    }
}

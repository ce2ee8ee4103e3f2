// SPDX-License-Identifier: GPL-3.0-or-later

import CFastPath

/// What tells one object file from another, and what it was made for from what this version expects.
struct FastPathLabel: Equatable, CustomStringConvertible {
    let description: String

    /// The label of what was loaded from this file; nil where it cannot be read.
    init?(ofFile path: String) {
        var text = [CChar](repeating: 0, count: Int(CFASTPATH_LABEL))
        guard unsafe cfastpath_label(path, &text) == 0 else { return nil }
        self.init(text)
    }

    /// The label of the array of states; empty where the kernel does not say it.
    init(of map: Int32) {
        var text = [CChar](repeating: 0, count: Int(CFASTPATH_LABEL))
        unsafe cfastpath_label_of(map, &text)
        self.init(text)
    }

    private init(_ text: [CChar]) {
        description = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Whether this version's agent and such a program mean the same by what lies in the maps.
    var isOfThisLayout: Bool { description.hasPrefix("L\(FASTPATH_LAYOUT % 10)_") }
}

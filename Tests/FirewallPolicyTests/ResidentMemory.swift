// SPDX-License-Identifier: GPL-3.0-or-later

import Foundation

/// What the kernel counts as resident of the test process.
enum ResidentMemory {
    static var bytes: Int {
        let text = FileManager.default.contents(atPath: "/proc/self/statm") ?? Data()
        let fields = String(bytes: text, encoding: .utf8)?.split(separator: " ") ?? []
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4_096 : 0
    }
}

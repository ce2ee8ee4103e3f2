// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Why a file cannot be read.
package struct ReadError: Error, Hashable, Sendable, CustomStringConvertible {
    package let path: String
    /// The system call's `errno`; 0 where the file itself is at fault.
    package let code: Int32
    private let reason: String

    package init(path: String, code: Int32) {
        self.path = path
        self.code = code
        reason = unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
    }

    init(path: String, reason: String) {
        self.path = path
        self.code = 0
        self.reason = reason
    }

    package var description: String { "cannot read \(path): \(reason)" }
}

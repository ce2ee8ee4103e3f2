// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// What the caller of the tests asks for.
enum ProcessEnvironment {
    static func number(_ name: String) -> Int? {
        guard let text = unsafe getenv(name) else { return nil }
        return Int(unsafe String(cString: text))
    }
}

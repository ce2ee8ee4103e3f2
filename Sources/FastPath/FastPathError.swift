// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Why the program of the fast path, or its maps, cannot be had.
package struct FastPathError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }

    init(_ what: String, errno number: Int32) {
        description = unsafe "\(what): \(String(cString: strerror(number)))"
    }
}

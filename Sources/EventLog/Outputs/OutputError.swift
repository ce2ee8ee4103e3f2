// SPDX-License-Identifier: GPL-3.0-or-later

/// Why an output takes nothing.
package struct OutputError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What, where and the cure.
    package let description: String
    /// Its reader is there and slow: it may take more in a moment.
    let mayPassSoon: Bool
}

// SPDX-License-Identifier: GPL-3.0-or-later

import CQueueShim

/// The marks of the connections that the kernel tracks in this network namespace.
package enum ConnectionMarks {
    /// Clears these bits of all of them, and of no other bits; nobody may set them meanwhile.
    ///
    /// - Returns: How many connections had one of them.
    /// - Throws: What the kernel said; the bits may still be set then.
    @discardableResult
    package static func clear(_ bits: UInt32) throws(SystemErrorNumber) -> Int {
        let result = prq_clear_connection_marks(bits)
        guard result >= 0 else { throw SystemErrorNumber(rawValue: Int32(truncatingIfNeeded: -result)) }
        return Int(result)
    }
}

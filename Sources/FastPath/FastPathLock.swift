// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Held by the agent that uses the maps of a directory: two would undo each other's flows.
package final class FastPathLock: Sendable {
    private let descriptor: Int32

    package init(_ directory: String) throws(FastPathError) {
        descriptor = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FastPathError(directory, errno: errno) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw FastPathError("\(directory): another agent uses it")
        }
    }

    deinit { close(descriptor) }
}

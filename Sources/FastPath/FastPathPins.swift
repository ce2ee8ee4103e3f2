// SPDX-License-Identifier: GPL-3.0-or-later

import CFastPath
import Glibc

/// The directory in which the program and its maps have their names: the top of a file system of the type bpf, made for them.
package enum FastPathPins {
    /// More flows than this take the queue. Each has some 300 bytes of the kernel's memory.
    private static let flows = 65_536

    /// Makes the directory, mounts what belongs there, and loads and pins the program, as far as that was not done before.
    ///
    /// - Parameters:
    ///   - directory: where.
    ///   - program: the object file.
    /// - Throws: `FastPathError`: what could not be done.
    package static func prepare(_ directory: String, program: String) throws(FastPathError) {
        if unsafe mkdir(directory, 0o750) != 0, errno != EEXIST { throw FastPathError(directory, errno: errno) }
        if unsafe cfastpath_is_bpf(directory) == 0 {
            let status = unsafe cfastpath_mount(directory)
            guard status == 0 else {
                throw FastPathError("\(directory): a file system of the type bpf cannot be mounted", errno: status)
            }
        }
        if isWhole(directory) { return }
        remove(directory)
        try FastPathMaps(loading: program, flows: flows).pin(in: directory)
    }

    /// Takes the names away. The rules that name them have to be gone.
    package static func remove(_ directory: String) {
        for name in FastPathMaps.Name.allCases { unsafe unlink("\(directory)/\(name.rawValue)") }
    }

    private static func isWhole(_ directory: String) -> Bool {
        FastPathMaps.Name.allCases.allSatisfy { unsafe access("\(directory)/\($0.rawValue)", F_OK) == 0 }
    }
}

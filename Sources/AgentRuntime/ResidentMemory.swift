// SPDX-License-Identifier: GPL-3.0-or-later

import CServiceShim
import Glibc

/// Memory of this process that is in RAM.
enum ResidentMemory {
    /// Gives the system back what the C library keeps for later. A policy is read and compiled in many small pieces; when it is
    /// gone the library holds its pages, for good as far as anybody can see.
    static func giveBack() { cservice_give_memory_back() }

    /// The second number of /proc/self/statm, in pages (proc(5)).
    static func bytes() -> UInt64? {
        guard let text = SmallFile.read("/proc/self/statm") else { return nil }
        let pages = text.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }
        return pages.map { $0 &* UInt64(sysconf(Int32(_SC_PAGESIZE))) }
    }
}

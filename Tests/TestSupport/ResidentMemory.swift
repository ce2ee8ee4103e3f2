// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Memory of this process that is in RAM.
package enum ResidentMemory {
    /// The second number of /proc/self/statm, which counts pages (proc(5)), in bytes.
    package static var bytes: Int {
        guard let file = unsafe fopen("/proc/self/statm", "r") else { return 0 }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard unsafe fgets(&line, Int32(line.count), file) != nil else { return 0 }
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        return (pages ?? 0) * Int(getpagesize())
    }

    /// False while a sanitizer is in the process: it keeps shadows of all memory, and what is freed.
    package static let isProgramsOwn =
        unsafe dlsym(nil, "__asan_init") == nil && dlsym(nil, "__tsan_init") == nil
}

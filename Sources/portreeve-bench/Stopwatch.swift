// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// CPU time of this thread: what other processes do to the machine shows only through caches.
enum Stopwatch {
    static func cpuNanoseconds() -> Int64 {
        var t = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t)
        return Int64(t.tv_sec) * 1_000_000_000 + Int64(t.tv_nsec)
    }

    /// Resident memory of the process in bytes (/proc/self/statm counts pages).
    static func residentBytes() -> Int {
        guard let file = unsafe fopen("/proc/self/statm", "r") else { return 0 }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard unsafe fgets(&line, Int32(line.count), file) != nil else { return 0 }
        let fields = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            .split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }
}

/// The times of one scenario over all rounds, in nanoseconds per packet.
struct Series {
    var values: [Double] = []

    var median: Double { sorted[sorted.count / 2] }
    var least: Double { sorted.first ?? 0 }
    var most: Double { sorted.last ?? 0 }
    private var sorted: [Double] { values.sorted() }

    /// Ratios to another series, formed inside each round, so that noise which lasts longer than a round cancels.
    func ratios(to other: Series) -> Series {
        Series(values: zip(values, other.values).map { $0 / $1 })
    }
}

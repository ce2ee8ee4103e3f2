// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import PacketWire

/// CPU time of this thread: what other processes do to the machine shows only through caches.
enum Stopwatch {
    static func cpuNanoseconds() -> Int64 {
        var t = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t)
        return Int64(t.tv_sec) * 1_000_000_000 + Int64(t.tv_nsec)
    }

    /// The time that goes by.
    static func now() -> Instant {
        var t = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &t)
        return Instant(nanoseconds: Int64(t.tv_sec) * 1_000_000_000 + Int64(t.tv_nsec))
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

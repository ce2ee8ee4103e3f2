// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
package import PacketWire

/// The two clocks of the agent: state is kept on the monotonic one, which no administrator can set back, and events are
/// dated by the calendar.
package enum Clocks {
    /// CLOCK_MONOTONIC; its origin is the kernel's boot.
    package static func monotonic() -> Instant { Instant(nanoseconds: read(CLOCK_MONOTONIC)) }

    /// CLOCK_BOOTTIME, which goes on while the machine is suspended.
    static func sinceBoot() -> Instant { Instant(nanoseconds: read(CLOCK_BOOTTIME)) }

    /// What to add to a monotonic instant to get nanoseconds since 1970 (UTC).
    package static func calendarOffset() -> Int64 { read(CLOCK_REALTIME) &- read(CLOCK_MONOTONIC) }

    /// Seconds since 1970 (UTC).
    package static func calendarSeconds() -> Int64 { read(CLOCK_REALTIME) / 1_000_000_000 }

    /// Microseconds since 1970 (UTC).
    static func calendarMicroseconds() -> Int64 { read(CLOCK_REALTIME) / 1_000 }

    private static func read(_ clock: clockid_t) -> Int64 {
        var t = timespec()
        unsafe clock_gettime(clock, &t)
        return Int64(t.tv_sec) &* 1_000_000_000 &+ Int64(t.tv_nsec)
    }
}

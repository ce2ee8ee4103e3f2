// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Protection against wrapped sequence numbers by time stamps (RFC 7323 section 5), as the posture rows
/// `invalid-timestamps`, `paws-zero` and `paws-window` ask for it.
///
/// A peer's clock may tick from once a second to once a millisecond (section 5.4). The window is a time and is counted
/// at the fastest of these, one tick per millisecond, so slower clocks are given more.
extension TCPEndpoint {
    /// After 24 days a clock of one tick per millisecond may have gone half round, and says nothing (section 5.5).
    private static let longestMemory: UInt32 = 24 * 24 * 3600
    /// The fastest clock in use: the kernel's microsecond time stamps.
    private static let mostTicksPerSecond: UInt32 = 1_000_000

    /// The row that the time stamp of this segment offends.
    func timestampFault(of s: TCPFields, at now: Instant, window: Instant.Span) -> TCPPostureRow? {
        guard s.hasTimestamps, marks.contains(.timestamped) else { return nil }
        let idle = TCPEndpoint.second(of: now) &- timestampSecond
        if idle > Self.longestMemory { return nil }
        if s.timestampValue == 0 { return isZeroPlausible(afterIdle: idle) ? nil : .pawsZero }
        let lead = Int32(bitPattern: timestamp &- s.timestampValue)
        return Int64(lead) > window.nanoseconds / 1_000_000 ? .invalidTimestamps : nil
    }

    /// Zero makes some receivers forget the last time stamp, which is what an evasion wants. It is honest from a stack
    /// that always sends it, and from a clock that has just come round to it.
    private func isZeroPlausible(afterIdle seconds: UInt32) -> Bool {
        guard timestamp != 0 else { return true }
        let distance = 0 &- timestamp
        return UInt64(distance) <= (UInt64(seconds) + 2) * UInt64(Self.mostTicksPerSecond)
    }

    /// Keeps the latest time stamp; an older one never takes its place.
    mutating func noteTimestamp(of s: TCPFields, at now: Instant) {
        guard s.hasTimestamps else { return }
        let second = TCPEndpoint.second(of: now)
        let isStale = second &- timestampSecond > Self.longestMemory
        guard !marks.contains(.timestamped) || isStale || !s.timestampValue.isBefore(timestamp) else { return }
        marks.insert(.timestamped)
        timestamp = s.timestampValue
        timestampSecond = second
    }

    static func second(of now: Instant) -> UInt32 {
        UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000_000)
    }
}

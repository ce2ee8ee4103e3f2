// SPDX-License-Identifier: GPL-3.0-or-later

/// A point in time, in nanoseconds since an origin that the caller chooses once and keeps: the monotonic clock in the
/// agent, packet time in replay, a manual clock in tests. Nothing below `AgentRuntime` reads a clock.
public struct Instant: Hashable, Comparable, Sendable, BitwiseCopyable {
    public var nanoseconds: Int64

    @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    @inlinable public static func == (a: Instant, b: Instant) -> Bool { a.nanoseconds == b.nanoseconds }
    @inlinable public static func >= (a: Instant, b: Instant) -> Bool { a.nanoseconds >= b.nanoseconds }
    @inlinable public static func <= (a: Instant, b: Instant) -> Bool { a.nanoseconds <= b.nanoseconds }
    @inlinable public static func > (a: Instant, b: Instant) -> Bool { a.nanoseconds > b.nanoseconds }
    @inlinable public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable public static func + (a: Instant, b: Span) -> Instant {
        Instant(nanoseconds: a.nanoseconds &+ b.nanoseconds)
    }
    @inlinable public static func - (a: Instant, b: Instant) -> Span {
        Span(nanoseconds: a.nanoseconds &- b.nanoseconds)
    }

    /// A length of time in nanoseconds; never negative in a policy.
    public struct Span: Hashable, Comparable, Sendable, BitwiseCopyable {
        public var nanoseconds: Int64

        @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
        @inlinable public static func microseconds(_ n: Int64) -> Span { Span(nanoseconds: n * 1_000) }
        @inlinable public static func milliseconds(_ n: Int64) -> Span { Span(nanoseconds: n * 1_000_000) }
        @inlinable public static func seconds(_ n: Int64) -> Span { Span(nanoseconds: n * 1_000_000_000) }
        @inlinable public static func minutes(_ n: Int64) -> Span { .seconds(n * 60) }
        @inlinable public static func hours(_ n: Int64) -> Span { .seconds(n * 3600) }
        @inlinable public static var zero: Span { Span(nanoseconds: 0) }

        @inlinable public static func == (a: Span, b: Span) -> Bool { a.nanoseconds == b.nanoseconds }
        @inlinable public static func >= (a: Span, b: Span) -> Bool { a.nanoseconds >= b.nanoseconds }
        @inlinable public static func <= (a: Span, b: Span) -> Bool { a.nanoseconds <= b.nanoseconds }
        @inlinable public static func > (a: Span, b: Span) -> Bool { a.nanoseconds > b.nanoseconds }
        @inlinable public static func < (a: Span, b: Span) -> Bool { a.nanoseconds < b.nanoseconds }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// A clock that tests step by hand.
package struct ManualClock {
    package private(set) var now: Instant
    package init(startingAt seconds: Int64 = 1_000_000) { now = Instant(nanoseconds: seconds * 1_000_000_000) }
    package mutating func advance(by span: Instant.Span) { now = now + span }
}

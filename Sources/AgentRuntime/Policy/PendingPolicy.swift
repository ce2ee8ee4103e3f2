// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import PacketWire

/// A policy that is in force until it is confirmed or taken back.
struct PendingPolicy {
    /// What comes back.
    let previous: PolicyStore.Standing
    /// Seconds on the clock of `Clocks.sinceBoot`: setting the calendar neither hastens nor delays it.
    let deadline: Int64
    /// Who put it in force, and may not confirm it.
    let author: CallerSession

    static var now: Int64 { Clocks.sinceBoot().nanoseconds / 1_000_000_000 }

    var secondsLeft: Int64 { max(0, deadline - Self.now) }
}

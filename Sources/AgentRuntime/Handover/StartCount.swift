// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import PacketWire

/// How often the agent was started again after it had ended unexpectedly.
///
/// The agent gives up by itself where it cannot live, for two reasons: with `failure.engine: open` the queue must not be bound
/// over and over by an agent that dies at once, and systemd, whose own limit would end it, then refuses the administrator's
/// `systemctl start` too until he finds out about `reset-failed`.
struct StartCount {
    /// Beside the control socket: it goes with the boot.
    let path: String

    static let limit = 5
    /// In which so many starts are too many, in seconds.
    static let window: Int64 = 60

    /// Counts this start.
    ///
    /// - Returns: whether it is one too many. The next one is then the first again, for somebody will have asked for it.
    func isTooMany() -> Bool {
        let now = Clocks.sinceBoot().nanoseconds / 1_000_000_000
        let earlier = (SmallFile.read(path) ?? "").split(separator: "\n").compactMap { Int64($0) }
            .filter { now - $0 < Self.window && $0 <= now }
        guard earlier.count < Self.limit else {
            forget()
            return true
        }
        SmallFile.replace(path, with: (earlier + [now]).map { "\($0)\n" }.joined())
        return false
    }

    /// Nobody has to restart the agent: it ended because it was asked to.
    func forget() { _ = unsafe unlink(path) }
}

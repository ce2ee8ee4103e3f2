// SPDX-License-Identifier: GPL-3.0-or-later

import Locking
package import NIOCore

/// The clients that are connected: no more than the limit, and all known when the server stops.
package final class SessionRegister: Sendable {
    private let limit: Int
    /// Nil once the server has stopped.
    private let channels: Guarded<[ObjectIdentifier: any Channel]?> = Guarded([:])

    package init(limit: Int) { self.limit = limit }

    /// False where there are too many; the session ends then.
    package func enter(_ channel: any Channel) -> Bool {
        channels.withLock { channels in
            guard let count = channels?.count, count < limit else { return false }
            channels?[ObjectIdentifier(channel)] = channel
            return true
        }
    }

    package func leave(_ channel: any Channel) {
        channels.withLock { channels in _ = channels?.removeValue(forKey: ObjectIdentifier(channel)) }
    }

    /// Admits nobody any more, closes the listener and who is there, and returns when all are gone.
    package func end(_ listener: any Channel) {
        try? listener.end().wait()
        let remaining = channels.withLock { channels in
            defer { channels = nil }
            return channels ?? [:]
        }
        for channel in remaining.values { try? channel.end().wait() }
    }
}

extension Channel {
    /// Closes it. The future completes when NIO has let go of all that belongs to it, one turn of its loop after the close.
    func end() -> EventLoopFuture<Void> {
        close(promise: nil)
        return closeFuture.flatMap { self.eventLoop.submit {} }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import Locking
package import NIOCore

/// The clients that are connected: no more than the limit, and all known when the server stops.
package final class SessionRegister: Sendable {
    private let limit: Int
    /// Nil once the server has stopped.
    private let sessions: Guarded<Sessions?> = Guarded(Sessions())

    private struct Sessions {
        var channels: [ObjectIdentifier: any Channel] = [:]
        /// Those that give way to a new one, the oldest first.
        var yielding: [ObjectIdentifier] = []

        mutating func remove(_ key: ObjectIdentifier) -> (any Channel)? {
            yielding.removeAll { $0 == key }
            return channels.removeValue(forKey: key)
        }
    }

    package init(limit: Int) { self.limit = limit }

    /// False where there are too many; the session ends then. One that `yields` gives way to a later one, until it is said to
    /// `stay`: of such the oldest is closed where there are too many, so that nobody keeps others out by connecting and saying
    /// nothing.
    package func enter(_ channel: any Channel, yields: Bool = false) -> Bool {
        let (isAdmitted, replaced) = sessions.withLock { sessions -> (Bool, (any Channel)?) in
            guard sessions != nil else { return (false, nil) }
            var replaced: (any Channel)?
            if sessions?.channels.count ?? 0 >= limit {
                guard let oldest = sessions?.yielding.first else { return (false, nil) }
                replaced = sessions?.remove(oldest)
            }
            let key = ObjectIdentifier(channel)
            sessions?.channels[key] = channel
            if yields { sessions?.yielding.append(key) }
            return (true, replaced)
        }
        replaced?.close(promise: nil)
        return isAdmitted
    }

    /// It gives way to nobody any more.
    package func stay(_ channel: any Channel) {
        sessions.withLock { $0?.yielding.removeAll { $0 == ObjectIdentifier(channel) } }
    }

    package func leave(_ channel: any Channel) {
        sessions.withLock { _ = $0?.remove(ObjectIdentifier(channel)) }
    }

    /// Admits nobody any more, closes the listener and who is there, and returns when all are gone.
    package func end(_ listener: any Channel) {
        try? listener.end().wait()
        let remaining = sessions.withLock { sessions in
            defer { sessions = nil }
            return sessions?.channels ?? [:]
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

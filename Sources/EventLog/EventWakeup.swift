// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import Synchronization

/// How workers wake the writer thread: one system call per sleep of the writer, not one per event.
///
/// The writer sleeps deeply when it has nothing to do, and any event wakes it; while events flow it naps for a fixed time
/// between two visits, and only a queue that is half full wakes it sooner. The eventfd never blocks a worker.
package final class EventWakeup: Sendable {
    /// How much of a reason the writer needs to wake up.
    enum Sleep: UInt8, AtomicRepresentable {
        case awake, nap, deep
    }

    /// The ends of a pipe; -1 where the process has no descriptor left: then the writer visits after each nap and sleeps
    /// no deeper.
    private let reading: Int32
    private let writing: Int32
    private let sleep = Atomic(Sleep.awake)

    package init() {
        var ends: [Int32] = [-1, -1]
        _ = unsafe pipe(&ends)
        (reading, writing) = (ends[0], ends[1])
        for end in ends where end >= 0 {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
    }

    deinit {
        guard reading >= 0 else { return }
        close(reading)
        close(writing)
    }

    /// Called by a worker after it has put events into its queue.
    func noteEvents(isFilling: Bool) {
        switch sleep.load(ordering: .acquiring) {
        case .awake: return
        case .nap where !isFilling: return
        case .nap, .deep: wake()
        }
    }

    /// Ends the writer's sleep, or its next one if it is awake.
    package func wake() {
        sleep.store(.awake, ordering: .releasing)
        guard writing >= 0 else { return }
        var byte: UInt8 = 0
        // EAGAIN says that the pipe is full: then the writer is being woken already.
        _ = unsafe write(writing, &byte, 1)
    }

    /// Announces that the writer is about to sleep. It must look into the queues once more before it does, because a
    /// worker that came before the announcement has not woken it.
    func announce(_ depth: Sleep) { sleep.store(depth, ordering: .sequentiallyConsistent) }

    /// Sleeps until woken, at most so long; a negative number means without limit. True where what ended the sleep is that the
    /// other descriptor takes bytes.
    @discardableResult
    func wait(milliseconds: Int32, orUntilWritable other: Int32 = -1) -> Bool {
        var entries = [
            pollfd(fd: reading, events: Int16(POLLIN), revents: 0),
            pollfd(fd: other, events: Int16(POLLOUT), revents: 0),
        ]
        let limit = reading < 0 && milliseconds < 0 ? EventWakeup.longestBlindNap : milliseconds
        _ = unsafe poll(&entries, 2, limit)
        if entries[0].revents != 0 {
            var bytes = [UInt8](repeating: 0, count: 64)
            _ = unsafe read(reading, &bytes, bytes.count)
        }
        sleep.store(.awake, ordering: .relaxed)
        return entries[1].revents != 0
    }

    private static let longestBlindNap: Int32 = 50
}

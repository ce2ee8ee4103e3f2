// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Signals as values: blocked in every thread, taken by the main one.
struct Signals: Sendable {
    enum Arrival { case terminate, reload, none }

    private let set: sigset_t

    /// Says nothing, and ends the main thread's sleep.
    private static let waking = SIGUSR1

    /// Blocks them for this thread and all that it will start. SIGPIPE becomes an error of the write that meets it.
    init() {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGPIPE, Signals.waking] { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        self.set = set
    }

    /// Waits for the next one, for a second at most.
    func next() -> Arrival {
        var set = self.set
        var second = timespec(tv_sec: 1, tv_nsec: 0)
        switch unsafe sigtimedwait(&set, nil, &second) {
        case SIGTERM, SIGINT: return .terminate
        case SIGHUP: return .reload
        default: return .none
        }
    }

    /// Has `next` return, now or when it is called next.
    static func wakeMainThread() { kill(getpid(), waking) }
}

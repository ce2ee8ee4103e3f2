// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// A value behind a POSIX mutex.
///
/// The standard library's `Mutex` would do, but for two things. The thread sanitizer does not see the kernel hand a
/// contended `Mutex` over, because nothing in user space synchronises then, and reports races where there are none; a
/// POSIX mutex it knows. And a contended `Mutex` spins through a thousand pauses before it sleeps. The holder inherits the
/// priority of who waits.
@safe
public final class Guarded<Value: ~Copyable>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    /// Protected by `mutex`.
    private var value: Value

    public init(_ value: consuming sending Value) {
        self.value = value
        unsafe mutex = .allocate(capacity: 1)
        var attributes = pthread_mutexattr_t()
        unsafe pthread_mutexattr_init(&attributes)
        unsafe pthread_mutexattr_setprotocol(&attributes, Int32(PTHREAD_PRIO_INHERIT))
        let result = unsafe pthread_mutex_init(mutex, &attributes)
        unsafe pthread_mutexattr_destroy(&attributes)
        precondition(result == 0, "no mutex: error \(result)")
    }

    deinit {
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    public func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}

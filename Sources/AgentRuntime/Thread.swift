// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// A thread of the operating system: the workers and the event writer block in system calls, which tasks must not.
enum Thread {
    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void
        init(_ name: String, _ run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts a thread.
    static func start(name: String, _ run: @escaping @Sendable () -> Void) -> pthread_t? {
        var thread = pthread_t()
        let body = unsafe Unmanaged.passRetained(Body(name, run))
        let failed = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                let body = unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                Thread.name(body.name)
                body.run()
                return nil
            }, body.toOpaque())
        guard failed == 0 else {
            unsafe body.release()
            return nil
        }
        return thread
    }

    /// For `top -H` and gdb. Fifteen bytes are what the kernel keeps.
    private static func name(_ name: String) {
        let descriptor = unsafe open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        let bytes = Array(name.utf8.prefix(15))
        _ = unsafe write(descriptor, bytes, bytes.count)
        close(descriptor)
    }

    static func join(_ thread: pthread_t) { pthread_join(thread, nil) }
}

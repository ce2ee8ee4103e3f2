// SPDX-License-Identifier: GPL-3.0-or-later

/// Why a queue cannot be used. Prints as one sentence that says what, where, and the cure.
package struct QueueError: Error, Hashable, Sendable, CustomStringConvertible {
    package let queue: UInt16
    package let cause: Cause

    package enum Cause: Hashable, Sendable {
        /// Another process has the queue; nil where it cannot be seen (another process namespace).
        case held(by: QueueHolder?)
        /// CAP_NET_ADMIN is missing in the user namespace that owns this network namespace.
        case notPermitted
        /// The kernel has no nfnetlink_queue.
        case missingInKernel
        /// The kernel does not know segments as one packet or the sender's identity (Linux 3.14 does).
        case kernelTooOld
        /// An inherited socket by which the queue cannot be taken over.
        case notTakeable(String)
        /// A system call failed; the first value says what was being done.
        case system(String, SystemErrorNumber)
    }

    package var description: String {
        switch cause {
        case .held(let holder?):
            "queue \(queue) is held by process \(holder.process) (\(holder.command)): "
                + "stop it, or choose other numbers with --queue or queue.numbers"
        case .held(nil):
            "queue \(queue) is held by a process that cannot be seen from here: "
                + "stop it, or choose other numbers with --queue or queue.numbers"
        case .notPermitted:
            "queue \(queue) cannot be claimed without CAP_NET_ADMIN over this network namespace: run as root, or give "
                + "the process that capability"
        case .missingInKernel:
            "this kernel has no nfnetlink_queue: load it with `modprobe nfnetlink_queue`, or use a kernel built with "
                + "CONFIG_NETFILTER_NETLINK_QUEUE"
        case .kernelTooOld:
            "this kernel's nfnetlink_queue cannot hand over segments whole: Linux 3.14 or later is needed"
        case .notTakeable(let why):
            "the socket handed over for queue \(queue) cannot be used: \(why)"
        case .system(let action, let error):
            "queue \(queue): \(action) failed: \(error)"
        }
    }
}

/// A process that holds a queue.
package struct QueueHolder: Hashable, Sendable {
    package let process: Int32
    /// Its command line, or its name where it has none.
    package let command: String
}

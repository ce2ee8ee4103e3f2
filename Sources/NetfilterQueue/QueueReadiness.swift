// SPDX-License-Identifier: GPL-3.0-or-later

/// Waits for several queues at once. Belongs to the thread that reads them, and may be used as long as they are open.
package struct QueueReadiness {
    private let descriptors: [Int32]
    private let spinMicroseconds: UInt32

    /// - Parameters:
    ///   - descriptors: of `QueueSocket.descriptor`; at most 32.
    ///   - configuration: says how long to look for packets before sleeping.
    package init(_ descriptors: [Int32], busyPoll configuration: QueueConfiguration) {
        self.descriptors = descriptors
        spinMicroseconds = configuration.busyPollMicroseconds
    }

    /// Returns which have something to receive, the first in the lowest bit: packets, or what a waker makes stand there. 0
    /// after `timeoutMilliseconds` or a signal.
    package func await(timeoutMilliseconds: Int32) -> UInt32 {
        awaitReadable(
            descriptors, timeoutMilliseconds: timeoutMilliseconds,
            spinMicroseconds: timeoutMilliseconds == 0 ? 0 : spinMicroseconds)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// The queues of this thread's network namespace, from `/proc/net/netfilter/nfnetlink_queue`: also those of other
/// processes. Only root can open it; another user's process reads it where it was started with the file as its standard
/// input.
package struct QueueTable: Hashable, Sendable {
    package var rows: [QueueRow] = []

    package init() {}

    /// Parses the kernel's text. A line that does not have the table's form is left out: newer kernels may add some.
    package init(text: [UInt8]) {
        rows = text.split(separator: UInt8(ascii: "\n")).compactMap { QueueRow(line: $0) }
    }

    /// - Throws: ENOENT where the kernel has no nfnetlink_queue (or has not loaded it), EACCES without root.
    package static func read() throws(SystemErrorNumber) -> QueueTable {
        switch readProcFile("/proc/thread-self\(name)") {
        case .success(let text): return QueueTable(text: text)
        case .failure(let error):
            guard error.rawValue == EACCES, case .success(let text) = readInheritedProcFile(STDIN_FILENO, named: name)
            else { throw error }
            return QueueTable(text: text)
        }
    }

    private static let name = "/net/netfilter/nfnetlink_queue"

    package func row(of queue: UInt16) -> QueueRow? { rows.first { $0.number == queue } }
}

/// One queue as the kernel counts it.
package struct QueueRow: Hashable, Sendable {
    package var number: UInt16
    /// Netlink port of the socket that owns the queue.
    package var portID: UInt32
    /// Packets that wait for a verdict.
    package var waiting: UInt32
    /// 0 none, 1 metadata, 2 packets.
    package var copyMode: UInt32
    package var copyRange: UInt32
    /// Packets dropped because `QueueConfiguration.length` were waiting.
    package var droppedQueueFull: UInt32
    /// Packets dropped because the socket's receive buffer was full.
    package var droppedSocketFull: UInt32
    /// Serial number of the latest packet; wraps.
    package var lastID: UInt32

    /// How many packets were settled since, from what came and what waits.
    func settled(until later: QueueRow) -> UInt32 {
        let came = later.lastID &- lastID &- (later.droppedSocketFull &- droppedSocketFull)
        let settled = waiting &+ came &- later.waiting
        return settled > waiting ? 0 : settled
    }

    init?(line: some Sequence<UInt8>) {
        var numbers: [UInt32] = []
        for field in Array(line).split(separator: UInt8(ascii: " ")) {
            guard let number = UInt32(String(decoding: field, as: UTF8.self)) else { return nil }
            numbers.append(number)
        }
        guard numbers.count >= 8, let number = UInt16(exactly: numbers[0]) else { return nil }
        self.number = number
        portID = numbers[1]
        waiting = numbers[2]
        copyMode = numbers[3]
        copyRange = numbers[4]
        droppedQueueFull = numbers[5]
        droppedSocketFull = numbers[6]
        lastID = numbers[7]
    }
}

/// What a queue lost, and what its verdicts cost. Every number only grows while the queue is open; `kernel` counts from the queue's opening too.
package struct QueueCounters: Hashable, Sendable {
    /// The kernel's own row, from `QueueTable`; nil until it was read, and where it cannot be.
    package var kernel: QueueRow?
    /// Messages that did not fit the socket's receive buffer. Failing open, their packets passed unjudged and this is
    /// the only count of them; otherwise they were dropped.
    package var socketOverflows: UInt32 = 0
    /// Verdict messages that the kernel refused: the packet was gone, its interface with it, or the privilege was lost.
    package var refusedVerdicts: UInt64 = 0
    package var lastRefusal: SystemErrorNumber?
    /// Sends of verdicts that succeeded, and how many messages they carried: one for a packet or a run of them.
    package var sends: UInt64 = 0
    package var sentMessages: UInt64 = 0
    /// Sends of verdicts that failed and were, or will be, repeated.
    package var failedSends: UInt64 = 0
    package var lastSendFailure: SystemErrorNumber?
    /// Verdicts given up after repeated failure. Their packets wait in the kernel until the queue is closed.
    package var unsentVerdicts: UInt64 = 0
    /// Messages that were not what the protocol allows.
    package var malformedMessages: UInt64 = 0

    package init() {}
}

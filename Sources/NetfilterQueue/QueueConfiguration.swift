// SPDX-License-Identifier: GPL-3.0-or-later

/// What becomes of a packet in the kernel.
package enum QueueVerdict: UInt32, Sendable, BitwiseCopyable {
    /// `NF_DROP`: the packet ends here.
    case drop = 0
    /// `NF_ACCEPT`: the packet goes on to the next hook; later rules of the same chain never see it.
    case accept = 1
}

/// How a queue is set up (`queue` and `failure.engine` of the policy file).
package struct QueueConfiguration: Hashable, Sendable {
    /// As in `-j NFQUEUE --queue-num`.
    package var number: UInt16
    /// Packets that may wait for a verdict; the kernel drops new ones beyond that, or passes them if `failsOpen`.
    package var length: UInt32 = 8192
    /// Bytes copied of each packet; the kernel copies 65,531 at most, and also for 0.
    package var copyBytes: UInt32 = QueueConfiguration.wholePacket
    /// Receive buffer asked for, in bytes. The system's default overflows at about 256 small packets, whatever `length`
    /// says. A process without CAP_NET_ADMIN over the whole host (a user namespace) gets no more than
    /// `net.core.rmem_max`.
    package var socketBuffer: UInt32 = 8 << 20
    /// How long to spin for a packet before sleeping, in microseconds; 0 never spins. A spinning thread answers in less
    /// than half the time and keeps its CPU busy.
    package var busyPollMicroseconds: UInt32 = 0
    /// Verdict of a packet that goes out of scope unsettled, and of those that wait when the queue is given up.
    package var failureVerdict = QueueVerdict.drop
    /// Lets the kernel pass packets unjudged when the queue or its socket buffer is full. A packet passed because the
    /// queue was full is counted nowhere; one passed because of the socket is in `QueueCounters.socketOverflows`.
    package var failsOpen = false

    package static let wholePacket: UInt32 = 65_531

    package init(number: UInt16) { self.number = number }
}

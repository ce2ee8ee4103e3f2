// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallEngine
package import FirewallPolicy

/// Everything that `portreeve status` shows, at one moment. Counters count since the agent began.
package struct StatusReport: Hashable, Sendable {
    package var agent: AgentIdentity
    package var uptimeSeconds: UInt64 = 0
    package var mode = Mode.inline
    package var failure = FailureSettings()
    package var policy = PolicyStatus()
    /// One per worker, by queue number.
    package var queues: [QueueStatus] = []
    /// Only reasons that were met; in the order of their numbers. As the first of the outputs has them.
    package var reasons: [ReasonCount] = []
    /// Where events go; the event file is the first.
    package var outputs: [OutputStatus] = []
    package var connections = ConnectionCounts()
    package var fastPath = FastPathStatus()
    package var floods = FloodStatus()
    package var answers = AnswerStatus()
    /// Sources of which every packet is dropped now.
    package var blockedSources: UInt64 = 0
    /// Only hooks that delivered packets.
    package var hooks: [HookCount] = []
    /// Whether incoming packets arrive before reassembly, so that stage F can work; nil while nothing says so yet.
    package var fragmentsVisible: Bool?
    /// What is wrong and what to do about it, one sentence each.
    package var warnings: [String] = []

    package init(agent: AgentIdentity) { self.agent = agent }
}

/// What passes in the kernel, held against the same windows.
package struct FastPathStatus: Hashable, Sendable {
    package enum State: String, CaseIterable, Sendable {
        case off, active, unavailable
    }

    package var state = State.off
    /// Why it is unavailable.
    package var why: String?
    /// Flows on it now.
    package var flows: UInt64 = 0
    /// Those among them that a Bypass rule with `offload` lets by.
    package var bypassed: UInt64 = 0
    /// Flows that came to it ever, and how often one was left in the queue for want of room.
    package var admitted: UInt64 = 0
    package var full: UInt64 = 0
    /// What has passed there, beside what the queues passed.
    package var packets: UInt64 = 0
    package var bytes: UInt64 = 0

    package init() {}
}

/// What passes without an entry because its listener is flooded.
package struct FloodStatus: Hashable, Sendable {
    /// Those in cookie mode now.
    package var listeners: [FloodedListenerStatus] = []
    /// SYNs, and what answers or follows them, that ever passed so.
    package var admittedStateless: UInt64 = 0
    /// Connections that were opened so.
    package var opened: UInt64 = 0
    /// SYNs that ever passed before the queue, beside those.
    package var inKernel: UInt64 = 0

    package init() {}
}

/// Answers to refused packets, by what they are, and refused packets that were to be answered and were not.
package struct AnswerStatus: Hashable, Sendable {
    package var reset: UInt64 = 0
    package var unreachable: UInt64 = 0
    package var prohibited: UInt64 = 0
    /// More than the rate allows.
    package var withheld: UInt64 = 0
    /// Such as nothing may answer.
    package var unanswerable: UInt64 = 0
    /// Of the answers, those that the kernel did not take.
    package var unsent: UInt64 = 0

    package init() {}
}

package struct FloodedListenerStatus: Hashable, Sendable {
    /// Address and port: "192.0.2.10:443".
    package var listener: String
    /// Half-open connections that have an entry, and SYNs of late that have none and opened nothing yet.
    package var halfOpen: UInt64
    package var passed: UInt64

    package init(listener: String, halfOpen: UInt64, passed: UInt64) {
        self.listener = listener
        self.halfOpen = halfOpen
        self.passed = passed
    }
}

/// The policy in force.
package struct PolicyStatus: Hashable, Sendable {
    package var files: [String] = []
    package var epoch: UInt32 = 0
    package var ruleCount: UInt32 = 0
    /// What `engine.built-in-rules` admits, in a few words each.
    package var builtIn: [String] = []
    /// Seconds since 1970.
    package var loadedAt: Int64 = 0
    /// The diagnostics of the last reload, if it was refused; nil once one succeeds.
    package var lastReloadError: String?
    /// Why this is the last policy that was in force and not the one on the disk; nil where it is that one.
    package var fallback: String?
    /// Seconds after which it is taken back unless it is confirmed.
    package var takenBackIn: Int64?
    /// Where the agent keeps a copy of the policy in force.
    package var copy: String?

    package init() {}
}

/// One worker and its kernel queue.
package struct QueueStatus: Hashable, Sendable {
    package var number: UInt16
    /// What comes to it.
    package var kind: QueueKind
    package var packets: UInt64 = 0
    package var passed: UInt64 = 0
    package var dropped: UInt64 = 0
    /// Fragments that were held, now settled or not.
    package var held: UInt64 = 0
    /// In the kernel, waiting for a verdict.
    package var queuedNow: UInt64 = 0
    /// Dropped by the kernel: queue length exceeded, and netlink buffer exceeded.
    package var kernelQueueDrops: UInt64 = 0
    package var kernelSocketDrops: UInt64 = 0
    /// Verdicts that the kernel refused.
    package var refusedVerdicts: UInt64 = 0
    /// How often the queue may have been full while it fails open: then the kernel passed packets that nobody judged.
    package var overflows: UInt64 = 0

    package init(number: UInt16, kind: QueueKind = .established) {
        self.number = number
        self.kind = kind
    }
}

/// The accounting of one reason: dropped = written + pending + silenced + lost (docs/design.md 1.3).
package struct ReasonCount: Hashable, Sendable {
    package var reason: DropReason
    package var dropped: UInt64 = 0
    /// Beside those: what would have been dropped, and passed because of tap or failure open.
    package var wouldDrop: UInt64 = 0
    package var written: UInt64 = 0
    /// In memory, not yet written.
    package var pending: UInt64 = 0
    /// Not written because a setting says so.
    package var silenced: UInt64 = 0
    /// Not written because the writer failed.
    package var lost: UInt64 = 0

    package init(reason: DropReason) { self.reason = reason }
}

/// One output of events, of all reasons and actions: received = written + pending + lost.
package struct OutputStatus: Hashable, Sendable {
    package var name: String
    package var format: String
    /// Where it sends to: a path.
    package var target: String
    package var received: UInt64 = 0
    package var written: UInt64 = 0
    package var pending: UInt64 = 0
    package var lost: UInt64 = 0
    /// Each stands for one event or for several that were folded.
    package var records: UInt64 = 0
    /// Events that became part of a coarser record because the output's budget was spent.
    package var merged: UInt64 = 0
    /// Why events wait, or what else is wrong with the output; nil while nothing is.
    package var trouble: String?

    package init(name: String, format: String, target: String) {
        self.name = name
        self.format = format
        self.target = target
    }
}

/// What the connection tables hold, all workers together.
package struct ConnectionCounts: Hashable, Sendable {
    /// TCP by state, in the order of a connection's life; states without connections may be left out.
    package var tcpStates: [StateCount] = []
    package var tcp: UInt64 = 0
    package var udp: UInt64 = 0
    package var icmp: UInt64 = 0
    /// Of all those, refused ones that are remembered.
    package var refused: UInt64 = 0
    /// Datagrams whose fragments are being watched.
    package var fragmentedDatagrams: UInt64 = 0
    package var tcpLimit: UInt64 = 0
    package var udpLimit: UInt64 = 0
    package var icmpLimit: UInt64 = 0
    package var fragmentedDatagramsLimit: UInt64 = 0

    package init() {}
}

package struct StateCount: Hashable, Sendable {
    package var state: String
    package var count: UInt64

    package init(state: String, count: UInt64) {
        self.state = state
        self.count = count
    }
}

package struct HookCount: Hashable, Sendable {
    package var hook: Hook
    package var packets: UInt64

    package init(hook: Hook, packets: UInt64) {
        self.hook = hook
        self.packets = packets
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

package import AgentControl
package import FirewallEngine
package import FirewallPolicy

/// What one scrape shows: the agent's numbers at one moment. Counters count since the agent began.
package struct MetricsSample: Sendable {
    package var version: String
    package var mode = Mode.inline
    package var failure = FailureSettings()
    /// Seconds since 1970.
    package var startedAt: Int64 = 0
    package var residentBytes: UInt64 = 0
    package var policyEpoch: UInt32 = 0
    package var policyRules = 0
    /// SHA-256 of what `portreeve check --print` prints of the policy in force.
    package var policyHash = ""
    /// Seconds since 1970.
    package var policyLoadedAt: Int64 = 0
    package var wasLastReloadRefused = false
    /// The policy in force is the last that was, and not the one on the disk.
    package var isPolicyFallback = false
    /// What `portreeve status` complains about.
    package var warnings = 0
    /// Whether the rules in place give the queues all that the policy is about; nil where it is not known.
    package var areRulesComplete: Bool?
    /// By number.
    package var queues: [QueueSample] = []
    package var workers: [WorkerSample] = []
    /// Every reason that this version can raise, met or not.
    package var reasons: [ReasonCount] = []
    package var connections: [StageCount] = []
    package var fastPath = FastPathStatus()
    package var tableMemory: UInt64 = 0
    /// nil is without a bound.
    package var tableMemoryLimit: UInt64? = 0
    package var blockedSources = 0
    package var scannersKnown = 0
    package var floods = FloodStatus()
    package var answers = AnswerStatus()
    package var tables: [TableFill] = []
    /// The event file is the first.
    package var outputs: [OutputSample] = []

    package init(version: String) { self.version = version }
}

/// One of the kernel's queues.
package struct QueueSample: Sendable {
    package var number: UInt16
    package var kind: QueueKind
    /// Packets judged, and those of them that passed.
    package var judged: UInt64 = 0
    package var passed: UInt64 = 0
    package var losses: [LossCount] = []
    /// In the kernel, waiting for a verdict, and how many may.
    package var waiting: UInt64 = 0
    package var length: UInt64 = 0
    /// How often the queue may have been full while it fails open.
    package var overflows: UInt64 = 0

    package init(number: UInt16, kind: QueueKind = .established) {
        self.number = number
        self.kind = kind
    }
}

/// One worker, named by its established queue.
package struct WorkerSample: Sendable {
    package var number: UInt16
    package var counters = EngineCounters()
    /// Turns of the worker's loop: it stands still only where the worker hangs.
    package var turns: UInt64 = 0
    package var heldEver: UInt64 = 0
    package var latency = LatencyHistogram()

    package init(number: UInt16) { self.number = number }
}

/// Packets of a queue that got no verdict of the engine's.
package struct LossCount: Sendable {
    package var cause: String
    package var packets: UInt64

    package init(cause: String, packets: UInt64) {
        self.cause = cause
        self.packets = packets
    }
}

package struct StageCount: Sendable {
    package var proto: String
    package var state: String
    package var connections: UInt64

    package init(proto: String, state: String, connections: UInt64) {
        self.proto = proto
        self.state = state
        self.connections = connections
    }
}

/// How much of a table is in use.
package struct TableFill: Sendable {
    package var proto: String
    package var entries: UInt64
    package var limit: UInt64

    package init(proto: String, entries: UInt64, limit: UInt64) {
        self.proto = proto
        self.entries = entries
        self.limit = limit
    }
}

/// One output of events, of all reasons and actions: received = written + pending + lost.
package struct OutputSample: Sendable {
    package var name: String
    package var received: UInt64 = 0
    package var written: UInt64 = 0
    package var pending: UInt64 = 0
    package var lost: UInt64 = 0
    /// Each stands for one event or for several that were folded.
    package var records: UInt64 = 0
    /// Events that became part of a coarser record because the budget was spent.
    package var merged: UInt64 = 0
    package var isInTrouble = false

    package init(name: String) { self.name = name }
}

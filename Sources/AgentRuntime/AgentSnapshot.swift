// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import AgentMetrics
import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import Locking
import NetfilterQueue
import PacketWire
import PolicyFile
import Synchronization

/// What the agent counts and how it stands, taken once: status and metrics are two ways to show it.
///
/// Each worker's lock is held for the copy of its counters only.
struct AgentSnapshot {
    let version: String
    let uptime: Instant.Span
    let policy: PolicyStore.Standing
    /// Where the policy in force is kept.
    let policyCopy: String
    /// In the order of the policy; the event file is the first.
    let outputs: [OutputReport]
    /// In the order of their queues.
    let workers: [WorkerSnapshot]
    /// Connections by stage, those that no worker has claimed with them.
    private let stages: [UInt64]
    let entries: TableEntries
    /// What is wrong now.
    let complaints: [String]
    /// Nil where it is not known.
    let areRulesComplete: Bool?
    let fastPath: FastPathStanding
    /// Bytes of all tables, and the most that they may be; nil is without a bound.
    let tableMemory: UInt64
    let tableMemoryLimit: UInt64?
    let blockedSources: Int
    /// Sources that reconnaissance detection has told of lately.
    let scannersKnown: Int
    /// Listeners in cookie mode, all workers together.
    let flooded: [FloodedListener]
    /// SYNs to such that passed before the queue.
    let openingsInKernel: UInt64
    /// Answers that the kernel did not take.
    let unsentAnswers: UInt64

    /// Entries of all workers' tables.
    struct TableEntries {
        let tcp: UInt64
        let udp: UInt64
        let icmp: UInt64
    }

    init(_ agent: Agent) {
        version = agent.options.version
        uptime = max(.zero, Clocks.monotonic() - agent.startedAt)
        policy = agent.policies.description
        policyCopy = agent.options.keeper.keptPath
        // Before the workers: an event that is accounted for was counted by its worker.
        outputs = agent.log.reports()
        var stages = [UInt64](repeating: 0, count: ConnectionStage.allCases.count)
        func add(_ census: ConnectionCensus) {
            for stage in ConnectionStage.allCases { stages[Int(stage.rawValue)] &+= UInt64(census[stage]) }
        }
        var scanners = 0
        var flooded: [FloodedListener] = []
        let now = Clocks.monotonic()
        workers = agent.workers.map { worker in
            let (counters, census, fastPath, tallies, known, listeners) = worker.engine.withLock {
                (
                    $0.counters, $0.census, $0.fastPathCounts, worker.queues.map(QueueTally.init),
                    $0.scannersKnown(at: now), $0.floodedListeners
                )
            }
            scanners += known
            add(census)
            for listener in listeners { flooded.add(listener) }
            return WorkerSnapshot(worker, counters, fastPath, tallies)
        }
        if let unclaimed = agent.unclaimed.withLock({ $0 }) { add(unclaimed.census) }
        self.stages = stages
        tableMemory = agent.shared.memoryInUse
        tableMemoryLimit = agent.shared.memoryLimit == .max ? nil : agent.shared.memoryLimit
        scannersKnown = scanners
        blockedSources = agent.blocks.withLock { Set($0.map(\.address)).count }
        self.flooded = flooded
        unsentAnswers = agent.answers.unsent.load(ordering: .relaxed)
        openingsInKernel = agent.openingsInKernel.load(ordering: .relaxed)
        entries = TableEntries(
            tcp: UInt64(agent.shared.total(of: .tcp)), udp: UInt64(agent.shared.total(of: .udp)),
            icmp: UInt64(agent.shared.total(of: .icmp)))
        let standing = agent.areRulesComplete.load(ordering: .relaxed)
        areRulesComplete = standing < 0 ? nil : standing > 0
        fastPath = agent.fastPath.withLock { $0 }
        complaints = agent.complaints.withLock { $0 } + outputs.compactMap(\.complaint)
    }

    var document: PolicyDocument { policy.policy.document }

    func connections(in stage: ConnectionStage) -> UInt64 { stages[Int(stage.rawValue)] }

    /// Where the drops of every reason are, as the event file has them.
    var reasons: [ReasonCount] {
        DropReason.allCases.map { reason in
            let place = Int(reason.rawValue)
            var count = ReasonCount(reason: reason)
            for worker in workers {
                count.dropped &+= worker.counters.dropped[place]
                count.wouldDrop &+= worker.counters.refusedButPassed[place]
                count.silenced &+= worker.counters.silenced[place]
                count.lost &+= worker.counters.merged[place]
            }
            let terms = outputs.first?.accounting[reason, .deny] ?? EventTerms()
            count.written = terms.written
            count.lost &+= terms.lost
            // Counted at different moments, by threads that do not wait for each other: what is not accounted for yet is
            // on its way.
            count.pending = count.dropped &- min(count.dropped, count.silenced &+ count.written &+ count.lost)
            return count
        }
    }
}

extension [FloodedListener] {
    /// Workers count apart what comes to one listener.
    fileprivate mutating func add(_ listener: FloodedListener) {
        let same = firstIndex {
            $0.address == listener.address && $0.port == listener.port && $0.version == listener.version
        }
        guard let same else { return append(listener) }
        self[same].halfOpen &+= listener.halfOpen
        self[same].passed &+= listener.passed
    }
}

/// What became of the packets of one queue.
struct QueueTally {
    let judged: UInt64
    let passed: UInt64

    init(_ queue: WorkerQueue) {
        judged = queue.judged.load(ordering: .relaxed)
        passed = queue.passed.load(ordering: .relaxed)
    }
}

/// One queue of a worker.
struct QueueSnapshot {
    let number: UInt16
    let kind: QueueKind
    /// How many packets may wait.
    let length: UInt32
    let tally: QueueTally
    let losses: QueueCounters
    let overflows: UInt64
    /// Packets that the run before had received and not decided.
    let orphans: UInt32

    init(_ queue: WorkerQueue, _ tally: QueueTally) {
        number = queue.number
        kind = queue.kind
        length = queue.configuration.length
        self.tally = tally
        losses = queue.counters.withLock { $0 }
        overflows = queue.overflows.load(ordering: .relaxed)
        orphans = queue.takeover.withLock { $0.orphans }
    }
}

/// One worker and its queues.
struct WorkerSnapshot {
    let queues: [QueueSnapshot]
    let counters: EngineCounters
    let fastPath: FastPathCounts
    let turns: UInt64
    let heldEver: UInt64
    let latency: LatencyHistogram

    init(_ worker: Worker, _ counters: EngineCounters, _ fastPath: FastPathCounts, _ tallies: [QueueTally]) {
        queues = zip(worker.queues, tallies).map(QueueSnapshot.init)
        self.counters = counters
        self.fastPath = fastPath
        turns = worker.turns.load(ordering: .relaxed)
        heldEver = worker.heldEver.load(ordering: .relaxed)
        latency = worker.latency.withLock { $0 }
    }
}

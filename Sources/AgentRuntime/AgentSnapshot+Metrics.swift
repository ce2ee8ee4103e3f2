// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import AgentMetrics
import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import NetfilterQueue
import PacketWire

extension MetricsSample {
    init(_ snapshot: AgentSnapshot) {
        self.init(version: snapshot.version)
        let document = snapshot.document
        mode = document.mode
        failure = document.failure
        startedAt = Clocks.calendarSeconds() - snapshot.uptime.nanoseconds / 1_000_000_000
        residentBytes = ResidentMemory.bytes() ?? 0
        policyEpoch = snapshot.policy.policy.epoch
        policyRules = document.rules.count
        policyHash = snapshot.policy.digest
        policyLoadedAt = snapshot.policy.loadedAt
        wasLastReloadRefused = snapshot.policy.lastReloadError != nil
        isPolicyFallback = snapshot.policy.fallback != nil
        warnings = snapshot.complaints.count
        areRulesComplete = snapshot.areRulesComplete
        queues = snapshot.workers.flatMap(\.queues).map(QueueSample.init).sorted { $0.number < $1.number }
        workers = snapshot.workers.map(WorkerSample.init)
        reasons = snapshot.reasons.filter {
            $0.reason.row.isAvailable && $0.reason.row.stage != .notice || $0.dropped > 0
        }
        connections = ConnectionStage.allCases.map {
            StageCount(
                proto: $0.protocolName, state: $0.name.lowercased(), connections: snapshot.connections(in: $0))
        }
        fastPath = FastPathStatus(snapshot)
        tableMemory = snapshot.tableMemory
        tableMemoryLimit = snapshot.tableMemoryLimit
        blockedSources = snapshot.blockedSources
        scannersKnown = snapshot.scannersKnown
        floods = FloodStatus(snapshot)
        answers = AnswerStatus(snapshot)
        let limits = document.engine.limits
        tables = [
            TableFill(proto: "tcp", entries: snapshot.entries.tcp, limit: UInt64(limits.tcp)),
            TableFill(proto: "udp", entries: snapshot.entries.udp, limit: UInt64(limits.udp)),
            TableFill(proto: "icmp", entries: snapshot.entries.icmp, limit: UInt64(limits.icmp)),
        ]
        outputs = snapshot.outputs.map(OutputSample.init)
    }
}

extension QueueSample {
    fileprivate init(_ queue: QueueSnapshot) {
        self.init(number: queue.number, kind: queue.kind)
        judged = queue.tally.judged
        passed = queue.tally.passed
        waiting = UInt64(queue.losses.kernel?.waiting ?? 0)
        length = UInt64(queue.length)
        overflows = queue.overflows
        losses = [
            LossCount(cause: "queue-full", packets: UInt64(queue.losses.kernel?.droppedQueueFull ?? 0)),
            LossCount(cause: "socket-full", packets: UInt64(queue.losses.droppedSocketFull)),
            LossCount(cause: "verdict-refused", packets: queue.losses.refusedVerdicts),
            LossCount(cause: "verdict-unsent", packets: queue.losses.unsentVerdicts),
            LossCount(cause: "malformed", packets: queue.losses.malformedMessages),
            LossCount(cause: "undecided", packets: UInt64(queue.orphans)),
        ]
    }
}

extension WorkerSample {
    fileprivate init(_ worker: WorkerSnapshot) {
        self.init(number: worker.queues[0].number)
        counters = worker.counters
        turns = worker.turns
        heldEver = worker.heldEver
        latency = worker.latency
    }
}

extension OutputSample {
    fileprivate init(_ report: OutputReport) {
        self.init(name: report.name)
        let total = report.accounting.total
        received = total.received
        written = total.written
        pending = total.pending
        lost = total.lost
        records = total.records
        merged = report.coarse
        isInTrouble = report.trouble != nil
    }
}

extension ConnectionStage {
    fileprivate var protocolName: String {
        switch self {
        case .udp, .udpAnswered, .udpStream: "udp"
        case .icmp: "icmp"
        case .refused: "any"
        default: "tcp"
        }
    }
}

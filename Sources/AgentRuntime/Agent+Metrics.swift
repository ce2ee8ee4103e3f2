// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import AgentMetrics
import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Locking
import Logging
import NetfilterQueue
import PacketWire
import Synchronization

/// The metrics servers that run, and why others do not.
struct MetricsServers {
    var running: [MetricsEndpoint: MetricsServer] = [:]
    var troubles: [MetricsEndpoint: String] = [:]
}

extension Agent {
    /// Brings the servers to what the policy asks for. Called once a second: an address in use is tried again, for a
    /// firewall neither refuses to start nor ends because nobody can watch it.
    func refreshMetrics(_ policy: Policy) {
        var wanted = [MetricsEndpoint.unix(options.metricsPath)]
        if let listen = policy.document.metrics.listen { wanted.append(.loopback(listen)) }
        metrics.withLock { servers in
            for (endpoint, server) in servers.running where !wanted.contains(endpoint) {
                server.stop()
                servers.running[endpoint] = nil
            }
            servers.troubles = servers.troubles.filter { wanted.contains($0.key) }
            for endpoint in wanted where servers.running[endpoint] == nil { start(endpoint, policy, &servers) }
        }
    }

    private func start(_ endpoint: MetricsEndpoint, _ policy: Policy, _ servers: inout MetricsServers) {
        let mark = MarkLayout(mask: policy.document.queue.markMask).ownTraffic
        do {
            servers.running[endpoint] = try MetricsServer(endpoint, mark: mark) { [self] in metricsSample() }
            if servers.troubles.removeValue(forKey: endpoint) != nil {
                logger.notice("metrics are served: \(endpoint)")
            }
        } catch {
            if servers.troubles.updateValue("\(error)", forKey: endpoint) != "\(error)" { logger.warning("\(error)") }
        }
    }

    var metricsTroubles: [String] { metrics.withLock { $0.troubles.values.sorted() } }

    func stopMetrics() {
        metrics.withLock { servers in
            for server in servers.running.values { server.stop() }
            servers.running = [:]
        }
    }

    /// Each worker's lock is held for the copy of its counters only.
    private func metricsSample() -> MetricsSample {
        let standing = policies.description
        var sample = MetricsSample(version: options.version)
        fillPolicy(&sample, standing)
        var stages = [UInt64](repeating: 0, count: ConnectionStage.allCases.count)
        // Before the workers: an event that is accounted for was counted by its worker.
        let accounting = log.accounting()
        for worker in workers {
            let (counters, census) = worker.engine.withLock { ($0.counters, $0.census) }
            sample.queues.append(queueSample(worker, counters))
            for stage in ConnectionStage.allCases { stages[Int(stage.rawValue)] &+= UInt64(census[stage]) }
        }
        if let census = unclaimed.withLock({ $0 })?.census {
            for stage in ConnectionStage.allCases { stages[Int(stage.rawValue)] &+= UInt64(census[stage]) }
        }
        sample.reasons = reasonCounts(sample.queues.map(\.counters), accounting)
            .filter { $0.reason.row.isAvailable && $0.reason.row.stage != .notice || $0.dropped > 0 }
        sample.connections = ConnectionStage.allCases.map {
            StageCount(proto: $0.protocolName, state: $0.name.lowercased(), connections: stages[Int($0.rawValue)])
        }
        let limits = standing.policy.document.engine.limits
        sample.tables = [
            TableFill(proto: "tcp", entries: UInt64(shared.total(of: .tcp)), limit: UInt64(limits.tcp)),
            TableFill(proto: "udp", entries: UInt64(shared.total(of: .udp)), limit: UInt64(limits.udp)),
            TableFill(proto: "icmp", entries: UInt64(shared.total(of: .icmp)), limit: UInt64(limits.icmp)),
        ]
        fillEvents(&sample, accounting.total)
        return sample
    }

    private func fillPolicy(_ sample: inout MetricsSample, _ standing: PolicyStore.Standing) {
        sample.mode = standing.policy.document.mode
        sample.failure = standing.policy.document.failure
        sample.startedAt =
            Clocks.calendarSeconds() - (Clocks.monotonic() - startedAt).nanoseconds / 1_000_000_000
        sample.residentBytes = ResidentMemory.bytes() ?? 0
        sample.policyEpoch = standing.policy.epoch
        sample.policyRules = standing.policy.document.rules.count
        sample.policyLoadedAt = standing.loadedAt
        sample.wasLastReloadRefused = standing.lastReloadError != nil
        sample.warnings = standingComplaints.count
    }

    private func queueSample(_ worker: Worker, _ counters: EngineCounters) -> QueueSample {
        var sample = QueueSample(number: worker.number)
        sample.counters = counters
        sample.turns = worker.turns.load(ordering: .relaxed)
        sample.heldEver = worker.heldEver.load(ordering: .relaxed)
        sample.latency = worker.latency.withLock { $0 }
        let losses = worker.queueCounters.withLock { $0 }
        sample.waiting = UInt64(losses.kernel?.waiting ?? 0)
        sample.length = UInt64(worker.queue.length)
        sample.overflows = worker.overflows.load(ordering: .relaxed)
        sample.losses = [
            LossCount(cause: "queue-full", packets: UInt64(losses.kernel?.droppedQueueFull ?? 0)),
            LossCount(cause: "socket-full", packets: UInt64(losses.droppedSocketFull)),
            LossCount(cause: "verdict-refused", packets: losses.refusedVerdicts),
            LossCount(cause: "verdict-unsent", packets: losses.unsentVerdicts),
            LossCount(cause: "malformed", packets: losses.malformedMessages),
            LossCount(cause: "undecided", packets: UInt64(worker.takeover.withLock { $0.orphans })),
        ]
        return sample
    }

    private func fillEvents(_ sample: inout MetricsSample, _ total: EventTerms) {
        sample.events.received = total.received
        sample.events.written = total.written
        sample.events.pending = total.pending
        sample.events.lost = total.lost
        sample.events.records = total.records
        sample.events.isFileInTrouble = log.fileState().trouble != nil
    }
}

extension ConnectionStage {
    fileprivate var protocolName: String {
        switch self {
        case .udp, .udpStream: "udp"
        case .icmp: "icmp"
        case .refused: "any"
        default: "tcp"
        }
    }
}

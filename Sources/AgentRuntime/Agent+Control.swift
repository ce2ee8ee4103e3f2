// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import Locking
import NetfilterQueue
import PacketWire
import Synchronization

extension Agent {
    func openControl() throws(AgentError) -> ControlServer {
        do {
            return try ControlServer(path: options.controlPath) { [self] request in answer(request) }
        } catch {
            throw AgentError("\(error)")
        }
    }

    private var identity: AgentIdentity { AgentIdentity(version: options.version, processIdentifier: getpid()) }

    private func answer(_ request: ControlRequest) -> ControlReply {
        switch request {
        case .ping: return .pong(identity)
        case .status: return .status(statusReport())
        case .connections(let query): return .connections(connections(query))
        case .reload: return .reloaded(reloadReport())
        case .coldStart:
            for worker in workers { worker.engine.withLock { $0.beginColdStart(at: Clocks.monotonic()) } }
            return .coldStarted
        case .reopen:
            log.reopen()
            return .reopened
        }
    }

    private func reloadReport() -> ReloadReport {
        var diagnostics: [String] = []
        do {
            try reload()
        } catch {
            diagnostics = [error.description]
        }
        let policy = policies.current
        return ReloadReport(
            accepted: diagnostics.isEmpty, epoch: policy.epoch, files: policy.document.files, diagnostics: diagnostics)
    }

    private func statusReport() -> StatusReport {
        var report = StatusReport(agent: identity)
        let standing = policies.description
        report.uptimeSeconds = UInt64(max(0, (Clocks.monotonic() - startedAt).nanoseconds / 1_000_000_000))
        report.mode = standing.policy.document.mode
        report.failure = standing.policy.document.failure
        report.policy.files = standing.policy.document.files
        report.policy.epoch = standing.policy.epoch
        report.policy.ruleCount = UInt32(standing.policy.document.rules.count)
        report.policy.builtIn = standing.policy.document.engine.builtInRules
        report.policy.loadedAt = standing.loadedAt
        report.policy.lastReloadError = standing.lastReloadError
        var counters: [EngineCounters] = []
        var census = Census()
        for worker in workers {
            let (own, connections) = worker.engine.withLock { ($0.counters, $0.census) }
            counters.append(own)
            census.add(connections)
            report.queues.append(queueStatus(worker, own))
        }
        if let unclaimed = unclaimed.withLock({ $0 }) { census.add(unclaimed.census) }
        report.reasons = reasonCounts(counters, log.accounting()).filter { $0.dropped > 0 }
        report.connections = census.counts(limits: standing.policy.document.engine.limits, shared)
        fillHooks(&report, counters)
        report.warnings = standingComplaints
        return report
    }

    private func queueStatus(_ worker: Worker, _ counters: EngineCounters) -> QueueStatus {
        var status = QueueStatus(number: worker.number)
        status.packets = counters.inspected
        status.passed = counters.passed
        status.dropped = counters.dropped.reduce(0, &+)
        status.held = worker.heldEver.load(ordering: .relaxed)
        let queue = worker.queueCounters.withLock { $0 }
        status.queuedNow = UInt64(queue.kernel?.waiting ?? 0)
        status.kernelQueueDrops = UInt64(queue.kernel?.droppedQueueFull ?? 0)
        status.kernelSocketDrops = UInt64(queue.droppedSocketFull)
        status.refusedVerdicts = queue.refusedVerdicts
        status.overflows = worker.overflows.load(ordering: .relaxed)
        return status
    }

    /// What is wrong now.
    var standingComplaints: [String] {
        warnings.withLock { $0 } + (log.fileState().trouble.map { [$0.description] } ?? []) + metricsTroubles
    }

    func reasonCounts(_ counters: [EngineCounters], _ accounting: EventAccounting) -> [ReasonCount] {
        DropReason.allCases.map { reason in
            let place = Int(reason.rawValue)
            var count = ReasonCount(reason: reason)
            for c in counters {
                count.dropped &+= c.dropped[place]
                count.silenced &+= c.silenced[place]
                count.lost &+= c.merged[place]
            }
            let terms = accounting[reason, .deny]
            count.written = terms.written
            count.lost &+= terms.lost
            // Counted at different moments, by threads that do not wait for each other: what is not accounted for yet is
            // on its way.
            count.pending = count.dropped &- min(count.dropped, count.silenced &+ count.written &+ count.lost)
            return count
        }
    }

    private func fillHooks(_ report: inout StatusReport, _ counters: [EngineCounters]) {
        let hooks: [Hook] = [.prerouting, .input, .forward, .output, .postrouting]
        for hook in hooks {
            let packets = counters.reduce(0) { $0 &+ $1.hooks[Int(hook.rawValue)] }
            if packets > 0 { report.hooks.append(HookCount(hook: hook, packets: packets)) }
        }
        if counters.contains(where: { $0.fragments > 0 }) {
            report.fragmentsVisible = true
        } else if policies.current.document.queue.family == .ip,
            report.hooks.contains(where: { $0.hook == .input || $0.hook == .forward })
        {
            report.fragmentsVisible = false
        }
    }
}

/// Connections by stage, over all workers.
private struct Census {
    private var stages = [UInt64](repeating: 0, count: ConnectionStage.allCases.count)

    mutating func add(_ census: ConnectionCensus) {
        for stage in ConnectionStage.allCases { stages[Int(stage.rawValue)] &+= UInt64(census[stage]) }
    }

    func counts(limits: TableLimits, _ shared: SharedLimits) -> ConnectionCounts {
        var counts = ConnectionCounts()
        for stage in ConnectionStage.allCases where stage.isTCP && stages[Int(stage.rawValue)] > 0 {
            counts.tcpStates.append(StateCount(state: stage.name, count: stages[Int(stage.rawValue)]))
        }
        counts.tcp = UInt64(shared.total(of: .tcp))
        counts.udp = UInt64(shared.total(of: .udp))
        counts.icmp = UInt64(shared.total(of: .icmp))
        counts.refused = stages[Int(ConnectionStage.refused.rawValue)]
        counts.tcpLimit = UInt64(limits.tcp)
        counts.udpLimit = UInt64(limits.udp)
        counts.icmpLimit = UInt64(limits.icmp)
        counts.fragmentedDatagramsLimit = UInt64(limits.fragmentedDatagrams)
        return counts
    }
}

extension ConnectionStage {
    fileprivate var isTCP: Bool { rawValue <= ConnectionStage.closed.rawValue }

    /// As `portreeve connections` prints it; TCP's are the names of RFC 9293 section 3.3.2.
    var name: String {
        switch self {
        case .synSent: "SYN-SENT"
        case .synReceived: "SYN-RECEIVED"
        case .established: "ESTABLISHED"
        case .finWait1: "FIN-WAIT-1"
        case .finWait2: "FIN-WAIT-2"
        case .closeWait: "CLOSE-WAIT"
        case .closing: "CLOSING"
        case .lastACK: "LAST-ACK"
        case .timeWait: "TIME-WAIT"
        case .closed: "CLOSED"
        case .udp: "UNANSWERED"
        case .udpStream: "ANSWERED"
        case .icmp: "QUERY"
        case .refused: "REFUSED"
        }
    }
}

extension EngineSettings {
    /// The built-in rules in a few words.
    fileprivate var builtInRules: [String] {
        let names: [String] =
            switch dhcpAndDNS {
            case .client: ["DHCP and DNS client"]
            case .dnsOnly: ["DNS client"]
            case .off: []
            }
        return names + (pathMTU ? ["path MTU"] : [])
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Locking
import Logging
import NetfilterQueue
import PacketWire
import PolicyFile
import Synchronization

extension Agent {
    /// The main thread's loop. Returns what ended the agent, or nil after SIGTERM.
    func attend(_ signals: Signals) -> AgentError? {
        while true {
            switch signals.next() {
            case .terminate:
                logger.notice("ending: SIGTERM or SIGINT")
                return nil
            case .reload: reloadBySignal()
            case .none: break
            }
            if let dead = deadWorker() ?? lostQueue() { return dead }
            keepHouse()
            refreshState()
        }
    }

    private func reloadBySignal() {
        do {
            try reload()
        } catch {
            logger.error("reload refused, the old policy stays in force:\n\(error)")
        }
        log.reopen()
    }

    /// Loads the policy files again and gives the result to every worker. The manager is told before and after.
    func reload() throws(AgentError) {
        try reloading.withLock { _ throws(AgentError) in
            tellReloading()
            defer { tellReady() }
            try adoptPolicyFiles()
        }
    }

    private func adoptPolicyFiles() throws(AgentError) {
        let old = policies.current
        let policy = try policies.reload()
        let tracksMore = policy.tracksMore(than: old)
        log.register(PolicyNames(policy), settings: policy.document.events)
        shared.update(tables: policy.document.engine.limits, computers: policy.document.stateful.limits)
        let interfaces = network.withLock { $0 }.table(policy)
        let schedules = Agent.activeSchedules(policy)
        unclaimed.withLock { $0 }?.setTimeouts(policy.document.engine.timeouts)
        for worker in workers {
            worker.engine.withLock { engine in
                engine.adopt(policy, interfaces: interfaces, activeSchedules: schedules)
                if tracksMore { engine.beginColdStart(at: Clocks.monotonic()) }
            }
        }
        if offload.withLock({ $0 != .unused }) || !policy.document.offloadedDirections.isEmpty {
            pauseOffload()
            resumeOffload(policy)
            isOffloadStale.store(true, ordering: .relaxed)
        }
        if Agent.keepsSockets(policy) != areSocketsKept.load(ordering: .relaxed) { updateKeptSockets() }
        logger.notice(
            "policy \(options.policyPath) loaded: epoch \(policy.epoch), \(policy.document.rules.count) rules")
    }

    /// A worker that ended though nobody asked it to: the agent ends too, with the failure setting in force, rather than
    /// leave a queue that nobody reads.
    private func deadWorker() -> AgentError? {
        for worker in workers {
            switch worker.standing.withLock({ $0 }) {
            case .failed(let why): return AgentError("\(why); ending, since its packets would find no reader")
            case .ended: return AgentError("the worker of queue \(worker.number) ended unexpectedly")
            case .starting, .running: break
            }
        }
        return nil
    }

    /// A queue that was taken from its socket, or given to another: its worker would wait for ever.
    private func lostQueue() -> AgentError? {
        guard let table = try? QueueTable.read() else { return nil }
        for worker in workers {
            guard let port = worker.queueCounters.withLock({ $0.kernel?.portID }),
                table.row(of: worker.number)?.portID != port
            else { continue }
            return AgentError("queue \(worker.number) is not bound to this agent any more; ending, to be started anew")
        }
        return nil
    }

    func keepHouse() {
        refreshNetwork()
        let policy = policies.current
        refreshSchedules(policy)
        refreshListeningPorts(policy)
        refreshOffload()
        reportLosses()
        reportEventFile()
        refreshWarnings(policy)
        refreshMetrics(policy)
        refreshUnclaimed()
    }

    /// Interfaces and addresses; workers are told only when something changed. Where the kernel cannot be asked, what was
    /// known stays.
    func refreshNetwork() {
        guard let now = LocalNetwork.read() else { return }
        let changed = network.withLock { known in
            defer { known = now }
            return known != now
        }
        guard changed else { return }
        let policy = policies.current
        let table = now.table(policy)
        for worker in workers {
            worker.engine.withLock { engine in
                engine.setInterfaces(table)
                engine.hostAddresses = now.hostAddresses
            }
        }
        log.setInterfaces(InterfaceNames(Dictionary(uniqueKeysWithValues: now.interfaces.map { ($0.index, $0.name) })))
    }

    func refreshSchedules(_ policy: Policy) {
        guard !policy.document.schedules.isEmpty else { return }
        let active = Agent.activeSchedules(policy)
        for worker in workers { worker.engine.withLock { $0.setActiveSchedules(active, at: Clocks.monotonic()) } }
    }

    private static func activeSchedules(_ policy: Policy) -> UInt64 {
        guard !policy.document.schedules.isEmpty else { return 0 }
        return policy.scheduleActivity(SystemTimeZones.zones(of: policy.document), unixTime: Clocks.calendarSeconds())
    }

    /// Only a policy with incoming Allow rules raises the reasons that need it.
    private func refreshListeningPorts(_ policy: Policy) {
        guard policy.hasAllowRules(.incoming) else { return }
        let ports = ListeningSockets.read()
        for worker in workers { worker.engine.withLock { $0.listeningPorts = ports } }
    }
}

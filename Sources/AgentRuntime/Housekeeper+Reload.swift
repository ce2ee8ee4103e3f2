// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Locking
import Logging

extension Housekeeper {
    func reloadBySignal() {
        do {
            try reload()
        } catch {
            logger.error("reload refused, the old policy stays in force:\n\(error)")
        }
        log.reopen()
    }

    func reloadReport() -> ReloadReport {
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

    /// Loads the policy files again and gives the result to every worker. The manager is told before and after.
    private func reload() throws(AgentError) {
        tellReloading()
        defer { tellReady() }
        let old = policies.current
        put(inForce: try policies.reload(), after: old)
    }

    private func put(inForce policy: Policy, after old: Policy) {
        let tracksMore = policy.tracksMore(than: old)
        log.register(PolicyNames(policy), settings: policy.document.events)
        agent.shared.update(tables: policy.document.engine.limits, computers: policy.document.stateful.limits)
        let interfaces = network.table(policy)
        let schedules = Housekeeper.activeSchedules(policy)
        agent.unclaimed.withLock { $0 }?.setTimeouts(policy.document.engine.timeouts)
        for worker in workers {
            worker.engine.withLock { engine in
                engine.adopt(policy, interfaces: interfaces, activeSchedules: schedules)
                if tracksMore { engine.beginColdStart(at: Clocks.monotonic()) }
            }
        }
        if offload.standing != .unused || !policy.document.offloadedDirections.isEmpty {
            pauseOffload()
            resumeOffload(policy)
            offload.isStale = true
        }
        if Housekeeper.keepsSockets(policy) != areSocketsKept { updateKeptSockets() }
        logger.notice(
            "policy \(options.policyPath) loaded: epoch \(policy.epoch), \(policy.document.rules.count) rules")
    }
}

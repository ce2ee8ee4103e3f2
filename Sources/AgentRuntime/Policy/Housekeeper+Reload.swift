// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Locking
import Logging
import PacketWire
import PolicyFile

/// Why a policy was not put in force.
enum ReloadRefusal: Error {
    case faulty(AgentError)
    /// It would shut out administrators who are connected.
    case shutsOut(String)

    var description: String {
        switch self {
        case .faulty(let error): error.description
        case .shutsOut(let text): text
        }
    }
}

extension Housekeeper {
    /// Without anybody to whom it could be said, and without force.
    func reloadBySignal() {
        do {
            _ = try reload(ReloadOrder())
        } catch {
            logger.error("reload refused, the old policy stays in force:\n\(error.description)")
        }
        log.reopen()
    }

    func reloadReport(_ order: ReloadOrder) -> ReloadReport {
        var diagnostics: [String] = []
        var shutsOut = false
        var isAccepted = false
        do throws(ReloadRefusal) {
            diagnostics = try reload(order)
            isAccepted = true
        } catch {
            diagnostics = [error.description]
            if case .shutsOut = error { shutsOut = true }
        }
        let policy = policies.current
        var report = ReloadReport(
            accepted: isAccepted, epoch: policy.epoch, files: policy.document.files, diagnostics: diagnostics)
        report.shutsOut = shutsOut
        report.takenBackIn = pending?.secondsLeft
        report.earlierEpoch = pending?.previous.policy.epoch
        return report
    }

    /// Loads the policy files again and gives the result to every worker. The manager is told before and after.
    ///
    /// - Returns: what is worth knowing of the policy that is in force now.
    private func reload(_ order: ReloadOrder) throws(ReloadRefusal) -> [String] {
        try reload(order, listsOf: nil)
    }

    /// Puts the policy in force anew with its lists as their files are now: this is the copy of it. Nothing happens where they are the same.
    func reloadLists(of kept: PolicyCopy, _ order: ReloadOrder) throws(ReloadRefusal) {
        _ = try reload(order, listsOf: kept)
    }

    private func reload(_ order: ReloadOrder, listsOf kept: PolicyCopy?) throws(ReloadRefusal) -> [String] {
        tellReloading()
        defer {
            memoryDue = Clocks.monotonic() + Instant.Span.seconds(2)
            tellReady()
        }
        do throws(ReloadRefusal) {
            return try adopt(order, listsOf: kept)
        } catch {
            // What is wrong with a list is the list watch's to say.
            if kept == nil { policies.note(refused: error.description) }
            throw error
        }
    }

    private func adopt(_ order: ReloadOrder, listsOf kept: PolicyCopy?) throws(ReloadRefusal) -> [String] {
        if let pending {
            throw .faulty(
                AgentError(
                    "an earlier reload waits \(pending.secondsLeft) s more for its confirmation: run \"portreeve reload "
                        + "--keep\" from another session, or wait until it is taken back"))
        }
        let copy = beginCopy()
        let policy: Policy
        do {
            policy = try policies.load(listsOf: kept, copyingTo: copy)
        } catch {
            throw .faulty(error)
        }
        if let kept, copy?.hasText(of: kept) == true { return [] }
        let servers = SSHServers.here()
        let notes =
            try shuttingOut(by: policy.document, servers, order)
            + policy.document.remarks(sshPorts: servers.ports).map { "warning: \($0.line)" }
            + notes(onUnitsOf: policy)
        if let seconds = order.confirmSeconds {
            try beginTrial(of: policy, for: seconds, order, copy)
        } else {
            put(inForce: policy, askedBy: order.asker)
            keep(copy, policy.epoch, withOtherListsOnly: kept != nil)
        }
        return notes
    }

    /// What the policy would do to administrators who are connected: it is refused, unless it is forced or takes itself back.
    private func shuttingOut(
        by document: PolicyDocument, _ servers: SSHServers, _ order: ReloadOrder
    ) throws(ReloadRefusal) -> [String] {
        let refusals = SessionGuard(present: order.author.ssh, established: servers.sessions + order.sessions)
            .refusals(by: document)
        guard let first = refusals.first else { return [] }
        guard order.isForced || order.confirmSeconds != nil else {
            let cure =
                "\(first.cure); --confirm 60 tries the policy for a minute, --force puts it in force all the same"
            throw .shutsOut((refusals.map(\.sentence) + [cure]).joined(separator: "\n"))
        }
        return refusals.map { "note: \($0.sentence)" }
    }

    /// The policy that is in force from now on.
    func put(inForce policy: Policy, takenBackAt: Int64? = nil, askedBy asker: ReloadAsker) {
        let before = policies.current
        closeListeners()
        let tracksMore = policy.tracksMore(than: policies.current)
        policies.put(inForce: policy, takenBackAt: takenBackAt, withOtherListsOnly: asker.isOfLists)
        log.register(PolicyNames(policy), policy.document)
        agent.shared.update(tables: policy.document.engine.limits, computers: policy.document.stateful.limits)
        agent.setMemory(policy.document)
        let interfaces = network.table(policy)
        let schedules = Housekeeper.activeSchedules(policy)
        let unclaimed = agent.unclaimed.withLock { $0 }
        unclaimed?.setTimeouts(policy.document.engine.timeouts)
        unclaimed?.logEnds(
            of: policy.document.events.closedConnections, isOn: policy.document.keepsConnectionLog)
        let kept = followRules(to: policy)
        let units = policy.units.isEmpty ? nil : rules.unitMarks(policy.document)
        for worker in workers {
            worker.engine.withLock { engine in
                engine.adopt(policy, interfaces: interfaces, activeSchedules: schedules, keepingCountsOf: kept)
                if let units { engine.setUnitMarks(units) }
                if tracksMore { engine.beginColdStart(at: Clocks.monotonic()) }
            }
        }
        refreshRoutes(policy)
        agent.frames?.adopt(policy, interfaces)
        agent.answers.setMark(MarkLayout(mask: policy.document.queue.markMask).ownTraffic)
        if offload.standing != .unused || !policy.document.offloadedDirections.isEmpty {
            pauseOffload()
            resumeOffload(policy)
            offload.isStale = true
        }
        if Housekeeper.keepsSockets(policy) != areSocketsKept { updateKeptSockets() }
        logger.notice(
            "policy \(options.policyPath) loaded: epoch \(policy.epoch), \(policy.document.rules.count) rules")
        agent.changes.tell(PolicyChange(old: before, new: policy, asker: asker))
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Locking
import Logging
import NetfilterQueue
import PacketWire

/// What the author of the policy in force hardly meant.
struct Remarks {
    var lines: [String] = []
    fileprivate(set) var epoch: UInt32?
    fileprivate(set) var due = Instant(nanoseconds: 0)
}

extension Housekeeper {
    /// Looks for what keeps the agent from doing its work although it runs. Each complaint is logged, and reported as
    /// Invalid Adapter Configuration, when it begins; `status` shows it until it is over.
    func refreshWarnings(_ policy: Policy) {
        let now =
            missingInterfaces(policy) + (agent.queueTrouble.map { [$0] } ?? []) + unfedQueues() + olderQueues(policy)
            + offloadWarnings + fastPathWarnings(policy) + rules.complaints + routes.complaints
            + answerWarnings(policy) + (cookieComplaint.map { [$0] } ?? [])
        let begun = now.filter { !warnings.contains($0) }
        warnings = now
        for warning in begun {
            logger.warning("\(warning)")
            var event = Event(
                reason: .invalidAdapterConfiguration, action: .notice, instant: Clocks.monotonic(),
                metadata: PacketMetadata(), headers: PacketHeaders())
            event.metadata.hook = .none
            event.policyEpoch = policy.epoch
            log.report(event, detail: warning)
        }
    }

    /// Where SSH servers listen may change at any time, but is looked up in all processes.
    private static let remarksEvery = Instant.Span.minutes(1)

    /// What is to be said of the policy in force; logged when it begins.
    func refreshRemarks(_ policy: Policy) {
        let now = Clocks.monotonic()
        guard remarks.epoch != policy.epoch || remarks.due <= now else { return }
        let lines = policy.document.remarks(sshPorts: SSHServers.here().ports).map(\.line)
        for line in lines where !remarks.lines.contains(line) { logger.warning("\(line)") }
        remarks = Remarks(lines: lines, epoch: policy.epoch, due: now + Self.remarksEvery)
    }

    /// Interfaces that the policy calls by their full name and that the host does not have. Globs may match nothing.
    private func missingInterfaces(_ policy: Policy) -> [String] {
        let present = Set(network.interfaces.map(\.name))
        let d = policy.document
        var named: [(name: String, by: String)] = []
        named += d.interfaces.ignore.map { ($0, "interfaces.ignore") }
        named += d.interfaces.inside.map { ($0, "interfaces.inside") }
        for rule in d.rules where rule.isEnabled {
            named += (rule.interfaces?.value ?? []).map { ($0, "rule \"\(rule.name)\" (\(rule.position.place))") }
        }
        return named.filter { !$0.name.contains(where: { "*?[".contains($0) }) && !present.contains($0.name) }
            .map { "interface \($0.name), named by \($0.by), does not exist: correct the policy or bring it up" }
    }

    /// What the kernel does without the agent was set when the queues were opened and the rules were made.
    private func olderQueues(_ policy: Policy) -> [String] {
        let failsOpen = policy.document.failure.engine == .open || policy.document.mode == .tap
        guard workers.contains(where: { $0.main.configuration.failsOpen != failsOpen }) else { return [] }
        return [
            "failure.engine or mode changed since the start: the queues still fail \(failsOpen ? "closed" : "open") when full "
                + "or without an agent; restart the agent and run `portreeve iptables --apply` again"
        ]
    }

    /// Queues that got nothing in the agent's first minute, and since.
    private func unfedQueues() -> [String] {
        // Where a rule is missing, it has been said which: the rules have been looked at once more after that minute.
        let settled = agent.startedAt + .minutes(1) + RulesWatch.every + RulesWatch.every
        guard rules.complaints.isEmpty, Clocks.monotonic() >= settled else { return [] }
        let idle = workers.filter(\.isIdle)
        guard !idle.isEmpty else { return [] }
        for (place, worker) in workers.enumerated() where !worker.isIdle && !feeding.isConclusive {
            feeding.note(somePage(of: worker, place), since: agent.startedAt)
        }
        return feeding.complaint(idle: idle.map(\.number)).map { [$0] } ?? []
    }

    /// Each time the next few of the worker's connections.
    private func somePage(of worker: Worker, _ place: Int) -> [Connection] {
        var found: [Connection] = []
        let from = feeding.pages[place]
        feeding.pages[place] = worker.engine.withLock { $0.connections(from: from, atMost: 128, into: &found) } ?? 0
        return found
    }
}

extension SourcePosition {
    fileprivate var place: String { "\(file):\(line)" }
}

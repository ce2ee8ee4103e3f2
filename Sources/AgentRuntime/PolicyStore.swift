// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import Locking
import PolicyFile

/// The policy in force and its history. Loading happens beside the old one: only a policy that loads, checks and
/// compiles replaces it (DESIGN 1.6).
final class PolicyStore: Sendable {
    struct Standing {
        var policy: Policy
        /// Seconds since 1970.
        var loadedAt: Int64
        var lastReloadError: String?
    }

    let path: String
    private let standing: Guarded<Standing>
    private let history = Guarded(RuleHistory())
    /// The connections that each worker's table can hold.
    private let room: Int

    init(path: String) throws(AgentError) {
        self.path = path
        let policy = try PolicyStore.load(path, epoch: 1)
        standing = Guarded(Standing(policy: policy, loadedAt: Clocks.calendarSeconds()))
        room = Engine.capacity(policy.document.engine.limits)
        history.withLock { $0.register(policy) }
    }

    var current: Policy { standing.withLock { $0.policy } }
    var description: Standing { standing.withLock { $0 } }
    /// The rules of this policy and of those before it.
    var rules: RuleHistory { history.withLock { $0 } }

    /// Loads the files again; called by one thread only. On any error the old policy stays and the error says what is wrong where.
    func reload() throws(AgentError) -> Policy {
        let old = current
        let policy: Policy
        do {
            policy = try PolicyStore.load(path, epoch: old.epoch &+ 1)
            try refuseChangesThatNeedARestart(from: old.document, to: policy.document)
        } catch {
            standing.withLock { $0.lastReloadError = error.description }
            throw error
        }
        history.withLock { $0.register(policy) }
        standing.withLock { $0 = Standing(policy: policy, loadedAt: Clocks.calendarSeconds()) }
        return policy
    }

    static func load(_ path: String, epoch: UInt32) throws(AgentError) -> Policy {
        let document: PolicyDocument
        do {
            document = try PolicyFile.load(path)
        } catch {
            throw AgentError("\(error)")
        }
        do {
            return try Policy(document, epoch: epoch)
        } catch {
            throw AgentError("\(error)")
        }
    }

    /// What was set up at the start and stays until the end: the queues, and room for the tables.
    private func refuseChangesThatNeedARestart(from old: PolicyDocument, to new: PolicyDocument) throws(AgentError) {
        var refused = PolicyStore.changedForGood(old, new).map { "\($0) cannot change in a running agent" }
        let wanted = Engine.capacity(new.engine.limits)
        if wanted > room {
            refused.append(
                "engine.limits: tcp, udp and icmp are \(wanted) together; the running agent has room for \(room), reserved "
                    + "at its start for the limits of then")
        }
        guard !refused.isEmpty else { return }
        throw AgentError(
            "\(new.files.first ?? path): \(refused.joined(separator: "; ")): restart it (systemctl restart portreeved), or "
                + "take the change back")
    }

    private static func changedForGood(_ old: PolicyDocument, _ new: PolicyDocument) -> [String] {
        let (a, b) = (old.queue, new.queue)
        let fragments = (old.engine.limits.fragmentedDatagrams, new.engine.limits.fragmentedDatagrams)
        return [
            ("queue.numbers", a.numbers == b.numbers), ("queue.family", a.family == b.family),
            ("queue.length", a.length == b.length), ("queue.copy-bytes", a.copy == b.copy),
            ("queue.busy-poll", a.busyPoll == b.busyPoll), ("queue.mark-mask", a.markMask == b.markMask),
            ("engine.limits.fragmented-datagrams", fragments.0 == fragments.1),
        ].filter { !$0.1 }.map(\.0)
    }
}

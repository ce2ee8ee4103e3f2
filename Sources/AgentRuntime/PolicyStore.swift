// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Locking
import PolicyFile
import Synchronization

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
    /// The epoch in force; workers compare it with theirs once a batch.
    let epoch: Atomic<UInt32>

    init(path: String) throws(AgentError) {
        self.path = path
        let policy = try PolicyStore.load(path, epoch: 1)
        standing = Guarded(Standing(policy: policy, loadedAt: Clocks.calendarSeconds()))
        epoch = Atomic(1)
    }

    var current: Policy { standing.withLock { $0.policy } }
    var description: Standing { standing.withLock { $0 } }

    /// Loads the files again. On any error the old policy stays and the error says what is wrong where.
    func reload() throws(AgentError) -> Policy {
        let next = epoch.load(ordering: .relaxed) &+ 1
        let policy: Policy
        do {
            policy = try PolicyStore.load(path, epoch: next)
            try PolicyStore.refuseChangesThatNeedARestart(from: current, to: policy)
        } catch {
            standing.withLock { $0.lastReloadError = error.description }
            throw error
        }
        standing.withLock { $0 = Standing(policy: policy, loadedAt: Clocks.calendarSeconds()) }
        epoch.store(next, ordering: .releasing)
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

    /// Queues, table sizes and the events file are set up once, at start.
    private static func refuseChangesThatNeedARestart(from old: Policy, to new: Policy) throws(AgentError) {
        var changed: [String] = []
        if old.document.queue != new.document.queue { changed.append("queue") }
        if old.document.engine.limits != new.document.engine.limits { changed.append("engine.limits") }
        guard changed.isEmpty else {
            throw AgentError(
                "\(new.document.files.first ?? "the policy"): \(changed.joined(separator: ", ")) cannot change in a "
                    + "running agent; restart it (systemctl restart portreeve), or take the change back")
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import Locking
import PolicyFile

/// The policy in force and its history. Loading happens beside the old one: only a policy that loads, checks and
/// compiles replaces it (docs/design.md 1.6). The main thread changes it, every thread may look.
final class PolicyStore: Sendable {
    struct Standing {
        var policy: Policy
        let digest: String
        /// Seconds since 1970.
        var loadedAt: Int64
        var lastReloadError: String?
        /// Why it is the last policy that was in force and not the one on the disk.
        var fallback: String?
        /// When it is taken back unless it is confirmed, on the clock of `Clocks.sinceBoot`; nil where it is for good.
        var takenBackAt: Int64?

        init(_ policy: Policy, loadedAt: Int64, fallback: String? = nil, takenBackAt: Int64? = nil) {
            self.policy = policy
            digest = PolicyDigest.text(of: policy.document)
            self.loadedAt = loadedAt
            self.fallback = fallback
            self.takenBackAt = takenBackAt
        }
    }

    let path: String
    private let standing: Guarded<Standing>
    private let history = Guarded(RuleHistory())
    /// No epoch comes twice.
    private let lastEpoch: Guarded<UInt32>
    /// The connections that each worker's table can hold.
    private let room: Int

    init(path: String, _ start: StartingPolicy) {
        self.path = path
        standing = Guarded(Standing(start.policy, loadedAt: start.since, fallback: start.fallback))
        lastEpoch = Guarded(start.policy.epoch)
        room = Engine.capacity(start.policy.document.engine.limits)
        history.withLock { $0.register(start.policy) }
    }

    var current: Policy { standing.withLock { $0.policy } }
    var description: Standing { standing.withLock { $0 } }
    /// The rules of this policy and of those before it.
    var rules: RuleHistory { history.withLock { $0 } }

    /// Loads the files again, and changes nothing; or, of a policy that was kept, its lists alone. The copy takes what is read.
    func load(listsOf kept: PolicyCopy? = nil, copyingTo copy: PolicyCopyWriter?) throws(AgentError) -> Policy {
        let document: PolicyDocument
        do {
            document = try (kept?.readWithPresentLists(copyingTo: copy) ?? PolicyFile.read(path, copyingTo: copy)).get()
        } catch {
            throw AgentError("\(error)")
        }
        let policy = try PolicyStore.compile(document, epoch: lastEpoch.withLock { $0 } &+ 1)
        try refuseChangesThatNeedARestart(from: current.document, to: document)
        return policy
    }

    /// The policy that is in force from now on, or until `takenBackAt` unless it is confirmed. The policy of before with other lists
    /// says nothing of the one on the disk: why that is not in force stays.
    func put(inForce policy: Policy, takenBackAt: Int64? = nil, withOtherListsOnly: Bool = false) {
        lastEpoch.withLock { $0 = max($0, policy.epoch) }
        history.withLock { $0.register(policy) }
        let new = Standing(policy, loadedAt: Clocks.calendarSeconds(), takenBackAt: takenBackAt)
        standing.withLock {
            var next = new
            if withOtherListsOnly { (next.fallback, next.lastReloadError) = ($0.fallback, $0.lastReloadError) }
            $0 = next
        }
    }

    /// The circumstances of a policy that is in force again after another.
    func restore(_ earlier: Standing, refused why: String) {
        standing.withLock {
            $0 = earlier
            $0.lastReloadError = why
        }
    }

    func note(refused why: String) { standing.withLock { $0.lastReloadError = why } }

    func noteConfirmed() { standing.withLock { $0.takenBackAt = nil } }

    static func compile(_ document: PolicyDocument, epoch: UInt32) throws(AgentError) -> Policy {
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
            ("queue.numbers", a.numbers == b.numbers), ("queue.flood-numbers", a.floodNumbers == b.floodNumbers),
            ("queue.family", a.family == b.family),
            ("queue.length", a.length == b.length), ("queue.copy-bytes", a.copy == b.copy),
            ("queue.busy-poll", a.busyPoll == b.busyPoll), ("queue.mark-mask", a.markMask == b.markMask),
            ("engine.limits.fragmented-datagrams", fragments.0 == fragments.1),
        ].filter { !$0.1 }.map(\.0)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import FirewallPolicy
import PolicyFile

/// The policy that a start puts in force: the one on the disk, or the last that was in force where that one cannot be taken,
/// for a host without a policy is shut, or open.
struct StartingPolicy {
    let policy: Policy
    /// When it came into force first, in seconds since 1970.
    let since: Int64
    /// Why it is not the one on the disk; nil where it is.
    let fallback: String?
    /// What was read, to be kept once it is in force; nil where it is kept already.
    let copy: PolicyCopyWriter?
    /// Why nothing can be kept.
    let trouble: String?

    /// Chooses.
    ///
    /// - Parameters:
    ///   - keeper: where earlier policies are.
    ///   - sessions: whom no policy is to shut out.
    ///   - scratch: a directory for what is only compared, where nothing is to be kept.
    /// - Throws: why there is no policy to start with.
    init(_ keeper: PolicyKeeper, guarding sessions: SessionGuard, scratch: String? = nil) throws(AgentError) {
        var copy: PolicyCopyWriter?
        var trouble: String?
        do {
            copy = try keeper.begin(in: scratch)
        } catch {
            trouble = "\(keeper.directory): \(error.reason)"
        }
        let kept = keeper.kept
        let onDisk: PolicyDocument
        do {
            onDisk = try PolicyFile.read(keeper.policyPath, copyingTo: copy).get()
        } catch {
            self = try Self.fallingBack(to: kept, because: "\(error)", trouble: trouble)
            return
        }
        let isKept = kept.map { copy?.hasText(of: $0) ?? false } ?? false
        if !isKept, let reason = Self.objection(to: onDisk, copy, keeper, sessions, kept) {
            self = try Self.fallingBack(to: kept, because: reason, trouble: trouble)
            return
        }
        let epoch = kept.map { isKept ? $0.epoch : $0.epoch &+ 1 } ?? 1
        self.init(
            policy: try PolicyStore.compile(onDisk, epoch: epoch),
            since: isKept ? kept?.since ?? 0 : Clocks.calendarSeconds(), fallback: nil, copy: isKept ? nil : copy,
            trouble: trouble)
    }

    private init(policy: Policy, since: Int64, fallback: String?, copy: PolicyCopyWriter?, trouble: String?) {
        self.policy = policy
        self.since = since
        self.fallback = fallback
        self.copy = copy
        self.trouble = trouble
    }

    /// Why a good policy is not taken although it loads; nil where there is no better one either.
    private static func objection(
        to document: PolicyDocument, _ copy: PolicyCopyWriter?, _ keeper: PolicyKeeper, _ sessions: SessionGuard,
        _ kept: PolicyCopy?
    ) -> String? {
        guard let kept else { return nil }
        // Its lists change by themselves. Where nothing but a list was on trial they tell it from the policy that was kept.
        if let unconfirmed = keeper.unconfirmed, unconfirmed.hasFiles(document.files),
            !kept.hasFiles(document.files) || copy?.hasText(of: unconfirmed) == true
        {
            return
                "\(keeper.policyPath): the policy on disk was put in force by \"portreeve reload --confirm\" and not "
                + "confirmed; \"portreeve reload\" puts it in force for good"
        }
        let refusals = sessions.refusals(by: document)
        guard let first = refusals.first, let earlier = kept.read().document,
            sessions.refusals(by: earlier).count < refusals.count
        else { return nil }
        return "\(keeper.policyPath): \(first.sentence); \(first.cure); \"portreeve reload --force\" puts it in force "
            + "all the same"
    }

    /// - Throws: why the policy on the disk is not taken, where there is no other.
    private static func fallingBack(
        to kept: PolicyCopy?, because reason: String, trouble: String?
    ) throws(AgentError) -> StartingPolicy {
        guard let kept else { throw AgentError(reason) }
        let document: PolicyDocument
        do {
            document = try kept.read().get()
        } catch {
            throw AgentError(
                "\(reason)\nand the last policy that was in force (\(kept.path)) does not load either:\n\(error)")
        }
        return StartingPolicy(
            policy: try PolicyStore.compile(document, epoch: kept.epoch), since: kept.since, fallback: reason,
            copy: nil,
            trouble: trouble)
    }
}

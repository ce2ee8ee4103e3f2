// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import FirewallPolicy
import Logging
import PolicyFile

/// A policy that is in force until it is confirmed or taken back.
extension Housekeeper {
    /// Written down before it is in force: whatever ends the agent meanwhile, no start takes this policy from the disk.
    func beginTrial(
        of policy: Policy, for seconds: Int64, _ order: ReloadOrder, _ copy: PolicyCopyWriter?
    ) throws(ReloadRefusal) {
        do throws(FileFault) {
            guard let copy else { throw FileFault("it cannot be written") }
            try keeper.keepUnconfirmed(copy, epoch: policy.epoch, since: Clocks.calendarSeconds())
        } catch {
            throw .faulty(
                AgentError(
                    "nothing was changed: that the policy is on trial cannot be written down (\(keeper.directory): "
                        + "\(error.reason)), and a restart would put it in force"))
        }
        let trial = PendingPolicy(
            previous: policies.description, deadline: PendingPolicy.now + seconds, author: order.author)
        put(inForce: policy, takenBackAt: trial.deadline, askedBy: order.asker)
        pending = trial
    }

    /// Once a second: nobody has confirmed it.
    func endTrial() {
        guard let trial = pending, trial.secondsLeft == 0 else { return }
        pending = nil
        let unconfirmed = policies.current
        put(inForce: trial.previous.policy, askedBy: .endOfTrial)
        let text =
            "\(options.policyPath): the policy of epoch \(unconfirmed.epoch) was not confirmed and is taken back: epoch "
            + "\(trial.previous.policy.epoch) is in force again; \"portreeve reload\" puts the policy on disk in force"
        policies.restore(trial.previous, refused: text)
        logger.warning("\(text)")
        tellReady()
    }

    func confirmTrial(by caller: CallerSession, isForced: Bool) -> ReloadReport {
        let policy = policies.current
        var report = ReloadReport(
            accepted: false, epoch: policy.epoch, files: policy.document.files, diagnostics: [])
        guard let trial = pending else {
            report.diagnostics = ["nothing to keep: no reload --confirm is pending"]
            return report
        }
        guard isForced || trial.author.mayBeConfirmed(by: caller) else {
            report.takenBackIn = trial.secondsLeft
            report.diagnostics = [
                "this is the session that put the policy in force: that it goes on does not show that anybody can still get "
                    + "in; run \"portreeve reload --keep\" from a new SSH session or at the console within "
                    + "\(trial.secondsLeft) s"
            ]
            return report
        }
        pending = nil
        policies.noteConfirmed()
        do {
            try keeper.confirm()
        } catch {
            note(keepingFailed: "\(keeper.keptPath): \(error.reason)")
        }
        report.accepted = true
        return report
    }
}

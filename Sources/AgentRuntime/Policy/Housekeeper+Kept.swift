// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import FirewallEngine
import FirewallPolicy
import Logging
import PacketWire
import PolicyFile

/// What is kept for the next start.
extension Housekeeper {
    func beginCopy() -> PolicyCopyWriter? {
        do {
            return try keeper.begin()
        } catch {
            note(keepingFailed: "\(keeper.directory): \(error.reason)")
            return nil
        }
    }

    /// The policy of this copy is in force for good.
    func keep(_ copy: PolicyCopyWriter?, _ epoch: UInt32, withOtherListsOnly: Bool = false) {
        guard let copy else { return }
        do {
            try keeper.keep(
                copy, epoch: epoch, since: Clocks.calendarSeconds(), withOtherListsOnly: withOtherListsOnly)
            keepingTrouble = nil
        } catch {
            note(keepingFailed: "\(keeper.keptPath): \(error.reason)")
        }
    }

    /// The agent has started with the last policy that was in force.
    func report(fallback why: String) {
        let policy = policies.current
        logger.error("the policy on disk is not in force:\n\(why)")
        let text = "the last policy that was in force, epoch \(policy.epoch), is in force again"
        logger.warning("\(text)")
        var event = Event(
            reason: .fallbackPolicy, action: .notice, instant: Clocks.monotonic(), metadata: PacketMetadata(),
            headers: PacketHeaders())
        event.metadata.hook = .none
        event.policyEpoch = policy.epoch
        let first = why.split(separator: "\n").first.map(String.init) ?? why
        log.report(event, detail: "\(text): \(first)")
    }

    /// Told when it begins; `status` repeats it.
    func note(keepingFailed why: String) {
        let text =
            "the policy in force cannot be kept (\(why)): a start would have nothing to fall back on; make the directory "
            + "writable for the agent's user"
        if keepingTrouble != text { logger.warning("\(text)") }
        keepingTrouble = text
    }
}

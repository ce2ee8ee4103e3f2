// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import FirewallPolicy
import PolicyFile

/// What is known of a host's policy whatever state it is in: commands that help an administrator out of trouble must not
/// themselves need everything to be right.
struct KnownPolicy {
    let document: PolicyDocument
    /// What is wrong, one message each, for standard error; empty where nothing is.
    let troubles: [String]

    /// The policy that the agent has in force; without an agent the one on the disk, the last that was in force, or as much
    /// as can be read.
    static func inForce(_ policy: PolicyOptions, _ control: ControlOptions) -> KnownPolicy {
        var troubles: [String] = []
        let onDisk = PolicyFile.read(policy.path)
        if onDisk.document == nil { troubles.append(complaint(onDisk, policy.path)) }
        let keeper = PolicyKeeper(
            directory: ControlProtocol.stateDirectory(control: control.path), policyPath: policy.path)
        do {
            let reply = try ControlClient(path: control.path, timeoutSeconds: 5).request(.status)
            guard case .status(let report) = reply else { throw control.unexpected() }
            if let fallback = report.policy.fallback, onDisk.document != nil {
                troubles.append("note: the policy on disk is not in force:\n\(fallback)")
            }
            // One of another policy file is asked about the one that is named.
            if report.policy.files.first == policy.path,
                let document = keeper.copy(ofEpoch: report.policy.epoch)?.read().document
            {
                return KnownPolicy(document: document, troubles: troubles)
            }
        } catch let error as ControlError {
            troubles.append("note: \(control.explaining(error))")
        } catch {}
        if let document = onDisk.document { return KnownPolicy(document: document, troubles: troubles) }
        if let kept = keeper.kept, let document = kept.read().document {
            troubles.append("note: instead of it, the last policy that was in force is looked at (epoch \(kept.epoch))")
            return KnownPolicy(document: document, troubles: troubles)
        }
        return KnownPolicy(document: onDisk.attempt, troubles: troubles)
    }

    /// The first of what is wrong with a policy.
    private static func complaint(_ outcome: PolicyFile.Outcome, _ path: String) -> String {
        let errors = outcome.diagnostics.filter { $0.severity == .error }
        let more = errors.count > 1 ? "\n\(errors.count - 1) more: \"portreeve check\" shows them" : ""
        return "note: the policy on disk cannot be put in force:\n\(errors.first?.rendered() ?? path)\(more)"
    }

    func complainOfTroubles() { troubles.forEach { complain($0) } }
}

extension PolicyKeeper {
    /// A policy that is in force, with its epoch: for good or on trial.
    func copy(ofEpoch epoch: UInt32) -> PolicyCopy? {
        [kept, unconfirmed].lazy.compactMap { $0 }.first { $0.epoch == epoch }
    }
}

extension ControlOptions {
    /// An error of the control socket, with what the agent left where it fails to start.
    func explaining(_ error: ControlError) -> String {
        guard case .notRunning = error, let failure = failure else { return "\(error)" }
        return "\(error)\n\(failure.sentence)"
    }

    /// Why the agent is not there, where it fails to start.
    var failure: AgentFailure? { AgentFailure(control: path) }
}

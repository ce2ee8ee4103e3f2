// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import FirewallEngine
import PolicyFile

/// How the agent is started.
package struct AgentOptions: Sendable {
    package var policyPath = "/etc/portreeve/policy.yaml"
    /// Overrides `queue.numbers` of the policy.
    package var queues: ClosedRange<UInt16>?
    package var controlPath = ControlProtocol.defaultPath
    /// Where the last policy in force is kept, if anywhere else than `policyDirectory` says.
    package var stateDirectory: String?
    /// Over restarts, upgrades and boots.
    package var policyDirectory: String { stateDirectory ?? ControlProtocol.stateDirectory(control: controlPath) }
    var keeper: PolicyKeeper { PolicyKeeper(directory: policyDirectory, policyPath: policyPath) }
    /// The connections for the next run, beside the control socket.
    package var statePath: String { directory + "/state" }
    /// What was reported of the queues' losses, for the next run.
    package var lossesPath: String { directory + "/losses" }
    /// How often each rule has decided, beside the last policy in force.
    var ruleCountsPath: String { policyDirectory + "/rule-counts" }
    var startsPath: String { directory + "/starts" }
    private var directory: String {
        guard let slash = controlPath.lastIndex(of: "/") else { return "." }
        return slash == controlPath.startIndex ? "/" : String(controlPath[..<slash])
    }
    package var version = Release.version

    package init() {}

    /// The Unix socket of the metrics lies beside the control socket: metrics.sock beside control.sock.
    var metricsPath: String {
        let slash = controlPath.lastIndex(of: "/")
        let directory = slash.map { controlPath[...$0] } ?? ""
        let name = slash.map { controlPath[controlPath.index(after: $0)...] } ?? controlPath[...]
        return directory + (name == "control.sock" ? "metrics.sock" : "\(name).metrics")
    }
}

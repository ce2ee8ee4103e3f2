// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl

/// How the agent is started.
package struct AgentOptions: Sendable {
    package var policyPath = "/etc/portreeve/policy.yaml"
    /// Overrides `queue.numbers` of the policy.
    package var queues: ClosedRange<UInt16>?
    package var controlPath = "/run/portreeve/control.sock"
    package var version = Release.version

    package init() {}
}

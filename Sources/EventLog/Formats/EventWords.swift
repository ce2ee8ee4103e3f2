// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallEngine
import FirewallPolicy

extension EventAction {
    /// As events say it.
    package var text: String {
        switch self {
        case .deny: "deny"
        case .logOnly: "log-only"
        case .notice: "notice"
        case .observed: "observed"
        case .tapDeny: "tap:deny"
        case .failOpen: "fail-open"
        }
    }
}

extension EventNote {
    /// As events say it; `nil` for none.
    package var text: String? {
        switch self {
        case .none: nil
        case .refusedConnection: "refused connection"
        case .prevFull: "prev-full"
        case .prevPart: "prev-part"
        case .nextFull: "next-full"
        case .nextPart: "next-part"
        case .posture: "anti-evasion"
        case .condemnedDatagram: "condemned datagram"
        case .ipHeader: "ip-header"
        }
    }
}

extension Hook {
    /// As events say it; `nil` where the packet came from no hook.
    package var text: String? {
        switch self {
        case .prerouting: "prerouting"
        case .input: "input"
        case .forward: "forward"
        case .output: "output"
        case .postrouting: "postrouting"
        case .unknown: "unknown"
        case .none: nil
        }
    }
}

extension Direction {
    /// As events say it.
    package var text: String { self == .incoming ? "incoming" : "outgoing" }
}

extension RuleAction {
    /// As policies and events say it.
    var text: String {
        switch self {
        case .bypass: "bypass"
        case .logOnly: "log-only"
        case .forceAllow: "force-allow"
        case .deny: "deny"
        case .allow: "allow"
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallEngine
package import FirewallPolicy

// The words that messages and tables use for the values of other targets; those of policy and events.

extension Mode {
    package var word: String { self == .tap ? "tap" : "inline" }

    init?(word: String) {
        switch word {
        case "inline": self = .inline
        case "tap": self = .tap
        default: return nil
        }
    }
}

extension FailureMode {
    package var word: String { self == .open ? "open" : "closed" }

    init?(word: String) {
        switch word {
        case "closed": self = .closed
        case "open": self = .open
        default: return nil
        }
    }
}

extension Direction {
    package var word: String { self == .incoming ? "incoming" : "outgoing" }

    package init?(word: String) {
        switch word {
        case "incoming": self = .incoming
        case "outgoing": self = .outgoing
        default: return nil
        }
    }
}

extension Hook {
    package var word: String {
        switch self {
        case .prerouting: "prerouting"
        case .input: "input"
        case .forward: "forward"
        case .output: "output"
        case .postrouting: "postrouting"
        case .unknown: "unknown"
        case .none: "none"
        }
    }

    init?(word: String) {
        switch word {
        case "prerouting": self = .prerouting
        case "input": self = .input
        case "forward": self = .forward
        case "output": self = .output
        case "postrouting": self = .postrouting
        case "unknown": self = .unknown
        case "none": self = .none
        default: return nil
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// Whether this network namespace answers SYNs by cookies when its queue of half-open connections is full: what
/// `stateful.tcp.syn-flood` counts on. One switch for IPv4 and IPv6.
package enum SYNCookies: Equatable, Sendable {
    case on
    case off
    /// The kernel does not say: it was built without them, or /proc is not to be read.
    case unknown

    private static let path = "/proc/sys/net/ipv4/tcp_syncookies"

    package static var here: SYNCookies { SYNCookies(ProcFile.text(path)) }

    /// As the kernel writes the switch: 0 never, 1 when the queue is full, 2 always.
    init(_ text: String) {
        switch text.prefix(while: \.isNumber) {
        case "": self = .unknown
        case "0": self = .off
        default: self = .on
        }
    }

    /// What is to be said of a policy that counts on them where they are not to be had.
    package func complaint(_ document: PolicyDocument) -> (text: String, cure: String)? {
        guard document.stateful.tcpEnabled, document.stateful.synFlood.usesCookies else { return nil }
        let use = "stateful.tcp.syn-flood.cookies is on and is not used"
        switch self {
        case .on: return nil
        case .off:
            return (
                "\(use), because net.ipv4.tcp_syncookies is 0 and this host answers no SYN by a cookie",
                "run \"sysctl -w net.ipv4.tcp_syncookies=1\", and keep it in /etc/sysctl.d"
            )
        case .unknown:
            return (
                "\(use), because \(Self.path) does not say whether this host answers SYNs by cookies",
                "see that the kernel has CONFIG_SYN_COOKIES and that /proc/sys is there"
            )
        }
    }
}

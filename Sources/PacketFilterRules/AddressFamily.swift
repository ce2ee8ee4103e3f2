// SPDX-License-Identifier: GPL-3.0-or-later

/// The two families that iptables keeps apart.
package enum AddressFamily: String, CaseIterable, Sendable {
    case ipv4, ipv6

    /// Prefix of the commands: `iptables-save`, `ip6tables-save`.
    package var command: String { self == .ipv4 ? "iptables" : "ip6tables" }

    /// Name of the family in nftables.
    package var nftablesName: String { self == .ipv4 ? "ip" : "ip6" }

    package var title: String { self == .ipv4 ? "IPv4" : "IPv6" }
}

/// The places where Netfilter shows a packet to rules, in the order of its way.
package enum FilterHook: String, CaseIterable, Sendable {
    case prerouting, input, forward, output, postrouting

    /// Name of the built-in chain in iptables.
    package var chain: String { rawValue.uppercased() }

    init?(chain: String) {
        guard let hook = Self.allCases.first(where: { $0.chain == chain }) else { return nil }
        self = hook
    }

    /// Whether one packet can pass both, this one first: it comes in and is for this host, or is forwarded, or begins here.
    /// What loops back over `lo` counts as two packets, one out and one in.
    func canPrecede(_ later: FilterHook) -> Bool {
        switch (self, later) {
        case (.prerouting, .input), (.prerouting, .forward), (.prerouting, .postrouting), (.forward, .postrouting),
            (.output, .postrouting):
            true
        default: false
        }
    }
}

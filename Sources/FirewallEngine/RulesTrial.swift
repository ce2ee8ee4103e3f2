// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// The datagram by which `portreeve iptables --apply` finds out whether the rules feed the agent. It has no hop to live, so
/// it is never sent (RFC 1112 section 6.1), whoever made it; and it is no business of the policy's, which may let nothing out.
public enum RulesTrial {
    /// 239.255.0.0/16 is of local scope (RFC 2365 section 6.1); port 9 discards.
    public static let group = IPAddress(v4: 0xefff_0009)
    public static let port: UInt16 = 9

    static func isOne(_ headers: inout PacketHeaders, _ hook: Hook) -> Bool {
        headers.timeToLive == 0 && hook == .output && headers.transport == .udp && headers.network == .ipv4
            && headers.destination == group && headers.destinationPort == port
    }
}

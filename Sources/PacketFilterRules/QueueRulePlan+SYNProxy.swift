// SPDX-License-Identifier: GPL-3.0-or-later

extension QueueRulePlan {
    /// Rules by which the kernel answers SYNs in the place of computers behind this host: offered, not applied, because they are of
    /// services, of which no policy knows what they take. Lines of comment for a shell; empty where no packet is forwarded.
    ///
    /// They stand before the queue's, so that no SYN of a flood comes to it. The kernel answers by a cookie, and opens a connection
    /// to the computer behind when its ACK has come (iptables-extensions(8), SYNPROXY).
    package var synProxyOffer: [String] {
        guard includesForwarded else { return [] }
        let interfaces = inside.compactMap { Self.pattern($0) }
        guard !interfaces.isEmpty else { return [] }
        let words = """
            SYN cookies of this host are for its own listeners. For computers behind it the kernel's SYNPROXY answers, by rules
            that are not among those above. They take connection tracking for what they protect, and these settings:
              sysctl -w net.netfilter.nf_conntrack_tcp_loose=0 net.ipv4.tcp_syncookies=1 net.ipv4.tcp_timestamps=1
            Put the service's port in the place of 443, and its server's MSS and window scale (ss -ti) in those of --mss and --wscale.
            The kernel then opens each connection to the server by a SYN of its own, which leaves by OUTPUT with the client's address:
            the policy's outgoing rules judge it.
            """
        return words.split(separator: "\n").map { "# \($0)" }
            + AddressFamily.allCases.flatMap { family in
                ["# \(family.command)-restore --noflush <<'END'"]
                    + synProxyRules(interfaces, family).map { "# \($0)" } + ["# END"]
            }
    }

    /// For iptables-restore.
    private func synProxyRules(_ interfaces: [String], _ family: AddressFamily) -> [String] {
        let service = "-p tcp -m tcp --dport 443"
        let mss = family == .ipv4 ? 1460 : 1440
        let untracked = interfaces.map { "-A PREROUTING ! -i \($0) \(service) --syn -j CT --notrack" }
        // Inserted in reverse: the proxy stands first, then what it has left.
        let answered = interfaces.flatMap { name in
            [
                "-I FORWARD -o \(name) \(service) -m conntrack --ctstate INVALID -j DROP",
                "-I FORWARD -o \(name) \(service) -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --sack-perm "
                    + "--timestamp --wscale 7 --mss \(mss)",
            ]
        }
        return ["*raw"] + untracked + ["COMMIT", "*mangle"] + answered + ["COMMIT"]
    }
}

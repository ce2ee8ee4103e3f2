// SPDX-License-Identifier: GPL-3.0-or-later

extension QueueRulePlan {
    /// Rules by which the kernel answers SYNs in the place of computers behind this host: offered, not applied, because they are of
    /// services, of which no policy knows what they take, and take those out of its hands. Lines of comment for a shell; empty where
    /// no packet is forwarded.
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
            The kernel opens each connection to the server by a SYN of its own, in the client's name, and translates numbers for as
            long as it lasts: what the client acknowledges, the server has never sent. No agent can follow that. So all of the service
            is accepted before the queue, checked by connection tracking and by no rule of the policy: add "-s" where not everybody
            is to use it. Then print or apply the rules above again: where connections are tracked they take packets at INPUT.
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
        // Inserted in reverse: the proxy stands first, then what it has left, then the connections that it has opened. What leaves
        // this host with an address that is another's is what the proxy says to both sides.
        let answers = "-p tcp -m tcp --sport 443"
        let isOfProxy = "-m addrtype ! --src-type LOCAL -j ACCEPT"
        let said = interfaces.flatMap { name in
            ["-I OUTPUT -o \(name) \(service) \(isOfProxy)", "-I OUTPUT ! -o \(name) \(answers) \(isOfProxy)"]
        }
        let answered = interfaces.flatMap { name in
            [
                "-I FORWARD -i \(name) \(answers) -m conntrack --ctstate ESTABLISHED -j ACCEPT",
                "-I FORWARD -o \(name) \(service) -j ACCEPT",
                "-I FORWARD -o \(name) \(service) -m conntrack --ctstate INVALID -j DROP",
                "-I FORWARD -o \(name) \(service) -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --sack-perm "
                    + "--timestamp --wscale 7 --mss \(mss)",
            ]
        }
        // The queue's rules for what leaves this host are in either table (`OwnRules`).
        let tables = [("raw", untracked), ("mangle", answered + said), ("security", said)]
        return tables.flatMap { name, rules in ["*\(name)"] + rules + ["COMMIT"] }
    }
}

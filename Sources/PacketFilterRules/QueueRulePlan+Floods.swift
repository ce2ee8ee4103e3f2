// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy

// What can be sent in floods goes to queues of its own (`QueueKind`), told by what rules see of a packet without connection
// tracking.

extension QueueRulePlan {
    /// What takes packets that come in or are forwarded.
    var target: String { queues.separatesFloods ? "-j \(OwnRules.queueChain)" : ownTarget }

    /// What takes this host's own packets: no flood from elsewhere is among them.
    var ownTarget: String { queue(queues.established) }

    private func queue(_ numbers: ClosedRange<UInt16>) -> String {
        let queue =
            numbers.count == 1
            ? "--queue-num \(numbers.lowerBound)" : "--queue-balance \(numbers.lowerBound):\(numbers.upperBound)"
        return "-j NFQUEUE \(queue)" + (bypasses ? " --queue-bypass" : "")
    }

    /// Fragments first: the later ones show no ports or flags.
    func queueRules(_ family: AddressFamily) -> [String] {
        let test = "--rcheck --seconds \(Self.acquaintanceSeconds)"
        let known = ["-p udp \(Self.acquaintance(family, test, "--rsource"))"]
        return rules(to: .fragments, [Self.fragments(family)])
            + rules(to: .openings, ["-p tcp -m tcp --tcp-flags SYN,RST,ACK SYN"])
            + rules(to: .established, known) + rules(to: .datagrams, ["-p udp"]) + [ownTarget]
    }

    private func rules(to kind: QueueKind, _ tests: [String]) -> [String] {
        guard let numbers = queues[kind] else { return [] }
        return tests.map { "\($0) \(queue(numbers))" }
    }

    /// IPv4: more fragments follow, or this is a later one (RFC 791 section 3.1). Every test of a rule is written as iptables
    /// prints it.
    private static func fragments(_ family: AddressFamily) -> String {
        family == .ipv4 ? #"-m u32 --u32 "0x4&0x3fff=0x1:0x3fff""# : "-m frag"
    }

    /// How long a computer to which this host has sent a datagram is one that may answer, or ask again.
    private static let acquaintanceSeconds = 180

    /// Whom this host sends datagrams is remembered by the kernel, the last 100 of each family (xt_recent(8), ip_list_tot).
    func acquaintances(_ family: AddressFamily) -> [String] {
        queues.separatesFloods ? ["-p udp \(Self.acquaintance(family, "--set", "--rdest"))"] : []
    }

    private static func acquaintance(_ family: AddressFamily, _ test: String, _ side: String) -> String {
        let mask = family == .ipv4 ? "255.255.255.255" : "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        return "-m recent \(test) --name \(OwnRules.acquaintances) --mask \(mask) \(side)"
    }
}

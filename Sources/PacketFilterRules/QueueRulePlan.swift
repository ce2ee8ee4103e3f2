// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// Which rules are to feed the queues of a policy.
package struct QueueRulePlan: Hashable, Sendable {
    /// Where packets for this host are taken.
    package enum IncomingHook: String, CaseIterable, Sendable {
        /// Before reassembly, as long as nothing in the network namespace tracks connections.
        case prerouting
        /// After reassembly and address translation.
        case input
    }

    package var incoming: IncomingHook
    package var queues: ClosedRange<UInt16>
    /// Packets pass where nobody reads the queue.
    package var bypasses: Bool
    /// The bit of the packet mark by which the agent's own packets are known; 0 for none.
    package var ownTrafficMark: UInt32
    /// Names or globs of interfaces whose packets do not come to the queue.
    package var ignored: [String]
    /// Forwarded packets come to the queue too.
    package var includesForwarded: Bool

    /// The plan for a policy. Tap implies `failure.engine: open`.
    package init(_ policy: PolicyDocument, incoming: IncomingHook) {
        self.incoming = incoming
        queues = policy.queue.numbers
        bypasses = policy.failure.engine == .open || policy.mode == .tap
        ownTrafficMark = MarkLayout(mask: policy.queue.markMask).ownTraffic
        ignored = policy.interfaces.ignore
        includesForwarded = !policy.interfaces.inside.isEmpty
    }

    /// "queue 0" or "queues 0-3".
    package var queueText: String {
        queues.count == 1 ? "queue \(queues.lowerBound)" : "queues \(queues.lowerBound)-\(queues.upperBound)"
    }

    /// Those of `ignored` that iptables cannot express; their packets come to the queue and the agent passes them.
    package var leftToAgent: [String] { ignored.filter { Self.pattern($0) == nil } }

    /// The interface as iptables writes it: a "*" at the end is a "+" there, other wildcards have no counterpart. Nil too
    /// for what would not survive as one word of a rule, or is longer than an interface name (IFNAMSIZ).
    private static func pattern(_ name: String) -> String? {
        let isGlob = name.hasSuffix("*")
        let stem = isGlob ? String(name.dropLast()) : name
        let plain = stem.utf8.allSatisfy { byte in
            byte > 0x20 && byte < 0x7f && !#"*?[]{}"'\!#"#.utf8.contains(byte)
        }
        // A plain name that ends in "+" would become a wildcard, one that begins with "-" an option.
        guard plain, !stem.hasPrefix("-"), !stem.hasSuffix("+"), stem.utf8.count < 16, isGlob || !stem.isEmpty
        else { return nil }
        return isGlob ? stem + "+" : stem
    }
}

extension QueueRulePlan {
    /// The chains and jumps for one family.
    package func rules(for family: AddressFamily) -> OwnRules {
        var rules = OwnRules()
        let entrance = incoming == .prerouting ? "PREROUTING" : "INPUT"
        rules.chains.append(.init(name: OwnRules.incomingChain, rules: interfaces("-i") + arrivals(family)))
        rules.jumps.append("-A \(entrance) -j \(OwnRules.incomingChain)")
        rules.chains.append(.init(name: OwnRules.outgoingChain, rules: ownTraffic + interfaces("-o") + [target]))
        rules.jumps.append("-A OUTPUT -j \(OwnRules.outgoingChain)")
        if includesForwarded {
            rules.chains.append(.init(name: OwnRules.forwardedChain, rules: interfacePairs + [target]))
            rules.jumps.append("-A FORWARD -j \(OwnRules.forwardedChain)")
        }
        return rules
    }

    private var target: String {
        let queue =
            queues.count == 1
            ? "--queue-num \(queues.lowerBound)" : "--queue-balance \(queues.lowerBound):\(queues.upperBound)"
        return "-j NFQUEUE \(queue)" + (bypasses ? " --queue-bypass" : "")
    }

    /// At PREROUTING forwarded packets pass too, and are not ours there. IPv6 has no broadcast, and there a test for
    /// several types that include MULTICAST is true only where the address is of all of them.
    private func arrivals(_ family: AddressFamily) -> [String] {
        guard incoming == .prerouting else { return [target] }
        let types =
            family == .ipv4 ? ["LOCAL,BROADCAST,MULTICAST,ANYCAST"] : ["LOCAL,ANYCAST", "MULTICAST"]
        return types.map { "-m addrtype --dst-type \($0) \(target)" }
    }

    private var ownTraffic: [String] {
        guard ownTrafficMark != 0 else { return [] }
        let mark = "0x" + String(ownTrafficMark, radix: 16)
        return ["-m mark --mark \(mark)/\(mark) -j RETURN"]
    }

    private func interfaces(_ option: String) -> [String] {
        ignored.compactMap { Self.pattern($0) }.map { "\(option) \($0) -j RETURN" }
    }

    /// A forwarded packet is ignored only where both its interfaces are.
    private var interfacePairs: [String] {
        let patterns = ignored.compactMap { Self.pattern($0) }
        return patterns.flatMap { from in patterns.map { "-i \(from) -o \($0) -j RETURN" } }
    }
}

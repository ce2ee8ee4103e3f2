// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
package import ConnectionTracking
package import FirewallPolicy
import PacketWire
import PolicyFile

/// A rule that would admit what was seen, with the evidence for it.
package struct SuggestedRule: Sendable {
    /// What rules have in common that may become one with several ports.
    struct Group: Hashable, Sendable {
        var action: RuleAction
        var priority: UInt8
        var direction: Direction
        var service: Kind
        var peers: PeerShape
        /// Nil: any address of this host.
        var own: [PeerShape.Entry]?
        var interface: String?
    }

    /// Services that differ in their ports alone are of one kind.
    enum Kind: Hashable, Sendable {
        case tcp, udp
        case icmp(type: UInt8, code: UInt8, isIPv6: Bool)
        case other(UInt8)

        init(_ attempt: Attempt) {
            switch attempt.service {
            case .tcp: self = .tcp
            case .udp: self = .udp
            case .icmp(let type, let code): self = .icmp(type: type, code: code, isIPv6: attempt.isIPv6)
            case .other(let number): self = .other(number)
            }
        }

        var rank: (Int, Int) {
            switch self {
            case .tcp: (0, 0)
            case .udp: (1, 0)
            case .icmp(let type, let code, let isIPv6): (isIPv6 ? 3 : 2, Int(type) << 8 | Int(code))
            case .other(let number): (4, Int(number))
            }
        }

        /// As the policy file names the protocol.
        var word: String {
            switch self {
            case .tcp: "tcp"
            case .udp: "udp"
            case .icmp(_, _, let isIPv6): isIPv6 ? "icmpv6" : "icmp"
            case .other(let number): "\(number)"
            }
        }
    }

    let group: Group
    /// Empty: the service has none.
    package let ports: [ClosedRange<UInt16>]
    package internal(set) var name = ""
    /// What it was made for, in order.
    package internal(set) var attempts: [(attempt: Attempt, tally: AttemptTally)]
    /// What it would admit besides; set once that is known.
    package internal(set) var extent = Extent()

    /// What a rule would admit that neither was seen nor is admitted already.
    package struct Extent: Sendable {
        /// Computers that were not seen, of those that the rule names; nil: it names none, or this was not found out.
        package var peers: UInt128?
        /// Ports that were not seen with anybody.
        package var ports = 0
        /// Pairs of computer and port; nil as for computers.
        package var pairs: UInt128?
        /// Nothing is known: the work was bounded.
        package var isUndecided = false
        /// A packet that it would admit, in words; judged.
        package var example: PacketWords?
    }

    package var action: RuleAction { group.action }
    package var direction: Direction { group.direction }
    package var isForEverybody: Bool { group.peers.isEverybody }
    /// Somebody went on after an answer, or came again over time: who sends in others' names does neither.
    package var hasProof: Bool {
        attempts.contains { $0.tally.outcome(of: $0.attempt.service) >= .completed || $0.tally.isPersistent }
    }
    /// The families of those that it is for.
    package var families: (hasIPv4: Bool, hasIPv6: Bool) { (group.peers.hasIPv4, group.peers.hasIPv6) }

    /// Whether an attempt is one of those that it admits.
    func admits(_ attempt: Attempt) -> Bool {
        guard group.direction == attempt.direction, group.service == Kind(attempt),
            group.interface == nil || group.interface == attempt.interface,
            group.peers.contains(attempt.peer, isIPv6: attempt.isIPv6)
        else { return false }
        if let own = group.own {
            let number = attempt.own.number(isIPv6: attempt.isIPv6)
            guard
                own.contains(where: { $0.isIPv6 == attempt.isIPv6 && $0.set.first <= number && number <= $0.set.last })
            else { return false }
        }
        switch attempt.service {
        case .tcp(let port), .udp(let port): return ports.contains { $0.contains(port) }
        case .icmp, .other: return true
        }
    }

    /// "10.0.0.0/24, 192.0.2.7", or "anybody".
    package var peersText: String { Self.text(group.peers.entries) ?? "anybody" }

    private static func text(_ entries: [PeerShape.Entry]) -> String? {
        guard !entries.isEmpty else { return nil }
        let more = entries.count > 2 ? " and \(entries.count - 2) more" : ""
        return entries.prefix(2).map(\.text).joined(separator: ", ") + more
    }

    package var serviceText: String {
        switch group.service {
        case .tcp, .udp:
            let more = ports.count > 4 ? " and \(ports.count - 4) more" : ""
            return "\(group.service.word) \(ports.prefix(4).map(PortShape.text).joined(separator: ", "))\(more)"
        case .icmp(let type, let code, _): return "\(group.service.word) \(type)/\(code)"
        case .other(let number): return "protocol \(number)"
        }
    }

    /// What it is called where no other rule is.
    var plainName: String {
        let own = Self.text(group.own ?? []).map { " to \($0)" } ?? ""
        let way = group.direction == .incoming ? "from" : "to"
        let ownWay = group.direction == .incoming ? own : own.isEmpty ? "" : " from\(own.dropFirst(3))"
        let place = group.interface.map { " on \($0)" } ?? ""
        return "Suggested: \(serviceText) \(way) \(peersText)\(ownWay)\(place)"
    }

    /// The lines of the rule in a policy file, the first without its dash.
    package var lines: [String] {
        var lines = ["name: \"\(name)\"", "action: \(group.action.word)"]
        if group.priority > 0 { lines.append("priority: \(group.priority)") }
        lines.append("direction: \(group.direction.word)")
        if let frame { lines.append("frame: \(frame)") }
        lines.append("protocol: \(group.service.word)")
        let peers = addresses(group.peers.entries)
        let own = addresses(group.own ?? [])
        let (source, destination) = group.direction == .incoming ? (peers, own) : (own, peers)
        if let source { lines.append("source: { \(source) }") }
        let parts = [destination, portList].compactMap { $0 }
        if !parts.isEmpty { lines.append("destination: { \(parts.joined(separator: ", ")) }") }
        if case .icmp(let type, let code, _) = group.service { lines.append("icmp: { type: \(type), code: \(code) }") }
        if let interface = group.interface { lines.append("interfaces: [\"\(interface)\"]") }
        return lines
    }

    /// Of a family alone, where no address says so.
    private var frame: String? {
        guard group.peers.isEverybody, group.own == nil else { return nil }
        if case .icmp = group.service { return nil }
        switch (group.peers.hasIPv4, group.peers.hasIPv6) {
        case (true, false): return "ipv4"
        case (false, true): return "ipv6"
        default: return nil
        }
    }

    private func addresses(_ entries: [PeerShape.Entry]) -> String? {
        entries.isEmpty ? nil : "addresses: [\(entries.map(\.quoted).joined(separator: ", "))]"
    }

    private var portList: String? {
        ports.isEmpty ? nil : "ports: [\(ports.map(PortShape.text).joined(separator: ", "))]"
    }
}

extension SuggestedRule {
    /// Packets of openers, and openings at least.
    package var packets: UInt64 { attempts.reduce(0) { $0.added($1.tally.packets) } }
    package var openings: UInt64 { attempts.reduce(0) { $0.added($1.tally.openings) } }
    /// Microseconds since 1970.
    package var first: Int64 { attempts.map(\.tally.first).min() ?? 0 }
    package var last: Int64 { attempts.map(\.tally.last).max() ?? 0 }

    /// The other computers, those with the most packets first.
    package var peers: [(text: String, packets: UInt64)] {
        var sums: [String: (IPAddress, Bool, UInt64)] = [:]
        for (attempt, tally) in attempts {
            let text = attempt.peer.description(isIPv6: attempt.isIPv6)
            sums[text] = (attempt.peer, attempt.isIPv6, (sums[text]?.2 ?? 0).added(tally.packets))
        }
        return sums.sorted { a, b in
            if a.value.2 != b.value.2 { return a.value.2 > b.value.2 }
            return a.value.1 != b.value.1 ? b.value.1 : a.value.0 < b.value.0
        }.map { ($0.key, $0.value.2) }
    }
}

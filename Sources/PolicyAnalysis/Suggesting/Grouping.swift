// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// Makes rules of what is wanted. What goes to one service of one action is one rule, for those that were seen to want it; services
/// that the same computers want become one rule with several ports, and computers that offer the same become one with several
/// addresses. Then what others admit is left out, the smallest first, until every rule has something of its own.
struct Grouping {
    private(set) var rules: [SuggestedRule] = []

    private struct Service: Hashable {
        let action: RuleAction
        let priority: UInt8
        let direction: Direction
        let service: Attempt.Service
        /// ICMP has other types for either family.
        let isICMPv6: Bool
        let own: PeerShape.Entry?
        let interface: String?
    }

    /// The ports that rules share, and all else that they have.
    private struct Offer: Hashable {
        var group: SuggestedRule.Group
        let ports: [ClosedRange<UInt16>]
    }

    init(_ needs: [Suggestion.Need], _ policy: Policy, _ options: Suggestion.Options) {
        let tellsOwnApart = options.isExact || !policy.document.interfaces.inside.isEmpty
        var services: [Service: [Suggestion.Seen]] = [:]
        for need in needs {
            let attempt = need.seen.attempt
            let namesOwn = tellsOwnApart || attempt.isToMany && attempt.direction == .incoming
            let own = attempt.own.number(isIPv6: attempt.isIPv6)
            var isICMPv6 = false
            if case .icmp = attempt.service { isICMPv6 = attempt.isIPv6 }
            let service = Service(
                action: need.action, priority: need.priority, direction: attempt.direction, service: attempt.service,
                isICMPv6: isICMPv6,
                own: namesOwn
                    ? PeerShape.Entry(isIPv6: attempt.isIPv6, set: .init(first: own, last: own)) : nil,
                interface: attempt.interface)
            services[service, default: []].append(need.seen)
        }
        rules = Self.offers(services, options).map { offer, seen in
            SuggestedRule(group: offer.group, ports: offer.ports, attempts: seen.sorted { $0.attempt < $1.attempt })
        }
        rules.sort(by: Self.precedes)
        leaveOutCovered()
        nameAll(Set(policy.rules.map(\.name)))
    }

    private static func offers(
        _ services: [Service: [Suggestion.Seen]], _ options: Suggestion.Options
    ) -> [Offer: [Suggestion.Seen]] {
        var groups: [SuggestedRule.Group: (ports: [UInt16], seen: [Suggestion.Seen])] = [:]
        for (service, seen) in services {
            guard let first = seen.first?.attempt else { continue }
            let group = SuggestedRule.Group(
                action: service.action, priority: service.priority, direction: service.direction,
                service: SuggestedRule.Kind(first),
                peers: PeerShape(
                    seen.map { ($0.attempt.peer, $0.attempt.isIPv6) }, networks: options.networks,
                    isExact: options.isExact),
                own: service.own.map { [$0] }, interface: service.interface)
            switch service.service {
            case .tcp(let port), .udp(let port): groups[group, default: ([], [])].ports.append(port)
            case .icmp, .other: break
            }
            groups[group, default: ([], [])].seen += seen
        }
        var offers: [Offer: (own: [PeerShape.Entry], seen: [Suggestion.Seen])] = [:]
        for (group, members) in groups {
            var anyOwn = group
            anyOwn.own = group.own.map { _ in [] }
            let offer = Offer(group: anyOwn, ports: PortShape.ranges(members.ports, isExact: options.isExact))
            offers[offer, default: ([], [])].own += group.own ?? []
            offers[offer, default: ([], [])].seen += members.seen
        }
        return offers.reduce(into: [:]) { result, entry in
            var offer = entry.key
            if offer.group.own != nil { offer.group.own = entry.value.own.sorted() }
            result[offer, default: []] += entry.value.seen
        }
    }

    private static func precedes(_ a: SuggestedRule, _ b: SuggestedRule) -> Bool {
        if a.direction != b.direction { return a.direction == .incoming }
        if a.group.service != b.group.service { return a.group.service.rank < b.group.service.rank }
        guard let first = a.attempts.first?.attempt, let other = b.attempts.first?.attempt else { return false }
        return first < other
    }

    /// A rule all of whose exchanges others admit is none; of these it is the smallest that goes.
    private mutating func leaveOutCovered() {
        let order = rules.indices.sorted { (rules[$0].attempts.count, $0) < (rules[$1].attempts.count, $1) }
        var isKept = rules.map { _ in true }
        for index in order {
            let rule = rules[index]
            let others = rules.indices.filter {
                isKept[$0] && $0 != index && rules[$0].direction == rule.direction
                    && rules[$0].group.service == rule.group.service
                    && rules[$0].group.priority >= rule.group.priority
                    && (rules[$0].action == rule.action || rules[$0].action == .forceAllow)
            }
            guard !others.isEmpty else { continue }
            let homes = rule.attempts.map { seen in others.first { rules[$0].admits(seen.attempt) } }
            guard homes.allSatisfy({ $0 != nil }) else { continue }
            isKept[index] = false
            for (seen, home) in zip(rule.attempts, homes) {
                if let home { rules[home].attempts.append(seen) }
            }
        }
        rules = rules.indices.filter { isKept[$0] }.map { rules[$0] }
        for index in rules.indices { rules[index].attempts.sort { $0.attempt < $1.attempt } }
    }

    /// Rules of one policy have different names.
    private mutating func nameAll(_ taken: Set<String>) {
        var taken = taken
        for index in rules.indices {
            let plain = rules[index].plainName
            var name = plain
            var number = 2
            while !taken.insert(name).inserted {
                name = "\(plain) (\(number))"
                number += 1
            }
            rules[index].name = name
        }
    }
}

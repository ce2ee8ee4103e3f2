// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// Combinations of a rule's keys that no packet can meet or that would be without effect.
extension PolicyDraft {
    func check(_ draft: RuleDraft, _ sink: inout DiagnosticSink) {
        checkAction(draft, &sink)
        checkTransport(draft, &sink)
        checkLink(draft, &sink)
        checkFamilies(draft, &sink)
        checkSender(draft, &sink)
    }

    private func checkAction(_ draft: RuleDraft, _ sink: inout DiagnosticSink) {
        guard !draft.faulty.contains(.action) else { return }
        let rule = draft.rule
        let writesEvents = rule.action == .deny || rule.action == .logOnly
        if rule.action == .allow, rule.priority != 0 {
            sink.error(
                at: draft.place(of: .priority), found: "priority \(rule.priority) of an allow rule", expected: "0",
                suggestion: "force-allow may have every priority")
        }
        if rule.action == .logOnly, rule.priority != 4 {
            sink.error(
                at: draft.place(of: .priority), found: "priority \(rule.priority) of a log-only rule", expected: "4")
        }
        if draft.places[.log] != nil, rule.action == .bypass, !draft.faulty.contains(.log) {
            sink.error(
                at: draft.place(of: .log), found: "log in a rule with action: bypass",
                expected: "log only in other rules: what bypasses is not looked at",
                suggestion: "a log-only rule with the same criteria and another one that allows them")
        }
        if rule.reply != .none, rule.action != .deny {
            sink.error(
                at: draft.place(of: .reply),
                found: "reply: \(rule.reply.word) in a rule with action: \(rule.action.word)",
                expected: "reply only in deny rules: nothing else refuses a packet",
                suggestion: "write action: deny, or leave reply out")
        }
        if rule.reply != .none, use == .queue, document.queue.family == .bridge {
            sink.error(
                at: draft.place(of: .reply), found: "reply: \(rule.reply.word) beside queue.family: bridge",
                expected: "none: a bridge has no address and no route to answer from")
        }
        if rule.rate != nil, !rule.action.admits {
            sink.error(
                at: draft.place(of: .rate), found: "rate in a rule with action: \(rule.action.word)",
                expected: "rate only in allow and force-allow rules: it says how many connections a rule admits",
                suggestion: "to refuse all of them leave rate out")
        }
        if rule.packetData, !writesEvents || !rule.log {
            sink.error(
                at: draft.place(of: .packetData),
                found: "packet-data in a rule that writes no events",
                expected: "packet-data only in deny and log-only rules that do not say log: false")
        }
        checkOffload(draft, &sink)
    }

    private func checkTransport(_ draft: RuleDraft, _ sink: inout DiagnosticSink) {
        guard !draft.faulty.contains(.protocols) else { return }
        let rule = draft.rule
        for (key, criteria) in [(RuleKey.source, rule.source), (.destination, rule.destination)]
        where criteria.ports != nil {
            require(
                draft, key, "\(key.rawValue) ports",
                protocols: [.number(IPProtocol.tcp), .number(IPProtocol.udp), .tcpAndUDP], &sink)
        }
        if rule.rate != nil {
            require(
                draft, .rate, "rate",
                protocols: [
                    .number(IPProtocol.tcp), .number(IPProtocol.udp), .tcpAndUDP, .number(IPProtocol.icmp),
                ], &sink)
            checkState(draft, &sink)
        }
        if rule.flags != nil {
            require(draft, .flags, "flags", protocols: [.number(IPProtocol.tcp)], &sink)
        }
        if rule.icmp != nil {
            require(draft, .icmp, "icmp", protocols: [.number(IPProtocol.icmp), .number(IPProtocol.icmpv6)], &sink)
        }
    }

    /// Where packets are judged by rules alone, none of them opens anything.
    private func checkState(_ draft: RuleDraft, _ sink: inout DiagnosticSink) {
        let (state, protocols) = (document.stateful, draft.rule.protocols?.value)
        let untracked: [(ProtocolMatch, Bool, String)] = [
            (.number(IPProtocol.tcp), state.tcpEnabled, "tcp"), (.number(IPProtocol.udp), state.udpEnabled, "udp"),
            (.number(IPProtocol.icmp), state.icmpEnabled, "icmp"),
            (.tcpAndUDP, state.tcpEnabled, "tcp"), (.tcpAndUDP, state.udpEnabled, "udp"),
        ]
        guard let setting = untracked.first(where: { $0.0 == protocols && !$0.1 })?.2 else { return }
        sink.error(
            at: draft.place(of: .rate), found: "rate beside stateful.\(setting).enabled: false",
            expected: "stateful inspection of \(setting): without it no packet is told from one that opens a connection"
        )
    }

    /// A field of one protocol's header can be tested only where the rule names that protocol.
    private func require(
        _ draft: RuleDraft, _ key: RuleKey, _ name: String, protocols: [ProtocolMatch], _ sink: inout DiagnosticSink
    ) {
        let criterion = draft.rule.protocols
        if let criterion, !criterion.isInverted, protocols.contains(criterion.value) { return }
        let beside =
            switch criterion {
            case nil: "protocol: any"
            case .some(let criterion): "protocol: " + (criterion.isInverted ? "not " : "") + criterion.value.text
            }
        sink.error(
            at: draft.place(of: key), found: "\(name) beside \(beside)",
            expected: "protocol: \(alternatives(protocols.map(\.text)))")
    }

    private func checkLink(_ draft: RuleDraft, _ sink: inout DiagnosticSink) {
        guard use == .queue, document.queue.family == .ip else { return }
        if Families(draft.rule.frame) == .other || draft.rule.frame.value.isOtherThanIP {
            sink.error(
                at: draft.place(of: .frame), found: "frames that are not IP",
                expected: "any, ip, ipv4 or ipv6: others exist only for queue.family: bridge")
        }
        if draft.rule.destination.macs != nil {
            sink.error(
                at: draft.place(of: .destination), found: "a destination MAC address",
                expected: "a rule without it: packets have one only for queue.family: bridge")
        }
        if draft.rule.source.macs != nil, draft.rule.direction == .outgoing, !draft.faulty.contains(.direction) {
            sink.error(
                at: draft.place(of: .source), found: "a source MAC address in an outgoing rule",
                expected: "an incoming one: outgoing packets have none yet, so the rule would never match")
        }
    }

    /// Each criterion leaves some families of frames; together they have to leave one.
    private func checkFamilies(_ draft: RuleDraft, _ sink: inout DiagnosticSink) {
        let frame = draft.rule.frame
        var remaining = Families(frame)
        var beside = "frame: " + (frame.isInverted ? "not " : "") + frame.value.text
        for (key, name, families) in familyCriteria(draft) where !draft.faulty.contains(key) {
            guard remaining.isDisjoint(with: families) else {
                if families != remaining { beside = name }
                remaining.formIntersection(families)
                continue
            }
            sink.error(
                at: draft.place(of: key), found: "\(name) beside \(beside)",
                expected: "criteria that one packet can meet: these leave no family of addresses")
            return
        }
    }

    private func familyCriteria(_ draft: RuleDraft) -> [(key: RuleKey, name: String, families: Families)] {
        var criteria: [(key: RuleKey, name: String, families: Families)] = []
        let rule = draft.rule
        if let protocols = rule.protocols {
            let name = "protocol: " + (protocols.isInverted ? "not " : "") + protocols.value.text
            criteria.append((.protocols, name, Families(protocols)))
        }
        for (key, endpoint) in [(RuleKey.source, rule.source), (.destination, rule.destination)] {
            guard let addresses = endpoint.addresses else { continue }
            let families = Families(document.addressLists[addresses.value].values, isInverted: addresses.isInverted)
            let which = families == .ipv4 ? "of IPv4 only" : families == .ipv6 ? "of IPv6 only" : "that exclude all"
            criteria.append((key, "\(key.rawValue) addresses \(which)", families))
        }
        return criteria
    }
}

extension FrameMatch {
    fileprivate var isOtherThanIP: Bool {
        switch self {
        case .arp, .etherType: true
        case .any, .ip, .ipv4, .ipv6: false
        }
    }
}

/// The kinds of frames that a criterion leaves.
private struct Families: OptionSet {
    var rawValue: UInt8
    init(rawValue: UInt8) { self.rawValue = rawValue }
    static let ipv4 = Families(rawValue: 1)
    static let ipv6 = Families(rawValue: 2)
    /// Not IP.
    static let other = Families(rawValue: 4)
    static let ip: Families = [.ipv4, .ipv6]

    init(_ frame: Criterion<FrameMatch>) {
        let all: Families = [.ipv4, .ipv6, .other]
        switch frame.value {
        case .any: self = frame.isInverted ? [] : all
        case .ip: self = frame.isInverted ? .other : .ip
        case .ipv4: self = frame.isInverted ? [.ipv6, .other] : .ipv4
        case .ipv6: self = frame.isInverted ? [.ipv4, .other] : .ipv6
        // What is not ARP may still be another frame that is not IP.
        case .arp, .etherType: self = frame.isInverted ? all : .other
        }
    }

    /// A protocol is a field of IP packets.
    init(_ protocols: Criterion<ProtocolMatch>) {
        switch protocols.value {
        case .number(IPProtocol.icmp) where !protocols.isInverted: self = .ipv4
        case .number(IPProtocol.icmpv6) where !protocols.isInverted: self = .ipv6
        default: self = .ip
        }
    }

    /// An empty list, as an empty file makes it, is no contradiction.
    init(_ ranges: [AddressRange], isInverted: Bool) {
        self = .ip
        if isInverted {
            if ranges.firstIPv4 == AddressRange(first: IPAddress(v4: 0), last: IPAddress(v4: .max)) { remove(.ipv4) }
            if ranges.first?.first == .zero, ranges.last?.last == .last, ranges.count <= 3,
                ranges.texts.contains("::/0")
            {
                remove(.ipv6)
            }
        } else if !ranges.isEmpty {
            self = []
            if ranges.firstIPv4 != nil { insert(.ipv4) }
            if ranges.first?.isIPv4 == false || ranges.last?.isIPv4 == false { insert(.ipv6) }
        }
    }
}

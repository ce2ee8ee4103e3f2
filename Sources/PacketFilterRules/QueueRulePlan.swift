// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
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

    /// Where packets of this host's own are taken. Both hooks of a pair stand on the same side of every address translation:
    /// mangle OUTPUT sees a destination before nat OUTPUT rewrites it, mangle INPUT the source of its answer before nat INPUT
    /// writes that back.
    package enum OutgoingHook: String, CaseIterable, Sendable {
        /// Beside PREROUTING, where nothing is translated.
        case mangle
        /// Beside INPUT: after nat OUTPUT, and after the filters of others, which are still asked.
        case security
    }

    package var incoming: IncomingHook
    package var outgoing: OutgoingHook
    package var queues: QueueLayout
    /// Packets pass where nobody reads the queue.
    package var bypasses: Bool
    /// The bit by which the agent knows that a packet's destination was translated; 0 for none.
    package var translatedMark: UInt32
    /// Names or globs of interfaces whose packets do not come to the queue.
    package var ignored: [String]
    package var ignoresLoopback: Bool
    /// Forwarded packets come to the queue too.
    package var includesForwarded: Bool
    /// Names or globs of the interfaces through which forwarded packets are outgoing.
    package var inside: [String]
    /// The bits of connection marks by which offloaded flows are known; 0 for a direction that offloads none.
    package var incomingOffloadMark: UInt32
    package var outgoingOffloadMark: UInt32
    /// The only interfaces on which such flows skip the queue: what comes by another one is not the flow that the rule has
    /// seen, whatever addresses it claims. Empty: all.
    package var incomingOffloadInterfaces: [String]
    package var outgoingOffloadInterfaces: [String]

    /// The bits by which units are known, all of them, and those of the policy's units.
    let unitBits: [UInt32]
    package internal(set) var unitMarks: [UnitMark]
    /// The control groups of the units that run.
    package var controlGroups: [String: String] = [:]

    /// Where the program of the fast path has its names; nil: there is none.
    package var fastPathDirectory: String?

    /// The plan for a policy. Tap implies `failure.engine: open`.
    ///
    /// - Parameters:
    ///   - policy: as it is in force.
    ///   - incoming: where packets for this host are taken.
    ///   - outgoing: where its own are; nil: where that goes with `incoming`.
    ///   - hasProgram: whether the program of the fast path can be had, where the policy wants it. Without it connection marks do
    ///     what they can.
    package init(
        _ policy: PolicyDocument, incoming: IncomingHook, outgoing: OutgoingHook? = nil, hasProgram: Bool = true
    ) {
        self.incoming = incoming
        self.outgoing = outgoing ?? (incoming == .prerouting ? .mangle : .security)
        queues = policy.queue.layout
        bypasses = policy.failure.engine == .open || policy.mode == .tap
        let marks = MarkLayout(mask: policy.queue.markMask)
        translatedMark = marks.translated
        let asksProgram = hasProgram && policy.engine.fastPath != .off
        let marked = policy.directionsOffloadedByMarks(besideProgram: asksProgram)
        incomingOffloadMark = marked.contains(.incoming) ? marks.incomingOffload : 0
        outgoingOffloadMark = marked.contains(.outgoing) ? marks.outgoingOffload : 0
        incomingOffloadInterfaces = policy.offloadInterfaces(.incoming)
        outgoingOffloadInterfaces = policy.offloadInterfaces(.outgoing)
        unitBits = marks.units
        unitMarks = policy.unitMarks
        fastPathDirectory = asksProgram ? FastPathMode.directory : nil
        inside = policy.interfaces.inside
        ignored = policy.interfaces.ignore
        ignoresLoopback = policy.interfaces.ignores("lo")
        includesForwarded = !policy.interfaces.inside.isEmpty
    }

    /// "queue 0" or "queues 0-3".
    package static func text(_ queues: ClosedRange<UInt16>) -> String {
        queues.count == 1 ? "queue \(queues.lowerBound)" : "queues \(queues.lowerBound)-\(queues.upperBound)"
    }

    /// Those of `ignored` that iptables cannot express; their packets come to the queue and the agent passes them.
    package var leftToAgent: [String] { ignored.filter { Self.pattern($0) == nil } }

    /// The interface as iptables writes it: a "*" at the end is a "+" there, other wildcards have no counterpart. Nil too
    /// for what would not survive as one word of a rule, or is longer than an interface name (IFNAMSIZ).
    static func pattern(_ name: String) -> String? {
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

extension PolicyDocument {
    /// The names and globs of the only interfaces on which flows are offloaded in a direction; empty where it is all of them.
    /// The rules that offload in one direction agree about it.
    fileprivate func offloadInterfaces(_ direction: Direction) -> [String] {
        rules.first { $0.offload && $0.isEnabled && $0.direction == direction }?.interfaces?.value ?? []
    }
}

extension QueueRulePlan {
    package var rulesets: OwnRulesets {
        OwnRulesets(families: Dictionary(uniqueKeysWithValues: AddressFamily.allCases.map { ($0, rules(for: $0)) }))
    }

    /// The chains and jumps for one family.
    package func rules(for family: AddressFamily) -> OwnRules {
        var rules = OwnRules()
        let incoming = fastPath(family) + interfaces("-i") + acceptingIncoming + arrivals(family)
        // Marks for translated packets are set before anything leaves the chain.
        let isMarking = outgoing == .security
        let outgoing =
            (isMarking ? departures + fastPath(family) : fastPath(family) + departures) + refusals + acceptingOutgoing
            + acquaintances(family) + [ownTarget]
        rules.add(
            .init(name: OwnRules.incomingChain, rules: incoming),
            from: self.incoming == .prerouting ? .prerouting : .input,
            in: OwnRules.mangle)
        rules.add(
            .init(name: OwnRules.outgoingChain, rules: outgoing), from: .output,
            in: self.outgoing == .mangle ? OwnRules.mangle : OwnRules.security)
        if includesForwarded {
            rules.add(
                .init(name: OwnRules.forwardedChain, rules: fastPath(family) + interfacePairs + forwarded),
                from: .forward,
                in: OwnRules.mangle
            )
        }
        addMarks(to: &rules)
        addUnits(to: &rules)
        if queues.separatesFloods {
            rules.add(.init(name: OwnRules.queueChain, rules: queueRules(family)), in: OwnRules.mangle)
        }
        return rules
    }

    /// A packet that comes back from the queue goes on at the next hook; there its mark is saved. Forwarded packets of both
    /// directions leave by POSTROUTING.
    private func addMarks(to rules: inout OwnRules) {
        if incomingOffloadMark != 0 {
            rules.add(
                .init(name: OwnRules.incomingMarksChain, rules: saving(incomingOffloadMark)), from: .input,
                in: incoming == .prerouting ? OwnRules.mangle : OwnRules.filter)
        }
        let leaving = saving(outgoingOffloadMark) + (offloadsForwarded ? saving(incomingOffloadMark) : [])
        guard !leaving.isEmpty else { return }
        rules.add(.init(name: OwnRules.outgoingMarksChain, rules: leaving), from: .postrouting, in: OwnRules.mangle)
    }

    /// A connection's mark keeps the bit of the other direction.
    private func saving(_ mark: UInt32) -> [String] {
        mark == 0 ? [] : ["-m mark --mark \(Self.bit(mark)) -j CONNMARK --set-xmark \(Self.bit(mark))"]
    }

    /// Where connections are tracked, the kernel's own ICMP errors and resets about a packet that opens one and goes no
    /// further (REJECT, a TTL that is used up) share its connection, which is not confirmed then; no queue takes what shares
    /// one, and the kernel drops it (nfnetlink_queue: nf_ct_drop_unconfirmed). So they go past the queue. The first packet of a
    /// connection that a helper expects looks like them but for its status.
    private var refusals: [String] { incoming == .prerouting ? [] : [Self.refusal] }

    /// Our rule that asks for connection tracking, but only where something else has switched it on.
    static let refusal = "-m conntrack --ctstate RELATED ! --ctstatus EXPECTED,CONFIRMED -j RETURN"

    private var acceptingIncoming: [String] { accepting(incomingOffloadMark, "-i", incomingOffloadInterfaces) }
    private var acceptingOutgoing: [String] { accepting(outgoingOffloadMark, "-o", outgoingOffloadInterfaces) }

    /// What a Bypass rule has offloaded in this direction. A conntrack helper's child inherits its parent's mark, and an ICMP
    /// error is RELATED to the connection that it quotes: neither is the flow that the rule has seen.
    private func accepting(_ mark: UInt32, _ option: String, _ interfaces: [String]) -> [String] {
        guard mark != 0 else { return [] }
        let rule =
            "-m connmark --mark \(Self.bit(mark)) -m conntrack --ctstate NEW,ESTABLISHED ! --ctstatus EXPECTED -j RETURN"
        if interfaces.isEmpty { return [rule] }
        return interfaces.compactMap { Self.pattern($0) }.map { "\(option) \($0) \(rule)" }
    }

    private static func bit(_ mark: UInt32) -> String {
        let text = "0x" + String(mark, radix: 16)
        return "\(text)/\(text)"
    }

    /// Where an inside interface cannot be expressed, the direction of a forwarded packet cannot be told before the queue.
    private var offloadsForwarded: Bool {
        includesForwarded && incomingOffloadMark | outgoingOffloadMark != 0
            && inside.allSatisfy { Self.pattern($0) != nil }
    }

    private var forwarded: [String] {
        guard offloadsForwarded else { return [target] }
        let fromInside = inside.compactMap { Self.pattern($0) }.flatMap { name in
            (acceptingOutgoing + [target]).map { "-i \(name) \($0)" }
        }
        return fromInside + acceptingIncoming + [target]
    }

    /// At PREROUTING forwarded packets pass too, and are not ours there. IPv6 has no broadcast, and there a test for
    /// several types that include MULTICAST is true only where the address is of all of them. The types stand in the order in
    /// which iptables prints them, so that rules in place read as they were put there.
    private func arrivals(_ family: AddressFamily) -> [String] {
        guard incoming == .prerouting else { return [target] }
        let types =
            family == .ipv4 ? ["LOCAL,BROADCAST,ANYCAST,MULTICAST"] : ["LOCAL,ANYCAST", "MULTICAST"]
        return types.map { "-m addrtype --dst-type \($0) \(target)" }
    }

    /// What of this host's own packets is ignored. After nat OUTPUT the interface that rules see is still the one that the
    /// packet had before: it says nothing of one whose destination was translated. What goes to this host itself goes by the
    /// loopback, whatever it was sent to.
    private var departures: [String] {
        guard outgoing == .security else { return interfaces("-o") }
        let toItself = ignoresLoopback ? ["-m addrtype --dst-type LOCAL -j RETURN"] : []
        let untranslated = ignored.compactMap { Self.pattern($0) }.map {
            "-o \($0) -m conntrack ! --ctstate DNAT -j RETURN"
        }
        let mark = Self.bit(translatedMark)
        let translated = "-m conntrack --ctstate DNAT --ctdir ORIGINAL -j MARK --set-xmark \(mark)"
        return toItself + untranslated + (translatedMark == 0 ? [] : [translated])
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

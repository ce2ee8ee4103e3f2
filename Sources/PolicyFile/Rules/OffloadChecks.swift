// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

// An offloaded flow is accepted by the kernel, by its connection mark, without another look at its packets. So what
// decides about it must be the same for all of them: nothing in the rule, and nothing in a rule that is asked before it,
// may look at what differs from packet to packet or from hour to hour.

extension PolicyDraft {
    /// What the rule itself says.
    func checkOffload(_ draft: RuleDraft, _ sink: inout DiagnosticSink) {
        let rule = draft.rule
        guard rule.offload else { return }
        guard rule.action == .bypass else {
            return sink.error(
                at: draft.place(of: .offload), found: "offload: true in a rule with action: \(rule.action.word)",
                expected: "offload only in rules with action: bypass")
        }
        if rule.interfaces?.isInverted == true {
            sink.error(
                at: draft.place(of: .offload), found: "offload: true beside interfaces that the rule is not for",
                expected: "false, or the interfaces that it is for: packets of the flow on others come to the queue")
        }
        if let criterion = rule.criterionThatVaries {
            sink.error(
                at: draft.place(of: .offload), found: "offload: true beside \(criterion)",
                expected: "false, or a rule without it: the kernel offloads whole flows")
        }
    }

    /// What the other rules and the settings say.
    func checkOffloads(_ sink: inout DiagnosticSink) {
        for (rule, place) in offloads {
            for other in document.rules {
                guard other.isEnabled, other.direction == rule.direction else { continue }
                if other.offload, other.interfaces != rule.interfaces {
                    sink.error(
                        at: place,
                        found: "offload: true beside that of the rule \(quoted(other.name)) (\(other.position.file):"
                            + "\(other.position.line)) for other interfaces",
                        expected: "the same interfaces: the mark of an offloaded flow says its direction only")
                }
                guard other.priority > rule.priority, document.canOverlap(rule, other),
                    let criterion = other.criterionThatVaries ?? rule.interfacesThatVary(in: other)
                else { continue }
                sink.error(
                    at: place,
                    found: "offload: true below the rule \(quoted(other.name)) (\(other.position.file):"
                        + "\(other.position.line)), which looks at \(criterion)",
                    expected: "false, or a rule of higher priority, or one that shares no packet with that one")
            }
            if document.stateful.fragmentsDenied || document.engine.antiEvasion.fragments.drops {
                sink.error(
                    at: place, found: "offload: true beside fragments: deny",
                    expected: "one of the two: offload needs connection tracking, which reassembles before the check")
            }
        }
    }
}

extension Rule {
    /// The first criterion that is no property of a flow. Log Only is asked of every packet.
    fileprivate var criterionThatVaries: String? {
        if flags != nil { return "flags" }
        if source.macs != nil || destination.macs != nil { return "MAC addresses" }
        if icmp != nil { return "an ICMP type" }
        if schedule != nil { return "a schedule, or until" }
        if !sender.isEmpty { return "a sender" }
        return nil
    }
}

extension Rule {
    /// An offloaded flow may go on by any interface of its rule. Nothing differs where the other rule is for the same ones, or
    /// for none of them.
    fileprivate func interfacesThatVary(in other: Rule) -> String? {
        guard let theirs = other.interfaces, theirs != interfaces else { return nil }
        if let own = interfaces, !own.isInverted, !theirs.isInverted {
            let isPlain = (own.value + theirs.value).allSatisfy { !$0.contains { "*?[".contains($0) } }
            if isPlain, Set(own.value).isDisjoint(with: theirs.value) { return nil }
        }
        return "interfaces"
    }
}

extension PolicyDocument {
    /// Whether one packet may meet both rules; true where that is not plain.
    fileprivate func canOverlap(_ a: Rule, _ b: Rule) -> Bool {
        protocolsOverlap(a, b)
            && addressesOverlap(a.source.addresses, b.source.addresses)
            && addressesOverlap(a.destination.addresses, b.destination.addresses)
            && portsOverlap(a.source.ports, b.source.ports)
            && portsOverlap(a.destination.ports, b.destination.ports)
    }

    private func protocolsOverlap(_ a: Rule, _ b: Rule) -> Bool {
        guard let first = a.protocols, let second = b.protocols, !first.isInverted, !second.isInverted else {
            return true
        }
        switch (first.value, second.value) {
        case (.number(let x), .number(let y)): return x == y
        case (.tcpAndUDP, .number(let x)), (.number(let x), .tcpAndUDP):
            return [IPProtocol.tcp, IPProtocol.udp].contains(x)
        case (.tcpAndUDP, .tcpAndUDP): return true
        }
    }

    private func addressesOverlap(_ a: Criterion<Int>?, _ b: Criterion<Int>?) -> Bool {
        guard let a, let b, !a.isInverted, !b.isInverted else { return true }
        return Self.overlap(addressLists[a.value].values, addressLists[b.value].values) {
            ($0.first, $0.last)
        }
    }

    private func portsOverlap(_ a: Criterion<Int>?, _ b: Criterion<Int>?) -> Bool {
        guard let a, let b, !a.isInverted, !b.isInverted else { return true }
        return Self.overlap(portLists[a.value].values, portLists[b.value].values) { ($0.first, $0.last) }
    }

    /// Whether two sorted lists of disjoint ranges share a value.
    private static func overlap<Range, Bound: Comparable>(
        _ a: [Range], _ b: [Range], _ bounds: (Range) -> (Bound, Bound)
    ) -> Bool {
        var (i, j) = (0, 0)
        while i < a.count, j < b.count {
            let (x, y) = (bounds(a[i]), bounds(b[j]))
            if x.0 <= y.1, y.0 <= x.1 { return true }
            if x.1 < y.1 { i += 1 } else { j += 1 }
        }
        return false
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// What a rule asks of a packet, as far as it helps to prove that two rules can never meet the same packet. What is not
/// understood narrows nothing, so that the proof errs on the side of "they can".
package struct RuleConditions: Hashable, Sendable {
    /// A value that must hold, or must not.
    struct Test<Value: Hashable & Sendable>: Hashable, Sendable {
        var value: Value
        var isInverted = false
    }

    var inInterface: Test<String>?
    var outInterface: Test<String>?
    var protocolName: Test<String>?
    var source: Test<AddressRange>?
    var destination: Test<AddressRange>?
    var sourcePorts: Test<ClosedRange<UInt16>>?
    var destinationPorts: Test<ClosedRange<UInt16>>?
    /// `LOCAL`, `MULTICAST` …; any of them.
    var destinationTypes: Test<Set<String>>?
    /// `NEW`, `ESTABLISHED` …; any of them.
    var trackingStates: Test<Set<String>>?
    /// Whether it asks for nothing at all.
    var isEmpty = true
}

extension RuleConditions {
    /// One option of an iptables rule with its values.
    mutating func add(_ option: String, _ values: [String], isInverted: Bool) {
        if option == "--comment" { return }
        isEmpty = false
        guard let value = values.first else { return }
        switch option {
        case "-i", "--in-interface": inInterface = Test(value: value, isInverted: isInverted)
        case "-o", "--out-interface": outInterface = Test(value: value, isInverted: isInverted)
        case "-p", "--protocol": protocolName = Test(value: value, isInverted: isInverted)
        case "-s", "--source": source = AddressRange(prefix: value).map { Test(value: $0, isInverted: isInverted) }
        case "-d", "--destination":
            destination = AddressRange(prefix: value).map { Test(value: $0, isInverted: isInverted) }
        case "--sport": sourcePorts = Self.ports(value).map { Test(value: $0, isInverted: isInverted) }
        case "--dport": destinationPorts = Self.ports(value).map { Test(value: $0, isInverted: isInverted) }
        case "--dst-type": destinationTypes = Test(value: Self.set(value), isInverted: isInverted)
        case "--ctstate", "--state": trackingStates = Test(value: Self.set(value), isInverted: isInverted)
        default: break
        }
    }

    private static func set(_ text: String) -> Set<String> { Set(text.split(separator: ",").map(String.init)) }

    /// "80" or "8000:8099".
    private static func ports(_ text: String) -> ClosedRange<UInt16>? {
        let ends = text.split(separator: ":", omittingEmptySubsequences: false).map { UInt16($0) }
        guard let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last else { return nil }
        return first...last
    }
}

extension RuleConditions {
    /// Whether no packet can meet both, where neither its addresses nor its ports change in between.
    func excludes(_ other: RuleConditions) -> Bool {
        excludesOnAnyWay(other)
            || Self.exclude(source, other.source) {
                $0.overlaps($1)
            } covers: {
                $0.covers($1)
            }
            || Self.exclude(destination, other.destination) {
                $0.overlaps($1)
            } covers: {
                $0.covers($1)
            }
            || Self.exclude(sourcePorts, other.sourcePorts) {
                $0.overlaps($1)
            } covers: {
                $0.covers($1)
            }
            || Self.exclude(destinationPorts, other.destinationPorts) {
                $0.overlaps($1)
            } covers: {
                $0.covers($1)
            }
    }

    /// Whether no packet can meet both even if NAT rewrites it in between.
    func excludesOnAnyWay(_ other: RuleConditions) -> Bool {
        Self.excludeInterfaces(inInterface, other.inInterface)
            || Self.excludeInterfaces(outInterface, other.outInterface)
            || Self.exclude(protocolName, other.protocolName, overlap: ==, covers: ==)
    }

    /// Whether no connection can have packets that meet this rule on the way in and `outgoing` on the way out.
    func excludesReverse(_ outgoing: RuleConditions) -> Bool {
        Self.excludeInterfaces(inInterface, outgoing.outInterface)
            || Self.exclude(protocolName, outgoing.protocolName, overlap: ==, covers: ==)
            || Self.exclude(source, outgoing.destination) {
                $0.overlaps($1)
            } covers: {
                $0.covers($1)
            }
            || Self.exclude(destination, outgoing.source) {
                $0.overlaps($1)
            } covers: {
                $0.covers($1)
            }
            || Self.exclude(sourcePorts, outgoing.destinationPorts) {
                $0.overlaps($1)
            } covers: {
                $0.covers($1)
            }
            || Self.exclude(destinationPorts, outgoing.sourcePorts) {
                $0.overlaps($1)
            } covers: {
                $0.covers($1)
            }
    }

    private static func exclude<Value>(
        _ a: Test<Value>?, _ b: Test<Value>?, overlap: (Value, Value) -> Bool, covers: (Value, Value) -> Bool
    ) -> Bool {
        guard let a, let b else { return false }
        switch (a.isInverted, b.isInverted) {
        case (false, false): return !overlap(a.value, b.value)
        // "not X" and "Y" exclude each other where all of Y is X.
        case (true, false): return covers(a.value, b.value)
        case (false, true): return covers(b.value, a.value)
        case (true, true): return false
        }
    }

    private static func excludeInterfaces(_ a: Test<String>?, _ b: Test<String>?) -> Bool {
        exclude(a, b) {
            interfacePattern($0, covers: $1) || interfacePattern($1, covers: $0)
        } covers: {
            interfacePattern($0, covers: $1)
        }
    }

    /// Whether every name that `other` matches is matched by `pattern`; a "+" at the end stands for any rest.
    private static func interfacePattern(_ pattern: String, covers other: String) -> Bool {
        guard pattern.hasSuffix("+") else { return pattern == other }
        return other.hasPrefix(pattern.dropLast())
    }
}

extension ClosedRange<UInt16> {
    fileprivate func covers(_ other: ClosedRange<UInt16>) -> Bool {
        lowerBound <= other.lowerBound && other.upperBound <= upperBound
    }
}

extension AddressRange {
    fileprivate func overlaps(_ other: AddressRange) -> Bool { first <= other.last && other.first <= last }

    fileprivate func covers(_ other: AddressRange) -> Bool { first <= other.first && other.last <= last }
}

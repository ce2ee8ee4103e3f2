// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// A policy document written down in a test, without the built-in rules unless a test wants them.
struct PolicySketch {
    var document = PolicyDocument()

    init() {
        document.engine.dhcpAndDNS = .off
        document.engine.pathMTU = false
    }

    static let nowhere = SourcePosition(file: "test.yaml", line: 1, column: 1)

    /// Adds a rule and gives its index.
    @discardableResult
    mutating func rule(
        _ action: RuleAction, priority: UInt8? = nil, _ direction: Direction = .incoming,
        _ criteria: (inout Rule) -> Void = { _ in }
    ) -> Int32 {
        let position = SourcePosition(file: "test.yaml", line: document.rules.count + 1, column: 3)
        var rule = Rule(
            name: "rule \(document.rules.count)", action: action, priority: priority ?? (action == .logOnly ? 4 : 0),
            direction: direction, position: position)
        criteria(&rule)
        document.rules.append(rule)
        return Int32(document.rules.count - 1)
    }

    mutating func addresses(_ ranges: [AddressRange]) -> Int {
        document.addressLists.append(NamedList(name: nil, values: ranges, position: PolicySketch.nowhere))
        return document.addressLists.count - 1
    }

    mutating func ports(_ ranges: ClosedRange<UInt16>...) -> Int {
        let values = ranges.map { PortRange(first: $0.lowerBound, last: $0.upperBound) }
        document.portLists.append(NamedList(name: nil, values: values, position: PolicySketch.nowhere))
        return document.portLists.count - 1
    }

    mutating func macs(_ bits: UInt64...) -> Int {
        let values = bits.map { MACAddress(bits: $0) }
        document.macLists.append(NamedList(name: nil, values: values, position: PolicySketch.nowhere))
        return document.macLists.count - 1
    }

    func policy() throws -> Policy { try Policy(document, epoch: 1) }

    func decide(_ subject: RuleSubject) throws -> RuleDecision { try policy().classify(subject) }

    func outcome(_ subject: RuleSubject) throws -> RuleOutcome { try decide(subject).outcome }
}

extension IPAddress {
    static func v4(_ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: UInt32) -> IPAddress {
        IPAddress(v4: a << 24 | b << 16 | c << 8 | d)
    }
}

extension AddressRange {
    /// The addresses that share the first bits of one; for IPv4 counted as usual.
    static func prefix(_ address: IPAddress, _ length: Int) -> AddressRange {
        let bits = address.isMappedV4 ? length + 96 : length
        let high: UInt64 = bits >= 64 ? 0 : .max >> UInt64(bits)
        let low: UInt64 = bits <= 64 ? .max : bits == 128 ? 0 : .max >> UInt64(bits - 64)
        return AddressRange(
            first: IPAddress(high: address.high & ~high, low: address.low & ~low),
            last: IPAddress(high: address.high | high, low: address.low | low))
    }

    static func single(_ address: IPAddress) -> AddressRange { AddressRange(first: address, last: address) }
}

/// Subjects as tests name them; incoming IPv4 from 198.51.100.7 to 192.0.2.10 unless changed.
extension RuleSubject {
    static func tcp(_ source: UInt16 = 40_000, to destination: UInt16, flags: TCPFlags = .syn) -> RuleSubject {
        var subject = ip(IPProtocol.tcp)
        subject.hasPorts = true
        subject.sourcePort = source
        subject.destinationPort = destination
        subject.hasFlags = true
        subject.flags = flags
        return subject
    }

    static func udp(_ source: UInt16 = 40_000, to destination: UInt16) -> RuleSubject {
        var subject = ip(IPProtocol.udp)
        subject.hasPorts = true
        subject.sourcePort = source
        subject.destinationPort = destination
        return subject
    }

    static func icmp(type: UInt8, code: UInt8 = 0) -> RuleSubject {
        var subject = ip(IPProtocol.icmp)
        subject.hasICMP = true
        subject.icmpType = type
        subject.icmpCode = code
        return subject
    }

    static func icmpv6(type: UInt8, code: UInt8 = 0) -> RuleSubject {
        var subject = ip(IPProtocol.icmpv6).overIPv6
        subject.hasICMP = true
        subject.icmpType = type
        subject.icmpCode = code
        return subject
    }

    static func ip(_ number: UInt8) -> RuleSubject {
        var subject = RuleSubject()
        subject.network = .ipv4
        subject.etherType = 0x0800
        subject.source = .v4(198, 51, 100, 7)
        subject.destination = .v4(192, 0, 2, 10)
        subject.protocolNumber = number
        return subject
    }

    static func frame(_ network: NetworkProtocol, etherType: UInt16) -> RuleSubject {
        var subject = RuleSubject()
        subject.network = network
        subject.etherType = etherType
        return subject
    }

    /// The same from fd00::7 to fd00::10.
    var overIPv6: RuleSubject {
        changed {
            $0.network = .ipv6
            $0.etherType = 0x86dd
            $0.source = IPAddress(high: 0xfd00 << 48, low: 7)
            $0.destination = IPAddress(high: 0xfd00 << 48, low: 0x10)
        }
    }

    /// The same packet as one of its later fragments.
    var laterFragment: RuleSubject {
        changed {
            $0.hasPorts = false
            $0.hasFlags = false
            $0.hasICMP = false
            $0.sourcePort = 0
            $0.destinationPort = 0
            $0.flags = []
            $0.icmpType = 0
            $0.icmpCode = 0
            $0.transportIsUnknown = true
        }
    }

    var outgoing: RuleSubject { changed { $0.direction = .outgoing } }

    func changed(_ change: (inout RuleSubject) -> Void) -> RuleSubject {
        var copy = self
        change(&copy)
        return copy
    }
}

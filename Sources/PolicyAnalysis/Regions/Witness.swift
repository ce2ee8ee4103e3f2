// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallPolicy
package import PacketWire

/// One packet of a region, as an example and as a proof.
package struct Witness: Hashable, Sendable {
    package let direction: Direction
    package let kind: PacketKind
    /// By `Dimension`; 0 where the kind lacks it.
    var numbers: [UInt128]
    package let interface: String
    package let sourceMAC: MACAddress?
    package let destinationMAC: MACAddress?
    package let moment: PacketUniverse.Moment

    subscript(dimension: Dimension) -> UInt128 { numbers[dimension.rawValue] }

    package var source: IPAddress { IPAddress(number: self[.source], of: kind) }
    package var destination: IPAddress { IPAddress(number: self[.destination], of: kind) }
    package var sourcePort: UInt16 { UInt16(self[.sourcePort]) }
    package var destinationPort: UInt16 { UInt16(self[.destinationPort]) }
    package var flags: TCPFlags { TCPFlags(rawValue: UInt8(self[.flags])) }
    package var icmpType: UInt8 { UInt8(self[.icmp] >> 8) }
    package var icmpCode: UInt8 { UInt8(self[.icmp] & 0xff) }
    package var protocolNumber: UInt8 { kind.protocolNumber ?? UInt8(self[.protocolNumber]) }
    package var etherType: UInt16 {
        kind.isIPv4
            ? EtherType.ipv4 : kind.isIPv6 ? EtherType.ipv6 : kind == .arp ? EtherType.arp : UInt16(self[.etherType])
    }

    /// The packet as rules of a policy see it; `place` is that of the policy in the universe.
    package func subject(of policy: Policy, place: Int = 0) -> RuleSubject {
        var subject = RuleSubject()
        subject.direction = direction
        subject.interfacePatterns = policy.traits(ofInterface: interface).patterns
        subject.activeSchedules = moment.activity[place]
        subject.sourceMAC = sourceMAC ?? .none
        subject.destinationMAC = destinationMAC ?? .none
        subject.etherType = etherType
        subject.network = kind.isIPv4 ? .ipv4 : kind.isIPv6 ? .ipv6 : kind == .arp ? .arp : .other
        guard kind.isIP else { return subject }
        subject.source = source
        subject.destination = destination
        subject.protocolNumber = protocolNumber
        subject.hasPorts = kind.isTCP || kind.isUDP
        subject.sourcePort = sourcePort
        subject.destinationPort = destinationPort
        subject.hasFlags = kind.isTCP
        subject.flags = flags
        subject.hasICMP = kind.isICMP
        subject.icmpType = icmpType
        subject.icmpCode = icmpCode
        if kind.isICMP { subject.quotesKnownExchange = self[.quote] == 1 }
        return subject
    }
}

extension Region {
    /// A packet of the region: the one that people would think of first, where it is in it, else one at its edge.
    ///
    /// `variant` chooses among edges. nil: all packets tried go from an address to itself, which are refused before any rule is asked.
    func witness(in universe: PacketUniverse, variant: Int = 0) -> Witness? {
        var numbers = [UInt128](repeating: 0, count: Dimension.allCases.count)
        for dimension in kind.dimensions {
            let set = self[dimension] ?? universe.domain(dimension, of: kind)
            guard let number = set.member(preferring: Self.usual(dimension, kind), variant) else { return nil }
            numbers[dimension.rawValue] = number
        }
        if kind.isIP, numbers[Dimension.source.rawValue] == numbers[Dimension.destination.rawValue] {
            guard let other = otherAddress(than: numbers[Dimension.source.rawValue], universe) else { return nil }
            numbers[other.0.rawValue] = other.1
        }
        return Witness(
            direction: universe.direction, kind: kind, numbers: numbers,
            interface: universe.interfaces[Int(numbers[Dimension.interface.rawValue])],
            sourceMAC: universe.sourceMACs[Int(numbers[Dimension.sourceMAC.rawValue])],
            destinationMAC: universe.destinationMACs[Int(numbers[Dimension.destinationMAC.rawValue])],
            moment: universe.moments[Int(numbers[Dimension.hour.rawValue])])
    }

    /// Whether all its packets go from an address to itself.
    func goesToItself(in universe: PacketUniverse) -> Bool {
        guard kind.isIP, let source = self[.source], let destination = self[.destination] else { return false }
        return source.first == source.last && destination.first == destination.last && source.first == destination.first
    }

    private func otherAddress(than number: UInt128, _ universe: PacketUniverse) -> (Dimension, UInt128)? {
        for dimension in [Dimension.source, .destination] {
            let set = self[dimension] ?? universe.domain(dimension, of: kind)
            if let other = set.subtracting(NumberSet(number...number)).first { return (dimension, other) }
        }
        return nil
    }

    private static func usual(_ dimension: Dimension, _ kind: PacketKind) -> [UInt128] {
        switch dimension {
        case .source: kind.isIPv4 ? [0xc633_6407] : [0xfd00_0000_0000_0002 << 64 | 7]
        case .destination: kind.isIPv4 ? [0xc000_020a] : [0xfd00_0000_0000_0001 << 64 | 0x10]
        case .sourcePort: [40_000]
        case .destinationPort: [443, 80]
        case .flags: [2, 16, 24]
        case .icmp: kind == .icmp4 ? [8 << 8] : [128 << 8]
        case .quote: [1]
        case .protocolNumber: [47, 132]
        case .etherType: [0x88cc]
        case .interface, .hour: [0]
        case .sourceMAC, .destinationMAC: [0]
        }
    }
}

extension NumberSet {
    fileprivate func member(preferring usual: [UInt128], _ variant: Int) -> UInt128? {
        if variant == 0, let preferred = usual.first(where: contains) { return preferred }
        return variant.isMultiple(of: 2) ? first : last
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallPolicy
package import PacketWire

/// Makes policies of many rules with nested prefixes and port ranges, and packets for them, as ClassBench does; the same
/// from the same seed.
package struct RuleSetGenerator {
    private let shape: RuleSetShape
    private let network: NetworkProtocol
    private var random: SeededRandom
    /// Hosts that several rules are about.
    private var hosts: [UInt32] = []
    private var seen: Set<Fields> = []
    private var rules: [Fields] = []

    /// What makes two rules different.
    private struct Fields: Hashable {
        var source: AddressRange
        var destination: AddressRange
        var sourcePort: PortRange?
        var destinationPort: PortRange?
        var number: UInt8?
    }

    package init(_ shape: RuleSetShape, of network: NetworkProtocol = .ipv4, seed: UInt64) {
        self.shape = shape
        self.network = network
        random = SeededRandom(seed: seed)
    }

    /// A policy of so many different incoming rules: a third Allow, the rest Deny and Force Allow of priorities 0 to 3. As
    /// in a policy that makes sense, wide rules rank low: else they would decide alone.
    package mutating func document(rules count: Int) -> PolicyDocument {
        var document = PolicyDocument()
        document.rules.reserveCapacity(count)
        while document.rules.count < count {
            let fields = fields()
            let isUnlimited =
                fields.source == everywhere && fields.destination == everywhere && fields.destinationPort == nil
            guard !isUnlimited, seen.insert(fields).inserted else { continue }
            rules.append(fields)
            document.rules.append(rule(of: fields, number: document.rules.count, &document))
        }
        return document
    }

    private mutating func rule(of fields: Fields, number: Int, _ document: inout PolicyDocument) -> Rule {
        let position = SourcePosition(file: "generated.yaml", line: number + 2, column: 5)
        let action = pick([(RuleAction.allow, 33), (.deny, 50), (.forceAllow, 17)])
        let priority = action == .allow || isWide(fields) ? 0 : UInt8(random.next() % 4)
        var rule = Rule(
            name: "Rule \(number)", action: action, priority: priority, direction: .incoming, position: position)
        func list(_ range: AddressRange) -> Criterion<Int>? {
            if range == everywhere { return nil }
            document.addressLists.append(NamedList(name: nil, values: [range], position: position))
            return Criterion(document.addressLists.count - 1)
        }
        func list(_ range: PortRange?) -> Criterion<Int>? {
            guard let range else { return nil }
            document.portLists.append(NamedList(name: nil, values: [range], position: position))
            return Criterion(document.portLists.count - 1)
        }
        rule.source.addresses = list(fields.source)
        rule.destination.addresses = list(fields.destination)
        rule.source.ports = list(fields.sourcePort)
        rule.destination.ports = list(fields.destinationPort)
        rule.protocols = fields.number.map { Criterion(.number($0)) }
        return rule
    }

    private mutating func fields() -> Fields {
        let number = pick(shape.protocols)
        let hasPorts = number == IPProtocol.tcp || number == IPProtocol.udp
        return Fields(
            source: prefix(pick(shape.sourceLengths)), destination: prefix(pick(shape.destinationLengths)),
            sourcePort: hasPorts ? port(pick(shape.sourcePorts)) : nil,
            destinationPort: hasPorts ? port(pick(shape.destinationPorts)) : nil, number: number)
    }

    /// About everything on one side, and any port.
    private func isWide(_ fields: Fields) -> Bool {
        fields.destinationPort == nil && (fields.source == everywhere || fields.destination == everywhere)
    }

    private mutating func pick<Value>(_ weights: [(value: Value, weight: Int)]) -> Value {
        var rest = Int(random.next() % UInt64(weights.reduce(0) { $0 + $1.weight }))
        for (value, weight) in weights {
            if rest < weight { return value }
            rest -= weight
        }
        return weights[0].value
    }

    // MARK: - Values of fields

    private var everywhere: AddressRange { range(0, length: 0) }

    /// A prefix around a host that is new or known: prefixes nest because hosts are close to one another.
    private mutating func prefix(_ length: Int) -> AddressRange {
        if hosts.isEmpty || random.next() % 3 == 0 { hosts.append(host()) }
        return range(hosts[Int(random.next() % UInt64(hosts.count))], length: length)
    }

    /// A host in one of few networks, of which some are much fuller than others.
    private mutating func host() -> UInt32 {
        let first = 11 + min(random.next() % 40, random.next() % 40)
        let second = min(random.next() % 256, random.next() % 256, random.next() % 256)
        let third = min(random.next() % 256, random.next() % 256)
        return UInt32(first << 24 | second << 16 | third << 8 | random.next() % 256)
    }

    /// For IPv6 the bits follow 2001:db8::/32 as far as /64, and the host is a full address.
    private func range(_ host: UInt32, length: Int) -> AddressRange {
        let mask: UInt32 = length == 0 ? 0 : .max << UInt32(32 - length)
        let first = host & mask
        if network == .ipv4 { return AddressRange(first: IPAddress(v4: first), last: IPAddress(v4: first | ~mask)) }
        if length == 0 { return AddressRange(first: .zero, last: IPAddress(high: .max, low: .max)) }
        let base: UInt64 = 0x2001_0db8_0000_0000
        if length == 32 {
            let address = IPAddress(high: base | UInt64(host), low: 0x10)
            return AddressRange(first: address, last: address)
        }
        return AddressRange(
            first: IPAddress(high: base | UInt64(first), low: 0),
            last: IPAddress(high: base | UInt64(first | ~mask), low: .max))
    }

    private mutating func port(_ kind: RuleSetShape.Port) -> PortRange? {
        switch kind {
        case .any: return nil
        case .well: return PortRange(first: 0, last: 1_023)
        case .high: return PortRange(first: 1_024, last: 65_535)
        case .range:
            let first = UInt16(truncatingIfNeeded: min(random.next() % 50_000, random.next() % 50_000))
            let length = UInt16(truncatingIfNeeded: [1, 5, 30, 100, 1_000, 9_000][Int(random.next() % 6)])
            return PortRange(first: first, last: first + length)
        case .exact:
            let known: [UInt16] = [
                22, 25, 53, 80, 110, 123, 135, 139, 143, 161, 389, 443, 445, 514, 636, 993, 1433, 1521, 3306, 3389,
            ]
            let port = random.next() % 3 == 0 ? 1_024 + UInt16(random.next() % 9_000) : known[Int(random.next() % 20)]
            return PortRange(first: port, last: port)
        }
    }
}

// MARK: - Packets

extension RuleSetGenerator {
    /// Opening packets for the policy made before: most somewhere within one of its rules, every fourth between any two hosts.
    package mutating func subjects(_ count: Int) -> [RuleSubject] {
        (0..<count).map { _ in
            let rule = rules[Int(random.next() % UInt64(rules.count))]
            return random.next() % 4 == 0 ? strayPacket() : packet(within: rule)
        }
    }

    private mutating func packet(within rule: Fields) -> RuleSubject {
        var subject = RuleSubject()
        subject.network = network
        subject.etherType = network == .ipv4 ? EtherType.ipv4 : EtherType.ipv6
        subject.source = address(in: rule.source)
        subject.destination = address(in: rule.destination)
        subject.protocolNumber = rule.number ?? IPProtocol.tcp
        subject.hasFlags = subject.protocolNumber == IPProtocol.tcp
        subject.flags = .syn
        subject.hasPorts = subject.hasFlags || subject.protocolNumber == IPProtocol.udp
        if subject.hasPorts {
            subject.sourcePort = port(in: rule.sourcePort ?? PortRange(first: 32_768, last: 60_999))
            subject.destinationPort = port(in: rule.destinationPort ?? PortRange(first: 0, last: 65_535))
        }
        return subject
    }

    private mutating func strayPacket() -> RuleSubject {
        let source = range(hosts[Int(random.next() % UInt64(hosts.count))], length: 32)
        let destination = range(hosts[Int(random.next() % UInt64(hosts.count))], length: 32)
        let port = port(.exact)
        return packet(
            within: Fields(
                source: source, destination: destination, sourcePort: nil, destinationPort: port, number: IPProtocol.tcp
            ))
    }

    private mutating func address(in range: AddressRange) -> IPAddress {
        let noise = IPAddress(high: random.next(), low: random.next())
        let high = range.first.high ^ range.last.high
        let low = range.first.low ^ range.last.low
        return IPAddress(high: range.first.high | noise.high & high, low: range.first.low | noise.low & low)
    }

    private mutating func port(in range: PortRange) -> UInt16 {
        range.first + UInt16(random.next() % (UInt64(range.last - range.first) + 1))
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import TestSupport

/// Random policies over few values, so that rules overlap, and packets that stand on the edges of their ranges.
struct RandomPolicies {
    private var random: SeededRandom
    private var sketch = PolicySketch()

    static let interfaces = ["eth0", "eth1", "wg0", "br-lan"]
    static let macs: [UInt64] = [0x5254_0000_0001, 0x5254_0000_0002, 0x5254_0000_0003]

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    /// `variety` is how many address and port lists the rules choose from.
    mutating func document(rules: Int, variety: Int) -> PolicyDocument {
        sketch = PolicySketch()
        for _ in 0..<variety {
            _ = sketch.addresses((0..<random.pick([0, 1, 1, 1, 1, 2, 3, 12])).map { _ in addressRange() })
            sketch.document.portLists.append(
                NamedList(
                    name: nil, values: (0..<random.pick([0, 1, 1, 1, 2, 4])).map { _ in portRange() },
                    position: PolicySketch.nowhere))
        }
        for mac in RandomPolicies.macs { _ = sketch.macs(mac) }
        _ = sketch.macs(RandomPolicies.macs[0], RandomPolicies.macs[2])
        let day = [0..<1440]
        for name in ["first", "second"] {
            sketch.document.schedules.append(
                Schedule(
                    name: name, timeZone: .local, weekly: Array(repeating: day, count: 7),
                    position: PolicySketch.nowhere))
        }
        // Each interface pattern has its bit in every policy, so that the oracle can ask for it.
        for _ in 0..<rules { addRule() }
        if random.oneIn(4) {
            sketch.document.engine.dhcpAndDNS = random.pick([.client, .dnsOnly])
            sketch.document.engine.pathMTU = true
        }
        if random.oneIn(4) {
            sketch.document.unmatched.incoming = random.pick([.allow, .deny])
            sketch.document.unmatched.outgoing = random.pick([.byRules, .allow, .deny])
        }
        return sketch.document
    }

    private mutating func addRule() {
        let action = random.pick([
            RuleAction.allow, .allow, .allow, .deny, .deny, .deny, .forceAllow, .bypass, .logOnly,
        ])
        let priority: UInt8 = action == .logOnly ? 4 : action == .allow || random.oneIn(2) ? 0 : random.pick(0...4)
        let direction = random.oneIn(4) ? Direction.outgoing : .incoming
        var rule = Rule(
            name: "r\(sketch.document.rules.count)", action: action, priority: priority, direction: direction,
            position: PolicySketch.nowhere)
        addNetworkCriteria(to: &rule)
        addTransportCriteria(to: &rule)
        if random.oneIn(10) { rule.source.macs = criterion(random.pick(0..<4)) }
        if random.oneIn(20) { rule.destination.macs = criterion(random.pick(0..<4)) }
        if random.oneIn(8) {
            rule.interfaces = criterion(
                random.oneIn(3) ? ["eth0", "wg0"] : [random.pick(RandomPolicies.interfaces)])
        }
        if random.oneIn(10) { rule.schedule = random.pick([0, 1]) }
        if direction == .outgoing, action != .bypass, random.oneIn(3) { rule.sender = sender() }
        rule.isEnabled = !random.oneIn(12)
        sketch.document.rules.append(rule)
    }

    static let users: [UInt32] = [0, 33, 1_000, 1_001]
    static let units = ["web.service", "mail.service", "all.slice"]

    private mutating func sender() -> SenderCriteria {
        var criteria = SenderCriteria()
        func names(_ numbers: [UInt32]) -> [SenderName] { numbers.map { SenderName("\($0)", number: $0) } }
        let users = random.oneIn(2) ? [random.pick(Self.users)] : [0, random.pick(Self.users)]
        if random.oneIn(2) { criteria.users = criterion(names(users)) }
        if random.oneIn(3) { criteria.groups = criterion(names([random.pick(Self.users)])) }
        if random.oneIn(3) { criteria.units = criterion([random.pick(Self.units)]) }
        return criteria
    }

    /// One of those whom the rules name, or of others.
    mutating func sender(for policy: Policy) -> Sender? {
        if random.oneIn(4) { return nil }
        return Sender(
            user: random.pick(Self.users + [7]), group: random.pick(Self.users + [7]),
            units: random.next() & ((1 << UInt64(policy.units.count)) - 1))
    }

    private mutating func addNetworkCriteria(to rule: inout Rule) {
        if random.oneIn(6) {
            rule.frame = criterion(
                random.pick([.any, .ip, .ipv4, .ipv6, .arp, .etherType(0x0800), .etherType(0x88cc)]))
        }
        if !random.oneIn(3) {
            rule.protocols = criterion(
                random.pick([
                    .number(6), .number(6), .number(17), .tcpAndUDP, .number(1), .number(58), .number(47), .number(0),
                ]))
        }
        let lists = sketch.document.addressLists.indices
        if !random.oneIn(3) { rule.source.addresses = criterion(random.pick(lists)) }
        if !random.oneIn(3) { rule.destination.addresses = criterion(random.pick(lists)) }
    }

    private mutating func addTransportCriteria(to rule: inout Rule) {
        let lists = sketch.document.portLists.indices
        if random.oneIn(4) { rule.source.ports = criterion(random.pick(lists)) }
        if random.oneIn(2) { rule.destination.ports = criterion(random.pick(lists)) }
        if random.oneIn(8) {
            rule.flags = criterion(
                random.pick([
                    FlagMatch(tested: .ruleFlags, set: .syn), FlagMatch(tested: [.syn, .ack], set: .syn),
                    FlagMatch(tested: .ruleFlags, set: []), FlagMatch(tested: .ruleFlags, set: [.fin, .psh, .urg]),
                ]))
        }
        if random.oneIn(8) {
            rule.icmp = criterion(
                random.pick([
                    ICMPMatch(type: 8), ICMPMatch(type: 3, code: 4), ICMPMatch(type: 128),
                    ICMPMatch(type: 135, code: 0),
                ]))
        }
    }

    private mutating func criterion<Value: Hashable & Sendable>(_ value: Value) -> Criterion<Value> {
        Criterion(value, isInverted: random.oneIn(5))
    }

    /// Nested prefixes of both families, ranges that are none, IPv6 around the mapped addresses, and the ends of the space.
    private mutating func addressRange() -> AddressRange {
        if random.oneIn(3) {
            let base = IPAddress(high: random.pick([0x2001_0db8_0000_0000, 0xfd00_0000_0000_0001]), low: 0)
            let address = IPAddress(
                high: base.high | random.pick([0, 1, 0x100]), low: random.pick([0, 1, 2, 1 << 40]))
            return .prefix(address, random.pick([0, 16, 32, 48, 56, 63, 64, 65, 104, 127, 128]))
        }
        if random.oneIn(12) { return AddressRange(first: .zero, last: IPAddress(high: 0, low: 0x0001_0000_0000_0000)) }
        let address = IPAddress.v4(
            10, random.pick([0, 1, 128]), random.pick([0, 2, 255]), random.pick([0, 3, 4, 255]))
        if random.oneIn(4) {
            let end = min(UInt64(address.v4) + UInt64(random.pick([1, 5, 300, 70_000])), UInt64(UInt32.max))
            return AddressRange(first: address, last: IPAddress(v4: UInt32(end)))
        }
        return .prefix(address, random.pick([0, 7, 8, 9, 16, 23, 24, 25, 30, 31, 32]))
    }

    private mutating func portRange() -> PortRange {
        let first: UInt16 = random.pick([0, 22, 53, 80, 443, 1024, 6000, 8000, 65_535])
        let last = random.oneIn(2) ? first : max(first, random.pick([53, 1023, 6063, 8099, 49_151, 65_535]))
        return PortRange(first: first, last: last)
    }

    // MARK: - Packets

    /// A packet near the edges of the rules of a policy, with the interface bits that the policy gives it.
    mutating func subject(for policy: Policy) -> RuleSubject {
        var subject = RuleSubject()
        subject.direction = random.oneIn(4) ? .outgoing : .incoming
        if random.oneIn(5) { subject.sourceMAC = MACAddress(bits: random.pick(RandomPolicies.macs)) }
        if random.oneIn(8) { subject.destinationMAC = MACAddress(bits: random.pick(RandomPolicies.macs)) }
        subject.hasInterface = !random.oneIn(10)
        if subject.hasInterface {
            subject.interfacePatterns = policy.traits(ofInterface: random.pick(RandomPolicies.interfaces)).patterns
        }
        subject.activeSchedules = random.next() & 3
        if random.oneIn(25) {
            subject.network = random.oneIn(2) ? .arp : .other
            subject.etherType = subject.network == .arp ? 0x0806 : random.pick([0x88cc, 0x8899])
            return subject
        }
        setAddresses(of: &subject, policy.document)
        setTransport(of: &subject, policy.document)
        if random.oneIn(5) { subject = subject.laterFragment }
        return subject
    }

    private mutating func setAddresses(of subject: inout RuleSubject, _ document: PolicyDocument) {
        subject.source = address(document)
        subject.destination = address(document)
        let areV4 = subject.source.isMappedV4 && subject.destination.isMappedV4
        subject.network = areV4 && !random.oneIn(6) ? .ipv4 : .ipv6
        if !areV4, random.oneIn(2) {
            subject.network = .ipv4
            subject.source = IPAddress(v4: UInt32(truncatingIfNeeded: subject.source.low))
            subject.destination = IPAddress(v4: UInt32(truncatingIfNeeded: subject.destination.low))
        }
        subject.etherType = subject.network == .ipv4 ? 0x0800 : 0x86dd
    }

    /// The first or last of a range of the policy, or a neighbour of these.
    private mutating func address(_ document: PolicyDocument) -> IPAddress {
        let ranges = random.pick(document.addressLists).values
        if ranges.isEmpty { return .v4(10, 0, 0, 3) }
        let range = random.pick(ranges)
        switch random.next() % 4 {
        case 0: return range.first
        case 1: return range.last
        case 2:
            let (low, borrow) = range.first.low.subtractingReportingOverflow(1)
            return IPAddress(high: range.first.high &- (borrow ? 1 : 0), low: low)
        default:
            let (low, carry) = range.last.low.addingReportingOverflow(1)
            return IPAddress(high: range.last.high &+ (carry ? 1 : 0), low: low)
        }
    }

    private mutating func setTransport(of subject: inout RuleSubject, _ document: PolicyDocument) {
        subject.protocolNumber = random.pick([6, 6, 6, 17, 17, 1, 58, 58, 47, 0, 60])
        switch subject.protocolNumber {
        case 6, 17:
            subject.hasPorts = true
            subject.sourcePort = port(document)
            subject.destinationPort = port(document)
            subject.hasFlags = subject.protocolNumber == 6
            if subject.hasFlags { subject.flags = random.pick([.syn, [.syn, .ack], .ack, [], [.fin, .psh, .urg]]) }
        case 1 where subject.network == .ipv4, 58 where subject.network == .ipv6:
            subject.hasICMP = true
            subject.icmpType = random.pick([0, 3, 8, 128, 129, 130, 135, 136, 137, 143])
            subject.icmpCode = random.pick([0, 4])
        default: break
        }
    }

    private mutating func port(_ document: PolicyDocument) -> UInt16 {
        let ranges = random.pick(document.portLists).values
        if ranges.isEmpty { return 443 }
        let range = random.pick(ranges)
        return random.pick([range.first, range.last, range.first &- 1, range.last &+ 1])
    }

    /// A packet of which `fragment` can be a part.
    mutating func completion(of fragment: RuleSubject, _ document: PolicyDocument) -> RuleSubject {
        var whole = fragment
        whole.transportIsUnknown = false
        if fragment.network == .ipv6, [0, 60].contains(fragment.protocolNumber) {
            setTransport(of: &whole, document)
            return whole
        }
        while true {
            var attempt = whole
            setTransport(of: &attempt, document)
            if attempt.protocolNumber == fragment.protocolNumber { return attempt }
        }
    }
}

extension SeededRandom {
    /// True once in `n`.
    mutating func oneIn(_ n: UInt64) -> Bool { next() % n == 0 }

    mutating func pick<Values: RandomAccessCollection>(_ values: Values) -> Values.Element {
        values[values.index(values.startIndex, offsetBy: Int(next() % UInt64(values.count)))]
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallPolicy
import PacketWire
package import PolicyAnalysis
import TestSupport

/// Random policies over a universe of so few packets that all of them can be asked: two bits of each field matter.
package struct TinyPolicies {
    private var random: SeededRandom

    package init(seed: UInt64) { random = SeededRandom(seed: seed) }

    private static let nowhere = SourcePosition(file: "tiny.yaml", line: 1, column: 1)
    private static let addresses: [UInt32] = [0x0a00_0000, 0x0a00_0001, 0x0a00_0002, 0x0a00_0003]
    private static let ports: [UInt16] = [0, 22, 23, 80]
    private static let interfaces = ["eth0", "eth1", "wg0"]
    private static let mac = MACAddress(bits: 0x5254_0000_0001)

    /// Before noon of the second day of 1970 the one schedule holds, and after it not; `policies`: how many are asked at once.
    package static func moments(_ policies: Int = 1) -> [PacketUniverse.Moment] {
        [
            PacketUniverse.Moment(unixTime: 86_400, activity: Array(repeating: 1, count: policies)),
            PacketUniverse.Moment(unixTime: 86_400 + 43_200, activity: Array(repeating: 0, count: policies)),
        ]
    }

    /// Of every other seed all lists are taken for long ones.
    static func longList(_ seed: UInt64) -> Int? { seed % 2 == 0 ? 0 : nil }

    static func check(_ policy: Policy, _ seed: UInt64) -> PolicyCheck {
        PolicyCheck(policy, moments: moments(), longList: longList(seed))
    }

    package mutating func document(rules: Int) -> PolicyDocument {
        var document = PolicyDocument()
        document.engine.dhcpAndDNS = .off
        document.engine.pathMTU = false
        for _ in 0..<5 {
            document.addressLists.append(NamedList(name: nil, values: ranges(), position: Self.nowhere))
            document.portLists.append(NamedList(name: nil, values: portRanges(), position: Self.nowhere))
        }
        document.macLists = [NamedList(name: nil, values: [Self.mac], position: Self.nowhere)]
        let day = [0..<720]
        document.schedules = [
            Schedule(
                name: "mornings", timeZone: .named("UTC"), weekly: Array(repeating: day, count: 7),
                position: Self.nowhere)
        ]
        if random.next() % 3 == 0 { document.unmatched.incoming = random.next() % 2 == 0 ? .deny : .allow }
        if random.next() % 4 == 0 { document.stateful.udpAdmit = .allow }
        if random.next() % 6 == 0 { document.stateful.tcpEnabled = false }
        if random.next() % 8 == 0 {
            document.engine.dhcpAndDNS = .dnsOnly
            document.engine.pathMTU = true
        }
        document.rules = (0..<rules).map { rule($0) }
        return document
    }

    private mutating func pick<Value>(_ values: [Value]) -> Value { values[Int(random.next() % UInt64(values.count))] }

    private mutating func ranges() -> [AddressRange] {
        let bits = random.next() % 16
        return Self.addresses.indices.filter { bits >> UInt64($0) & 1 == 1 }.map { index in
            // The last one stands for all that follow, the first for all before.
            let first = index == 0 ? 0 : Self.addresses[index]
            let last = index == 3 ? UInt32.max : Self.addresses[index]
            return AddressRange(first: IPAddress(v4: first), last: IPAddress(v4: last))
        }
    }

    private mutating func portRanges() -> [PortRange] {
        let bits = random.next() % 16
        return Self.ports.indices.filter { bits >> UInt64($0) & 1 == 1 }.map { index in
            PortRange(
                first: Self.ports[index], last: index == 3 ? .max : Self.ports[index + 1] - 1)
        }
    }

    private mutating func criterion<Value>(_ value: Value) -> Criterion<Value> {
        Criterion(value, isInverted: random.next() % 5 == 0)
    }

    package mutating func rule(_ number: Int) -> Rule {
        let action = pick([RuleAction.allow, .allow, .deny, .deny, .forceAllow, .bypass, .logOnly])
        let priority: UInt8 = action == .logOnly ? 4 : action == .allow ? 0 : pick([0, 0, 1, 2])
        var rule = Rule(
            name: "r\(number)", action: action, priority: priority, direction: pick([.incoming, .incoming, .outgoing]),
            position: SourcePosition(file: "tiny.yaml", line: number + 1, column: 3))
        rule.frame = Criterion(.ipv4)
        if random.next() % 3 != 0 {
            rule.protocols = criterion(pick([.number(6), .number(17), .tcpAndUDP, .number(1), .number(2)]))
        }
        if random.next() % 2 == 0 { rule.source.addresses = criterion(Int(random.next() % 5)) }
        if random.next() % 3 == 0 { rule.destination.addresses = criterion(Int(random.next() % 5)) }
        if random.next() % 2 == 0 { rule.destination.ports = criterion(Int(random.next() % 5)) }
        if random.next() % 5 == 0 { rule.source.ports = criterion(Int(random.next() % 5)) }
        if random.next() % 6 == 0 {
            rule.flags = criterion(
                pick([FlagMatch(tested: .ruleFlags, set: .syn), FlagMatch(tested: .ack, set: .ack)]))
        }
        if random.next() % 8 == 0 { rule.icmp = criterion(pick([ICMPMatch(type: 8), ICMPMatch(type: 3, code: 4)])) }
        if random.next() % 6 == 0 { rule.interfaces = criterion(pick([["eth0"], ["eth*"], ["wg0", "eth1"]])) }
        if random.next() % 10 == 0 { rule.source.macs = criterion(0) }
        if random.next() % 10 == 0 { rule.schedule = 0 }
        if rule.direction == .outgoing, action != .bypass, random.next() % 3 == 0 { rule.sender = sender() }
        rule.isEnabled = random.next() % 12 != 0
        // A rate that no witness is beyond.
        if number % 4 == 3, action.admits, rule.protocols?.isInverted == false, rule.protocols?.value != .number(2) {
            rule.rate = OpeningRate(count: 1_000_000, span: .seconds(1))
        }
        return rule
    }

    private static let users: [UInt32] = [0, 33, 7]
    private static let unit = "web.service"

    private mutating func sender() -> SenderCriteria {
        var criteria = SenderCriteria()
        func names(_ numbers: [UInt32]) -> [SenderName] { numbers.map { SenderName("\($0)", number: $0) } }
        if random.next() % 3 != 0 { criteria.users = criterion(names(pick([[0], [33], [0, 33]]))) }
        if random.next() % 4 == 0 { criteria.groups = criterion(names([0])) }
        if random.next() % 3 == 0 { criteria.units = criterion([Self.unit]) }
        return criteria
    }

    // MARK: - All packets

    /// A packet, and the name of the interface that it is on: each policy has bits of its own for that.
    package struct Packet: Sendable {
        private let interface: String
        private let fields: RuleSubject
        private let sender: NamedSender?

        fileprivate init(_ interface: String, _ fields: RuleSubject, _ sender: NamedSender?) {
            self.interface = interface
            self.fields = fields
            self.sender = sender
        }

        package func subject(of policy: Policy) -> RuleSubject {
            var subject = fields
            subject.interfacePatterns = policy.traits(ofInterface: interface).patterns
            subject.senders = sender?.bits(in: policy) ?? 0
            return subject
        }
    }

    /// Every packet of one direction that rules of a policy can tell from others: addresses and ports are the ends of the ranges above,
    /// of which its lists are made. Fields that none of its rules asks for have one value.
    package static func packets(_ document: PolicyDocument, _ direction: Direction) -> [Packet] {
        let rules = document.rules
        let named = rules.contains { $0.interfaces != nil } ? interfaces + ["eth9", "other"] : ["other"]
        let hours: [UInt64] = rules.contains { $0.schedule != nil } ? [0, 1] : [0]
        // The kernel names no source address of what this host sends itself.
        let hasMACs = direction == .incoming && rules.contains { $0.source.macs != nil }
        let macs: [MACAddress] = hasMACs ? [.none, mac, MACAddress(bits: 2)] : [.none]
        let senders = direction == .outgoing ? senders(rules) : [nil]
        let transports = transports(document)
        var packets: [Packet] = []
        for (source, destination) in pairs {
            for base in transports {
                for (hour, mac) in hours.flatMap({ hour in macs.map { (hour, $0) } }) {
                    var subject = base
                    subject.direction = direction
                    subject.source = IPAddress(v4: source)
                    subject.destination = IPAddress(v4: destination)
                    subject.activeSchedules = hour
                    subject.sourceMAC = mac
                    for sender in senders { packets += named.map { Packet($0, subject, sender) } }
                }
            }
        }
        return packets
    }

    /// Nobody, and one for each way in which the rules tell senders apart.
    private static func senders(_ rules: [Rule]) -> [NamedSender?] {
        guard rules.contains(where: { !$0.sender.isEmpty }) else { return [nil] }
        let groups: [UInt32] = rules.contains { $0.sender.groups != nil } ? [0, 7] : [7]
        let units: [Set<String>] = rules.contains { $0.sender.units != nil } ? [[], [unit]] : [[]]
        return [nil]
            + users.flatMap { user in
                groups.flatMap { group in units.map { NamedSender(user: user, group: group, units: $0) } }
            }
    }

    /// Of the first and the last range there are two addresses each, so that a packet can go from one to another of the same.
    private static let pairs: [(UInt32, UInt32)] = {
        var pairs: [(UInt32, UInt32)] = [(0x0a00_0000, 0x0900_0000), (0x0a00_0003, 0x0b00_0000)]
        for source in addresses { pairs += addresses.filter { $0 != source }.map { (source, $0) } }
        return pairs
    }()

    private static func transports(_ document: PolicyDocument) -> [RuleSubject] {
        let sourcePorts = document.rules.contains { $0.source.ports != nil } ? ports : [40_000]
        var base = RuleSubject()
        base.network = .ipv4
        base.etherType = 0x0800
        var subjects: [RuleSubject] = []
        for (sourcePort, destinationPort) in sourcePorts.flatMap({ port in (ports + [53]).map { (port, $0) } }) {
            for (number, flags) in [(6, TCPFlags.syn), (6, .ack), (6, .syn | .psh), (17, TCPFlags())]
                as [(UInt8, TCPFlags)]
            {
                var subject = base
                subject.protocolNumber = number
                subject.hasPorts = true
                subject.hasFlags = number == 6
                subject.flags = flags
                subject.sourcePort = sourcePort
                subject.destinationPort = destinationPort
                subjects.append(subject)
            }
        }
        for (type, code, isKnown) in [(8, 0, true), (3, 4, true), (3, 4, false), (3, 1, true)] as [(UInt8, UInt8, Bool)]
        {
            var subject = base
            subject.protocolNumber = 1
            subject.hasICMP = true
            subject.icmpType = type
            subject.icmpCode = code
            subject.quotesKnownExchange = isKnown
            subjects.append(subject)
        }
        for number in [2, 47] as [UInt8] {
            var subject = base
            subject.protocolNumber = number
            subjects.append(subject)
        }
        return subjects
    }
}

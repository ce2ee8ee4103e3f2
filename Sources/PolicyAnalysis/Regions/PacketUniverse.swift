// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
import FirewallPolicy
import PacketWire

/// All packets of one direction that policies can be asked about, as far as their rules can tell them apart.
///
/// Interfaces, MAC addresses and moments are not numbered in themselves. Here each is a place in a table with one row for those
/// that no rule of the policies tells apart: interface names by the patterns that they match, MAC addresses by the lists that they
/// are in, moments by the schedules that hold. The first row of the MAC tables is for packets without one, which no criterion
/// matches.
package struct PacketUniverse: Sendable {
    package let direction: Direction
    /// One for each set of patterns that a name can match.
    private(set) var interfaces: [InterfaceNames.Place] = []
    /// nil: none.
    private(set) var sourceMACs: [MACAddress?] = [nil]
    private(set) var destinationMACs: [MACAddress?] = [nil]
    package let moments: [Moment]
    /// nil: none.
    let senders: [NamedSender?]
    /// By which rules and interfaces.ignore name interfaces.
    private let patterns: [InterfaceGlob]
    let kinds: [PacketKind]
    /// The place of the loopback interface, where it is judged.
    let loopback: UInt128?
    /// Elsewhere no packet gets to the rules that goes from an address to itself.
    let refusesSameAddresses: Bool
    private let refusesZeroPayload: Bool
    /// By `PacketKind`, of those of IP.
    private var addresses: [AddressDomain] = []
    /// By `PacketKind` and `Dimension`, with their sizes and with what is outside of them.
    private var domains: [[(set: NumberSet, size: Double, outside: NumberSet)]] = []
    /// By `PacketKind`: what is refused before any rule is asked.
    private(set) var refusals: [[Region]] = []
    /// Of the policies; nil: long lists are sets of addresses as others are.
    let listClasses: ListClasses?

    /// A time at which schedules hold, by policy.
    package struct Moment: Hashable, Sendable {
        package var unixTime: Int64
        /// `Policy.scheduleActivity` of each of the policies.
        package var activity: [UInt64]

        package init(unixTime: Int64, activity: [UInt64]) {
            self.unixTime = unixTime
            self.activity = activity
        }
    }

    /// Nil where the rules name interfaces by so many patterns that what names can match was not found out, or so many senders.
    init?(_ policies: [Policy], _ direction: Direction, moments: [Moment], _ listClasses: ListClasses? = nil) {
        self.direction = direction
        self.listClasses = listClasses
        self.moments = moments.isEmpty ? [Moment(unixTime: 0, activity: policies.map { _ in 0 })] : moments
        let documents = policies.map(\.document)
        let isBridge = documents.contains { $0.queue.family == .bridge }
        let hasIPv6 = !documents.contains { $0.engine.sanity.blockIPv6 }
        let rules = direction == .outgoing ? documents.flatMap(\.rules) : []
        guard let places = InterfaceNames.all(documents, direction), let senders = SenderClasses.all(rules) else {
            return nil
        }
        self.senders = senders
        interfaces = places
        loopback = places.firstIndex { $0.name == "lo" }.map { UInt128($0) }
        let texts = documents.flatMap { $0.interfaces.ignore + $0.rules.flatMap { $0.interfaces?.value ?? [] } }
        patterns = Set(texts).sorted().map { InterfaceGlob($0) }
        refusesZeroPayload = documents.contains(where: \.engine.sanity.dropZeroPayload)
        refusesSameAddresses = documents.contains { $0.engine.sanity.blockSameSourceDestination }
        kinds = PacketKind.allCases.filter {
            !places.isEmpty && (isBridge || $0.isIP) && (hasIPv6 || !$0.isIPv6)
        }
        addresses = PacketKind.allCases.filter(\.isIP).map { AddressDomain($0, direction, documents) }
        let lists = documents.flatMap { $0.macLists.map(\.values) }
        if direction == .incoming || isBridge { sourceMACs += Self.distinct(lists) }
        if isBridge { destinationMACs += Self.distinct(lists) }
        for kind in PacketKind.allCases {
            let sets = Dimension.allCases.map { kind.dimensions.contains($0) ? makeDomain($0, of: kind) : .empty }
            let everything = NumberSet(0...UInt128.max)
            domains.append(sets.map { ($0, $0.size, everything.subtracting($0)) })
        }
        refusals = PacketKind.allCases.map { refusals(of: $0, documents.map(\.engine.sanity)) }
    }

    /// An address for each combination of lists, and one that is in none.
    private static func distinct(_ lists: [[MACAddress]]) -> [MACAddress?] {
        let sets = lists.map(Set.init)
        let listed = Set(lists.joined())
        var known: Set<[Bool]> = [sets.map { _ in false }]
        var addresses: [MACAddress?] = [Self.unlisted(listed)]
        for address in listed.sorted(by: { $0.bits < $1.bits })
        where known.insert(sets.map { $0.contains(address) }).inserted {
            addresses.append(address)
        }
        return addresses
    }

    /// Locally administered (IEEE 802), and in no list.
    private static func unlisted(_ listed: Set<MACAddress>) -> MACAddress {
        var bits: UInt64 = 0x0200_5e00_5300
        while listed.contains(MACAddress(bits: bits)) { bits += 1 }
        return MACAddress(bits: bits)
    }

    /// All that a field can be.
    func domain(_ dimension: Dimension, of kind: PacketKind) -> NumberSet {
        domains[kind.rawValue][dimension.rawValue].set
    }

    /// Whether any of these is no value of a field.
    func isOutside(_ set: NumberSet, _ dimension: Dimension, of kind: PacketKind) -> Bool {
        domains[kind.rawValue][dimension.rawValue].outside.intersects(set)
    }

    func domainSize(_ dimension: Dimension, of kind: PacketKind) -> Double {
        domains[kind.rawValue][dimension.rawValue].size
    }

    private func makeDomain(_ dimension: Dimension, of kind: PacketKind) -> NumberSet {
        switch dimension {
        case .source, .destination: addressDomain(dimension, of: kind)
        case .sourcePort, .destinationPort: NumberSet(0...0xffff)
        case .icmp:
            switch kind {
            case .icmp4: NumberSet(0...0xffff)
            case .discovery6: Self.discovery
            default: NumberSet(0...0xffff).subtracting(Self.discovery)
            }
        case .flags: NumberSet(0...63)
        case .quote: NumberSet(0...1)
        case .protocolNumber: kind == .other4 ? Self.otherProtocols4 : otherProtocols6
        case .etherType: Self.otherEtherTypes
        case .interface: NumberSet(members: Array(interfaces.indices))
        case .sourceMAC: NumberSet(0...UInt128(sourceMACs.count - 1))
        case .destinationMAC: NumberSet(0...UInt128(destinationMACs.count - 1))
        case .hour: NumberSet(0...UInt128(moments.count - 1))
        case .sender: NumberSet(0...UInt128(senders.count - 1))
        case .sourceClass, .destinationClass: NumberSet(0...UInt128((listClasses?.classes(of: kind)?.count ?? 1) - 1))
        }
    }

    private func addressDomain(_ dimension: Dimension, of kind: PacketKind) -> NumberSet {
        let domain = addresses[kind.rawValue]
        let whole = dimension == .source ? domain.source : domain.destination
        return loopback == nil ? whole.subtracting(refused(dimension, of: kind)) : whole
    }

    /// Whether the rules tell an interface of this name apart from that of a row.
    func isAlike(_ name: String, _ row: Int) -> Bool {
        let place = interfaces[row]
        return place.other == nil && patterns.allSatisfy { $0.matches(name) == $0.matches(place.name) }
            && (name == "lo") == (place.name == "lo")
    }

    /// The addresses that are refused before any rule is asked, but on a loopback interface.
    func refused(_ dimension: Dimension, of kind: PacketKind) -> NumberSet {
        let domain = addresses[kind.rawValue]
        return dimension == .source ? domain.refusedSource : domain.refusedDestination
    }

    /// Types 130 to 136 and 143 (RFC 2710, RFC 3810, RFC 4861).
    private static let discovery = NumberSet([
        .init(first: 130 << 8, last: 136 << 8 | 255), .init(first: 143 << 8, last: 143 << 8 | 255),
    ])
    private static let otherProtocols4 = NumberSet(0...255).subtracting(NumberSet(members: [1, 6, 17]))
    /// Extension headers are no protocol of a packet (RFC 8200 section 4), and after "no next header" there is no payload.
    private var otherProtocols6: NumberSet {
        NumberSet(0...255).subtracting(
            NumberSet(members: [0, 6, 17, 43, 44, 51, 58, 60] + (refusesZeroPayload ? [59] : [])))
    }
    /// Nor is a VLAN tag what a frame carries.
    private static let otherEtherTypes = NumberSet(0x0600...0xffff)
        .subtracting(NumberSet(members: [0x0800, 0x0806, 0x86dd]))
        .subtracting(NumberSet(members: (0x0600...0xffff).filter { EtherType.isVLAN(UInt16($0)) }))
}

// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// A rule in the form that is asked per packet: stored fields only, no text, no reference.
///
/// `tests` says which criteria exist; a field of a criterion that does not exist is never read. An address criterion
/// that is one IPv4 range and a port criterion that is one range stand here themselves (`…List` is -1), others in
/// `RuleLists`.
struct CompiledRule: Sendable, BitwiseCopyable {
    var tests: Tests
    /// A bit for each `NetworkProtocol` that the frame criterion accepts.
    var networks: UInt8
    var action: RuleAction
    var priority: UInt8
    /// Index into `Policy.schedules`, or `always`.
    var schedule: UInt8 = CompiledRule.always
    /// The number of its bit in `RuleSubject.senders`.
    var sender: UInt8 = 0
    var etherType: UInt16 = 0
    /// Either of two, which are the same but for `tcp+udp`.
    var protocolNumber: UInt8 = 0
    var otherProtocolNumber: UInt8 = 0
    var sourceV4 = (first: UInt32(0), last: UInt32(0))
    var destinationV4 = (first: UInt32(0), last: UInt32(0))
    var sourceAddressList: Int32 = -1
    var destinationAddressList: Int32 = -1
    var sourcePort = (first: UInt16(0), last: UInt16(0))
    var destinationPort = (first: UInt16(0), last: UInt16(0))
    var sourcePortList: Int32 = -1
    var destinationPortList: Int32 = -1
    var sourceMACList: Int32 = -1
    var destinationMACList: Int32 = -1
    var flagsTested: UInt8 = 0
    var flagsSet: UInt8 = 0
    var icmpType: UInt8 = 0
    var icmpCode: UInt8 = 0
    /// Index into `Policy.rules`.
    var index: Int32
    /// Bits of `InterfacePatterns`.
    var interfaces: UInt64 = 0

    static let always: UInt8 = 255
}

extension CompiledRule {
    /// The criteria that a rule has, each with whether `not` inverts it, and two properties of the whole.
    struct Tests: OptionSet, Sendable, BitwiseCopyable {
        let rawValue: UInt32

        static let etherType = Tests(rawValue: 1 << 0)
        static let etherTypeInverted = Tests(rawValue: 1 << 1)
        static let protocols = Tests(rawValue: 1 << 2)
        static let protocolsInverted = Tests(rawValue: 1 << 3)
        static let sourceAddresses = Tests(rawValue: 1 << 4)
        static let sourceAddressesInverted = Tests(rawValue: 1 << 5)
        static let destinationAddresses = Tests(rawValue: 1 << 6)
        static let destinationAddressesInverted = Tests(rawValue: 1 << 7)
        static let sourcePorts = Tests(rawValue: 1 << 8)
        static let sourcePortsInverted = Tests(rawValue: 1 << 9)
        static let destinationPorts = Tests(rawValue: 1 << 10)
        static let destinationPortsInverted = Tests(rawValue: 1 << 11)
        static let sourceMACs = Tests(rawValue: 1 << 12)
        static let sourceMACsInverted = Tests(rawValue: 1 << 13)
        static let destinationMACs = Tests(rawValue: 1 << 14)
        static let destinationMACsInverted = Tests(rawValue: 1 << 15)
        static let flags = Tests(rawValue: 1 << 16)
        static let flagsInverted = Tests(rawValue: 1 << 17)
        static let icmp = Tests(rawValue: 1 << 18)
        static let icmpCode = Tests(rawValue: 1 << 19)
        static let icmpInverted = Tests(rawValue: 1 << 20)
        static let interfaces = Tests(rawValue: 1 << 21)
        static let interfacesInverted = Tests(rawValue: 1 << 22)
        /// A Deny rule that does not name `icmpv6`, and so does not stop neighbour discovery.
        static let sparesNeighbourDiscovery = Tests(rawValue: 1 << 23)
        /// A Deny rule that does not name `igmp`, and so does not stop it.
        static let sparesGroupMembership = Tests(rawValue: 1 << 24)

        /// A rule for ICMP errors that quote a packet of a known exchange.
        static let knownQuote = Tests(rawValue: 1 << 25)
        static let builtIn = Tests(rawValue: 1 << 26)
        static let sender = Tests(rawValue: 1 << 27)

        static let ports: Tests = [.sourcePorts, .destinationPorts]
        /// Criteria on fields that a later fragment does not have.
        static let transport: Tests = [.sourcePorts, .destinationPorts, .flags, .icmp]
        static let addresses: Tests = [.sourceAddresses, .destinationAddresses]
        /// Criteria that few rules have.
        static let rare: Tests = [.etherType, .sourceMACs, .destinationMACs, .flags, .icmp, .interfaces, .sender]
    }
}

extension CompiledRule {
    /// What of a rule a later fragment can be held against.
    struct WithoutTransport: Hashable {
        var tests: UInt32
        var networks: UInt8
        var action: RuleAction
        var schedule: UInt8
        var sender: UInt8
        var etherType: UInt16
        var protocols: [UInt8]
        var addresses: [UInt32]
        var lists: [Int32]
        var interfaces: UInt64
    }

    var withoutTransport: WithoutTransport {
        WithoutTransport(
            tests: tests.rawValue, networks: networks, action: action, schedule: schedule, sender: sender,
            etherType: etherType,
            protocols: [protocolNumber, otherProtocolNumber],
            addresses: [sourceV4.first, sourceV4.last, destinationV4.first, destinationV4.last],
            lists: [sourceAddressList, destinationAddressList, sourceMACList, destinationMACList],
            interfaces: interfaces)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

extension CompiledRule {
    /// `index` is that in `Policy.rules`, `interfaces` the bits of the rule's interface patterns, `sender` the number of the one
    /// for its sender.
    init(_ rule: Rule, index: Int32, interfaces: UInt64, sender: UInt8?, lists: RuleLists) {
        tests = []
        networks = 0
        action = rule.action
        priority = rule.priority
        self.index = index
        self.interfaces = interfaces
        if let schedule = rule.schedule { self.schedule = UInt8(schedule) }
        compile(frame: rule.frame)
        compile(protocols: rule.protocols)
        compileAddresses(rule, lists)
        compilePorts(rule, lists)
        compileMACs(rule)
        compileTransport(rule)
        add(.interfaces, .interfacesInverted, isInverted: rule.interfaces?.isInverted)
        if let sender {
            tests.insert(.sender)
            self.sender = sender
        }
        let namesICMPv6 = rule.protocols == Criterion(.number(IPProtocol.icmpv6))
        let namesIGMP = rule.protocols == Criterion(.number(IPProtocol.igmp))
        if rule.action == .deny, !namesICMPv6 { tests.insert(.sparesNeighbourDiscovery) }
        if rule.action == .deny, !namesIGMP { tests.insert(.sparesGroupMembership) }
    }

    /// Adds a criterion, if there is one.
    private mutating func add(_ test: Tests, _ inverted: Tests, isInverted: Bool?) {
        guard let isInverted else { return }
        tests.insert(test)
        if isInverted { tests.insert(inverted) }
    }

    private mutating func compile(frame: Criterion<FrameMatch>) {
        let all: UInt8 = 0b1_1111
        switch frame.value {
        case .any: networks = all
        case .ip: networks = CompiledRule.bit(.ipv4) | CompiledRule.bit(.ipv6)
        case .ipv4: networks = CompiledRule.bit(.ipv4)
        case .ipv6: networks = CompiledRule.bit(.ipv6)
        case .arp: networks = CompiledRule.bit(.arp)
        case .etherType(let number):
            networks = all
            etherType = number
            add(.etherType, .etherTypeInverted, isInverted: frame.isInverted)
            return
        }
        if frame.isInverted { networks = all & ~networks }
    }

    private mutating func compile(protocols: Criterion<ProtocolMatch>?) {
        add(.protocols, .protocolsInverted, isInverted: protocols?.isInverted)
        switch protocols?.value {
        case nil: break
        case .tcpAndUDP:
            protocolNumber = IPProtocol.tcp
            otherProtocolNumber = IPProtocol.udp
        case .number(let number):
            protocolNumber = number
            otherProtocolNumber = number
        }
    }

    private mutating func compileAddresses(_ rule: Rule, _ lists: RuleLists) {
        if let source = rule.source.addresses {
            add(.sourceAddresses, .sourceAddressesInverted, isInverted: source.isInverted)
            if let range = lists.onlyV4Range(ofAddresses: source.value) {
                sourceV4 = (range.first.v4, range.last.v4)
            } else {
                sourceAddressList = Int32(source.value)
            }
        }
        if let destination = rule.destination.addresses {
            add(.destinationAddresses, .destinationAddressesInverted, isInverted: destination.isInverted)
            if let range = lists.onlyV4Range(ofAddresses: destination.value) {
                destinationV4 = (range.first.v4, range.last.v4)
            } else {
                destinationAddressList = Int32(destination.value)
            }
        }
    }

    private mutating func compilePorts(_ rule: Rule, _ lists: RuleLists) {
        if let source = rule.source.ports {
            add(.sourcePorts, .sourcePortsInverted, isInverted: source.isInverted)
            if let range = lists.onlyRange(ofPorts: source.value) {
                sourcePort = (range.first, range.last)
            } else {
                sourcePortList = Int32(source.value)
            }
        }
        if let destination = rule.destination.ports {
            add(.destinationPorts, .destinationPortsInverted, isInverted: destination.isInverted)
            if let range = lists.onlyRange(ofPorts: destination.value) {
                destinationPort = (range.first, range.last)
            } else {
                destinationPortList = Int32(destination.value)
            }
        }
    }

    private mutating func compileMACs(_ rule: Rule) {
        add(.sourceMACs, .sourceMACsInverted, isInverted: rule.source.macs?.isInverted)
        add(.destinationMACs, .destinationMACsInverted, isInverted: rule.destination.macs?.isInverted)
        sourceMACList = Int32(rule.source.macs?.value ?? -1)
        destinationMACList = Int32(rule.destination.macs?.value ?? -1)
    }

    private mutating func compileTransport(_ rule: Rule) {
        add(.flags, .flagsInverted, isInverted: rule.flags?.isInverted)
        add(.icmp, .icmpInverted, isInverted: rule.icmp?.isInverted)
        flagsTested = rule.flags?.value.tested.rawValue ?? 0
        flagsSet = rule.flags?.value.set.rawValue ?? 0
        icmpType = rule.icmp?.value.type ?? 0
        if rule.needsKnownQuote { tests.insert(.knownQuote) }
        if rule.isBuiltIn { tests.insert(.builtIn) }
        if let code = rule.icmp?.value.code {
            tests.insert(.icmpCode)
            icmpCode = code
        }
    }

    /// The bit of a network protocol in `networks`.
    @inline(__always) static func bit(_ network: NetworkProtocol) -> UInt8 {
        switch network {
        case .none: 1
        case .ipv4: 2
        case .ipv6: 4
        case .arp: 8
        case .other: 16
        }
    }
}

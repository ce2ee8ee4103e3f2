// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

extension CompiledRule {
    /// Whether the rule matches a subject whose transport is known. Cheap and telling criteria come first.
    @inline(__always)
    func matches(_ subject: RuleSubject, _ lists: RuleLists) -> Bool {
        acceptsFrame(of: subject)
            && acceptsProtocol(of: subject)
            && (tests.isDisjoint(with: .ports) || acceptsPorts(of: subject, lists))
            && (tests.isDisjoint(with: .addresses) || acceptsAddresses(of: subject, lists))
            && (tests.isDisjoint(with: .rare) && schedule == CompiledRule.always || acceptsRare(of: subject, lists))
            && !(tests.contains(.sparesNeighbourDiscovery) && subject.isNeighbourDiscovery)
            && !sparesGroupMembership(subject)
    }

    @inline(__always)
    private func sparesGroupMembership(_ subject: RuleSubject) -> Bool {
        subject.isGroupMembership && tests.contains(.sparesGroupMembership)
    }

    @inline(__always)
    private func acceptsFrame(of subject: RuleSubject) -> Bool {
        networks & CompiledRule.bit(subject.network) != 0
    }

    @inline(__always)
    private func acceptsProtocol(of subject: RuleSubject) -> Bool {
        guard tests.contains(.protocols) else { return true }
        let number = subject.protocolNumber
        let isNamed = number == protocolNumber || number == otherProtocolNumber
        return subject.isIP && isNamed != tests.contains(.protocolsInverted)
    }

    @inline(__always)
    private func acceptsPorts(of subject: RuleSubject, _ lists: RuleLists) -> Bool {
        guard subject.hasPorts else { return false }
        if tests.contains(.destinationPorts) {
            let port = subject.destinationPort
            let isListed =
                destinationPortList < 0
                ? destinationPort.first <= port && port <= destinationPort.last
                : lists.contains(port, inPorts: destinationPortList)
            if isListed == tests.contains(.destinationPortsInverted) { return false }
        }
        if tests.contains(.sourcePorts) {
            let port = subject.sourcePort
            let isListed =
                sourcePortList < 0
                ? sourcePort.first <= port && port <= sourcePort.last
                : lists.contains(port, inPorts: sourcePortList)
            if isListed == tests.contains(.sourcePortsInverted) { return false }
        }
        return true
    }

    @inline(__always)
    private func acceptsAddresses(of subject: RuleSubject, _ lists: RuleLists) -> Bool {
        guard subject.isIP else { return false }
        if tests.contains(.sourceAddresses) {
            let isListed =
                sourceAddressList < 0
                ? CompiledRule.contains(subject.source, subject.network, sourceV4.first, sourceV4.last)
                : lists.contains(subject.source, of: subject.network, inAddresses: sourceAddressList)
            if isListed == tests.contains(.sourceAddressesInverted) { return false }
        }
        if tests.contains(.destinationAddresses) {
            let isListed =
                destinationAddressList < 0
                ? CompiledRule.contains(
                    subject.destination, subject.network, destinationV4.first, destinationV4.last)
                : lists.contains(subject.destination, of: subject.network, inAddresses: destinationAddressList)
            if isListed == tests.contains(.destinationAddressesInverted) { return false }
        }
        return true
    }

    @inline(__always)
    private static func contains(
        _ address: IPAddress, _ network: NetworkProtocol, _ first: UInt32, _ last: UInt32
    ) -> Bool {
        network.isIPv4 && first <= address.v4Bits && address.v4Bits <= last
    }
}

extension CompiledRule {
    /// The criteria of `Tests.rare`, and the schedule.
    private func acceptsRare(of subject: RuleSubject, _ lists: RuleLists) -> Bool {
        acceptsCircumstances(of: subject, lists) && acceptsFlagsAndICMP(of: subject)
    }

    /// EtherType, MAC addresses, interface and schedule.
    private func acceptsCircumstances(of subject: RuleSubject, _ lists: RuleLists) -> Bool {
        if schedule != CompiledRule.always, subject.activeSchedules >> UInt64(schedule) & 1 == 0 { return false }
        if tests.contains(.interfaces) {
            let isNamed = subject.interfacePatterns & interfaces != 0
            if !subject.hasInterface || isNamed == tests.contains(.interfacesInverted) { return false }
        }
        if tests.contains(.etherType), (subject.etherType == etherType) == tests.contains(.etherTypeInverted) {
            return false
        }
        if tests.contains(.sourceMACs) {
            guard subject.sourceMAC.isKnown else { return false }
            let isListed = lists.contains(subject.sourceMAC, inMACs: sourceMACList)
            if isListed == tests.contains(.sourceMACsInverted) { return false }
        }
        if tests.contains(.destinationMACs) {
            guard subject.destinationMAC.isKnown else { return false }
            let isListed = lists.contains(subject.destinationMAC, inMACs: destinationMACList)
            if isListed == tests.contains(.destinationMACsInverted) { return false }
        }
        return true
    }

    private func acceptsFlagsAndICMP(of subject: RuleSubject) -> Bool {
        if tests.contains(.flags) {
            let areAsNamed = subject.flags.rawValue & flagsTested == flagsSet
            if !subject.hasFlags || areAsNamed == tests.contains(.flagsInverted) { return false }
        }
        if tests.contains(.icmp) {
            let codeIsNamed = !tests.contains(.icmpCode) || subject.icmpCode == icmpCode
            let isNamed = subject.icmpType == icmpType && codeIsNamed
            if !subject.hasICMP || isNamed == tests.contains(.icmpInverted) { return false }
            if tests.contains(.knownQuote), !subject.quotesKnownExchange { return false }
        }
        return true
    }
}

/// Whether a rule matches a packet whose transport fields are elsewhere.
enum PartialMatch { case no, possible, certain }

extension CompiledRule {
    /// What can be said of a rule and a later fragment: `possible` if the transport fields, or the protocol behind more
    /// IPv6 extension headers, decide.
    func partialMatch(_ subject: RuleSubject, _ lists: RuleLists) -> PartialMatch {
        let protocolIsUnknown = subject.protocolIsUnknown
        guard acceptsFrame(of: subject), protocolIsUnknown || acceptsProtocol(of: subject),
            tests.isDisjoint(with: .addresses) || acceptsAddresses(of: subject, lists),
            acceptsCircumstances(of: subject, lists)
        else { return .no }
        if subject.hidesTransport, tests.contains(.builtIn) { return .no }
        let spares = !subject.hidesTransport && tests.contains(.sparesNeighbourDiscovery)
        if protocolIsUnknown { return partialMatchOfUnknownProtocol(spares) }
        if !transportCanMatch(subject) || sparesGroupMembership(subject) { return .no }
        if !tests.isDisjoint(with: .transport) { return .possible }
        return subject.isICMPv6 && spares ? .possible : .certain
    }

    private func partialMatchOfUnknownProtocol(_ sparesNeighbourDiscovery: Bool) -> PartialMatch {
        let isOpen = !tests.contains(.protocols) && tests.isDisjoint(with: .transport)
        return isOpen && !sparesNeighbourDiscovery ? .certain : .possible
    }

    /// Whether packets of the subject's protocol have the transport fields that the rule asks for.
    private func transportCanMatch(_ subject: RuleSubject) -> Bool {
        let number = subject.protocolNumber
        if !tests.isDisjoint(with: .ports), number != ProtocolNumber.tcp, number != ProtocolNumber.udp { return false }
        if tests.contains(.flags), number != ProtocolNumber.tcp { return false }
        let isICMP = number == (subject.network.isIPv6 ? ProtocolNumber.icmpv6 : ProtocolNumber.icmp)
        return !tests.contains(.icmp) || isICMP
    }
}

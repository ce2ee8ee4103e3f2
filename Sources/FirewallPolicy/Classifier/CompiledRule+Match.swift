// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

extension CompiledRule {
    /// Whether the rule matches a subject whose transport is known. Cheap and telling criteria come first.
    ///
    /// Each criterion has a function of its own, which `misses` asks too.
    @inline(__always)
    func matches(_ subject: RuleSubject, _ lists: RuleLists) -> Bool {
        acceptsFrame(of: subject)
            && acceptsProtocol(of: subject)
            && (tests.isDisjoint(with: .ports)
                || acceptsDestinationPort(of: subject, lists) && acceptsSourcePort(of: subject, lists))
            && (tests.isDisjoint(with: .addresses) || acceptsAddresses(of: subject, lists))
            && (tests.isDisjoint(with: .rare) && schedule == CompiledRule.always || acceptsRare(of: subject, lists))
            && !sparesNeighbourDiscovery(subject)
            && !sparesGroupMembership(subject)
    }

    @inline(__always)
    func sparesNeighbourDiscovery(_ subject: RuleSubject) -> Bool {
        tests.contains(.sparesNeighbourDiscovery) && subject.isNeighbourDiscovery
    }

    @inline(__always)
    func sparesGroupMembership(_ subject: RuleSubject) -> Bool {
        subject.isGroupMembership && tests.contains(.sparesGroupMembership)
    }

    @inline(__always)
    func acceptsFrame(of subject: RuleSubject) -> Bool {
        networks & CompiledRule.bit(subject.network) != 0
    }

    @inline(__always)
    func acceptsProtocol(of subject: RuleSubject) -> Bool {
        guard tests.contains(.protocols) else { return true }
        let number = subject.protocolNumber
        let isNamed = number == protocolNumber || number == otherProtocolNumber
        return subject.isIP && isNamed != tests.contains(.protocolsInverted)
    }

    @inline(__always)
    func acceptsDestinationPort(of subject: RuleSubject, _ lists: RuleLists) -> Bool {
        guard tests.contains(.destinationPorts) else { return true }
        let port = subject.destinationPort
        let isListed =
            destinationPortList < 0
            ? destinationPort.first <= port && port <= destinationPort.last
            : lists.contains(port, inPorts: destinationPortList)
        return subject.hasPorts && isListed != tests.contains(.destinationPortsInverted)
    }

    @inline(__always)
    func acceptsSourcePort(of subject: RuleSubject, _ lists: RuleLists) -> Bool {
        guard tests.contains(.sourcePorts) else { return true }
        let port = subject.sourcePort
        let isListed =
            sourcePortList < 0
            ? sourcePort.first <= port && port <= sourcePort.last
            : lists.contains(port, inPorts: sourcePortList)
        return subject.hasPorts && isListed != tests.contains(.sourcePortsInverted)
    }

    @inline(__always)
    private func acceptsAddresses(of subject: RuleSubject, _ lists: RuleLists) -> Bool {
        acceptsSource(of: subject, lists) && acceptsDestination(of: subject, lists)
    }

    @inline(__always)
    func acceptsSource(of subject: RuleSubject, _ lists: RuleLists) -> Bool {
        guard tests.contains(.sourceAddresses) else { return true }
        let isListed =
            sourceAddressList < 0
            ? CompiledRule.contains(subject.source, subject.network, sourceV4.first, sourceV4.last)
            : lists.contains(subject.source, of: subject.network, inAddresses: sourceAddressList)
        return subject.isIP && isListed != tests.contains(.sourceAddressesInverted)
    }

    @inline(__always)
    func acceptsDestination(of subject: RuleSubject, _ lists: RuleLists) -> Bool {
        guard tests.contains(.destinationAddresses) else { return true }
        let isListed =
            destinationAddressList < 0
            ? CompiledRule.contains(subject.destination, subject.network, destinationV4.first, destinationV4.last)
            : lists.contains(subject.destination, of: subject.network, inAddresses: destinationAddressList)
        return subject.isIP && isListed != tests.contains(.destinationAddressesInverted)
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
        acceptsCircumstances(of: subject, lists) && acceptsFlags(of: subject) && acceptsICMP(of: subject)
            && acceptsQuote(of: subject)
    }

    /// EtherType, MAC addresses, interface, sender and schedule.
    private func acceptsCircumstances(of subject: RuleSubject, _ lists: RuleLists) -> Bool {
        acceptsHour(of: subject) && acceptsInterface(of: subject) && acceptsEtherType(of: subject)
            && acceptsSourceMAC(of: subject, lists) && acceptsDestinationMAC(of: subject, lists)
            && acceptsSender(of: subject)
    }

    @inline(__always)
    func acceptsSender(of subject: RuleSubject) -> Bool {
        !tests.contains(.sender) || subject.senders >> UInt64(sender) & 1 != 0
    }

    @inline(__always)
    func acceptsHour(of subject: RuleSubject) -> Bool {
        schedule == CompiledRule.always || subject.activeSchedules >> UInt64(schedule) & 1 != 0
    }

    @inline(__always)
    func acceptsInterface(of subject: RuleSubject) -> Bool {
        guard tests.contains(.interfaces) else { return true }
        let isNamed = subject.interfacePatterns & interfaces != 0
        return subject.hasInterface && isNamed != tests.contains(.interfacesInverted)
    }

    @inline(__always)
    func acceptsEtherType(of subject: RuleSubject) -> Bool {
        !tests.contains(.etherType) || (subject.etherType == etherType) != tests.contains(.etherTypeInverted)
    }

    @inline(__always)
    func acceptsSourceMAC(of subject: RuleSubject, _ lists: RuleLists) -> Bool {
        guard tests.contains(.sourceMACs) else { return true }
        return subject.sourceMAC.isKnown
            && lists.contains(subject.sourceMAC, inMACs: sourceMACList) != tests.contains(.sourceMACsInverted)
    }

    @inline(__always)
    func acceptsDestinationMAC(of subject: RuleSubject, _ lists: RuleLists) -> Bool {
        guard tests.contains(.destinationMACs) else { return true }
        return subject.destinationMAC.isKnown
            && lists.contains(subject.destinationMAC, inMACs: destinationMACList)
                != tests.contains(.destinationMACsInverted)
    }

    @inline(__always)
    func acceptsFlags(of subject: RuleSubject) -> Bool {
        guard tests.contains(.flags) else { return true }
        let areAsNamed = subject.flags.rawValue & flagsTested == flagsSet
        return subject.hasFlags && areAsNamed != tests.contains(.flagsInverted)
    }

    @inline(__always)
    func acceptsICMP(of subject: RuleSubject) -> Bool {
        guard tests.contains(.icmp) else { return true }
        let codeIsNamed = !tests.contains(.icmpCode) || subject.icmpCode == icmpCode
        let isNamed = subject.icmpType == icmpType && codeIsNamed
        return subject.hasICMP && isNamed != tests.contains(.icmpInverted)
    }

    @inline(__always)
    func acceptsQuote(of subject: RuleSubject) -> Bool {
        !tests.contains(.knownQuote) || subject.quotesKnownExchange
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
            acceptsAddresses(of: subject, lists),
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

// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

extension CompiledRule {
    /// The criteria that keep the rule from a subject: each is asked, by the functions that `matches` asks. Empty exactly where
    /// the rule matches. Of a subject whose transport fields are elsewhere, what those decide is `transport`.
    func misses(_ subject: RuleSubject, _ lists: RuleLists) -> RuleCriteria {
        var missed = missesOfNetwork(subject, lists)
        if subject.transportIsUnknown {
            if subject.protocolIsUnknown { missed.remove(.protocols) }
            if missed.isEmpty, partialMatch(subject, lists) != .certain { missed.insert(.transport) }
            return missed
        }
        if !acceptsSourcePort(of: subject, lists) { missed.insert(.sourcePorts) }
        if !acceptsDestinationPort(of: subject, lists) { missed.insert(.destinationPorts) }
        if !acceptsFlags(of: subject) { missed.insert(.flags) }
        if !acceptsICMP(of: subject) { missed.insert(.icmp) }
        if !acceptsQuote(of: subject) { missed.insert(.knownQuote) }
        if sparesNeighbourDiscovery(subject) { missed.insert(.neighbourDiscovery) }
        if sparesGroupMembership(subject) { missed.insert(.groupMembership) }
        return missed
    }

    private func missesOfNetwork(_ subject: RuleSubject, _ lists: RuleLists) -> RuleCriteria {
        var missed: RuleCriteria = []
        if !acceptsFrame(of: subject) || !acceptsEtherType(of: subject) { missed.insert(.frame) }
        if !acceptsProtocol(of: subject) { missed.insert(.protocols) }
        if !acceptsSource(of: subject, lists) { missed.insert(.sourceAddresses) }
        if !acceptsDestination(of: subject, lists) { missed.insert(.destinationAddresses) }
        if !acceptsSourceMAC(of: subject, lists) { missed.insert(.sourceMACs) }
        if !acceptsDestinationMAC(of: subject, lists) { missed.insert(.destinationMACs) }
        if !acceptsInterface(of: subject) { missed.insert(.interfaces) }
        if !acceptsHour(of: subject) { missed.insert(.schedule) }
        if !acceptsSender(of: subject) { missed.insert(.sender) }
        return missed
    }
}

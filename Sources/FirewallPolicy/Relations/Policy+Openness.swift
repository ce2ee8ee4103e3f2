// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
public import PacketWire

extension Policy {
    /// Whether a SYN to a listener of this host is surely admitted, whoever sends it, whenever it comes and by whatever interface, and
    /// nothing is to be told or counted of it; and whether what this host answers is as surely let out.
    ///
    /// Rules are gone through in the order in which they are asked. One that may match such a packet, and would do anything else than
    /// admit it, settles that it is not so; one that matches all of them and admits them, that it is. "No" may be wrong, "yes" is not.
    public func isOpenToAll(address: IPAddress, port: UInt16, version: UInt8) -> Bool {
        let document = document
        guard document.mode == .inline, document.stateful.tcpEnabled, document.stateful.synFlood.usesCookies,
            document.stateful.limits.incoming == nil, document.stateful.limits.halfOpen == nil,
            !document.engine.sanity.verifyTCPChecksum, document.engine.antiEvasion.checksum == .allow,
            !(version == 6 && document.engine.sanity.blockIPv6)
        else { return false }
        // Of who is to be blocked every packet is looked at.
        if document.reconnaissance.block != nil { return false }
        let sanity = document.engine.sanity
        if sanity.denyOwnSource || sanity.denyReversePath || sanity.denyBroadcastSource { return false }
        let listener = Listener(address: address, port: port, version: version)
        let answers = rules.filter { $0.direction == .outgoing && $0.isEnabled && $0.action != .allow }
        return admitsAll(listener)
            && !answers.contains { $0.action != .forceAllow && listener.mayBe($0, $0.source, document) }
    }

    private func admitsAll(_ listener: Listener) -> Bool {
        let incoming = rules.filter { $0.direction == .incoming && $0.isEnabled }
        if incoming.contains(where: { $0.action == .logOnly && listener.mayBe($0, $0.destination, document) }) {
            return false
        }
        for index in order(.incoming) {
            let rule = rules[Int(index)]
            guard listener.mayBe(rule, rule.destination, document) else { continue }
            guard rule.action == .allow || rule.action == .forceAllow else { return false }
            // Who opens how often is counted.
            if rule.rate != nil { return false }
            if listener.surelyMatches(rule, document) { return true }
        }
        return !isRestrictive(.incoming)
    }
}

private struct Listener {
    let address: IPAddress
    let port: UInt16
    let version: UInt8

    /// Whether a rule may match TCP over this family to the listener, or from it; `end` is the rule's side on which it would be.
    func mayBe(_ rule: Rule, _ end: EndpointCriteria, _ document: PolicyDocument) -> Bool {
        matchesFrame(rule) && matchesProtocol(rule)
            && (end.addresses.map { isAmong($0, document) } ?? true)
            && (end.ports.map { hasPort($0, document) } ?? true)
    }

    /// Whether it matches every SYN to the listener.
    func surelyMatches(_ rule: Rule, _ document: PolicyDocument) -> Bool {
        mayBe(rule, rule.destination, document) && rule.source == EndpointCriteria() && rule.destination.macs == nil
            && rule.flags == nil && rule.icmp == nil && rule.interfaces == nil && rule.schedule == nil
    }

    private func matchesFrame(_ rule: Rule) -> Bool {
        let isMatch =
            switch rule.frame.value {
            case .any, .ip: true
            case .ipv4: version == 4
            case .ipv6: version == 6
            case .arp: false
            case .etherType(let type): type == (version == 6 ? 0x86dd : 0x0800)
            }
        return isMatch != rule.frame.isInverted
    }

    private func matchesProtocol(_ rule: Rule) -> Bool {
        guard let protocols = rule.protocols else { return true }
        let isTCP = protocols.value == .tcpAndUDP || protocols.value == .number(IPProtocol.tcp)
        return isTCP != protocols.isInverted
    }

    private func isAmong(_ list: Criterion<Int>, _ document: PolicyDocument) -> Bool {
        let ranges = document.addressLists[list.value].values
        return ranges.contains { $0.first <= address && address <= $0.last } != list.isInverted
    }

    private func hasPort(_ list: Criterion<Int>, _ document: PolicyDocument) -> Bool {
        let ranges = document.portLists[list.value].values
        return ranges.contains { $0.first <= port && port <= $0.last } != list.isInverted
    }
}

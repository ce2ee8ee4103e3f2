// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// What one policy tracks and the one before did not. Such TCP connections have moved on unseen, or are not known at all;
/// to judge them by what is known would end them.
extension Policy {
    /// Whether there may be any: stateful inspection was off, their interface or all that is forwarded was nobody's
    /// business, or a Bypass rule let them by.
    public func tracksMore(than old: Policy) -> Bool {
        let (before, now) = (old.document, document)
        guard now.stateful.tcpEnabled else { return false }
        return !before.stateful.tcpEnabled
            || !Set(before.interfaces.ignore).isSubset(of: now.interfaces.ignore)
            || (before.interfaces.inside.isEmpty && !now.interfaces.inside.isEmpty)
            || !before.bypassed.isSubset(of: now.bypassed)
    }

    /// The schedules with which a Bypass rule of TCP ends, one bit each.
    public var schedulesOfBypasses: UInt64 {
        rules.reduce(0) { mask, rule in
            guard rule.bypassesTCP, let schedule = rule.schedule else { return mask }
            return mask | 1 << UInt64(schedule)
        }
    }
}

extension Rule {
    fileprivate var bypassesTCP: Bool { isEnabled && action == .bypass && mayMatchTCP }

    private var mayMatchTCP: Bool {
        guard let protocols else { return true }
        let isTCP = protocols.value == .tcpAndUDP || protocols.value == .number(ProtocolNumber.tcp)
        return isTCP != protocols.isInverted
    }
}

/// Which packets a Bypass rule lets by: the rule without name, comment, place and offload, and what its lists hold.
private struct Bypass: Hashable {
    var rule: Rule
    var addresses: [[AddressRange]]
    var ports: [[PortRange]]
    var macs: [[MACAddress]]
    var weekly: [[Range<Int>]]
    var timeZone: TimeZoneName?

    init(_ rule: Rule, in document: PolicyDocument) {
        self.rule = rule
        addresses = Bypass.resolve(&self.rule, \.addresses) { document.addressLists[$0].values }
        ports = Bypass.resolve(&self.rule, \.ports) { document.portLists[$0].values }
        macs = Bypass.resolve(&self.rule, \.macs) { document.macLists[$0].values }
        let schedule = rule.schedule.map { document.schedules[$0] }
        weekly = schedule?.weekly ?? []
        timeZone = schedule?.timeZone
        self.rule.schedule = schedule.map { _ in 0 }
        self.rule.name = ""
        self.rule.comment = nil
        self.rule.offload = false
        self.rule.position = SourcePosition(file: "", line: 0, column: 0)
    }

    /// Puts the values of lists into the place of their numbers.
    private static func resolve<Values>(
        _ rule: inout Rule, _ list: WritableKeyPath<EndpointCriteria, Criterion<Int>?>, _ values: (Int) -> Values
    ) -> [Values] {
        let numbers = [rule.source[keyPath: list]?.value, rule.destination[keyPath: list]?.value]
        rule.source[keyPath: list]?.value = 0
        rule.destination[keyPath: list]?.value = 0
        return numbers.compactMap { $0.map(values) }
    }
}

extension PolicyDocument {
    fileprivate var bypassed: Set<Bypass> {
        Set(rules.filter(\.bypassesTCP).map { Bypass($0, in: self) })
    }
}

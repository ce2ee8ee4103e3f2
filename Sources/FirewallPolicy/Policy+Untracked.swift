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
            || bypassesLess(before, now)
    }

    private func bypassesLess(_ before: PolicyDocument, _ now: PolicyDocument) -> Bool {
        var lists = KnownLists()
        let bypassed = before.bypassed(&lists)
        return !bypassed.isSubset(of: now.bypassed(&lists))
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

/// A number for each list of the same values: many rules may share one, and a list may have a million.
private struct KnownLists {
    private var addresses: [[AddressRange]: Int] = [:]
    private var ports: [[PortRange]: Int] = [:]
    private var macs: [[MACAddress]: Int] = [:]

    /// Of each list of a document, by its place.
    mutating func numbers(of document: PolicyDocument) -> Numbers {
        Numbers(
            addresses: document.addressLists.map { Self.number(of: $0.values, &addresses) },
            ports: document.portLists.map { Self.number(of: $0.values, &ports) },
            macs: document.macLists.map { Self.number(of: $0.values, &macs) })
    }

    private static func number<Values>(of values: Values, _ known: inout [Values: Int]) -> Int {
        if let number = known[values] { return number }
        known[values] = known.count
        return known.count - 1
    }

    struct Numbers {
        let addresses: [Int]
        let ports: [Int]
        let macs: [Int]
    }
}

/// Which packets a Bypass rule lets by: the rule without name, comment, place and offload, and what its lists hold.
private struct Bypass: Hashable {
    var rule: Rule
    var lists: [Int]
    var weekly: [[Range<Int>]]
    var timeZone: TimeZoneName?
    var end: RuleEnd?

    init(_ rule: Rule, in document: PolicyDocument, _ known: KnownLists.Numbers) {
        self.rule = rule
        lists =
            Bypass.resolve(&self.rule, \.addresses, known.addresses) + Bypass.resolve(&self.rule, \.ports, known.ports)
            + Bypass.resolve(&self.rule, \.macs, known.macs)
        let schedule = rule.schedule.map { document.schedules[$0] }
        weekly = schedule?.weekly ?? []
        timeZone = schedule?.timeZone
        end = schedule?.end
        self.rule.schedule = schedule.map { _ in 0 }
        self.rule.name = ""
        self.rule.comment = nil
        self.rule.offload = false
        self.rule.position = SourcePosition(file: "", line: 0, column: 0)
    }

    /// Puts 0 in the place of the lists' places, and gives the numbers of what they hold; -1 where there is none.
    private static func resolve(
        _ rule: inout Rule, _ list: WritableKeyPath<EndpointCriteria, Criterion<Int>?>, _ numbers: [Int]
    ) -> [Int] {
        let held = [rule.source, rule.destination].map { $0[keyPath: list].map { numbers[$0.value] } ?? -1 }
        rule.source[keyPath: list]?.value = 0
        rule.destination[keyPath: list]?.value = 0
        return held
    }
}

extension PolicyDocument {
    fileprivate func bypassed(_ lists: inout KnownLists) -> Set<Bypass> {
        let bypassing = rules.filter(\.bypassesTCP)
        guard !bypassing.isEmpty else { return [] }
        let numbers = lists.numbers(of: self)
        return Set(bypassing.map { Bypass($0, in: self, numbers) })
    }
}

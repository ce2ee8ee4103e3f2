// SPDX-License-Identifier: GPL-3.0-or-later

/// Who may have sent an outgoing packet of this host's own, as a rule says it: all that is given must be so.
///
/// The kernel names user and group of the socket that a packet comes from (NFQA_UID and NFQA_GID): those of the process that has
/// made it, the group without the supplementary ones. The unit is known by a mark that the rules before the queue set
/// (`MarkLayout.units`). A packet without a socket has no sender, and no criterion matches it, also not inverted.
public struct SenderCriteria: Hashable, Sendable {
    public var users: Criterion<[SenderName]>?
    public var groups: Criterion<[SenderName]>?
    /// systemd's units, by their names: "nginx.service".
    public var units: Criterion<[String]>?
    public init() {}

    public var isEmpty: Bool { users == nil && groups == nil && units == nil }
}

/// A user or a group, as it was written and as the kernel knows it.
public struct SenderName: Hashable, Sendable {
    public var text: String
    public var number: UInt32
    public init(_ text: String, number: UInt32) {
        self.text = text
        self.number = number
    }
}

/// The sender of one packet.
public struct Sender: Hashable, Sendable, BitwiseCopyable {
    public var user: UInt32
    public var group: UInt32
    /// A bit for each of `Policy.units`.
    public var units: UInt64

    public init(user: UInt32, group: UInt32, units: UInt64 = 0) {
        self.user = user
        self.group = group
        self.units = units
    }
}

/// The different sender criteria of all rules, each with its bit. Those of rules that admit have bits of their own: of a
/// connection whose opening was not seen it is not known who has opened it, and then they count as met, and others do not.
struct SenderPatterns: Sendable {
    private struct Pattern: Hashable {
        var criteria: SenderCriteria
        var admits: Bool
    }

    private var patterns: [Pattern] = []
    private var tests: [SenderTest] = []
    /// The names of the units, by their bits in `Sender.units`.
    private(set) var units: [String] = []
    /// What a subject whose sender is unknown meets.
    private(set) var metByUnknown: UInt64 = 0

    /// The number of the bit; nil when there is none left.
    mutating func register(_ criteria: SenderCriteria, admits: Bool) -> UInt8? {
        let pattern = Pattern(criteria: criteria.withoutTexts, admits: admits)
        if let known = patterns.firstIndex(of: pattern) { return UInt8(known) }
        guard patterns.count < Policy.senderLimit else { return nil }
        var bits: UInt64 = 0
        for name in criteria.units?.value ?? [] {
            guard let bit = bit(ofUnit: name) else { return nil }
            bits |= bit
        }
        patterns.append(pattern)
        tests.append(SenderTest(criteria, units: bits))
        if admits { metByUnknown |= 1 << UInt64(patterns.count - 1) }
        return UInt8(patterns.count - 1)
    }

    private mutating func bit(ofUnit name: String) -> UInt64? {
        let place = units.firstIndex(of: name) ?? units.count
        guard place < Policy.unitLimit else { return nil }
        if place == units.count { units.append(name) }
        return 1 << UInt64(place)
    }

    /// The bits of the criteria that a sender meets. Costs no heap allocation.
    func met(by sender: Sender) -> UInt64 {
        var bits: UInt64 = 0
        for index in tests.indices where tests[index].accepts(sender) { bits |= 1 << UInt64(index) }
        return bits
    }
}

/// A sender criterion in the form that is asked per packet.
private struct SenderTest: Sendable {
    private let users: Criterion<[UInt32]>?
    private let groups: Criterion<[UInt32]>?
    private let units: UInt64
    private let unitsInverted: Bool?

    init(_ criteria: SenderCriteria, units: UInt64) {
        users = criteria.users.map { Criterion($0.value.map(\.number), isInverted: $0.isInverted) }
        groups = criteria.groups.map { Criterion($0.value.map(\.number), isInverted: $0.isInverted) }
        self.units = units
        unitsInverted = criteria.units?.isInverted
    }

    func accepts(_ sender: Sender) -> Bool {
        if let users, users.value.contains(sender.user) == users.isInverted { return false }
        if let groups, groups.value.contains(sender.group) == groups.isInverted { return false }
        if let unitsInverted, (sender.units & units != 0) == unitsInverted { return false }
        return true
    }
}

extension SenderCriteria {
    /// By numbers alone: a user may be written by name or by number.
    fileprivate var withoutTexts: SenderCriteria {
        func plain(_ names: Criterion<[SenderName]>?) -> Criterion<[SenderName]>? {
            names.map {
                Criterion($0.value.map { SenderName("", number: $0.number) }, isInverted: $0.isInverted)
            }
        }
        var copy = self
        copy.users = plain(users)
        copy.groups = plain(groups)
        return copy
    }

    /// Whether every sender that the other criteria accept is surely accepted by these.
    func cover(_ other: SenderCriteria) -> Bool {
        func covers<Value: Hashable>(_ mine: Criterion<[Value]>?, _ theirs: Criterion<[Value]>?) -> Bool {
            guard let mine else { return true }
            guard let theirs else { return false }
            let (wide, narrow) = (Set(mine.value), Set(theirs.value))
            switch (mine.isInverted, theirs.isInverted) {
            case (false, false): return narrow.isSubset(of: wide)
            case (true, true): return wide.isSubset(of: narrow)
            case (true, false): return wide.isDisjoint(with: narrow)
            case (false, true): return false
            }
        }
        let (mine, theirs) = (withoutTexts, other.withoutTexts)
        // A unit may be part of another: what is in one may be in any other.
        let unitsCover: Bool =
            switch (mine.units, theirs.units) {
            case (nil, _): true
            case (let wide?, let narrow?) where wide.isInverted == narrow.isInverted: covers(wide, narrow)
            default: false
            }
        return covers(mine.users, theirs.users) && covers(mine.groups, theirs.groups) && unitsCover
    }
}

extension Policy {
    /// How many different sender criteria the rules of a policy can have.
    public static let senderLimit = 64
    /// How many different units they can name; `queue.mark-mask` has room for less.
    public static let unitLimit = 32

    /// What a packet's sender is for the rules: `RuleSubject.senders`.
    public func senders(_ sender: Sender) -> UInt64 { senderPatterns.met(by: sender) }

    /// The same of a connection of which it is not known who has opened it: it meets what admits, and nothing else.
    public var sendersOfUnknown: UInt64 { senderPatterns.metByUnknown }

    /// The units that the rules name, by their bits in `Sender.units`.
    public var units: [String] { senderPatterns.units }
}

/// A unit and the bit of the packet mark by which it is known.
public struct UnitMark: Hashable, Sendable {
    public var unit: String
    public var bit: UInt32
    public init(unit: String, bit: UInt32) {
        self.unit = unit
        self.bit = bit
    }
}

extension PolicyDocument {
    /// The units that rules name, each with a bit of `queue.mark-mask`, in their order.
    public var unitMarks: [UnitMark] {
        zip(units, MarkLayout(mask: queue.markMask).units).map { UnitMark(unit: $0, bit: $1) }
    }

    /// The units that rules name which are in force, in the order of the rules.
    public var units: [String] {
        var units: [String] = []
        for rule in rules where rule.isEnabled {
            for name in rule.sender.units?.value ?? [] where !units.contains(name) { units.append(name) }
        }
        return units
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@testable import PolicyAnalysis

@Suite("Long lists are compared by what they have in common, not entry by entry")
struct LongListTests {
    @Test("Addresses are of one class where they are in the same lists", arguments: 0..<6)
    func classes(_ count: Int) {
        var random = SeededRandom(seed: UInt64(count))
        for _ in 0..<50 {
            let masks = (0..<count).map { _ in random.next() }
            func set(_ mask: UInt64) -> NumberSet {
                NumberSet(members: (0..<64).filter { mask >> UInt64($0) & 1 == 1 })
            }
            func lists(_ address: Int) -> [Bool] { masks.map { $0 >> UInt64(address) & 1 == 1 } }
            let classes = AddressClasses(masks.map(set))
            #expect(classes.count == Set((0...64).map { $0 == 64 ? masks.map { _ in false } : lists($0) }).count)
            for address in 0..<63 {
                let isAlike = classes.number(of: UInt128(address)) == classes.number(of: UInt128(address + 1))
                #expect(isAlike == (lists(address) == lists(address + 1)))
            }
            let (asked, some) = (random.next() & random.next(), random.next() & random.next())
            let wanted = classes.numbers(of: set(some))
            let expected = set(asked).intervals.flatMap { $0.first...$0.last }.filter {
                wanted.contains(UInt128(classes.number(of: $0)))
            }
            #expect(classes.some(of: set(asked), in: wanted) == NumberSet(members: expected.map { Int($0) }))
            let beginning = classes.beginning(of: set(asked), in: wanted, atLeast: 3)
            #expect(beginning.isAll && beginning.addresses == NumberSet(members: expected.map { Int($0) }))
            for mask in masks {
                #expect(classes.numbers(of: set(mask)).intersects(classes.numbers(of: set(~mask))) == false)
            }
        }
    }

    @Test("Of very many only the first are looked at, and these are whole")
    func beginning() {
        let even = NumberSet((0..<5_000).map { .init(first: UInt128($0 * 4), last: UInt128($0 * 4)) })
        let beside = NumberSet((0..<5_000).map { .init(first: UInt128($0 * 4 + 1), last: UInt128($0 * 4 + 1)) })
        let classes = AddressClasses([even, beside])
        #expect(classes.count == 3)
        let both = NumberSet(
            classes.numbers(of: even).intervals + classes.numbers(of: beside).intervals)
        let found = classes.beginning(of: NumberSet(6...1_000_000), in: both, atLeast: 3)
        #expect(!found.isAll && found.addresses.intervals.count < 1_000)
        #expect(found.addresses.intervals.prefix(3).map { [$0.first, $0.last] } == [[8, 9], [12, 13], [16, 17]])
        let some = classes.some(of: NumberSet(1_001...1_000_000), in: both)
        #expect(!some.isEmpty && some.isSubset(of: NumberSet(1_001...19_997)))
        #expect(classes.some(of: NumberSet(20_000...30_000), in: both).isEmpty)
    }

    /// For each port a rule that denies a list, and one that allows what is not in another one. `freed` is not in the first list, and
    /// `caught` is.
    private static func policy(
        _ ports: Int, _ count: Int = 3_000, without freed: Int?, with caught: Int?
    ) throws -> Policy {
        var document = PolicyDocument()
        let position = SourcePosition(file: "p.yaml", line: 1, column: 1)
        func list(_ step: Int, _ odd: Bool) -> NamedList<[AddressRange]> {
            let numbers =
                (0..<count).map { $0 * step }.filter { odd || $0 != freed } + (odd ? [] : [caught].compactMap { $0 })
            let ranges = Set(numbers).sorted().map { number -> AddressRange in
                let address = IPAddress(v4: 0x1000_0000 + UInt32(number))
                return AddressRange(first: address, last: address)
            }
            return NamedList(name: nil, values: ranges, position: position)
        }
        document.addressLists = [list(4, false), list(6, true)]
        for port in 0..<ports {
            document.portLists.append(
                NamedList(name: nil, values: [PortRange(first: UInt16(port), last: UInt16(port))], position: position))
            for (action, list) in [(RuleAction.deny, Criterion(0)), (.allow, Criterion(1, isInverted: true))] {
                var rule = Rule(
                    name: "\(action) \(port)", action: action, priority: action == .deny ? 1 : 0, direction: .incoming,
                    position: position)
                rule.frame = Criterion(.ipv4)
                rule.protocols = Criterion(.number(6))
                rule.source.addresses = list
                rule.destination.ports = Criterion(port)
                document.rules.append(rule)
            }
        }
        return try Policy(document, epoch: 1)
    }

    @Test(
        "Many rules whose lists all differ are compared within a budget that walking along two of them a hundred times would use up"
    )
    func manyRules() throws {
        // 2,000 is in the first list only, and 2,001 in neither.
        let (ports, freed, caught) = (30, 2_000, 2_001)
        let old = try Self.policy(ports, without: nil, with: nil)
        let new = try Self.policy(ports, without: freed, with: caught)
        let budget = 4_000
        let difference = PolicyDifference(from: old, to: new, budget: budget)
        #expect(!difference.isUndecided && difference.verdict == .both)
        let sources = Set(difference.parts.map { $0.witness.source.v4 - 0x1000_0000 })
        #expect(sources == [UInt32(freed), UInt32(caught)])
        #expect(Set(difference.parts.map { $0.witness.destinationPort }).count == ports)
        #expect(difference.groups.count == 2 * ports)
        // Without classes of addresses the same is not decided.
        #expect(PolicyDifference(from: old, to: new, budget: budget, longList: .max).isIncomplete)
    }

    @Test("What is said of rules is the same with classes of addresses, and without")
    func alike() throws {
        var policy = try Self.policy(2, 300, without: 800, with: 801)
        let (some, whole) = (
            PolicyCheck(policy).findings(), PolicyCheck(policy, budget: .max, longList: .max).findings()
        )
        #expect(some.map { $0.text(policy) } == whole.map { $0.text(policy) })
        // A rule for addresses that an earlier one has, and one more.
        var document = policy.document
        for addresses in [[804], [804, 805]] as [[UInt32]] {
            document.addressLists.append(
                NamedList(
                    name: nil,
                    values: addresses.map {
                        AddressRange(first: IPAddress(v4: 0x1000_0000 + $0), last: IPAddress(v4: 0x1000_0000 + $0))
                    }, position: document.rules[0].position))
            var rule = document.rules[0]
            rule.source.addresses = Criterion(document.addressLists.count - 1)
            document.rules.append(rule)
        }
        policy = try Policy(document, epoch: 2)
        let last = Int32(document.rules.count - 2)
        let verdicts = PolicyCheck(policy).findings().filter { $0.rule >= last }.map(\.verdict)
        guard case .covered(let by, true) = verdicts[0], by == [0], case .effective(let witness) = verdicts[1] else {
            Issue.record("\(verdicts)")
            return
        }
        #expect(witness.source.v4 == 0x1000_0000 + 805)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("Address sets")
struct AddressSetTests {
    @Test("hold both ends of a range and not their neighbours")
    func edges() {
        let set = AddressSet([
            AddressRange(first: .v4(192, 0, 2, 10), last: .v4(192, 0, 2, 20)), .single(.v4(0, 0, 0, 0)),
            .single(.v4(255, 255, 255, 255)), .prefix(IPAddress(high: 0xfd00 << 48, low: 0), 64), .single(.zero),
            .single(IPAddress(high: .max, low: .max)),
        ])
        for (address, isIn) in [
            (IPAddress.v4(192, 0, 2, 9), false), (.v4(192, 0, 2, 10), true), (.v4(192, 0, 2, 20), true),
            (.v4(192, 0, 2, 21), false), (.v4(0, 0, 0, 0), true), (.v4(0, 0, 0, 1), false),
            (.v4(255, 255, 255, 255), true), (.v4(255, 255, 255, 254), false),
        ] { #expect(set.contains(address, of: .ipv4) == isIn, "\(address)") }
        for (address, isIn) in [
            (IPAddress(high: 0xfd00 << 48, low: 0), true), (IPAddress(high: 0xfd00 << 48, low: .max), true),
            (IPAddress(high: 0xfd00 << 48 | 1, low: 0), false), (IPAddress(high: (0xfd00 << 48) - 1, low: .max), false),
            (.zero, true), (IPAddress(high: 0, low: 1), false), (IPAddress(high: .max, low: .max), true),
        ] { #expect(set.contains(address, of: .ipv6) == isIn, "\(address)") }
    }

    @Test("keep the families apart, and hold no ARP")
    func families() {
        let set = AddressSet([.prefix(.v4(10, 0, 0, 0), 8)])
        #expect(set.contains(.v4(10, 1, 2, 3), of: .ipv4))
        #expect(!set.contains(.v4(10, 1, 2, 3), of: .ipv6))
        #expect(!set.contains(.v4(10, 1, 2, 3), of: .arp))
        #expect(!AddressSet([]).contains(.v4(10, 1, 2, 3), of: .ipv4))
        #expect(!AddressSet([]).contains(.zero, of: .ipv6))
    }

    @Test(
        "agree with the ranges read one after the other, in whatever order they come", arguments: [1, 40, 2_000, 9_000])
    func agreement(count: Int) {
        var random = SeededRandom(seed: UInt64(count))
        for isDense in [true, false] {
            let ranges = (0..<count).map { _ in AddressSetTests.range(&random, isDense: isDense) }
            let set = AddressSet(ranges)
            for _ in 0..<150 {
                let range = ranges[Int(random.next() % UInt64(count))]
                let edge = random.next() % 2 == 0 ? range.first : range.last
                let low = edge.low &+ (random.next() % 3) &- 1
                let address = IPAddress(high: edge.high, low: low)
                let network = address.isMappedV4 ? NetworkProtocol.ipv4 : .ipv6
                let isIn = ranges.contains {
                    $0.first.isMappedV4 == address.isMappedV4 && $0.first <= address && address <= $0.last
                }
                #expect(set.contains(address, of: network) == isIn, "\(address)")
            }
        }
    }

    /// One in two is IPv4. Dense ones share their upper bits.
    private static func range(_ random: inout SeededRandom, isDense: Bool) -> AddressRange {
        let value = random.next()
        if value & 1 == 0 {
            let first = UInt32(truncatingIfNeeded: value >> 8) & (isDense ? 0x0000_ffff : .max)
            let last = first &+ UInt32(truncatingIfNeeded: value >> 40) % 300
            return AddressRange(first: IPAddress(v4: first), last: IPAddress(v4: max(first, last)))
        }
        let high: UInt64 = 0x2001_0db8_0000_0000 | (isDense ? 0 : value & 0xffff_ffff)
        let low = random.next() >> (isDense ? 44 : 0)
        let (last, overflows) = low.addingReportingOverflow(random.next() % 5_000)
        return AddressRange(
            first: IPAddress(high: high, low: low), last: IPAddress(high: high, low: overflows ? .max : last))
    }

    @Test("of a million addresses find each of them", arguments: [4, 6])
    func million(version: Int) throws {
        let policy = try AddressSetTests.policyOfMillion(version)
        for n in stride(from: 0, to: 1_000_000, by: 997) {
            var subject = version == 4 ? RuleSubject.tcp(to: 80) : RuleSubject.tcp(to: 80).overIPv6
            subject.source = AddressSetTests.listed(n, version)
            #expect(policy.classify(subject) == RuleDecision(outcome: .deny, rule: 0))
            subject.source.low += 1
            #expect(policy.classify(subject) == RuleDecision(outcome: .noMatch, logOnlyRule: 1))
        }
    }

    /// The set itself takes 40 MiB or less, with the document's list. In a process of its own, since other tests take memory too.
    @Test(
        "of a million addresses take less than 100 MiB",
        .enabled(if: ResidentMemory.isProgramsOwn, "a sanitizer's memory would be measured too"))
    func memory() async {
        await #expect(processExitsWith: .success) {
            for version in [4, 6] {
                let before = ResidentMemory.bytes
                let policy = try AddressSetTests.policyOfMillion(version)
                #expect(ResidentMemory.bytes - before < 100 << 20)
                withExtendedLifetime(policy) {}
            }
        }
    }

    private static func policyOfMillion(_ version: Int) throws -> Policy {
        var sketch = PolicySketch()
        let list = sketch.addresses((0..<1_000_000).map { .single(listed($0, version)) })
        sketch.rule(.deny) { $0.source.addresses = Criterion(list) }
        sketch.rule(.logOnly) { $0.source.addresses = Criterion(list, isInverted: true) }
        return try sketch.policy()
    }

    /// Every other address of a few stretches: no two are neighbours.
    private static func listed(_ n: Int, _ version: Int) -> IPAddress {
        let bits = UInt64(n)
        if version == 4 { return IPAddress(v4: UInt32(bits / 250_000) << 30 | UInt32(bits % 250_000) << 4) }
        return IPAddress(high: 0x2001_0db8_0000_0000 | bits >> 10, low: bits << 7)
    }
}

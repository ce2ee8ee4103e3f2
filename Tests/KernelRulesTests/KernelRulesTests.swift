// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketFilterRules
import TestSupport
import Testing

@testable import KernelRules

/// Messages and blobs as the kernel lays them out.
private enum Bytes {
    static func attribute(_ type: UInt16, _ value: [UInt8]) -> [UInt8] {
        let length = UInt16(value.count + 4)
        let header = [UInt8(length & 0xff), UInt8(length >> 8), UInt8(type & 0xff), UInt8(type >> 8)]
        return header + value + [UInt8](repeating: 0, count: (4 - value.count % 4) % 4)
    }

    static func text(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

    static func big(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }

    static func message(_ family: UInt8, _ attributes: [UInt8]...) -> NetfilterSocket.Message {
        NetfilterSocket.Message(
            type: 0, family: family, attributes: NetlinkAttribute.all(in: attributes.flatMap { $0 }[...]))
    }

    static func base(
        _ family: UInt8, _ table: String, _ name: String, hook: UInt32, priority: Int32
    )
        -> NetfilterSocket.Message
    {
        message(
            family, attribute(1, text(table)), attribute(3, text(name)),
            attribute(0x8004, attribute(1, big(hook)) + attribute(2, big(UInt32(bitPattern: priority)))),
            attribute(7, text("filter")))
    }

    static func chain(_ family: UInt8, _ table: String, _ name: String) -> NetfilterSocket.Message {
        message(family, attribute(1, text(table)), attribute(3, text(name)))
    }

    static func rule(
        _ family: UInt8, _ table: String, _ chain: String, _ name: String, _ data: [UInt8]
    )
        -> NetfilterSocket.Message
    {
        message(
            family, attribute(1, text(table)), attribute(2, text(chain)),
            attribute(4, attribute(1, attribute(1, text(name)) + attribute(2, data))))
    }

    static func jump(_ chain: String) -> [UInt8] {
        attribute(2, attribute(2, attribute(1, big(UInt32(bitPattern: -3))) + attribute(2, text(chain))))
    }

    /// The target NFQUEUE for queues 2 to 4 with --queue-bypass.
    static let target = attribute(1, text("NFQUEUE")) + attribute(3, [2, 0, 3, 0, 1, 0, 0, 0])
}

@Suite("The rules as the kernel tells them")
struct RuleListingTests {
    @Test("A table of iptables, with a jump to a chain that gives packets to queues")
    func iptables() throws {
        var listing = RuleListing()
        listing.add(chain: Bytes.chain(2, "mangle", "PORTREEVE-IN"))
        listing.add(chain: Bytes.base(2, "mangle", "INPUT", hook: 1, priority: -150))
        listing.add(rule: Bytes.rule(2, "mangle", "INPUT", "immediate", Bytes.jump("PORTREEVE-IN")))
        listing.add(rule: Bytes.rule(2, "mangle", "PORTREEVE-IN", "target", Bytes.target))
        #expect(listing.listed.isEmpty)
        let ruleset = SavedRuleset(listing.saved(.ipv4), command: "iptables", family: .ipv4)
        let feed = try #require(ruleset.feeds.first)
        #expect(feed.queues == 2...4 && feed.bypasses && feed.isIncoming)
        #expect(listing.saved(.ipv6).isEmpty)
    }

    @Test("A table of nftables, whose queue rule is reached through a map of verdicts")
    func nftables() throws {
        var listing = RuleListing()
        listing.add(chain: Bytes.base(1, "mine", "in", hook: 1, priority: -150))
        listing.add(chain: Bytes.chain(1, "mine", "judged"))
        listing.add(rule: Bytes.rule(1, "mine", "in", "lookup", Bytes.attribute(3, Bytes.big(0))))
        listing.add(
            rule: Bytes.rule(1, "mine", "judged", "queue", Bytes.attribute(1, [0, 7]) + Bytes.attribute(2, [0, 2])))
        #expect(listing.saved(.ipv4).isEmpty)
        let feed = try #require(NFTablesRuleset(listing.listed).feeds.first)
        #expect(feed.queues == 7...8 && feed.carries(.ipv4) && feed.carries(.ipv6))
    }

    @Test("A look-up that gives no verdict leads nowhere")
    func lookup() {
        var listing = RuleListing()
        listing.add(chain: Bytes.base(1, "mine", "in", hook: 1, priority: -150))
        listing.add(chain: Bytes.chain(1, "mine", "judged"))
        listing.add(rule: Bytes.rule(1, "mine", "in", "lookup", Bytes.attribute(3, Bytes.big(1))))
        listing.add(rule: Bytes.rule(1, "mine", "judged", "queue", Bytes.attribute(1, [0, 7])))
        #expect(NFTablesRuleset(listing.listed).feeds.isEmpty)
    }

    @Test("Whatever is in a name, it is a name")
    func names() {
        var listing = RuleListing()
        listing.add(chain: Bytes.base(2, "x {\n", "a } b", hook: 1, priority: 0))
        listing.add(rule: Bytes.rule(2, "x {\n", "a } b", "queue", Bytes.attribute(1, [0, 1])))
        #expect(NFTablesRuleset(listing.listed).feeds.map(\.queues) == [1...1])
    }

    @Test("A rule that knows a control group by its path and sets a bit, and none that does anything else")
    func units() {
        let group: [UInt8] = [1, 0, 0, 0] + Bytes.text("system.slice/web.service")
        func mark(_ bit: UInt8, _ mask: UInt8) -> [UInt8] { [0, 0, 0, bit, 0, 0, 0, mask] }
        let unit = RuleEffect.unit(group: group[...], mark: mark(0x10, 0x10)[...])
        #expect(
            unit?.saved
                == "-m cgroup --path \"system.slice/web.service\" -j MARK --set-xmark 0x10000000/0x10000000")
        let escaped: [UInt8] = [1, 0, 0, 0] + Bytes.text(#"a\x2db.slice/a-b@c.service"#)
        #expect(
            RuleEffect.unit(group: escaped[...], mark: mark(0x10, 0x10)[...])?.saved
                == #"-m cgroup --path "a\\x2db.slice/a-b@c.service" -j MARK --set-xmark 0x10000000/0x10000000"#)
        let split: [UInt8] = [1, 0, 0, 0] + Bytes.text("a b.service")
        #expect(RuleEffect.unit(group: split[...], mark: mark(0x10, 0x10)[...]) == nil, "two words")
        #expect(RuleEffect.unit(group: [0, 1, 0, 0, 7, 0, 0, 0], mark: mark(0x10, 0x10)[...]) == nil, "by class")
        #expect(RuleEffect.unit(group: group[...], mark: mark(0, 0x10)[...]) == nil, "clears")
        #expect(RuleEffect.unit(group: group[...], mark: mark(0x10, 0xf0)[...]) == nil, "sets others too")
        #expect(RuleEffect.unit(group: [], mark: []) == nil)
    }

    @Test("Bytes that are none do no harm")
    func hostile() {
        var random = SeededRandom(seed: 8)
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            var listing = RuleListing()
            let message = NetfilterSocket.Message(type: 0, family: 2, attributes: NetlinkAttribute.all(in: bytes[...]))
            listing.add(chain: message)
            listing.add(rule: message)
            _ = (listing.saved(.ipv4), listing.listed)
            _ = LegacyTable(bytes[...], hooks: [0, 40, nil, 152, nil], layout: .ipv4).lines
        }
    }
}

@Suite("Tables of the old iptables")
struct LegacyTableTests {
    private func entry(_ target: String, _ data: [UInt8]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 112 + 32)
        for (place, byte) in target.utf8.enumerated() { bytes[114 + place] = byte }
        bytes += data + [UInt8](repeating: 0, count: (8 - data.count % 8) % 8)
        bytes[88] = 112
        bytes[90] = UInt8(bytes.count)
        return bytes
    }

    @Test("A jump leads to the chain that begins behind the entry with its name")
    func jumps() throws {
        // INPUT: a jump, then the policy; a chain of a user's with a queue rule and RETURN; the end.
        let accept: [UInt8] = [0xfe, 0xff, 0xff, 0xff]
        let head = entry("ERROR", Array("MINE".utf8) + [UInt8](repeating: 0, count: 28))
        let before = 2 * entry("", accept).count + head.count
        let jump = entry("", [UInt8(truncatingIfNeeded: before), UInt8(before >> 8), 0, 0])
        let queue = entry("NFQUEUE", [3, 0, 1, 0, 0, 0, 0, 0])
        let blob = jump + entry("", accept) + head + queue + entry("", accept) + entry("ERROR", Array("ERROR".utf8))
        let table = LegacyTable(blob[...], hooks: [nil, 0, nil, nil, nil], layout: .ipv4)
        let text = "*mangle\n" + table.lines.joined(separator: "\n")
        let feeds = SavedRuleset(text, command: "iptables-legacy", family: .ipv4).feeds
        #expect(feeds.map(\.queues) == [3...3])
        #expect(feeds.first?.place.hook == .input)
    }
}

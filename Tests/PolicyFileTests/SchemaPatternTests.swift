// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@testable import PolicyFile

@Suite("What the schema says of texts is what the parser takes")
struct SchemaPatternTests {
    private func regex(_ pattern: String) throws -> Regex<AnyRegexOutput> { try Regex("(?:\(pattern))") }

    @Test(
        "Numbers of a range, and none beside it",
        arguments: [
            (0, 0), (0, 9), (0, 10), (5, 5), (7, 13), (0, 255), (1, 65_535), (128, 65_531), (99, 100), (95, 1_205),
            (1_536, 65_535), (1, 16_777_216), (999_999, 1_000_000), (1_000, 2_592_000_000_000), (0, UInt64(Int64.max)),
        ] as [(UInt64, UInt64)])
    func decimals(first: UInt64, last: UInt64) throws {
        let regex = try regex(SchemaPattern.decimal(first...last))
        var random = SeededRandom(seed: first ^ last)
        var numbers = [first, last, last + 1, last / 2, last / 10, first + 1]
        if first > 0 { numbers.append(first - 1) }
        for _ in 0..<200 {
            numbers.append(UInt64.random(in: first...last, using: &random))
            numbers.append(random.next() >> UInt64.random(in: 0..<64, using: &random))
        }
        for number in numbers {
            let matches = "\(number)".wholeMatch(of: regex) != nil
            #expect(matches == (first...last).contains(number), "\(number)")
        }
        #expect("".wholeMatch(of: regex) == nil && "0\(last)".wholeMatch(of: regex) == nil)
    }

    @Test("Addresses of IPv6 in all their forms, and texts that nearly are")
    func ipv6() throws {
        let regex = try regex(SchemaPattern.ipv6)
        let pieces = [
            "0", "1", "ffff", "2001", "db8", "AbC", ":", ":", "::", "::", ":", "12345", "g", "1.2.3.4", "256.1.1.1",
            ".",
        ]
        var random = SeededRandom(seed: 6)
        var texts = [
            "::", "::1", "1::", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4",
            "1::8:9:",
        ]
        for count in 0...7 {
            for behind in 0...(7 - count) {
                let groups = { (count: Int) in (0..<count).map { _ in "a" }.joined(separator: ":") }
                texts.append("\(groups(count))::\(groups(behind))")
            }
        }
        for _ in 0..<3_000 {
            texts.append(
                (0..<Int.random(in: 1...17, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }
                    .joined())
        }
        var addresses = 0
        for text in texts {
            let isAddress = text.contains(":") && IPAddress(parsingV6: text.utf8.span) != nil
            addresses += isAddress ? 1 : 0
            #expect((text.wholeMatch(of: regex) != nil) == isAddress, "\(text)")
        }
        #expect(addresses > 60)
    }

    @Test(
        "Addresses, ranges and prefixes as the parser takes them; bits behind a prefix and order are the parser's alone"
    )
    func ranges() throws {
        let regex = try regex("\(SchemaPattern.ipv4Range)|\(SchemaPattern.ipv6Range)")
        for text in [
            "10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "1.2.3.4/32", "1.2.3.4-1.2.3.9", "fd00::/8", "::/0",
            "fd00::1-fd00::2",
            "10.0.0.1/33", "10.0.0", "10.0.0.01", "10.0.0.256", "fd00::/129", "fd00::-10.0.0.1", "10.0.0.1 ", "/8", "-",
            "1.2.3.4-", "",
        ] {
            #expect((text.wholeMatch(of: regex) != nil) == ((try? addressRange(text)) != nil), "\(text)")
        }
    }

    @Test(
        "Names, MAC addresses and ports",
        arguments: [
            "a", "_a", "a.b-c", "büro", "東京", "9pfs", "22", "22-80", "65536", "any", "not", "anyone", "a b", "a,b",
            "a:b", "a/b", "-a",
            ".a", "", "52:54:00:aa:00:01", "52-54-00-aa-00-01", "52:54:00:aa:00", "52:54-00:aa:00:01",
            "aa-bb-cc-dd-ee-ff", "0x50", "a@b",
        ])
    func names(text: String) throws {
        #expect((text.wholeMatch(of: try regex(SchemaPattern.name)) != nil) == isName(text))
        #expect((text.wholeMatch(of: try regex(SchemaPattern.mac)) != nil) == (MACAddress(parsing: text) != nil))
        let isNewName = isName(text) && MACAddress(parsing: text) == nil
        #expect((text.wholeMatch(of: try regex(SchemaPattern.newName)) != nil) == isNewName)
        let isPort = (try? PortSyntax.range(text)) != nil
        #expect((text.wholeMatch(of: try regex(SchemaPattern.ports)) != nil) == isPort)
    }

    @Test(
        "Times of the day",
        arguments: [
            ("08:00-18:00", true), ("00:00-24:00", true), ("23:59-00:00", true), ("08:00-08:00", false),
            ("24:00-08:00", false),
            ("8:00-18:00", false), ("08:60-18:00", false), ("08:00-24:01", false), ("08:00", false),
        ])
    func times(text: String, isTime: Bool) throws {
        #expect((text.wholeMatch(of: try regex(SchemaPattern.dayTime)) != nil) == isTime)
        let outcome = parse("version: 1\nschedules: { o: { weekly: { all: [\"\(text)\"] } } }\n")
        #expect((outcome.document != nil) == isTime)
    }
}

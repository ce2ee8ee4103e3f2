// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@testable import PolicyFile

@Suite("Addresses")
struct AddressTests {
    private func texts(_ addresses: [String]) throws -> [String] {
        var set = AddressRangeSet()
        for text in addresses { set.insert(try addressRange(text)) }
        return set.takeRanges().texts
    }

    @Test("Neighbours join, strangers do not, families never")
    func joining() throws {
        #expect(try texts(["10.0.0.1", "10.0.0.2"]) == ["10.0.0.1-10.0.0.2"])
        #expect(try texts(["10.0.0.1", "10.0.0.3"]) == ["10.0.0.1", "10.0.0.3"])
        #expect(try texts(["255.255.255.255", "::1:0:0:0"]) == ["255.255.255.255", "::1:0:0:0"])
        #expect(try texts(["0.0.0.0", "::fffe:ffff:ffff"]) == ["::fffe:ffff:ffff", "0.0.0.0"])
        #expect(try texts(["255.255.255.255", "0.0.0.0"]) == ["0.0.0.0", "255.255.255.255"])
        #expect(try texts(["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff::/16"]) == ["ffff::/16"])
        #expect(try texts(["fd00::", "fd00:0:0:0:ffff:ffff:ffff:ffff", "fd00:0:0:1::"]).count == 2)
    }

    @Test("Every prefix length covers what it says, and is printed as itself", arguments: 0...128)
    func prefixes(_ length: Int) throws {
        if length <= 32 {
            let range = try addressRange("128.0.0.0/\(max(1, length))")
            #expect(UInt64(range.last.v4) - UInt64(range.first.v4) + 1 == 1 << UInt64(32 - max(1, length)))
        }
        let text = length == 0 ? "::/0" : length == 128 ? "8000::" : "8000::/\(length)"
        #expect(try texts([text]) == [text])
    }

    @Test("Ten thousand random ranges give what a table of bits gives")
    func againstTable() throws {
        var random = SeededRandom(seed: 7)
        for _ in 0..<20 {
            var table = [Bool](repeating: false, count: 2_048)
            var set = AddressRangeSet()
            for _ in 0..<500 {
                let first = Int.random(in: 0..<2_040, using: &random)
                let last = min(2_047, first + Int.random(in: 0...3, using: &random))
                for index in first...last { table[index] = true }
                set.insert(AddressRange(first: IPAddress(v4: UInt32(first)), last: IPAddress(v4: UInt32(last))))
            }
            let ranges = set.takeRanges()
            var fromRanges = [Bool](repeating: false, count: 2_048)
            for range in ranges { for index in range.first.v4...range.last.v4 { fromRanges[Int(index)] = true } }
            #expect(table == fromRanges)
            for (a, b) in zip(ranges, ranges.dropFirst()) { #expect(a.last.v4 + 1 < b.first.v4) }
        }
    }

    @Test("A long file gives the same ranges, sorted or shuffled")
    func longFile() {
        var random = SeededRandom(seed: 1)
        let numbers = (0..<100_000).map { UInt32($0) &* 40_000 }
        func file(_ numbers: [UInt32]) -> [UInt8] {
            var bytes: [UInt8] = []
            for number in numbers {
                IPAddress(v4: number).appendText(isIPv6: false, to: &bytes)
                bytes.append(UInt8(ascii: "\n"))
            }
            return bytes
        }
        var sorted = AddressFile(name: "sorted", bytes: file(numbers))
        var shuffled = AddressFile(name: "shuffled", bytes: file(numbers.shuffled(using: &random)))
        #expect(sorted.diagnostics.isEmpty && shuffled.diagnostics.isEmpty)
        let ranges = sorted.takeRanges()
        #expect(ranges.count == 100_000)
        #expect(ranges == shuffled.takeRanges())
    }

    @Test("IPv6 ranges in any order give what a table of bits gives, IPv4 between them")
    func mixedAgainstTable() {
        var random = SeededRandom(seed: 8)
        var table = [Bool](repeating: false, count: 2_048)
        var set = AddressRangeSet()
        set.reserve(10)
        for _ in 0..<500 {
            let first = Int.random(in: 0..<2_040, using: &random)
            let last = min(2_047, first + Int.random(in: 0...3, using: &random))
            for index in first...last { table[index] = true }
            // The middle of the table is where the lower 64 bits overflow into the upper ones.
            set.insert(AddressRange(first: address(first), last: address(last)))
            set.insert(AddressRange(first: IPAddress(v4: 7), last: IPAddress(v4: 9)))
        }
        let below = AddressRange(first: .zero, last: IPAddress(high: 0, low: 5))
        set.insert(below)
        let ranges = set.takeRanges()
        #expect(ranges[0] == below)
        #expect(ranges[1] == AddressRange(first: IPAddress(v4: 7), last: IPAddress(v4: 9)))
        for index in table.indices {
            let covering = ranges.count { $0.first <= address(index) && address(index) <= $0.last }
            #expect(covering == (table[index] ? 1 : 0))
        }
        #expect(ranges.count == 2 + table.indices.count { table[$0] && ($0 == 0 || !table[$0 - 1]) })
    }

    private func address(_ index: Int) -> IPAddress {
        IPAddress(high: 0x2001_0db8_0000_0000 + (index < 1_024 ? 0 : 1), low: UInt64.max &- 1_023 &+ UInt64(index))
    }

    @Test("Lines end with LF, CR LF or the file; nothing else matters around an entry")
    func lines() {
        func ranges(_ text: String) -> [String] {
            var file = AddressFile(name: "f", bytes: Array(text.utf8))
            return file.takeRanges().texts
        }
        #expect(ranges("192.0.2.1\r\n192.0.2.3") == ["192.0.2.1", "192.0.2.3"])
        #expect(ranges("") == [])
        #expect(ranges("\n\n#\n  #x\n \t \r\n") == [])
        #expect(ranges("192.0.2.1#x") == ["192.0.2.1"])
        #expect(ranges("\t 192.0.2.0/30 \t# four\n192.0.2.4-192.0.2.7") == ["192.0.2.0/29"])
    }

    @Test(
        "Feeds are read in the forms in which they are published",
        arguments: [
            (
                "; Spamhaus DROP List\r\n192.0.2.0/24 ; SBL1\r\n198.51.100.0/24 ; SBL2\r\n",
                ["192.0.2.0/24", "198.51.100.0/24"]
            ),
            ("# FireHOL\n#\n192.0.2.1\n192.0.2.2/31\n", ["192.0.2.1-192.0.2.3"]),
            ("\u{feff}192.0.2.1\n", ["192.0.2.1"]), ("\u{feff}# a comment\r\n192.0.2.1\r\n", ["192.0.2.1"]),
            ("192.0.2.0-192.0.2.255\n198.51.100.7-198.51.100.9\n", ["192.0.2.0/24", "198.51.100.7-198.51.100.9"]),
            ("2001:db8::/32 ; SBL3\n2001:db9::1\n", ["2001:db8::/32", "2001:db9::1"]),
            ("192.0.2.1\r192.0.2.3\r", ["192.0.2.1", "192.0.2.3"]),
        ])
    func feeds(text: String, ranges: [String]) {
        var file = AddressFile(name: "f", bytes: Array(text.utf8))
        #expect(file.diagnostics.isEmpty)
        #expect(file.takeRanges().texts == ranges)
    }
}

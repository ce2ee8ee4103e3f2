// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import Glibc
import PacketWire
import PolicyFile
import TestSupport

/// Lists of many addresses, no two of which make one range.
enum AddressLists {
    private static func address(_ number: Int) -> UInt32 { 0x0b00_0000 + 2 * UInt32(number) }

    /// Denies what comes from a list of so many addresses.
    static func policy(_ count: Int) -> PolicyDocument {
        let position = SourcePosition(file: "bench", line: 1, column: 1)
        var document = PolicyDocument()
        let ranges = (0..<count).map { number in
            AddressRange(first: IPAddress(v4: address(number)), last: IPAddress(v4: address(number)))
        }
        document.addressLists = [NamedList(name: "unwelcome", values: ranges, position: position)]
        var rule = Rule(name: "Unwelcome", action: .deny, priority: 0, direction: .incoming, position: position)
        rule.source.addresses = Criterion(0)
        document.rules = [rule]
        return document
    }

    /// SYNs from addresses all over that list.
    static func syns(_ count: Int) -> [Segments.Packet] {
        var random = SeededRandom(seed: 12)
        return (0..<20_000).map { number in
            let source = address(Int(random.next() % UInt64(count)))
            return Segments.syn(from: source, UInt16(1024 + number), to: 0xc613_0001, 80)
        }
    }

    /// CPU seconds from the files of a policy to what packets are judged by.
    static func secondsToLoad(_ count: Int) throws -> Double {
        var template = Array("/tmp/portreeve-bench.XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw PolicyNotWritten() }
        let folder = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let (list, policy) = ("\(folder)/unwelcome.txt", "\(folder)/policy.yaml")
        defer {
            unsafe unlink(list)
            unsafe unlink(policy)
            unsafe rmdir(folder)
        }
        try write((0..<count).map { "\(IPAddress(v4: address($0)))\n" }.joined(), to: list)
        try write(
            """
            version: 1
            lists: { unwelcome: { addresses-file: \(list) } }
            rules: [{ name: Unwelcome, action: deny, direction: incoming, source: { addresses: unwelcome } }]
            """, to: policy)
        let began = Stopwatch.cpuNanoseconds()
        let loaded = try Policy(try PolicyFile.load(policy), epoch: 1)
        let seconds = Double(Stopwatch.cpuNanoseconds() - began) / 1e9
        precondition(loaded.document.addressLists.first?.values.count == count, "not every address was loaded")
        return seconds
    }

    private struct PolicyNotWritten: Error {}

    private static func write(_ text: String, to path: String) throws(PolicyNotWritten) {
        guard let file = unsafe fopen(path, "w") else { throw PolicyNotWritten() }
        let written = unsafe fputs(text, file)
        guard unsafe fclose(file) == 0, written >= 0 else { throw PolicyNotWritten() }
    }
}

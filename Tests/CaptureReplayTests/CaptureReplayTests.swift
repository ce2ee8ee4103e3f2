// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import TestSupport
import Testing

@testable import CaptureReplay

@Suite("A capture is judged as the traffic was")
struct CaptureReplayTests {
    private let syn = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2").tcp(40_000, 23, [.syn], seq: 1)

    /// Runs a capture by a policy that denies telnet coming in.
    private func replay(
        _ capture: CaptureWriter, local: [AddressRange] = [host], folds: Bool = false, mode: Mode = .inline
    ) throws -> (lines: [String], summary: ReplaySummary) {
        var document = PolicyDocument()
        document.mode = mode
        document.portLists = [
            NamedList(
                name: nil, values: [PortRange(first: 23, last: 23)],
                position: SourcePosition(file: "", line: 1, column: 1))
        ]
        var rule = Rule(
            name: "No telnet", action: .deny, priority: 0, direction: .incoming,
            position: SourcePosition(file: "policy.yaml", line: 3, column: 5))
        rule.protocols = Criterion(.number(IPProtocol.tcp))
        rule.destination.ports = Criterion(0)
        document.rules = [rule]
        var replay = CaptureReplay(
            policy: try Policy(document, epoch: 1), local: local, folds: folds, zones: CalendarZones())
        var text: [UInt8] = []
        let path = try capture.path()
        defer { unsafe unlink(path) }
        try replay.run(path) { text += $0 }
        replay.finish { text += $0 }
        return (String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init), replay.summary)
    }

    @Test("Events carry the frame's number and packet time")
    func frameNumber() throws {
        var capture = CaptureWriter(.raw)
        capture.add(syn.bytes, at: 1_700_000_000)
        capture.add(PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2").tcp(40_000, 80, [.syn], seq: 1).bytes)
        capture.add(syn.bytes)
        let (lines, summary) = try replay(capture)
        #expect(lines.count == 2)
        #expect(lines[0].hasPrefix(#"{"timestamp":"2023-11-14T22:13:20.000000+0000""#))
        #expect(lines[0].contains(#""number":1"#) && lines[1].contains(#""number":3"#))
        #expect(lines[0].contains("No telnet"))
        #expect(summary.packets == 3)
        #expect(summary.counters.dropped[Int(DropReason.deny.rawValue)] == 2)
    }

    @Test("A fragment that is still held at the end is written as it is counted", arguments: [false, true])
    func heldAtTheEnd(folds: Bool) throws {
        let whole = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2")
            .udp(40_000, 53).payload([UInt8](repeating: 0, count: 2_000))
        var capture = CaptureWriter(.raw)
        capture.add(syn.bytes)
        capture.add(whole.fragmented(at: 1_480)[1].bytes)
        let (lines, summary) = try replay(capture, folds: folds)
        #expect(summary.counters.dropped[Int(DropReason.incompleteDatagram.rawValue)] == 1)
        #expect(lines.count == 2)
        #expect(lines.last?.contains(#""reason":"incomplete-datagram""#) == true)
    }

    @Test("Every link type leads to the same verdict", arguments: CaptureWriter.Link.allCases)
    func linkTypes(_ link: CaptureWriter.Link) throws {
        var capture = CaptureWriter(link)
        capture.add(syn.bytes)
        #expect(try replay(capture).summary.counters.dropped[Int(DropReason.deny.rawValue)] == 1)
    }

    @Test("Another link type is refused by its name")
    func unknownLink() throws {
        var capture = CaptureWriter(.raw, datalink: 105)
        capture.add(syn.bytes)
        let error = #expect(throws: CaptureError.self) { try replay(capture) }
        #expect(error?.description.contains("IEEE802_11") == true)
    }

    @Test("A file that ends in the middle of a frame is an error, after the frames before it")
    func torn() throws {
        var capture = CaptureWriter(.raw)
        capture.add(syn.bytes)
        capture.add(syn.bytes)
        capture.bytes.removeLast(10)
        let error = #expect(throws: CaptureError.self) { try replay(capture) }
        #expect(error?.description.contains(": frame 2: the file ends within a record") == true)
    }

    @Test(
        "What is no capture is refused, with what was expected",
        arguments: [
            ([], "expected a pcap or pcapng file"), (Array("no capture".utf8), "expected a pcap or pcapng file"),
            ([0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4], "the file ends within its header"),
            (
                [0xa1, 0xb2, 0xc3, 0xd4, 0, 3] + [UInt8](repeating: 0, count: 18),
                "found version 3.0 of pcap, expected 2"
            ),
            ([0x1f, 0x8b, 8, 0, 0, 0], "its compressed data"),
            ([0x28, 0xb5, 0x2f, 0xfd, 0], ": zstd "),
        ] as [([UInt8], String)])
    func noCapture(_ bytes: [UInt8], _ words: String) throws {
        var capture = CaptureWriter(.raw)
        capture.bytes = bytes
        let path = try capture.path()
        defer { unsafe unlink(path) }
        let error = #expect(throws: CaptureError.self) { _ = try CaptureFile(path: path) }
        #expect(error?.description.hasPrefix("\(path): ") == true && error?.description.contains(words) == true)
    }

    @Test("The side that speaks first is local, and an address given is")
    func direction() throws {
        var capture = CaptureWriter(.raw)
        capture.add(syn.bytes)
        #expect(try replay(capture, local: []).lines.isEmpty)
        #expect(try replay(capture).lines.count == 1)
        let other = AddressRange(first: "198.18.0.9", last: "198.18.0.9")
        #expect(try replay(capture, local: [other]).summary.ofOthers == 1)
    }

    @Test("What the snap length cut off is no malformation", arguments: 0..<40)
    func cut(_ length: Int) throws {
        var capture = CaptureWriter(.raw)
        capture.add(Array(syn.bytes.prefix(length)), wireLength: syn.bytes.count)
        let (lines, _) = try replay(capture)
        #expect(lines.allSatisfy { $0.contains("No telnet") })
    }

    @Test("A frame that is really too short is Unreadable Ethernet Header")
    func shortFrame() throws {
        var capture = CaptureWriter(.ethernet)
        capture.addRaw([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
        #expect(try replay(capture).summary.counters.dropped[Int(DropReason.unreadableEthernetHeader.rawValue)] == 1)
    }

    @Test("Tap mode passes and reports")
    func tap() throws {
        var capture = CaptureWriter(.raw)
        capture.add(syn.bytes)
        let (lines, summary) = try replay(capture, mode: .tap)
        #expect(lines.count == 1 && lines[0].contains("tap:deny"))
        #expect(summary.counters.passed == 1)
    }

    @Test("Two runs give the same bytes")
    func deterministic() throws {
        var random = SeededRandom(seed: 3)
        var capture = CaptureWriter(.raw)
        for _ in 0..<2000 {
            let port = UInt16(truncatingIfNeeded: random.next() % 50)
            capture.add(
                PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2").tcp(4000 + port, port, [.syn], seq: 1).bytes)
        }
        #expect(try replay(capture, folds: true).lines == replay(capture, folds: true).lines)
    }
}

private let host = AddressRange(first: "198.18.0.2", last: "198.18.0.2")

// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import TestSupport
import Testing

@testable import CaptureReplay

/// Writes the blocks of a pcapng file in either byte order.
private struct BlockWriter {
    var bigEndian = false
    var bytes: [UInt8] = []

    init(bigEndian: Bool = false) {
        self.bigEndian = bigEndian
        section()
    }

    func number(_ value: UInt64, _ count: Int) -> [UInt8] {
        let ordered = (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
        return bigEndian ? ordered.reversed() : ordered
    }

    mutating func block(_ kind: UInt64, _ body: [UInt8], last: UInt64? = nil) {
        let padded = body + [UInt8](repeating: 0, count: -body.count & 3)
        let length = UInt64(padded.count + 12)
        bytes += number(kind, 4) + number(length, 4) + padded + number(last ?? length, 4)
    }

    mutating func section() {
        block(0x0a0d_0d0a, number(0x1a2b_3c4d, 4) + number(1, 2) + number(0, 2) + number(.max, 8))
    }

    /// `options` are codes and values.
    mutating func interface(_ link: UInt64, snap: UInt64 = 0, _ options: [(UInt64, [UInt8])] = []) {
        var text: [UInt8] = []
        for (code, value) in options {
            text += number(code, 2)
            text += number(UInt64(value.count), 2)
            text += value + [UInt8](repeating: 0, count: -value.count & 3)
        }
        if !text.isEmpty { text += [0, 0, 0, 0] }
        let head = number(link, 2) + number(0, 2) + number(snap, 4)
        block(1, head + text)
    }

    mutating func packet(
        _ interface: UInt64, ticks: UInt64, _ frame: [UInt8], length: UInt64? = nil, captured: UInt64? = nil
    ) {
        let head = number(interface, 4) + number(ticks >> 32, 4) + number(ticks & 0xffff_ffff, 4)
        let lengths = number(captured ?? UInt64(frame.count), 4) + number(length ?? UInt64(frame.count), 4)
        block(6, head + lengths + frame)
    }
}

@Suite("Captures are read in each of their forms, and nothing else is")
struct CaptureFormatTests {
    private struct Frame: Equatable {
        var number: UInt64
        var bytes: [UInt8]
        var length: UInt32
        var time: Int64
        var link: LinkType?
    }

    private func frames(_ bytes: [UInt8]) throws -> [Frame] {
        var writer = CaptureWriter(.raw)
        writer.bytes = bytes
        let path = try writer.path()
        defer { unsafe unlink(path) }
        var file = try CaptureFile(path: path)
        var found: [Frame] = []
        while try file.next({ bytes, frame in
            let copy = (0..<bytes.byteCount).map { unsafe bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
            found.append(
                Frame(
                    number: frame.number, bytes: copy, length: frame.fullLength, time: frame.time, link: frame.link))
        }) {}
        return found
    }

    private func refusal(_ bytes: [UInt8]) -> String {
        (#expect(throws: CaptureError.self) { try frames(bytes) })?.description ?? ""
    }

    private static let second: Int64 = 1_000_000_000

    @Test("Interfaces of one section have link types, snap lengths and clocks of their own", arguments: [false, true])
    func interfaces(bigEndian: Bool) throws {
        var file = BlockWriter(bigEndian: bigEndian)
        file.interface(1, snap: 262_144)
        file.interface(101, snap: 96, [(9, [9]), (2, Array("eth1".utf8)), (14, file.number(100, 8))])
        file.interface(113, snap: 0, [(9, [0x80 | 10])])
        file.interface(105)
        file.packet(0, ticks: 1_500_000, [1, 2, 3])
        file.packet(1, ticks: 2_000_000_001, [4, 5, 6, 7], length: 1_500)
        file.packet(2, ticks: 3 << 10 | 512, [8])
        file.packet(3, ticks: 0, [9])
        file.block(5, [1, 2, 3, 4])
        file.block(0xbad, [UInt8](repeating: 7, count: 500_000))
        file.packet(0, ticks: 4_000_000, [])
        #expect(
            try frames(file.bytes) == [
                Frame(number: 1, bytes: [1, 2, 3], length: 3, time: Self.second * 3 / 2, link: .ethernet),
                Frame(number: 2, bytes: [4, 5, 6, 7], length: 1_500, time: Self.second * 102 + 1, link: .rawIP),
                Frame(number: 3, bytes: [8], length: 1, time: Self.second * 7 / 2, link: .linuxCooked1),
                Frame(number: 4, bytes: [9], length: 1, time: 0, link: nil),
                Frame(number: 5, bytes: [], length: 0, time: Self.second * 4, link: .ethernet),
            ])
    }

    @Test("Another section begins anew, in a byte order of its own")
    func sections() throws {
        var first = BlockWriter()
        first.interface(1)
        first.packet(0, ticks: 0, [1])
        var second = BlockWriter(bigEndian: true)
        second.interface(101)
        second.packet(0, ticks: 0, [2])
        #expect(try frames(first.bytes + second.bytes).map(\.link) == [.ethernet, .rawIP])
        var third = BlockWriter()
        third.packet(0, ticks: 0, [3])
        #expect(refusal(first.bytes + third.bytes).contains("found a packet of interface 0, expected one of 0"))
    }

    @Test("The forms without a time, and of before")
    func otherPackets() throws {
        var file = BlockWriter()
        file.interface(1, snap: 2)
        file.block(3, file.number(4, 4) + [1, 2, 3, 4])
        var old = file.number(0, 2) + file.number(7, 2)
        old += file.number(0, 4) + file.number(5, 4)
        old += file.number(2, 4) + file.number(9, 4)
        file.block(2, old + [5, 6])
        #expect(
            try frames(file.bytes) == [
                Frame(number: 1, bytes: [1, 2], length: 4, time: 0, link: .ethernet),
                Frame(number: 2, bytes: [5, 6], length: 9, time: 5_000, link: .ethernet),
            ])
    }

    @Test("A clock of any resolution, at its greatest number", arguments: [0, 6, 9, 19, 0x80, 0xbf] as [UInt8])
    func clocks(resolution: UInt8) throws {
        var file = BlockWriter()
        file.interface(101, [(9, [resolution]), (14, file.number(.max, 8))])
        file.packet(0, ticks: .max, [1])
        #expect(try frames(file.bytes).count == 1)
    }

    @Test("Only links that cannot be replayed are no capture to be replayed")
    func foreign() {
        var file = BlockWriter()
        file.interface(105)
        file.packet(0, ticks: 0, [9])
        #expect(refusal(file.bytes).contains("link type IEEE802_11 cannot be replayed; expected Ethernet"))
    }

    @Test("What a file says of itself is not believed")
    func hostile() {
        func said(_ change: (inout BlockWriter) -> Void) -> String {
            var file = BlockWriter()
            file.interface(1)
            change(&file)
            return refusal(file.bytes)
        }
        #expect(
            said { $0.packet(0, ticks: 0, [1], captured: 5) }.contains("frame 1: found 5 captured bytes in a block"))
        #expect(said { $0.packet(0, ticks: 0, [1], captured: 0xffff_ffff) }.contains("found 4294967295 captured bytes"))
        #expect(said { $0.packet(9, ticks: 0, [1]) }.contains("found a packet of interface 9, expected one of 1"))
        #expect(said { $0.block(6, [1, 2, 3, 4]) }.contains("found a packet's block of 16 bytes"))
        #expect(said { $0.block(1, [1, 0]) }.contains("found an interface of 16 bytes"))
        #expect(said { $0.interface(1, [(9, [20])]) }.contains("found a clock of resolution 20"))
        #expect(said { $0.block(6, [UInt8](repeating: 0, count: 32), last: 40) }.contains("says 40 at its end"))
        #expect(said { $0.bytes += $0.number(6, 4) + $0.number(13, 4) + [0, 0, 0, 0] }.contains("a block of 13 bytes"))
        #expect(said { $0.bytes += $0.number(6, 4) + $0.number(0x7fff_fff0, 4) + [0, 0, 0, 0] }.contains("at most"))
        #expect(
            said { $0.bytes += $0.number(99, 4) + $0.number(0xffff_fff0, 4) + [0, 0, 0, 0] }.contains("ends within"))
        #expect(said { $0.bytes += [1, 0, 0] }.contains("the file ends within a block: found 3 bytes of 12"))
        #expect(said { $0.bytes += BlockCapture.magic + [28, 0, 0, 0, 1, 2, 3, 4] }.contains("without a byte order"))
    }

    @Test("pcap in both byte orders, with microseconds, nanoseconds, and the longer records of Linux 2.2")
    func classic() throws {
        for (magic, extra, fraction) in [(0xa1b2_c3d4, 0, 1_000), (0xa1b2_3c4d, 0, 1), (0xa1b2_cd34, 8, 1_000)]
            as [(UInt64, Int, Int64)]
        {
            for bigEndian in [false, true] {
                let order = BlockWriter(bigEndian: bigEndian)
                func words(_ words: UInt64...) -> [UInt8] { words.flatMap { order.number($0, 4) } }
                let version = order.number(2, 2) + order.number(4, 2)
                let header = order.number(magic, 4) + version + words(0, 0, 65_535, 0x1000_0065)
                let record = words(7, 5, 3, 9) + [UInt8](repeating: 1, count: extra) + [1, 2, 3]
                let wanted = Frame(
                    number: 1, bytes: [1, 2, 3], length: 9, time: 7 * Self.second + 5 * fraction, link: .rawIP)
                #expect(try frames(header + record) == [wanted])
            }
        }
    }

    @Test("A record that would be larger than any frame is none")
    func largeRecord() {
        var capture = CaptureWriter(.raw)
        capture.bytes += [0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 4, 0, 1]
        #expect(refusal(capture.bytes).contains("frame 1: found 262145 captured bytes, expected 262144 at most"))
    }

    @Test("Compressed with gzip in several members, cut off, and damaged")
    func compressed() throws {
        var capture = CaptureWriter(.raw)
        for _ in 0..<3 { capture.addRaw([1, 2, 3, 4]) }
        let half = capture.bytes.count / 2
        let file = try Self.gzip(Array(capture.bytes[..<half])) + Self.gzip(Array(capture.bytes[half...]))
        #expect(try frames(file).count == 3)
        #expect(refusal(Array(file.dropLast(9))).contains("its compressed data ends too early"))
        var damaged = file
        damaged[file.count - 6] ^= 0xff
        #expect(refusal(damaged).contains("its compressed data is damaged"))
    }

    /// What gzip(1) makes of the bytes.
    private static func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
        var writer = CaptureWriter(.raw)
        writer.bytes = bytes
        let path = try writer.path()
        defer { unsafe unlink(path + ".gz") }
        #expect(unsafe system("gzip -n \(path)") == 0)
        let file = unsafe open(path + ".gz", O_RDONLY)
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        return Array(buffer[..<max(0, unsafe read(file, &buffer, buffer.count))])
    }
}

@Suite("Folders stand for the captures in them")
struct CaptureListTests {
    @Test(
        "By their names",
        arguments: [
            ("a.pcap", true), ("a.pcapng.gz", true), ("A.CAP", true), ("a.pcap12", true), ("a.pcap3.zst", true),
            ("a.dmp.xz", true),
            ("a.txt", false), ("pcap", false), ("a.gz", false), ("pcap.gz", false), (".pcap", true),
            ("a.pcap.old", false),
        ])
    func names(name: String, isCapture: Bool) { #expect(CaptureList.isCapture(name) == isCapture) }

    @Test("Files as they are named, folders in the order of their paths, without following links to folders")
    func order() throws {
        var template = Array("/tmp/portreeve-captures.XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else {
            Issue.record("no temporary folder")
            return
        }
        let root = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { _ = unsafe system("rm -r \(root)") }
        for folder in ["b", "b/c", "empty"] { #expect(unsafe mkdir("\(root)/\(folder)", 0o700) == 0) }
        for name in ["b/2.pcap", "b/1.pcapng", "b/10.pcap", "b/c/0.cap.gz", "b/notes.txt", "a.pcap"] {
            let file = unsafe open("\(root)/\(name)", O_CREAT | O_WRONLY, 0o600)
            #expect(close(file) == 0)
        }
        #expect(unsafe symlink(root, "\(root)/b/round") == 0)
        let list = CaptureList(["z.txt", "\(root)/", "-", "\(root)/b/2.pcap", "\(root)/empty"])
        let inside = ["a.pcap", "b/1.pcapng", "b/10.pcap", "b/2.pcap", "b/c/0.cap.gz"].map { "\(root)/\($0)" }
        #expect(list.paths == ["z.txt"] + inside + ["-", "\(root)/b/2.pcap"])
        #expect(list.problems.map { $0.hasPrefix("\(root)/empty: no file in it") } == [true])
    }
}

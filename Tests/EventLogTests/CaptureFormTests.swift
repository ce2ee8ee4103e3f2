// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import TestSupport
import Testing

@testable import EventLog

@Suite("Dropped packets as a capture")
struct CaptureFormTests {
    let directory = TemporaryDirectory()
    var path: String { directory.file("dropped.pcapng") }

    /// A block as a reader takes it: the type, and what stands between its two lengths.
    private struct Block {
        let type: UInt32
        let body: [UInt8]

        func number(_ place: Int) -> Int { Int(PCAPNG.number(body[...], place)) }
    }

    /// Nil where anything is not as the format wants it.
    private func blocks(_ bytes: [UInt8]) -> [Block]? {
        var found: [Block] = []
        var place = 0
        while place < bytes.count {
            guard place + 12 <= bytes.count else { return nil }
            let length = Int(PCAPNG.number(bytes[...], place + 4))
            guard length >= 12, length % 4 == 0, place + length <= bytes.count,
                Int(PCAPNG.number(bytes[...], place + length - 4)) == length
            else { return nil }
            found.append(
                Block(type: PCAPNG.number(bytes[...], place), body: Array(bytes[(place + 8)..<(place + length - 4)])))
            place += length
        }
        return found
    }

    private func settings(_ path: String, size: UInt64? = nil, keep: UInt32 = 50) -> OutputSettings {
        OutputSettings(
            name: "capture", format: .json,
            target: .capture(path: path, rotation: EventRotation(size: size, keep: keep)))
    }

    private func record(_ number: Int, interface: UInt32 = 2, packet: [UInt8]) -> RecordFields {
        var one = event(.deny, source: UInt32(number)) { $0.packetIsForCapture = true }
        one.metadata.inInterface = interface
        return someResolver().fields(EventRecord(EventSummary(one), packet: packet))
    }

    /// Interfaces of the packets of a file, by name; nil where a packet names one that its section does not have.
    private func interfaces(_ path: String) throws -> [String]? {
        var known: [String] = []
        var used: [String] = []
        for block in try #require(blocks(contents(path))) {
            switch block.type {
            case PCAPNG.sectionType: known = []
            case 1:
                // Behind link type, reserved and snap length: the option of the name.
                #expect(block.number(8) & 0xffff == 2)
                let length = block.number(8) >> 16
                known.append(String(decoding: block.body[12..<12 + length], as: UTF8.self))
            default:
                guard block.number(0) < known.count else { return nil }
                used.append(known[block.number(0)])
            }
        }
        return used
    }

    @Test("whatever bytes a packet has, every block can be read, and the bytes are those of the packet")
    func hostile() throws {
        var random = SystemRandomNumberGenerator()
        let packets = (0..<500).map { _ in
            (0..<Int.random(in: 0...1500, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        }
        var sender = OutputSender(settings(path))
        sender.take(packets.enumerated().map { record($0.offset, packet: $0.element) })
        sender.send(at: .ms(0))
        #expect(sender.isSettled && sender.backlog.written.total == 500)
        let read = try #require(blocks(contents(path))).filter { $0.type == 6 }
        #expect(read.count == 500)
        for (block, packet) in zip(read, packets) {
            let kept = block.number(12)
            #expect(kept == packet.count || kept == packet.count + 14)
            let bytes = Array(block.body[(20 + kept - packet.count)..<(20 + kept)])
            #expect(bytes == packet)
            #expect(block.number(16) >= kept)
        }
    }

    @Test("interfaces keep their numbers over files, however the files end")
    func rotation() throws {
        var sender = OutputSender(settings(path, size: 4000))
        for round in 0..<40 {
            let interface = UInt32(2 + round % 7)
            sender.take((0..<3).map { record($0, interface: interface, packet: Array(repeating: 0x45, count: 300)) })
            if round % 5 == 0 { sender.reopen() }
            sender.send(at: .ms(Int64(round)))
        }
        var files = [path]
        while !contents("\(path).\(files.count)").isEmpty { files.append("\(path).\(files.count)") }
        #expect(files.count > 10)
        var used: [String] = []
        for file in files.reversed() { used += try #require(try interfaces(file)) }
        let names = InterfaceNames([2: "eth0", 3: "eth1"])
        var expected: [String] = []
        for round in 0..<40 {
            let name: String = names[UInt32(2 + round % 7)] ?? ""
            expected += [name, name, name]
        }
        #expect(used == expected)
    }

    @Test("a full disk leaves no torn block, and what it had no room for follows")
    func fullDisk() {
        var sender = OutputSender(settings("/dev/full"))
        sender.take((0..<10).map { record($0, packet: [0x45]) })
        sender.send(at: .ms(0))
        #expect(sender.trouble?.description.contains("/dev/full") == true)
        sender.adopt(settings(path))
        sender.send(at: .ms(10_000))
        let packets = blocks(contents(path))?.filter { $0.type == 6 }.count
        #expect(sender.trouble == nil && packets == 10)
    }

    @Test("what an agent left torn is cut off at the last whole block", arguments: [1, 3, 8, 11, 40, 100])
    func torn(_ left: Int) throws {
        var first = OutputSender(settings(path))
        first.take((0..<5).map { record($0, packet: Array(repeating: 0x45, count: 200)) })
        first.close(at: .ms(0))
        let bytes = contents(path)
        let cut = Array(bytes.dropLast(left))
        let descriptor = unsafe open(path, O_WRONLY | O_TRUNC)
        unsafe cut.withUnsafeBytes { _ = unsafe write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
        var second = OutputSender(settings(path))
        second.take([record(9, packet: [0x45])])
        second.send(at: .ms(0))
        #expect(try interfaces(path)?.count == 5)
    }

    @Test("a frame that is no IP has a header of Ethernet made for it")
    func frames() throws {
        var one = event(.deny) { $0.headers = PacketHeaders() }
        one.headers.etherType = 0x0806
        one.headers.network = .arp
        one.headers.sourceMAC = MACAddress(bits: 0x5254_0000_0001)
        let fields = someResolver().fields(EventRecord(EventSummary(one), packet: [0, 1, 8, 0, 6, 4]))
        var text: [UInt8] = []
        CaptureForm().append(fields, at: RecordPlace(sequence: 1), to: &text)
        let read = try #require(blocks(text))
        #expect(read[0].number(0) & 0xffff == 1)
        let expected: [UInt8] = [0, 0, 0, 0, 0, 0, 0x52, 0x54, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4]
        let bytes = Array(read[1].body[20..<40])
        #expect(bytes == expected)
    }

    @Test("it takes what was refused, and other outputs have all; each account is exact")
    func refusals() {
        let log = EventLog(
            workers: 1, fold: .zero, outputs: files(directory.file("e.jsonl")) + [settings(path)], host: nil,
            flowSeed: (1, 2))
        log.queues[0].append(
            [event(.deny), event(.logOnly, action: .logOnly), event(.deny, action: .tapDeny)], bytes: [])
        log.step(.at(0))
        #expect(log.reports().map(\.accounting.total.received) == [3, 2])
        #expect(log.reports().map(\.accounting.total.written) == [3, 2])
        #expect(log.reports()[1].format == "pcapng")
    }
}

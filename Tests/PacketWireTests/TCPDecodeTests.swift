// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@Suite("TCP")
struct TCPDecodeTests {
    let packet = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2")

    private func options(_ list: TCPOption...) -> TCPFields { packet.tcp(1, 2, [.syn], options: list).headers.tcp }

    @Test("a header gives its fields")
    func fields() {
        let headers = packet.tcp(40_000, 443, [.ack, .urg], seq: 0xfffe_fdfc, ack: 7, window: 500, urgent: 9)
            .payload(count: 10).headers
        #expect(headers.transport == .tcp)
        #expect(headers.sourcePort == 40_000)
        #expect(headers.destinationPort == 443)
        #expect(headers.tcp.sequence == 0xfffe_fdfc)
        #expect(headers.tcp.acknowledgement == 7)
        #expect(headers.tcp.flags == [.ack, .urg])
        #expect(headers.tcp.window == 500)
        #expect(headers.tcp.urgentPointer == 9)
        #expect(headers.tcp.dataLength == 10)
        #expect(headers.tcp.dataOffset == 40)
    }

    @Test("all 256 combinations of flags are taken as they are, none is a malformation")
    func flags() {
        for bits in UInt8.min...UInt8.max {
            #expect(packet.tcp(1, 2, TCPFlags(rawValue: bits)).headers.tcp.flags.rawValue == bits)
        }
    }

    @Test("without options every option field has its initial value")
    func noOptions() {
        let tcp = options()
        #expect(tcp.maximumSegmentSize == 0)
        #expect(tcp.windowScale == TCPFields.noWindowScale)
        #expect(!tcp.sackPermitted && !tcp.fastOpen && !tcp.hasTimestamps)
        #expect(tcp.sackBlockCount == 0)
    }

    @Test("the options of a SYN")
    func synOptions() {
        let tcp = options(
            .mss(1460), .sackPermitted, .timestamps(0x0102_0304, echo: 0x0506_0708), .noOperation, .windowScale(7))
        #expect(tcp.maximumSegmentSize == 1460)
        #expect(tcp.sackPermitted)
        #expect(tcp.hasTimestamps)
        #expect(tcp.timestampValue == 0x0102_0304)
        #expect(tcp.timestampEcho == 0x0506_0708)
        #expect(tcp.windowScale == 7)
    }

    @Test("time stamps are found in the usual place and in any other")
    func timestamps() {
        let usual = options(.noOperation, .noOperation, .timestamps(1, echo: 2))
        #expect(usual.hasTimestamps && usual.timestampValue == 1 && usual.timestampEcho == 2)
        let other = options(.timestamps(1, echo: 2), .noOperation, .noOperation)
        #expect(other.hasTimestamps && other.timestampValue == 1 && other.timestampEcho == 2)
        let more = options(.noOperation, .noOperation, .timestamps(1, echo: 2), .mss(9))
        #expect(more.hasTimestamps && more.maximumSegmentSize == 9)
        #expect(!options(.noOperation, .noOperation, .bytes([8, 9, 0, 0, 0, 1, 0, 0, 0, 2])).hasTimestamps)
    }

    @Test(
        "a window scale above 14 counts as 14", arguments: [(0, 0), (14, 14), (15, 14), (255, 14)] as [(UInt8, UInt8)])
    func windowScale(option: UInt8, shift: UInt8) {
        #expect(options(.windowScale(option)).windowScale == shift)
    }

    @Test("after the end of the list nothing counts")
    func endOfList() {
        #expect(options(.endOfList, .mss(1460)).maximumSegmentSize == 0)
    }

    @Test(
        "from an option with an impossible length on nothing counts, and before it everything",
        arguments: [
            [8, 0], [8, 1], [8, 200], [2], [3],
        ] as [[UInt8]])
    func impossibleLength(option: [UInt8]) {
        let tcp = options(.mss(1460), .bytes(option), .noOperation, .sackPermitted)
        #expect(tcp.maximumSegmentSize == 1460)
        #expect(!tcp.sackPermitted)
    }

    @Test("an option that ends one byte beyond the header does not count")
    func optionBeyondHeader() {
        #expect(options(.noOperation, .bytes([2, 4, 5])).maximumSegmentSize == 0)
        #expect(options(.bytes([2, 4, 5, 6])).maximumSegmentSize == 0x0506)
    }

    @Test("options do not reach into the data")
    func optionsEndWithHeader() {
        let segment = packet.tcp(1, 2, [.syn], options: [.bytes([1, 1, 1, 2])]).payload([4, 5, 6, 7])
        #expect(segment.headers.tcp.maximumSegmentSize == 0)
        #expect(segment.headers.tcp.dataLength == 4)
    }

    @Test(
        "an option of a length that is not its own is stepped over",
        arguments: [
            [2, 3, 9], [2, 5, 9, 9, 9], [3, 4, 9, 9], [4, 3, 9], [8, 9, 9, 9, 9, 9, 9, 9, 9], [5, 2],
            [5, 9, 0, 0, 0, 0, 0, 0, 0],
        ] as [[UInt8]])
    func foreignLength(option: [UInt8]) {
        let tcp = options(.bytes(option), .fastOpen(cookie: []))
        #expect(tcp.maximumSegmentSize == 0)
        #expect(tcp.windowScale == TCPFields.noWindowScale)
        #expect(!tcp.sackPermitted && !tcp.hasTimestamps)
        #expect(tcp.sackBlockCount == 0)
        #expect(tcp.fastOpen)
    }

    @Test("unknown options are stepped over")
    func unknownOption() {
        #expect(
            options(.bytes([30, 4, 0, 0]), .bytes([19, 18] + [UInt8](repeating: 7, count: 16)), .mss(9))
                .maximumSegmentSize == 9)
    }

    @Test("Fast Open: no cookie or 4 to 16 bytes, an even number", arguments: Array(0...18))
    func fastOpen(length: Int) {
        let cookie = [UInt8](repeating: 0xc0, count: length)
        let isLegal = length == 0 || (4...16).contains(length) && length % 2 == 0
        #expect(options(.fastOpen(cookie: cookie)).fastOpen == isLegal)
        #expect(options(.experimentalFastOpen(cookie: cookie)).fastOpen == isLegal)
    }

    @Test(
        "the experimental option of another experiment is not Fast Open",
        arguments: [[254, 4, 0xf9, 0x88], [254, 2], [254, 3, 0xf9], [253, 4, 0xf9, 0x89]] as [[UInt8]])
    func otherExperiment(option: [UInt8]) {
        #expect(!options(.bytes(option)).fastOpen)
    }

    // MARK: SACK

    @Test("SACK blocks give their number and their outer edges, also around the wrap of sequence numbers")
    func sackEdges() {
        let tcp = options(.sack([(300, 400), (0xffff_ff00, 50), (100, 200)]))
        #expect(tcp.sackBlockCount == 3)
        #expect(tcp.sackLowest == 0xffff_ff00)
        #expect(tcp.sackHighest == 400)
        #expect(options(.sack([(7, 8), (1, 2), (5, 6), (3, 4)])).sackBlockCount == 4)
    }

    @Test("the SACK digest tells different block lists apart")
    func sackDigest() {
        let lists: [[(UInt32, UInt32)]] = [
            [(1, 2)], [(2, 1)], [(1, 3)], [(1, 2), (3, 4)], [(3, 4), (1, 2)], [(1, 4), (3, 2)], [(1, 2), (1, 2)],
            [(5, 5), (5, 5)], [(0, 0)], [(1 << 31, 2)],
        ]
        var digests = Set(lists.map { options(.sack($0)).sackDigest })
        #expect(digests.count == lists.count)
        digests = Set((0..<1_000).map { options(.sack([(1_000 + 1_448 * $0, 9_000_000)])).sackDigest })
        #expect(digests.count == 1_000)
        #expect(
            options(.sack([(1, 2), (3, 4)])).sackDigest == options(.noOperation, .sack([(1, 2), (3, 4)])).sackDigest)
    }

    @Test("cut options: those at hand count, the packet is marked; what a SYN may offer behind the cut, it offers")
    func cutOptions() throws {
        let bytes = packet.tcp(1, 2, [.syn], options: [.mss(1460), .windowScale(7)]).payload(count: 9).bytes
        let headers = try PacketHeaders(decoding: Array(bytes.prefix(46)), fullLength: bytes.count)
        #expect(headers.isCut)
        #expect(headers.transport == .tcp)
        #expect(headers.tcp.maximumSegmentSize == 1460)
        #expect(headers.tcp.windowScale == 14 && headers.tcp.fastOpen)
        #expect(headers.tcp.dataLength == 9)
        let later = try PacketHeaders(decoding: Array(bytes.prefix(47)), fullLength: bytes.count)
        #expect(later.tcp.windowScale == 7 && later.tcp.fastOpen && later.isCut)
    }

    /// Linux discards a segment in which it cannot look for these options to the end (`tcp_parse_auth_options`).
    @Test("authentication options are found, and where they cannot be told that is known")
    func authentication() {
        let md5: [UInt8] = [19, 18] + [UInt8](repeating: 7, count: 16)
        #expect(options(.bytes(md5)).authentication == .md5)
        #expect(options(.bytes([29, 4, 1, 1])).authentication == .ao)
        #expect(options(.mss(1_400), .bytes(md5 + md5)).authentication.contains(.unreadable))
        #expect(options(.bytes([29, 4, 1, 1] + md5)).authentication.contains(.unreadable))
        for length: UInt8 in [0, 1, 9] {
            #expect(options(.bytes([200, length, 1, 1, 1, 1, 1, 1])).authentication == .unreadable)
        }
        #expect(options(.bytes([200, 8, 1, 1, 1, 1, 1, 1])).authentication.isEmpty)
        #expect(options(.bytes([1, 1, 1, 1, 200, 9, 1, 1])).authentication.isEmpty, "no room for one behind it")
        #expect(options(.bytes([0, 0, 0, 0, 200, 0, 1, 1])).authentication.isEmpty, "behind the end of the list")
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

/// The two sides of a control connection, one with the numbers of the other.
private struct ControlBench {
    var controls = FTPControls(seed: (1, 2))
    let key: ConnectionKey
    let client: Side
    var sequences: (client: UInt32, server: UInt32) = (0xffff_fff0, 7_000)
    var now = Instant(nanoseconds: 1_000_000_000)
    /// The first segment that is read is the client's first.
    var isBeginning = false

    init(client address: IPAddress = "198.51.100.7", server: IPAddress = "192.0.2.10") {
        controls.prepare(isUsed: true)
        let low = min(address, server)
        client = low == address ? .low : .high
        key = ConnectionKey(
            lowAddress: low, highAddress: max(address, server),
            lowPortOrIdentifier: low == address ? 40_000 : 21, highPortOrIdentifier: low == address ? 21 : 40_000,
            protocolNumber: IPProtocol.tcp, version: address.isMappedV4 ? 4 : 6, queryType: 0)
    }

    /// A segment of one side at an offset from what that side would send next; `moves` it on.
    mutating func says(
        _ bytes: [UInt8], byClient: Bool = true, ahead: Int = 0, moves: Bool = true,
        keeping: FTPControls.Keeping = .unlessRefused
    ) -> FTPReading {
        var s = TCPFields()
        s.flags = .ack
        s.sequence = (byClient ? sequences.client : sequences.server) &+ UInt32(truncatingIfNeeded: ahead)
        s.acknowledgement = byClient ? sequences.server : sequences.client
        s.dataLength = UInt32(bytes.count)
        s.dataOffset = 3
        let packet = [1, 2, 3] + bytes
        let reading = unsafe controls.read(
            packet.span.bytes, s, of: key, from: byClient ? client : client.opposite, client: client,
            isBeginning: isBeginning, at: now, keeping: keeping)
        guard moves, !reading.isRefused else { return reading }
        if byClient { sequences.client &+= UInt32(bytes.count) } else { sequences.server &+= UInt32(bytes.count) }
        return reading
    }

    mutating func client(_ text: String) -> FTPReading { says(Array(text.utf8)) }
    mutating func server(_ text: String) -> FTPReading { says(Array(text.utf8), byClient: false) }
}

@Suite("FTP control connections")
struct FTPControlTests {
    @Test(
        "A command that names the client and a free port announces it",
        arguments: [
            "PORT 198,51,100,7,200,13\r\n", "port 198,51,100,7,200,13\n", "  PORT   198,51,100,7,200,13  \r\n",
            "EPRT |1|198.51.100.7|51213|\r\n", "eprt !1!198.51.100.7!51213!\r\n", "PORT 198,51,100,007,200,013\r\n",
            "PORT 198,51,\u{0}100,7,200,13\r\n",
        ])
    func announced(_ line: String) {
        var bench = ControlBench()
        let reading = bench.client(line)
        #expect(!reading.isRefused && reading.activePort == 51_213)
    }

    @Test(
        "One that is malformed, names another address or a port below 1024 is refused, as often as it is repeated",
        arguments: [
            "PORT\r\n", "PORT 198,51,100,7,200\r\n", "PORT 198,51,100,7,200,13,1\r\n", "PORT 198,51,100,7,256,13\r\n",
            "PORT 198.51.100.7,200,13\r\n", "PORT 198,51,100,8,200,13\r\n", "PORT 198,51,100,7,3,255\r\n",
            "PORT 198,51,100,7,200,13 x\r\n", "PORT 198,51,100,7,0200,13\r\n", "PORT 198,51,100,7,-1,13\r\n",
            "EPRT |1|198.51.100.8|51213|\r\n", "EPRT |2|198.51.100.7|51213|\r\n", "EPRT |1|198.51.100.7|80|\r\n",
            "EPRT |1|198.51.100.7|51213\r\n", "EPRT |1|198.51.100.7|65536|\r\n", "EPRT |3|198.51.100.7|51213|\r\n",
            "EPRT\r\n", "EPRT |1|fd00::1|51213|\r\n", "NOOP\r\nPORT 203,0,113,9,200,13\r\nNOOP\r\n",
            "PO\u{0}RT 203,0,113,9,200,13\r\n",
        ])
    func refused(_ line: String) {
        var bench = ControlBench()
        for _ in 0..<2 { #expect(bench.client(line).isRefused) }
        #expect(bench.client("PORT 198,51,100,7,200,13\r\n").activePort == 51_213, "and nothing of it is kept")
    }

    @Test(
        "Nothing else is a command",
        arguments: ["SITE PORT 1\r\n", "PORTS 1\r\n", "XPORT\r\n", "USER PORT\r\n", "\r\n"])
    func others(_ line: String) {
        var bench = ControlBench()
        #expect(bench.client(line) == FTPReading())
    }

    @Test("Telnet's commands inside a line are none of it")
    func telnet() {
        var bench = ControlBench()
        let line: [UInt8] =
            Array("PO".utf8) + [255, 244] + Array("RT 203,0,".utf8) + [255, 253, 6] + Array("113,9,9,9\n".utf8)
        #expect(bench.says(line).isRefused)
        #expect(bench.says([255, 244, 255, 242] + Array("ABOR\r\n".utf8)) == FTPReading())
        #expect(
            bench.says(Array("PORT 198,51,100,7,200,13".utf8) + [255, 255, 13, 10]).isRefused, "IAC twice is a byte 255"
        )
    }

    @Test("IPv6 has EPRT and EPSV, and no PORT")
    func ipv6() {
        var bench = ControlBench(client: "fd00:0:0:2::7", server: "fd00:0:0:1::10")
        #expect(bench.client("EPRT |2|fd00::2:0:0:0:7|51213|\r\n").activePort == 51_213)
        #expect(bench.client("EPRT |2|fd00::2:0:0:0:8|51213|\r\n").isRefused)
        #expect(bench.client("PORT 198,51,100,7,200,13\r\n").isRefused)
        _ = bench.client("EPSV\r\n")
        #expect(bench.server("229 Entering Extended Passive Mode (|||40001|)\r\n").passivePort == 40_001)
    }

    @Test("A reply counts once, after the command that it answers, and not inside a longer one")
    func passive() {
        var bench = ControlBench()
        let reply = "227 Entering Passive Mode (192,0,2,10,200,13).\r\n"
        #expect(bench.server("220-Welcome\r\n227 Entering Passive Mode (1,2,3,4,200,13)\r\n220 \r\n") == FTPReading())
        #expect(bench.server(reply) == FTPReading(), "nobody has asked")
        _ = bench.client("PASV\r\n")
        #expect(bench.server("211-Status\r\n" + reply + "211 End\r\n") == FTPReading())
        #expect(bench.server(reply).passivePort == 51_213)
        #expect(bench.server(reply) == FTPReading(), "one each")
        _ = bench.client("PASV\r\n")
        #expect(bench.server("500 no\r\n" + reply) == FTPReading(), "it was refused")
        _ = bench.client("PASV\r\n")
        let again = bench.server("227 Entering Passive Mode =10,1,1,1,200,14\r\n")
        #expect(again.passivePort == 51_214, "behind a router that translates, the peer's own address is meant")
        #expect(again.formerPassivePort == 51_213)
    }

    @Test(
        "A reply that names no port, or one below 1024, announces nothing and passes",
        arguments: [
            "227 Entering Passive Mode (192,0,2,10,200)\r\n", "227 ok\r\n", "227 (192,0,2,10,0,22)\r\n", "227\r\n",
            "227 (192,0,2,10,200,13,9)\r\n",
        ])
    func badReplies(_ line: String) {
        var bench = ControlBench()
        _ = bench.client("PASV\r\n")
        #expect(bench.server(line) == FTPReading())
    }

    @Test("After the 234 that answers AUTH nothing is read, and before it everything is")
    func protected() {
        let bounce = "PORT 203,0,113,9,200,13\r\n"
        var bench = ControlBench()
        #expect(bench.server("234 nobody asked\r\n") == FTPReading())
        #expect(bench.client(bounce).isRefused)
        _ = bench.client("AUTH TLS\r\n")
        #expect(bench.client(bounce).isRefused)
        #expect(bench.server("234 go\r\n") == FTPReading())
        #expect(bench.client(bounce) == FTPReading())
    }

    @Test("Of commands that are sent ahead each has its own reply")
    func pipelined() {
        let reply = "227 Entering Passive Mode (192,0,2,10,200,13)\r\n"
        var bench = ControlBench()
        _ = bench.client("SIZE a\r\nMDTM a\r\nPASV\r\n")
        #expect(bench.server("150 wait\r\n550 no\r\n500-no\r\n500 no\r\n" + reply).passivePort == 51_213)
        _ = bench.client("SIZE a\r\nPASV\r\n")
        #expect(bench.server("213 7\r\n500 no\r\n" + reply) == FTPReading(), "the second is that to PASV")
        _ = bench.client("NOOP\r\nAUTH TLS\r\n")
        #expect(bench.server("500 no\r\n234 go\r\n") == FTPReading())
        #expect(bench.client("PORT 203,0,113,9,200,13\r\n") == FTPReading())
    }

    @Test(
        "Who begins with something else than a command of FTP announces nothing, but may not name another either",
        arguments: [
            "POST / HTTP/1.1\r\nHost: a\r\n\r\n", "get / HTTP/1.1\r\n", "OPTIONS / HTTP/1.1\r\n", "PUT /a HTTP/1.1\r\n",
            "\u{16}\u{3}\u{1}\u{2}\n", "\r\n", "USER1 x\r\n", "Host: a\r\n",
            String(repeating: "a", count: 5_000) + "\r\n",
        ])
    func otherKinds(_ first: String) {
        for isBeginning in [true, false] {
            var bench = ControlBench()
            bench.isBeginning = isBeginning
            _ = bench.server("220 ready\r\n")
            _ = bench.client(first + "USER a\r\n")
            #expect(bench.client("PORT 198,51,100,7,200,13\r\n").activePort == (isBeginning ? 0 : 51_213))
            _ = bench.client("PASV\r\n")
            let reply = bench.server("227 (192,0,2,10,200,13)\r\n")
            #expect(reply.passivePort == (isBeginning ? 0 : 51_213))
            #expect(bench.client("PORT 203,0,113,9,200,13\r\n").isRefused)
        }
        for command in ["USER a\r\n", "auth TLS\r\n", "FEAT\r\n", "PORT 198,51,100,7,200,13\r\n"] {
            var bench = ControlBench()
            bench.isBeginning = true
            _ = bench.client(command)
            #expect(bench.client("PORT 198,51,100,7,200,13\r\n").activePort == 51_213)
        }
    }

    @Test("Lines are the same however they are cut, repeated and reordered", arguments: 0..<200 as Range<UInt64>)
    func segments(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var bench = ControlBench()
        let text = Array("NOOP\r\nPORT 198,51,100,7,200,13\r\nLIST\r\nEPRT |1|198.51.100.7|51214|\r\nQUIT\r\n".utf8)
        var pieces: [Range<Int>] = []
        var place = 0
        while place < text.count {
            let end = min(text.count, place + Int.random(in: 1...12, using: &random))
            pieces.append(max(0, place - Int.random(in: 0...3, using: &random))..<end)
            place = end
        }
        pieces += (0..<3).compactMap { _ in pieces.randomElement(using: &random) }
        for i in stride(from: 0, to: pieces.count - 2, by: 3) { pieces[i..<i + 3].shuffle(using: &random) }
        var ports: [UInt16] = []
        for piece in pieces {
            let reading = bench.says(Array(text[piece]), ahead: piece.lowerBound, moves: false)
            if reading.activePort != 0 { ports.append(reading.activePort) }
        }
        #expect(ports.last == 51_214)
        #expect(ports.count <= 2)
    }

    @Test("A line may have 4,096 bytes; a longer one is skipped, and the next is read")
    func long() {
        var bench = ControlBench()
        let bounce = "PORT " + String(repeating: " ", count: 4_090 - 24) + "203,0,113,9,200,13"
        #expect(bench.client(bounce + "\r\n").isRefused)
        for count in [4_096, 10_000, 70_000] {
            #expect(bench.says(Array(repeating: 65, count: count)) == FTPReading())
            #expect(bench.client(" PORT 203,0,113,9,200,13\r\n") == FTPReading(), "the end of a long line")
            #expect(bench.client("PORT 198,51,100,7,200,13\r\n").activePort == 51_213)
        }
    }

    @Test("What passed unseen is skipped once it is acknowledged")
    func unseen() {
        var bench = ControlBench()
        _ = bench.client("NOOP\r\n")
        bench.sequences.client &+= 1_000
        _ = bench.server("200 ok\r\n")
        #expect(bench.client("PORT 198,51,100,7,200,13\r\n").activePort == 51_213)
    }

    @Test("A thousand connections at once take fixed memory, and each is read on")
    func many() {
        var bench = ControlBench()
        for port in UInt16(1)...1_000 {
            var other = ControlBench(client: IPAddress(v4: 0x0a00_0000 | UInt32(port)))
            swap(&other.controls, &bench.controls)
            #expect(other.client("NOOP\r\n") == FTPReading())
            swap(&other.controls, &bench.controls)
        }
        #expect(bench.client("PORT 198,51,100,7,200,13\r\n").activePort == 51_213)
    }
}

@Suite("Expected connections")
struct ExpectationTests {
    private let one = ConnectionTracking.Expectation(
        source: "198.51.100.7", destination: "192.0.2.10", port: 50_000, version: 4, direction: .incoming)

    @Test("It is expected for a minute, from the one to the other, at that port")
    func lifetime() {
        var expectations = Expectations(seed: (1, 2))
        let now = Instant(nanoseconds: 0)
        expectations.expect(one, at: now)
        #expect(!expectations.has(one, at: now), "not before the policy asks for it")
        expectations.prepare(isUsed: true)
        expectations.expect(one, at: now)
        #expect(expectations.has(one, at: now + .milliseconds(59_999)))
        #expect(!expectations.has(one, at: now + .minutes(1)))
        for change: (inout ConnectionTracking.Expectation) -> Void in [
            { $0.port += 1 }, { $0.source = "198.51.100.8" }, { $0.destination = "192.0.2.11" },
            { $0.direction = .outgoing }, { $0.version = 6 }, { swap(&$0.source, &$0.destination) },
        ] {
            var other = one
            change(&other)
            #expect(!expectations.has(other, at: now))
        }
        expectations.remove(one, at: now)
        #expect(!expectations.has(one, at: now))
    }

    @Test("Any number of them takes the same memory, and the newest is there")
    func bounded() {
        var expectations = Expectations(seed: (1, 2))
        expectations.prepare(isUsed: true)
        for number in 0..<5_000 {
            var next = one
            next.port = UInt16(1_024 + number)
            let now = Instant(nanoseconds: Int64(number))
            expectations.expect(next, at: now)
            #expect(expectations.has(next, at: now))
        }
    }
}

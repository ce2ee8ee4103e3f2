// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@Suite("Packets that answer refused ones")
struct EmitTests {
    static let v4 = PacketBuilder.ipv4(from: "198.18.0.1", to: "198.18.0.2")
    static let v6 = PacketBuilder.ipv6(from: "fd00::1", to: "fd00::2")
    static let networks = [v4, v6, v4.ipOptions([1, 1, 1, 1]), v6.hopByHop(), v4.ethernet(), v6.ethernet().vlan(7)]

    /// What was written, decoded again; its checksums are right.
    private func read(_ bytes: [UInt8]) throws -> PacketHeaders {
        let headers = try PacketHeaders(decoding: bytes)
        #expect(Int(headers.length) == bytes.count)
        #expect(unsafe TransportChecksum.isValid(bytes.span.bytes, headers))
        #expect(unsafe IPv4Checksum.isValid(bytes.span.bytes, headers))
        return headers
    }

    private func reset(_ packet: PacketBuilder) throws -> PacketHeaders? {
        // What stands before is left alone.
        var bytes: [UInt8] = [1, 2, 3]
        let length = PacketEmitter.appendReset(answering: packet.headers, to: &bytes)
        #expect(bytes.count == 3 + length && Array(bytes[..<3]) == [1, 2, 3])
        #expect(PacketEmitter.lengthOfReset(answering: packet.headers) ?? 0 == length)
        return length == 0 ? nil : try read(Array(bytes[3...]))
    }

    private func unreachable(
        _ packet: PacketBuilder, _ code: PacketEmitter.Unreachable = .port, from source: IPAddress? = nil,
        atMost limit: Int = .max, cutTo count: Int = .max
    ) throws -> (headers: PacketHeaders, bytes: [UInt8])? {
        let headers = packet.headers
        let quoted = Array(packet.bytes.prefix(count))
        var bytes: [UInt8] = [9]
        let length = unsafe PacketEmitter.appendUnreachable(
            code, quoting: headers, quoted.span.bytes, from: source ?? headers.destination, atMost: limit, to: &bytes)
        #expect(bytes.count == 1 + length && length <= limit)
        #expect(
            PacketEmitter.lengthOfUnreachable(quoting: headers, present: quoted.count, atMost: limit) ?? 0 == length)
        return length == 0 ? nil : (try read(Array(bytes[1...])), Array(bytes[1...]))
    }

    @Test("a SYN is answered with its number and one more, which its sender knows as an answer", arguments: networks)
    func toSYN(_ network: PacketBuilder) throws {
        let answer = try #require(try reset(network.tcp(40_000, 80, .syn, seq: 0xffff_ffff)))
        #expect(answer.source == network.headers.destination && answer.destination == network.headers.source)
        #expect(answer.sourcePort == 80 && answer.destinationPort == 40_000)
        #expect(answer.tcp.flags == [.rst, .ack] && answer.tcp.sequence == 0 && answer.tcp.acknowledgement == 0)
        #expect(answer.length == (network.headers.network == .ipv4 ? 40 : 60))
    }

    @Test("all that a segment takes of the sequence numbers is acknowledged, where it acknowledges nothing itself")
    func sequenceNumbers() throws {
        let segments: [(TCPFlags, Int, UInt32)] = [
            (.syn, 0, 101), (.syn, 10, 111), (.fin, 10, 111), ([.syn, .fin], 10, 112), (.psh, 10, 110), ([], 0, 100),
        ]
        for (flags, count, next) in segments {
            let answer = try #require(try reset(Self.v4.tcp(1, 2, flags, seq: 100, ack: 77).payload(count: count)))
            #expect(answer.tcp.flags == [.rst, .ack] && answer.tcp.sequence == 0)
            #expect(answer.tcp.acknowledgement == next, "\(flags)")
        }
    }

    @Test("a segment that acknowledges is answered with the number that its sender expects, and no acknowledgement")
    func toAcknowledgement() throws {
        for flags: TCPFlags in [.ack, [.ack, .psh], [.syn, .ack], [.fin, .ack]] {
            let answer = try #require(try reset(Self.v6.tcp(1, 2, flags, seq: 100, ack: 77).payload(count: 5)))
            #expect(answer.tcp.flags == .rst && answer.tcp.sequence == 77 && answer.tcp.acknowledgement == 0)
        }
    }

    @Test("nothing resets a reset, a part of a segment, or what is no TCP")
    func noReset() throws {
        #expect(try reset(Self.v4.tcp(1, 2, .rst, seq: 1)) == nil)
        #expect(try reset(Self.v4.tcp(1, 2, [.rst, .ack], seq: 1, ack: 1)) == nil)
        #expect(try reset(Self.v4.tcp(1, 2, .ack, seq: 1).payload(count: 80).fragment(0..<48)) == nil)
        #expect(try reset(Self.v4.udp(1, 2)) == nil)
    }

    @Test("an error names the packet that it is about", arguments: networks)
    func error(_ network: PacketBuilder) throws {
        for code in [PacketEmitter.Unreachable.port, .prohibited] {
            let packet = network.udp(40_000, 53).payload(count: 100)
            let (headers, bytes) = try #require(try unreachable(packet, code))
            let isIPv4 = packet.headers.network == .ipv4
            #expect(headers.icmp.type == (isIPv4 ? 3 : 1))
            #expect(headers.icmp.code == (isIPv4 ? (code == .port ? 3 : 13) : (code == .port ? 4 : 1)))
            #expect(headers.source == packet.headers.destination && headers.destination == packet.headers.source)
            #expect(headers.quoted.source == packet.headers.source)
            #expect(headers.quoted.sourcePort == 40_000 && headers.quoted.destinationPort == 53)
            let start = Int(packet.headers.networkOffset)
            #expect(Array(bytes[(isIPv4 ? 28 : 48)...]) == Array(packet.bytes[start...]), "all of a short packet")
        }
    }

    @Test("it quotes as much as fits: 576 bytes over IPv4, 1280 over IPv6, and never more than is allowed")
    func length() throws {
        #expect(try unreachable(Self.v4.udp(1, 2).payload(count: 2_000))?.bytes.count == 576)
        #expect(try unreachable(Self.v6.udp(1, 2).payload(count: 2_000))?.bytes.count == 1280)
        for limit in 40..<140 {
            #expect(
                try unreachable(Self.v4.udp(1, 2).payload(count: 100), atMost: limit)?.bytes.count
                    == (limit < 56 ? nil : min(limit, 156)))
            #expect(
                try unreachable(Self.v6.udp(1, 2).payload(count: 100), atMost: limit)?.bytes.count
                    == (limit < 96 ? nil : limit))
        }
    }

    @Test("without the headers and eight bytes more its receiver would not know whose it is: then there is none")
    func tooLittle() throws {
        let packet = Self.v4.ipOptions([1, 1, 1, 1]).tcp(1, 2, .syn, seq: 1)
        #expect(try unreachable(packet, atMost: 59) == nil)
        #expect(try unreachable(packet, atMost: 60) != nil)
        #expect(try unreachable(Self.v6.hopByHop().udp(1, 2), atMost: 103) == nil)
        #expect(try unreachable(Self.v6.hopByHop().udp(1, 2), atMost: 104) != nil)
        #expect(try unreachable(Self.v4.udp(1, 2).payload(count: 100), cutTo: 27) == nil)
        #expect(try unreachable(Self.v4.udp(1, 2).payload(count: 100), cutTo: 28)?.bytes.count == 56)
        #expect(try unreachable(Self.v4.udp(1, 2).payload(count: 64).fragment(8..<64)) == nil)
        #expect(try unreachable(Self.v4.udp(1, 2).payload(count: 64).fragment(0..<64)) != nil)
    }

    @Test("a source that the kernel chooses is left open, with the checksum that depends on it")
    func openSource() throws {
        var bytes: [UInt8] = []
        let packet = Self.v6.udp(1, 2).payload(count: 60)
        let quoted = packet.bytes
        let length = unsafe PacketEmitter.appendUnreachable(
            .port, quoting: packet.headers, quoted.span.bytes, from: .zero, atMost: .max, to: &bytes)
        #expect(length == 156 && Array(bytes[8..<24]) == [UInt8](repeating: 0, count: 16))
        #expect(bytes[42] == 0 && bytes[43] == 0)
        // ICMP has no pseudo header.
        #expect(try unreachable(Self.v4.udp(1, 2), from: .zero)?.headers.source.v4 == 0)
    }

    @Test("whatever decodes is answered by something sound, or by nothing")
    func anything() throws {
        var random = SeededRandom(seed: 20)
        for packet in PacketCorpus.all.map(\.packet) where !packet.isFrame {
            for _ in 0..<50 {
                var bytes = packet.bytes
                for _ in 0..<Int.random(in: 0..<4, using: &random) where !bytes.isEmpty {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                guard let headers = try? PacketHeaders(decoding: bytes), headers.isIP else { continue }
                var written: [UInt8] = []
                if PacketEmitter.appendReset(answering: headers, to: &written) > 0 { _ = try read(written) }
                let limit = Int.random(in: 0..<1_500, using: &random)
                var error: [UInt8] = []
                let length = unsafe PacketEmitter.appendUnreachable(
                    .prohibited, quoting: headers, bytes.span.bytes, from: headers.destination, atMost: limit,
                    to: &error)
                #expect(length == error.count && length <= min(limit, PacketEmitter.longest))
                if length > 0 { #expect(try read(error).icmp.isError) }
            }
        }
    }
}

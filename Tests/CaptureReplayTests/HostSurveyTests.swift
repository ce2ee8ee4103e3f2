// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import PacketWire
import TestSupport
import Testing

@testable import CaptureReplay

@Suite("Which machine of a capture is this host")
struct HostSurveyTests {
    private func guess(_ capture: CaptureWriter) throws -> HostGuess {
        let path = try capture.path()
        defer { unsafe unlink(path) }
        var survey = HostSurvey()
        survey.add(path)
        return survey.guess
    }

    private func packet(_ from: IPAddress, _ to: IPAddress) -> PacketBuilder { .ipv4(from: from, to: to) }

    private func frame(_ packet: PacketBuilder, _ from: MACAddress, _ to: MACAddress) -> [UInt8] {
        packet.ethernet(from: from, to: to).bytes
    }

    private static let host: IPAddress = "198.18.0.1"
    private static let hostMAC: MACAddress = "02:00:00:00:00:01"
    private static let gateway: MACAddress = "02:00:00:00:00:fe"

    private func peers(_ count: UInt8) -> [IPAddress] { (1...count).map { IPAddress(v4: 0xc633_6400 + UInt32($0)) } }

    @Test("Many clients of one server: the server is, whoever speaks first, and by its MAC address for sure")
    func server() throws {
        var capture = CaptureWriter(.ethernet)
        for peer in peers(20) {
            capture.addRaw(frame(packet(peer, Self.host).tcp(40_000, 80, .syn), Self.gateway, Self.hostMAC))
            capture.addRaw(
                frame(packet(Self.host, peer).tcp(80, 40_000, [.syn, .ack]), Self.hostMAC, Self.gateway))
        }
        let found = try guess(capture)
        #expect(found.addresses == [Self.host])
        #expect(found.sureness != .uncertain)
        #expect(found.why.contains("02:00:00:00:00:01"))
    }

    @Test("One client of many servers: the client is")
    func client() throws {
        var capture = CaptureWriter(.raw)
        for peer in peers(20) {
            capture.add(packet(Self.host, peer).tcp(40_000, 443, .syn).bytes)
            capture.add(packet(peer, Self.host).tcp(443, 40_000, [.syn, .ack]).bytes)
        }
        let found = try guess(capture)
        #expect(found.addresses == [Self.host])
        #expect(found.sureness == .likely)
    }

    @Test("Two machines alone: who is connected to is, by the handshake, and it is no more than a guess")
    func pair() throws {
        let peer = peers(1)[0]
        for isAnswerFirst in [false, true] {
            var capture = CaptureWriter(.raw)
            let segments = [
                packet(peer, Self.host).tcp(40_000, 8_080, .syn),
                packet(Self.host, peer).tcp(8_080, 40_000, [.syn, .ack]),
            ]
            for segment in isAnswerFirst ? segments.reversed() : segments { capture.add(segment.bytes) }
            let found = try guess(capture)
            #expect(found.addresses == [Self.host])
            #expect(found.sureness == .uncertain)
        }
    }

    @Test("Without a handshake the port tells; without either, nothing is made up")
    func ports() throws {
        let peer = peers(1)[0]
        var web = CaptureWriter(.raw)
        web.add(packet(Self.host, peer).udp(53, 40_000).bytes)
        #expect(try guess(web).addresses == [Self.host])
        var neither = CaptureWriter(.raw)
        neither.add(packet(Self.host, peer).udp(5_000, 40_000).bytes)
        let found = try guess(neither)
        #expect(found.addresses.isEmpty && found.sureness == .uncertain)
        #expect(found.why.contains("who speaks first"))
    }

    @Test("A network of many machines has a side in each conversation")
    func network() throws {
        var capture = CaptureWriter(.raw)
        let all = peers(4)
        capture.add(packet(all[0], all[1]).tcp(40_000, 22, .syn).bytes)
        capture.add(packet(all[2], all[3]).tcp(40_000, 80, .syn).bytes)
        let found = try guess(capture)
        #expect(found.addresses.isEmpty && found.sureness == .uncertain)
        #expect(found.sides[AddressPair(all[0], all[1])] == all[1])
        #expect(found.sides[AddressPair(all[2], all[3])] == all[3])
    }
}

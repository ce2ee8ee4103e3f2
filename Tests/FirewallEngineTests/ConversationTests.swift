// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("Legitimate conversations pass without one event")
struct ConversationTests {
    /// Restrictive both ways, so that nothing passes for want of rules.
    private static let policy = """
        rules:
          - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
          - { name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: { type: echo-request } }
          - { name: Out, action: allow, direction: outgoing, protocol: tcp+udp, destination: { ports: [80, 443, 33434-33534] } }
          - { name: Ping out, action: allow, direction: outgoing, protocol: icmp, icmp: { type: echo-request } }
        """

    private func quietly(_ conversation: (EngineUnderTest) throws -> Void) throws {
        let engine = try EngineUnderTest(ConversationTests.policy)
        try conversation(engine)
        #expect(engine.events.map(\.reason) == [])
    }

    @Test("Open, data both ways, either side closes first", arguments: [IPAddress.peer, .peer6])
    func whole(_ peer: IPAddress) throws {
        for first in [TCPTalk.Party.host, .peer] {
            try quietly {
                let talk = TCPTalk($0, peer: peer)
                talk.open()
                for _ in 0..<5 { talk.exchange(1_400) }
                talk.close(first: first)
            }
        }
    }

    @Test("Half-close: one side has finished, the other goes on")
    func halfClose() throws {
        try quietly {
            let talk = TCPTalk($0)
            talk.open()
            talk.send(.peer, [.fin, .ack])
            talk.send(.host)
            for _ in 0..<10 {
                #expect(talk.send(.host, data: 1_000) == .pass)
                #expect(talk.send(.peer) == .pass)
            }
            talk.send(.host, [.fin, .ack])
            #expect(talk.send(.peer) == .pass)
        }
    }

    @Test("A RST ends it, and the port is used again at once")
    func reset() throws {
        try quietly {
            let talk = TCPTalk($0)
            for round in UInt32(1)...3 {
                talk.open()
                talk.exchange()
                #expect(talk.send(.peer, [.rst, .ack]) == .pass)
                talk.peer.next &+= 77_777 * round
            }
        }
    }

    @Test("Both close at once, and both open at once")
    func simultaneous() throws {
        let engine = try EngineUnderTest()
        let talk = TCPTalk(engine)
        let (one, other) = (talk.segment(.peer, .syn), talk.segment(.host, .syn))
        #expect(talk.deliver(one, from: .peer) == .pass)
        #expect(talk.deliver(other, from: .host) == .pass)
        talk.peer.expected = talk.host.next &+ 1
        talk.host.expected = talk.peer.next &+ 1
        #expect(talk.send(.peer, [.syn, .ack]) == .pass)
        #expect(talk.send(.host, [.syn, .ack]) == .pass)
        talk.exchange()
        let (fin, fin2) = (talk.segment(.peer, [.fin, .ack]), talk.segment(.host, [.fin, .ack]))
        #expect(talk.deliver(fin, from: .peer) == .pass)
        #expect(talk.deliver(fin2, from: .host) == .pass)
        talk.peer.next &+= 1
        talk.host.next &+= 1
        talk.peer.expected = talk.host.next
        talk.host.expected = talk.peer.next
        #expect(talk.send(.peer) == .pass)
        #expect(talk.send(.host) == .pass)
        #expect(engine.events.isEmpty)
    }

    @Test("Keep-alives, a closed window and its probes, retransmissions")
    func idle() throws {
        try quietly {
            let talk = TCPTalk($0)
            talk.open()
            talk.exchange()
            let data = talk.segment(.peer, [.psh, .ack], data: 700)
            talk.send(.peer, [.psh, .ack], data: 700)
            talk.send(.host)
            #expect(talk.deliver(data, from: .peer) == .pass, "its acknowledgement was lost")
            $0.waits(.hours(2))
            #expect(talk.deliver(talk.segment(.peer, by: -1), from: .peer) == .pass)
            talk.host.window = 0
            #expect(talk.send(.host) == .pass)
            $0.waits(.minutes(5))
            #expect(talk.deliver(talk.segment(.peer, data: 1), from: .peer) == .pass)
            #expect(talk.send(.host) == .pass)
            talk.host.window = 8_000
            #expect(talk.send(.host) == .pass)
            talk.exchange()
        }
    }

    @Test("A refused port: the RST that answers the SYN, either way")
    func refused() throws {
        try quietly {
            let talk = TCPTalk($0)
            talk.send(.peer, .syn)
            #expect(talk.send(.host, [.rst, .ack]) == .pass)
            let out = TCPTalk($0, hostPort: 2_000, peerPort: 443)
            out.send(.host, .syn)
            #expect(out.deliver(out.segment(.peer, [.rst, .ack]), from: .peer) == .pass)
        }
    }

    @Test("DNS, ping both ways, three kinds of traceroute")
    func tools() throws {
        try quietly { engine in
            #expect(engine.sends(.fromHost.udp(5_000, 53)) == .pass)
            #expect(engine.receives(.toHost.udp(53, 5_000).payload(count: 400)) == .pass)
            engine.receives(.toHost.echoRequest(id: 1, seq: 1))
            #expect(engine.sends(.fromHost.echoReply(id: 1, seq: 1)) == .pass)
            let probes = (UInt16(0)..<5).flatMap { (hop: UInt16) -> [PacketBuilder] in
                [
                    PacketBuilder.fromHost.timeToLive(UInt8(hop) + 1).udp(6_000, 33_434 + hop).payload(count: 32),
                    .fromHost.timeToLive(UInt8(hop) + 1).echoRequest(id: 9, seq: hop),
                    .fromHost.timeToLive(UInt8(hop) + 1).syn(7_000 + hop, 80),
                ]
            }
            for probe in probes {
                #expect(engine.sends(probe) == .pass)
                let router = PacketBuilder.ipv4(from: "203.0.113.1", to: .host)
                #expect(engine.receives(router.timeExceeded(quoting: probe)) == .pass)
            }
            #expect(engine.receives(.toHost.unreachable(code: 3, quoting: probes[12])) == .pass)
        }
    }

    @Test("Path MTU discovery: the error about a segment that was too long, and the shorter ones")
    func pathMTU() throws {
        try quietly {
            let talk = TCPTalk($0)
            talk.open()
            let long = talk.segment(.host, [.psh, .ack], data: 1_400)
            #expect(talk.deliver(long, from: .host) == .pass)
            #expect($0.receives(.ipv4(from: "203.0.113.1", to: .host).packetTooBig(mtu: 576, quoting: long)) == .pass)
            for _ in 0..<3 { #expect(talk.send(.host, data: 500) == .pass) }
            #expect(talk.send(.peer) == .pass)
        }
    }

    @Test("A ping of 3,000 bytes in fragments, in any order")
    func fragmentedPing() throws {
        try quietly { engine in
            let pieces = PacketBuilder.toHost.echoRequest(id: 1, seq: 1).payload(count: 3_000).fragmented(at: 1_480)
            for piece in [pieces[2], pieces[0], pieces[1]] { #expect([.pass, .hold].contains(engine.receives(piece))) }
            #expect(engine.released.allSatisfy { $0 == .pass })
            #expect(engine.sends(.fromHost.echoReply(id: 1, seq: 1).payload(count: 3_000)) == .pass)
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// Openings, fragments and datagrams wait in queues of their own, and what is established is judged first: packets of a
/// connection may be judged in another order than they came in.
@Suite("Packets that different queues bring in another order")
struct QueueOrderTests {
    private static let policy = """
        rules:
          - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
          - { name: Names, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }
        """

    @Test("A repeated SYN after the ACK that completes the handshake changes nothing")
    func repeatedSYN() throws {
        let talk = TCPTalk(try EngineUnderTest(Self.policy))
        let again = talk.segment(.peer, .syn)
        talk.open()
        #expect(talk.deliver(again, from: .peer) == .pass)
        for _ in 0..<3 { talk.exchange(1_400) }
        talk.close(first: .peer)
        #expect(talk.engine.events.map(\.reason) == [])
    }

    @Test("A SYN that opens the ports anew, before the last segments of the older connection")
    func nextOpening() throws {
        let talk = TCPTalk(try EngineUnderTest(Self.policy))
        talk.open()
        talk.exchange(500)
        talk.send(.host, [.fin, .ack])
        // Both come at once; the SYN is judged first.
        let last = talk.segment(.peer, [.fin, .ack])
        let next = PacketBuilder.ip(from: talk.peer.address, to: talk.host.address)
            .tcp(talk.peer.port, talk.host.port, .syn, seq: 0x7000_0000)
        #expect(talk.deliver(next, from: .peer) == .pass)
        #expect(talk.deliver(last, from: .peer) == .pass)
        talk.peer.next &+= 1
        talk.host.expected = talk.peer.next
        #expect(talk.send(.host) == .pass)
        // Its sender repeats the SYN, which opens now.
        talk.peer.next = 0x7000_0000
        talk.host.next = 0x1234_5678
        #expect(talk.send(.peer, .syn) == .pass)
        #expect(talk.send(.host, [.syn, .ack]) == .pass)
        #expect(talk.send(.peer) == .pass)
        talk.exchange(500)
        #expect(talk.engine.events.map(\.reason) == [])
    }

    @Test("The RST of an opening that was given up, before its SYN")
    func givenUp() throws {
        let talk = TCPTalk(try EngineUnderTest(Self.policy))
        let opening = talk.segment(.peer, .syn)
        talk.peer.next &+= 1
        talk.deliver(talk.segment(.peer, .rst), from: .peer)
        #expect(talk.deliver(opening, from: .peer) == .pass)
        talk.host.expected = talk.peer.next
        // The host answers, and is told again that nobody wants it.
        #expect(talk.send(.host, [.syn, .ack]) == .pass)
        #expect(talk.deliver(talk.segment(.peer, .rst), from: .peer) == .pass)
        talk.engine.waits(.seconds(30))
        let next = TCPTalk(talk.engine)
        next.open()
        next.exchange(500)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// State that somebody moves who does not see the connection, or whose segments its receiver ignores.
extension Attack {
    private static let onePerComputer = "stateful: { tcp: { limits: { incoming-per-computer: 1 } } }"
    private static let ssh = """
        rules: [{ name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }]
        """

    /// A connection that both ends know, and the engine does not.
    private static func older(_ engine: EngineUnderTest, hostPort: UInt16 = 80) -> TCPTalk {
        engine.engine.listeningPorts.insert(tcp: 22)
        engine.engine.listeningPorts.insert(tcp: 80)
        let talk = TCPTalk(engine, hostPort: hostPort)
        talk.host.expected = talk.peer.next
        talk.peer.expected = talk.host.next
        return talk
    }

    private static func opened(_ engine: EngineUnderTest, peerPort: UInt16 = 40_000) -> TCPTalk {
        let talk = TCPTalk(engine, peerPort: peerPort)
        talk.open()
        return talk
    }

    static let state = [
        Attack(
            "A segment with guessed numbers, once both sides of a connection taken over have agreed", startsNow: true,
            is: .drop(.invalidSequence),
            {
                let talk = older($0)
                talk.exchange()
                return talk.deliver(talk.segment(.peer, .ack, by: 1 << 29), from: .peer)
            },
            but: {
                // Before that nothing guessed becomes a bound.
                let talk = older($0)
                talk.deliver(talk.segment(.peer, .ack, by: 1 << 29, acknowledging: 1 << 29), from: .peer)
                return talk.send(.host, data: 700)
            }),
        Attack(
            "A RST beyond a gap, which its receiver challenges, gives no place free", onePerComputer,
            is: .drop(.maxIncomingConnections),
            {
                let talk = opened($0)
                talk.deliver(talk.segment(.peer, [.ack, .psh], data: 100, by: 1_000), from: .peer)
                talk.deliver(talk.segment(.peer, .rst, by: 1_100), from: .peer)
                return TCPTalk($0, peerPort: 2).send(.peer, .syn)
            },
            but: {
                let talk = opened($0)
                talk.send(.peer, .rst)
                return TCPTalk($0, peerPort: 2).send(.peer, .syn)
            }),
        Attack(
            "A RST with a wrong checksum gives no place free", onePerComputer, is: .drop(.maxIncomingConnections),
            {
                let talk = opened($0)
                $0.receives(talk.segment(.peer, .rst).transportChecksum(7)) { $0.checksumNotVerified = true }
                return TCPTalk($0, peerPort: 2).send(.peer, .syn)
            },
            but: {
                let talk = opened($0)
                $0.receives(talk.segment(.peer, .rst)) { $0.checksumNotVerified = true }
                return TCPTalk($0, peerPort: 2).send(.peer, .syn)
            }),
        Attack(
            "A connection to a forbidden port, which goes on as one of the host's", ssh, startsNow: true,
            is: .drop(.outOfAllowedPolicyOpenPort),
            {
                let talk = older($0)
                talk.send(.host, data: 5)
                return talk.send(.peer, data: 5)
            },
            but: {
                let talk = older($0, hostPort: 22)
                talk.send(.host, data: 5)
                return talk.send(.peer, data: 5)
            }),
        Attack(
            "A segment of the connection before, after a SYN that is not answered",
            is: .drop(.packetOnClosedConnection),
            {
                let talk = opened($0)
                let old = talk.segment(.peer, [.ack, .psh], data: 100)
                talk.close()
                talk.peer.next &+= 900_000
                talk.send(.peer, .syn)
                return talk.deliver(old, from: .peer)
            },
            but: {
                let talk = opened($0)
                talk.close()
                talk.peer.next &+= 900_000
                talk.open()
                return talk.send(.peer, data: 100)
            }),
    ]
}

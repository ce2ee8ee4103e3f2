// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire
import TestSupport
import Testing

@testable import FirewallEngine

/// Stage T, by what segments carry.
extension ReasonCase {
    static let payloadsRead: [ReasonCase] =
        ["incoming-active", "incoming-passive"].map { announcing($0, hostIsClient: false) }
        + ["outgoing-active", "outgoing-passive"].map { announcing($0, hostIsClient: true) }
        + [
            announcing("incoming-active: true, incoming-passive", hostIsClient: false),
            ReasonCase(
                .droppedRetransmit, "a byte that was another", "engine: { anti-evasion: strict }",
                raises: { repeated($0, "x") }, spares: { repeated($0, "d") }),
            ReasonCase(
                .invalidFlags, "an MD5 option that the SYN had not",
                raises: { signed($0, onSYN: false) }, spares: { signed($0, onSYN: true) }),
        ]

    private static func announcing(_ setting: String, hostIsClient: Bool) -> ReasonCase {
        let party: TCPTalk.Party = hostIsClient ? .host : .peer
        return ReasonCase(
            .invalidPortCommand, "the port of a third computer, with \(setting)",
            "stateful: { ftp: { \(setting): true } }",
            raises: { says($0, "PORT 203,0,113,99,195,80\r\n", party) },
            spares: { says($0, hostIsClient ? "PORT 192,0,2,10,195,80\r\n" : "PORT 198,51,100,7,195,80\r\n", party) }
        ).with { $0.direction = hostIsClient ? .outgoing : .incoming }
    }

    private static func says(_ engine: EngineUnderTest, _ text: String, _ client: TCPTalk.Party) -> Fate {
        let isPeer = client == .peer
        let talk = TCPTalk(engine, hostPort: isPeer ? 21 : 45_000, peerPort: isPeer ? 40_000 : 21)
        talk.open(by: client)
        return talk.deliver(talk.segment(client, [.psh, .ack]).payload(text), from: client)
    }

    private static func repeated(_ engine: EngineUnderTest, _ byte: String) -> Fate {
        let talk = TCPTalk(engine)
        talk.open()
        talk.send(.peer, data: 200)
        return talk.deliver(talk.segment(.peer, by: -100).payload(byte), from: .peer)
    }

    private static func signed(_ engine: EngineUnderTest, onSYN: Bool) -> Fate {
        let md5 = [TCPOption.bytes([19, 18] + [UInt8](repeating: 7, count: 16))]
        let toHost = PacketBuilder.toHost
        engine.receives(toHost.tcp(40_000, 80, .syn, seq: 5_000, options: onSYN ? md5 : []))
        engine.sends(.fromHost.tcp(80, 40_000, [.syn, .ack], seq: 900, ack: 5_001, options: onSYN ? md5 : []))
        engine.receives(toHost.tcp(40_000, 80, .ack, seq: 5_001, ack: 901, options: onSYN ? md5 : []))
        return engine.receives(toHost.tcp(40_000, 80, [.fin, .ack], seq: 5_001, ack: 901, options: md5))
    }
}

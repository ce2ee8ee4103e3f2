// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
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
                .maximumACKRetransmit, "a fifth equal ACK", "stateful: { tcp: { ack-storm: { threshold: 4 } } }",
                raises: { repeatsACK($0, 5) }, spares: { repeatsACK($0, 4) }),
            ReasonCase(
                .outOfMemory, "an opening beyond the memory of the tables",
                scene: { $0.hasMemory(forConnections: 64) }, raises: { asks($0, 65) }, spares: { asks($0, 64) }
            ).with { $0.direction = .outgoing },
            ReasonCase(
                .blockedSource, "a packet of a blocked source", scene: { $0.blocks(.peer) },
                raises: { $0.receives(.toHost.syn(50_000, 80)) },
                spares: { $0.receives(.ipv4(from: .other, to: .host).syn(50_000, 80)) }),
            ReasonCase(
                .blockedSource, "a packet of a scanner that is blocked", scene: { $0.blocks(.peer, isOfScanner: true) },
                raises: { $0.receives(.toHost.syn(50_000, 80)) }, spares: { $0.sends(.fromHost.syn(50_000, 80)) }),
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

    /// The fate of the last of so many equal acknowledgements that answer nothing.
    private static func repeatsACK(_ engine: EngineUnderTest, _ count: Int) -> Fate {
        let talk = TCPTalk(engine)
        talk.open()
        talk.exchange()
        return (0..<count).map { _ in talk.send(.peer) }.last ?? .pass
    }

    /// The fate of the last of so many first datagrams of this host's own, which are not given up before they are answered.
    private static func asks(_ engine: EngineUnderTest, _ count: UInt16) -> Fate {
        (0..<count).map { engine.sends(.fromHost.udp(2_000 + $0, 53).payload(count: 4)) }.last ?? .pass
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

extension EngineUnderTest {
    /// Gives the tables no more memory than so many connections take, unless the policy bounds it not.
    func hasMemory(forConnections count: Int) {
        guard policy.document.engine.limits.memory != nil else { return }
        engine.shared.setMemory(limit: UInt64(count * ConnectionTable.bytesPerConnection), fixed: 0)
    }

    func blocks(_ address: IPAddress, isOfScanner: Bool = false) {
        let block = SourceBlock(
            BlockedAddress(address, version: 4), until: clock.now + .hours(1), isOfScanner: isOfScanner)
        engine.setBlockedSources(BlockedSources([block], seed: (5, 6)))
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// A control connection with this host as one of its ends.
private struct FTPTalk {
    let talk: TCPTalk
    let client: TCPTalk.Party

    /// This host is the server unless it is the client. The sequence numbers are so many ahead of those of another.
    init(_ engine: EngineUnderTest, hostIsClient: Bool = false, peer: IPAddress = .peer, ahead: UInt32 = 0) {
        client = hostIsClient ? .host : .peer
        talk = TCPTalk(engine, hostPort: hostIsClient ? 45_000 : 21, peerPort: hostIsClient ? 21 : 40_000, peer: peer)
        talk.host.next &+= ahead
        talk.peer.next &+= ahead
        talk.open(by: client)
    }

    @discardableResult
    func say(_ text: String, by party: TCPTalk.Party) -> Fate {
        let packet = talk.segment(party, [.psh, .ack]).payload(text)
        let fate = talk.deliver(packet, from: party)
        if fate == .pass {
            talk[party].next &+= UInt32(text.utf8.count)
            talk[party == .host ? .peer : .host].expected = talk[party].next
        }
        return fate
    }

    @discardableResult
    func client(_ text: String) -> Fate { say(text, by: client) }
    @discardableResult
    func server(_ text: String) -> Fate { say(text, by: client == .host ? .peer : .host) }
}

@Suite("Data connections of FTP")
struct FTPTests {
    /// Only control connections are admitted by a rule, and what `ftp` says.
    private static func policy(_ ftp: String, _ more: String = "") -> String {
        """
        stateful: { ftp: { \(ftp) } }
        rules:
          - { name: control in, action: allow, direction: incoming, protocol: tcp, destination: { ports: 21 } }
          - { name: control out, action: allow, direction: outgoing, protocol: tcp, destination: { ports: 21 } }
        \(more)
        """
    }

    private static let all =
        "incoming-active: true, outgoing-active: true, incoming-passive: true, outgoing-passive: true"

    private struct Way {
        let setting: String
        let hostIsClient: Bool
        let isActive: Bool
    }

    private static let ways = [
        Way(setting: "incoming-active", hostIsClient: false, isActive: true),
        Way(setting: "outgoing-active", hostIsClient: true, isActive: true),
        Way(setting: "incoming-passive", hostIsClient: false, isActive: false),
        Way(setting: "outgoing-passive", hostIsClient: true, isActive: false),
    ]

    /// Announces the data connection at a port: 50,000 and more.
    private static func announce(_ way: Way, _ ftp: FTPTalk, port low: Int = 80) {
        let host = way.hostIsClient == way.isActive ? "192,0,2,10" : "198,51,100,7"
        if way.isActive {
            #expect(ftp.client("PORT \(host),195,\(low)\r\n") == .pass)
        } else {
            #expect(ftp.client("PASV\r\n") == .pass)
            #expect(ftp.server("227 Entering Passive Mode (\(host),195,\(low))\r\n") == .pass)
        }
    }

    /// The SYN of the data connection at port 50,000, from another port each time.
    private static func opens(
        _ way: Way, _ engine: EngineUnderTest, from port: UInt16 = 20, to target: UInt16 = 50_000
    ) -> Fate {
        way.hostIsClient != way.isActive
            ? engine.sends(.fromHost.syn(port, target)) : engine.receives(.toHost.syn(port, target))
    }

    @Test("Each setting admits its data connections, once, within a minute, and no other does", arguments: 0..<4)
    func settings(_ index: Int) throws {
        let way = Self.ways[index]
        for (setting, isOn) in Self.ways.map({ ($0.setting, $0.setting == way.setting) }) + [(way.setting, true)] {
            let engine = try EngineUnderTest(Self.policy("\(setting): true"))
            let ftp = FTPTalk(engine, hostIsClient: way.hostIsClient)
            Self.announce(way, ftp)
            #expect(engine.events.isEmpty)
            #expect((Self.opens(way, engine) == .pass) == isOn, "\(setting) and \(way.setting)")
            #expect(Self.opens(way, engine, from: 1_030) != .pass, "a second time")
            if isOn { #expect(Self.opens(way, engine) == .pass, "the same again is a repetition") }
        }
        let late = try EngineUnderTest(Self.policy(Self.all))
        Self.announce(way, FTPTalk(late, hostIsClient: way.hostIsClient))
        late.waits(.minutes(1))
        #expect(Self.opens(way, late) == .drop(.outOfAllowedPolicy))
    }

    @Test("The data connection lives by itself: exchange, close, reload and the state handed over", arguments: 0..<4)
    func lives(_ index: Int) throws {
        let way = Self.ways[index]
        let engine = try EngineUnderTest(Self.policy(Self.all))
        Self.announce(way, FTPTalk(engine, hostIsClient: way.hostIsClient))
        let outgoing = way.hostIsClient != way.isActive
        let data = TCPTalk(engine, hostPort: outgoing ? 20 : 50_000, peerPort: outgoing ? 50_000 : 20)
        data.open(by: outgoing ? .host : .peer)
        data.exchange()
        try engine.reloads(Self.policy(Self.all))
        data.exchange()
        var list: [Connection] = []
        _ = engine.engine.connections(from: 0, atMost: 9, into: &list)
        #expect(list.count { $0.isAnnounced } == 1)
        try engine.reloads(Self.policy("incoming-active: false"))
        #expect(data.send(.peer, data: 5) == .drop(.outOfAllowedPolicy), "the policy follows FTP no more")
        try engine.reloads(Self.policy(Self.all))
        data.exchange()
        data.close()
    }

    @Test("Neither from another peer nor to another port, and a Deny rule holds")
    func others() throws {
        let way = Self.ways[2]
        let engine = try EngineUnderTest(Self.policy(Self.all))
        Self.announce(way, FTPTalk(engine))
        #expect(
            engine.receives(PacketBuilder.ipv4(from: .other, to: .host).syn(20, 50_000)) == .drop(.outOfAllowedPolicy))
        #expect(engine.receives(.toHost.syn(20, 50_001)) == .drop(.outOfAllowedPolicy))
        #expect(engine.sends(.fromHost.syn(20, 50_000)) == .drop(.outOfAllowedPolicy))
        #expect(Self.opens(way, engine) == .pass)
        let denying = try EngineUnderTest(
            Self.policy(
                Self.all, "  - { name: no, action: deny, direction: incoming, protocol: tcp, source: { ports: 20 } }"))
        Self.announce(way, FTPTalk(denying))
        #expect(Self.opens(way, denying) == .drop(.deny))
    }

    @Test("A later announcement takes the place of an earlier one", arguments: 0..<4)
    func replaced(_ index: Int) throws {
        let way = Self.ways[index]
        let engine = try EngineUnderTest(Self.policy(Self.all))
        let ftp = FTPTalk(engine, hostIsClient: way.hostIsClient)
        Self.announce(way, ftp)
        Self.announce(way, ftp, port: 81)
        #expect(Self.opens(way, engine) == .drop(.outOfAllowedPolicy))
        #expect(Self.opens(way, engine, to: 50_001) == .pass)
    }

    @Test("IPv6")
    func ipv6() throws {
        let engine = try EngineUnderTest(Self.policy(Self.all))
        let ftp = FTPTalk(engine, peer: .peer6)
        #expect(ftp.client("EPRT |2|fd00:0:0:2::7|50000|\r\n") == .pass)
        #expect(engine.sends(.fromHost6.syn(20, 50_000)) == .pass)
        #expect(ftp.client("EPSV\r\n") == .pass)
        #expect(ftp.server("229 Entering Extended Passive Mode (|||50000|)\r\n") == .pass)
        #expect(engine.receives(.toHost6.syn(1_030, 50_000)) == .pass)
        #expect(ftp.client("EPRT |2|fd00:0:0:2::8|50000|\r\n") == .drop(.invalidPortCommand))
    }

    @Test("A router follows those that it forwards", arguments: [true, false])
    func forwarded(_ clientIsInside: Bool) throws {
        let setting = clientIsInside ? "outgoing-passive" : "incoming-passive"
        let engine = try EngineUnderTest("interfaces: { inside: [eth1] }\n" + Self.policy("\(setting): true"))
        let (near, far): (UInt32, UInt32) = clientIsInside ? (3, 2) : (2, 3)
        var numbers: (client: UInt32, server: UInt32) = (100, 900)
        func client(_ flags: TCPFlags, _ text: String = "") -> Fate {
            let packet = PacketBuilder.toHost.tcp(
                40_000, 21, flags, seq: numbers.client, ack: flags == .syn ? 0 : numbers.server)
            numbers.client += UInt32(text.utf8.count) + (flags == .syn ? 1 : 0)
            return engine.forwards(packet.payload(text), from: near, to: far)
        }
        func server(_ flags: TCPFlags, _ text: String = "") -> Fate {
            let packet = PacketBuilder.fromHost.tcp(21, 40_000, flags, seq: numbers.server, ack: numbers.client)
            numbers.server += UInt32(text.utf8.count) + (flags.contains(.syn) ? 1 : 0)
            return engine.forwards(packet.payload(text), from: far, to: near)
        }
        #expect(client(.syn) == .pass)
        #expect(server([.syn, .ack]) == .pass)
        #expect(client(.ack) == .pass)
        #expect(client(.ack, "PASV\r\n") == .pass)
        #expect(server(.ack, "227 =192,0,2,10,195,80\r\n") == .pass)
        #expect(engine.forwards(.toHost.syn(41_000, 50_000), from: far, to: near) == .drop(.outOfAllowedPolicy))
        #expect(engine.forwards(.toHost.syn(41_000, 50_000), from: near, to: far) == .pass)
    }

    @Test("A segment that no stack would believe announces nothing")
    func forged() throws {
        let engine = try EngineUnderTest(Self.policy(Self.all))
        let ftp = FTPTalk(engine)
        let port = ftp.talk.segment(.peer, [.psh, .ack]).payload("PORT 198,51,100,7,195,80\r\n")
        #expect(engine.receives(port.transportChecksum(1)) { $0.checksumNotVerified = true } == .pass)
        #expect(engine.sends(.fromHost.syn(20, 50_000)) == .drop(.outOfAllowedPolicy))
        let far = ftp.talk.segment(.peer, [.psh, .ack], by: 2_000_000).payload("PORT 198,51,100,7,195,80\r\n")
        #expect(engine.receives(far) == .drop(.invalidSequence))
        #expect(engine.sends(.fromHost.syn(20, 50_000)) == .drop(.outOfAllowedPolicy))
    }

    @Test(
        "A connection between the ports of an earlier one is read from its beginning",
        arguments: [
            ["AUTH TLS\r\n", "234 go\r\n"], ["GET / HTTP/1.1\r\n", "500 no\r\n"], ["NOOP\r\n", "220-more\r\n"],
        ],
        [300_000, 0xf000_0000] as [UInt32])
    func again(_ lines: [String], _ ahead: UInt32) throws {
        for closes in [true, false] {
            let engine = try EngineUnderTest(Self.policy(Self.all))
            let first = FTPTalk(engine)
            first.client(lines[0])
            first.server(lines[1])
            if closes { first.talk.close() } else { engine.waits(.hours(48)) }
            engine.waits(.minutes(5))
            let next = FTPTalk(engine, ahead: ahead)
            #expect(next.server("220 ready\r\n") == .pass)
            Self.announce(Self.ways[2], next)
            #expect(Self.opens(Self.ways[2], engine) == .pass)
        }
    }

    @Test("A form that a browser was made to send to the port of FTP announces nothing", arguments: [true, false])
    func smuggled(_ isForm: Bool) throws {
        let engine = try EngineUnderTest(Self.policy(Self.all))
        let ftp = FTPTalk(engine, hostIsClient: true)
        #expect(ftp.server("220 ready\r\n") == .pass)
        #expect(ftp.client(isForm ? "POST / HTTP/1.1\r\nContent-Length: 26\r\n\r\n" : "USER a\r\n") == .pass)
        #expect(ftp.client("PORT 192,0,2,10,195,80\r\n") == .pass)
        #expect((engine.receives(.toHost.syn(20, 50_000)) == .pass) != isForm)
    }

    @Test("What is refused is refused as often as it comes, and tap mode lets it pass and goes on")
    func repeated() throws {
        let engine = try EngineUnderTest(Self.policy(Self.all))
        let ftp = FTPTalk(engine)
        for _ in 0..<3 { #expect(ftp.client("PORT 203,0,113,99,195,80\r\n") == .drop(.invalidPortCommand)) }
        #expect(ftp.client("NOOP\r\n") == .pass)
        let tapped = try EngineUnderTest("mode: tap\n" + Self.policy(Self.all))
        let open = FTPTalk(tapped)
        #expect(open.client("PORT 203,0,113,99,195,80\r\n") == .passReporting(.invalidPortCommand))
        open.talk.peer.next &+= 26
        #expect(open.client("NOOP\r\n") == .pass)
    }

    @Test("On other ports, and where nothing is admitted, nothing is read")
    func unread() throws {
        for ftp in ["control-ports: [2121], \(Self.all)", "incoming-passive: false", "outgoing-passive: true"] {
            let engine = try EngineUnderTest(Self.policy(ftp))
            #expect(FTPTalk(engine).client("PORT 203,0,113,99,195,80\r\n") == .pass)
        }
    }
}

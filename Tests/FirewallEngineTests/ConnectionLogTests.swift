// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("Connections that open and end are told, once each, with what they were")
struct ConnectionLogTests {
    private static let all =
        "events: { new-connections: [tcp, udp, icmp], closed-connections: [tcp, udp, icmp] }\n"
    private static let web =
        "rules: [{ name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }]\n"

    private static func opens(_ talk: TCPTalk) {
        #expect(talk.send(.peer, .syn) == .pass)
        #expect(talk.send(.host, [.syn, .ack]) == .pass)
        #expect(talk.send(.peer) == .pass)
    }

    /// Ends of connections, and nothing else, since the first `count` events.
    private static func ends(_ engine: EngineUnderTest, after count: Int = 0) -> [ConnectionEnding] {
        engine.events.dropFirst(count).filter { $0.reason == .connectionClosed }.compactMap { $0.account?.ending }
    }

    private static func openings(_ engine: EngineUnderTest) -> Int {
        engine.events.count { $0.reason == .newConnection }
    }

    @Test("Nothing is told where nobody asks")
    func off() throws {
        let engine = try EngineUnderTest(Self.web)
        let talk = TCPTalk(engine)
        talk.open()
        talk.close()
        engine.waits(.hours(4))
        #expect(engine.events.isEmpty)
    }

    @Test(
        "A connection with its rule, packets and bytes each way, its time, and who opened it; a repeated SYN opens nothing"
    )
    func whole() throws {
        let engine = try EngineUnderTest(Self.all + Self.web)
        let talk = TCPTalk(engine)
        let began = engine.clock.now
        #expect(talk.deliver(talk.segment(.peer, .syn), from: .peer) == .pass)
        engine.waits(.milliseconds(200))
        Self.opens(talk)
        #expect(Self.openings(engine) == 1)
        let opening = try #require(engine.events.first)
        #expect(opening.action == .notice && engine.rule(of: opening) == "Web")
        #expect(opening.headers.tcp.flags == .syn && opening.headers.source == .peer)
        engine.waits(.milliseconds(1_300))
        talk.exchange(500)
        talk.close()
        #expect(Self.ends(engine) == [.fin])
        let closing = try #require(engine.lastEvent)
        let account = try #require(closing.account)
        #expect(closing.action == .notice && engine.rule(of: closing) == "Web")
        #expect(closing.headers.source == .peer && closing.headers.destinationPort == 80)
        #expect(closing.metadata.direction == .incoming && closing.metadata.inInterface == 2)
        #expect(account.opened == began && account.lastPacket == engine.clock.now)
        // Two SYNs, the ACK, data, an ACK, the FIN and the last ACK there; back as many but one SYN less and one FIN.
        #expect(account.ofOriginator.packets == 7 && account.ofResponder.packets == 5)
        let syn = UInt64(talk.segment(.peer, .syn).bytes.count)
        #expect(account.ofOriginator.bytes == 2 * syn + 5 * 40 + 500)
        #expect(account.ofResponder.bytes == syn + 4 * 40 + 500)
        engine.waits(.minutes(5))
        #expect(engine.events.count == 2, "told once, whatever becomes of the entry")
    }

    @Test("A RST says whose it was, of either side, and of an opening that is refused or given up")
    func resets() throws {
        for party in [TCPTalk.Party.peer, .host] {
            let engine = try EngineUnderTest(Self.all)
            let talk = TCPTalk(engine)
            Self.opens(talk)
            talk.send(party, [.rst, .ack])
            #expect(Self.ends(engine) == [party == .peer ? .resetByOriginator : .resetByResponder])
            engine.waits(.minutes(1))
            #expect(Self.ends(engine).count == 1)
        }
        let engine = try EngineUnderTest(Self.all)
        let refused = TCPTalk(engine)
        refused.send(.peer, .syn)
        refused.send(.host, [.rst, .ack])
        #expect(Self.ends(engine) == [.resetByResponder])
        let givenUp = TCPTalk(engine, peerPort: 40_001)
        givenUp.send(.peer, .syn)
        givenUp.send(.host, [.syn, .ack])
        givenUp.send(.peer, .rst)
        #expect(Self.ends(engine) == [.resetByResponder, .resetByOriginator])
    }

    @Test("A connection of this host's own has this host for its originator")
    func outgoing() throws {
        let engine = try EngineUnderTest(Self.all)
        let talk = TCPTalk(engine)
        talk.send(.host, .syn)
        talk.send(.peer, [.syn, .ack])
        talk.send(.host)
        talk.send(.peer, [.rst, .ack])
        #expect(Self.ends(engine) == [.resetByResponder])
        #expect(engine.lastEvent?.headers.source == .host && engine.lastEvent?.metadata.direction == .outgoing)
        #expect(engine.lastEvent?.metadata.outInterface == 2)
    }

    @Test("A RST that its receiver may have ignored is no end before it is certain")
    func doubt() throws {
        let engine = try EngineUnderTest(Self.all)
        let talk = TCPTalk(engine)
        Self.opens(talk)
        // The host has data that nobody saw acknowledged; the RST stands where the last acknowledgement was.
        talk.send(.host, [.psh, .ack], data: 100)
        #expect(talk.deliver(talk.segment(.host, .rst, by: -100), from: .host) == .pass)
        #expect(Self.ends(engine).isEmpty)
        engine.waits(.seconds(11))
        #expect(Self.ends(engine) == [.resetByResponder])
    }

    @Test("One that is idle says which timeout was over, at the time when it was, and what was its last packet")
    func idle() throws {
        let engine = try EngineUnderTest(Self.all)
        engine.sends(.fromHost.udp(5_000, 53))
        let last = engine.clock.now
        engine.waits(.seconds(21))
        let event = try #require(engine.lastEvent)
        #expect(event.account?.ending == .idle && event.account?.timeout == .udpTimeout)
        #expect(event.account?.lastPacket == last && event.instant == last + .seconds(20))
        engine.sends(.fromHost.echoRequest(id: 1, seq: 1))
        engine.receives(.toHost.echoReply(id: 1, seq: 1))
        engine.waits(.seconds(61))
        #expect(engine.lastEvent?.account?.timeout == .icmpTimeout)
        #expect(engine.lastEvent?.account?.ofResponder.packets == 1)
        let talk = TCPTalk(engine)
        talk.send(.peer, .syn)
        engine.waits(.seconds(21))
        #expect(engine.lastEvent?.account?.timeout == .synSentTimeout)
        let other = TCPTalk(engine, peerPort: 40_001)
        Self.opens(other)
        engine.waits(.hours(4))
        #expect(engine.lastEvent?.account?.timeout == .establishedTimeout)
        #expect(Self.openings(engine) == 4 && Self.ends(engine) == [.idle, .idle, .idle, .idle])
    }

    @Test(
        "A policy that refuses it ends it at its next packet, with the rule that had admitted it; one that does not does not"
    )
    func policy() throws {
        let engine = try EngineUnderTest(Self.all + Self.web)
        let talk = TCPTalk(engine)
        Self.opens(talk)
        try engine.reloads(
            Self.all
                + "rules: [{ name: Other, action: deny, direction: incoming, protocol: tcp, destination: { ports: 22 } }]"
        )
        talk.exchange()
        #expect(Self.ends(engine).isEmpty)
        try engine.reloads(Self.all + Self.web.replacing("Web", with: "Site"))
        talk.exchange()
        try engine.reloads(Self.all + Self.web.replacing("80", with: "81"))
        #expect(talk.deliver(talk.segment(.peer, data: 5), from: .peer) == .drop(.outOfAllowedPolicy))
        #expect(Self.ends(engine) == [.policy])
        let event = try #require(engine.events.last { $0.reason == .connectionClosed })
        #expect(event.policyEpoch == 3 && event.rule == 0)
        engine.waits(.minutes(1))
        #expect(Self.ends(engine).count == 1)
    }

    @Test("One whose acknowledgements storm, and that is dropped for it, was ended by the policy")
    func storm() throws {
        let engine = try EngineUnderTest(
            Self.all + "stateful: { tcp: { ack-storm: { threshold: 3, drop-connection: true } } }")
        let talk = TCPTalk(engine)
        Self.opens(talk)
        for _ in 0..<5 { talk.deliver(talk.segment(.peer), from: .peer) }
        #expect(Self.ends(engine) == [.policy])
    }

    @Test("What gives its place to another was evicted, and what stands above a lowered limit was given up for that")
    func room() throws {
        let engine = try EngineUnderTest(
            Self.all + "stateful: { udp: { admit: allow } }\nengine: { limits: { udp: 3 } }")
        for port in 1...4 { #expect(engine.receives(.toHost.udp(UInt16(port), 53)) == .pass) }
        #expect(Self.ends(engine) == [.evicted])
        #expect(engine.lastEvent.map { $0.reason == .connectionClosed && $0.headers.sourcePort == 1 } == true)
    }

    @Test("The end of the agent ends what nobody goes on with, and nothing twice")
    func agent() throws {
        let engine = try EngineUnderTest(Self.all)
        let closed = TCPTalk(engine)
        Self.opens(closed)
        closed.close()
        let open = TCPTalk(engine, peerPort: 40_001)
        Self.opens(open)
        engine.sends(.fromHost.udp(5_000, 53))
        let before = engine.events.count
        for _ in 0..<2 { #expect(engine.engine.endAll(as: .agent, from: 0, atMost: 100) == nil) }
        engine.waits(.zero)
        #expect(Self.ends(engine, after: before) == [.agent, .agent])
    }

    @Test(
        "Ports that are opened anew are another connection: the one before has ended, and what it had sent is not counted again"
    )
    func reopened() throws {
        let engine = try EngineUnderTest(Self.all)
        let first = TCPTalk(engine)
        Self.opens(first)
        first.close()
        let second = TCPTalk(engine)
        second.peer.next = 900_000
        second.host.next = 700_000
        engine.waits(.milliseconds(10))
        Self.opens(second)
        second.send(.peer, [.rst, .ack])
        #expect(Self.openings(engine) == 2 && Self.ends(engine) == [.fin, .resetByOriginator])
        #expect(engine.lastEvent?.account?.ofOriginator.packets == 3)
        #expect(engine.lastEvent?.account?.opened == engine.clock.now)
    }

    @Test("A new handshake over a living connection, which nothing has ended, replaces it")
    func replaced() throws {
        let engine = try EngineUnderTest(Self.all)
        Self.opens(TCPTalk(engine))
        let second = TCPTalk(engine)
        second.peer.next = 900_000
        second.host.next = 700_000
        Self.opens(second)
        #expect(Self.openings(engine) == 2 && Self.ends(engine) == [.replaced])
        second.close()
        #expect(Self.ends(engine) == [.replaced, .fin])
    }

    @Test("What is dropped, or is of no connection, opens none; what was met in its midst ends all the same")
    func nearest() throws {
        let engine = try EngineUnderTest(Self.all + Self.web, startsNow: true)
        let talk = TCPTalk(engine)
        #expect(engine.receives(.toHost.syn(40_000, 81)) == .drop(.outOfAllowedPolicy))
        #expect(talk.deliver(talk.segment(.peer, [.syn, .rst]), from: .peer) == .drop(.invalidFlags))
        #expect(talk.deliver(talk.segment(.peer, .rst), from: .peer) == .pass)
        #expect(talk.send(.peer, data: 10) == .pass)
        #expect(talk.send(.host, data: 10) == .pass)
        #expect(Self.openings(engine) == 0 && Self.ends(engine).isEmpty)
        engine.waits(.hours(4))
        #expect(Self.openings(engine) == 0 && Self.ends(engine) == [.idle])
        #expect(engine.rule(of: engine.lastEvent) == "Web")
    }

    @Test("Only the protocols that the policy names, and each of the two by itself")
    func protocols() throws {
        let engine = try EngineUnderTest("events: { new-connections: [udp], closed-connections: [tcp] }")
        let talk = TCPTalk(engine)
        Self.opens(talk)
        talk.close()
        engine.sends(.fromHost.udp(5_000, 53))
        engine.waits(.minutes(5))
        #expect(engine.events.map(\.reason) == [.connectionClosed, .newConnection])
    }

    @Test("A rule that says log: true has what it admits logged, and no other; of what has no state each packet")
    func rules() throws {
        let engine = try EngineUnderTest(
            """
            rules:
              - { name: Web, action: allow, direction: incoming, protocol: tcp, destination: { ports: 80 } }
              - { name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 }, log: true }
              - { name: ESP, action: force-allow, direction: incoming, protocol: 50, log: true }
            """)
        let quiet = TCPTalk(engine)
        Self.opens(quiet)
        quiet.close()
        #expect(engine.events.isEmpty)
        let talk = TCPTalk(engine, hostPort: 22)
        Self.opens(talk)
        talk.close()
        #expect(engine.events.map(\.reason) == [.newConnection, .connectionClosed])
        #expect(engine.events.allSatisfy { engine.rule(of: $0) == "SSH" })
        #expect(engine.receives(PacketBuilder.toHost.protocolNumber(50).payload(count: 8)) == .pass)
        #expect(engine.lastEvent?.reason == .logOnly && engine.rule(of: engine.lastEvent) == "ESP")
        #expect(engine.lastEvent?.action == .logOnly)
    }

    @Test("A log that a reload begins tells the ends of what was open before, and one that it ends tells no more")
    func begun() throws {
        let engine = try EngineUnderTest(Self.web)
        let talk = TCPTalk(engine)
        talk.open()
        try engine.reloads(Self.all + Self.web)
        talk.close()
        #expect(engine.events.map(\.reason) == [.connectionClosed])
        #expect(engine.rule(of: engine.lastEvent) == "Web" && engine.lastEvent?.account?.ofOriginator.packets == 4)
        let other = TCPTalk(engine, peerPort: 40_001)
        Self.opens(other)
        try engine.reloads(Self.web)
        other.close()
        #expect(engine.events.count == 2)
    }

    @Test("Ignored, it is counted and not written")
    func ignored() throws {
        let engine = try EngineUnderTest(Self.all.replacing("}", with: ", ignore: [new-connection, 916] }"))
        let talk = TCPTalk(engine)
        talk.open()
        talk.close()
        #expect(engine.events.isEmpty)
        #expect(engine.engine.counters.noticed[Int(DropReason.connectionClosed.rawValue)] == 1)
        #expect(engine.engine.counters.noticed[Int(DropReason.newConnection.rawValue)] == 1)
    }

    @Test("A thousand ends at once are all told; the log's entries move with those of the table")
    func many() throws {
        let engine = try EngineUnderTest(
            Self.all + "stateful: { udp: { admit: allow } }\nengine: { limits: { udp: 20000 } }")
        for number in 0..<10_000 {
            engine.receives(.toHost.udp(UInt16(1 + number % 10_000), 53))
        }
        #expect(Self.openings(engine) == 10_000)
        for _ in 0..<8 { engine.waits(.seconds(10)) }
        #expect(Self.ends(engine).count == 10_000)
        #expect(Set(engine.events.filter { $0.account != nil }.map(\.headers.sourcePort)).count == 10_000)
        #expect(engine.engine.takeLostEnds() == 0)
    }
}

extension String {
    fileprivate func replacing(_ old: String, with new: String) -> String {
        split(separator: old, omittingEmptySubsequences: false).joined(separator: new)
    }
}

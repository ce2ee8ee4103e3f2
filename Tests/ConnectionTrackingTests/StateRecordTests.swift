// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

@Suite("Connections as bytes for the next run")
struct StateRecordTests {
    private static let boot: (high: UInt64, low: UInt64) = (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210)
    private static let now = Instant(nanoseconds: 1_000_000_000_000)

    private func connection(port: UInt16 = 40_000) -> Connection {
        let key = ConnectionKey(
            lowAddress: IPAddress(v4: 0xc633_6401), highAddress: IPAddress(v4: 0xcb00_7101), lowPortOrIdentifier: 22,
            highPortOrIdentifier: port, protocolNumber: IPProtocol.tcp, version: 4, queryType: 0)
        var c = Connection(
            key: key, opener: .high, openingDirection: .incoming, at: Self.now, openingInterface: 3,
            openingMAC: MACAddress(bits: 0x0200_5e00_5301))
        c.tcp = TCPConversation.established().state
        c.count(bytes: 1_500, from: .high)
        return c
    }

    private func bytes(_ c: Connection, _ form: ConnectionRecord.Form = .exact) -> [UInt8] {
        var bytes: [UInt8] = []
        ConnectionRecord.append(c, worker: 5, form, to: &bytes)
        return bytes
    }

    private func decode(_ bytes: [UInt8], _ form: ConnectionRecord.Form = .exact) -> Connection? {
        unsafe ConnectionRecord.decode(bytes.span.bytes, at: 0, form, now: Self.now)?.connection
    }

    private func file(_ connections: [Connection], _ form: ConnectionRecord.Form = .exact) -> [UInt8] {
        var encoder = StateEncoder(
            StateHeader(form: form, workers: 2, boot: Self.boot, writtenAt: Self.now))
        for c in connections { encoder.append(c, worker: 1) }
        return encoder.finish()
    }

    /// What the decoder gives; throws why it refuses.
    private func read(
        _ file: [UInt8], at now: Instant = StateRecordTests.now,
        boot: (high: UInt64, low: UInt64) = StateRecordTests.boot
    ) throws -> [Connection] {
        var connections: [Connection] = []
        let head = Array(file.prefix(StateFormat.headerBytes))
        var decoder = try StateDecoder(header: unsafe head.span.bytes, length: file.count, boot: boot, now: now)
        let records = Array(file.dropFirst(head.count).dropLast(StateFormat.trailerBytes))
        try decoder.take(unsafe records.span.bytes, now: now) { connections.append($1) }
        let trailer = Array(file.suffix(StateFormat.trailerBytes))
        try decoder.finish(unsafe trailer.span.bytes)
        return connections
    }

    @Test("a state comes back exactly, at every point of a connection")
    func exact() {
        var talk = TCPConversation()
        talk.client.timestamp = 7_000
        var states = [talk.state]
        talk.open()
        states.append(talk.state)
        talk.send(.client, data: 5_000)
        states.append(talk.state)
        talk.close(first: .server)
        states.append(talk.state)
        for state in states.dropFirst() {
            var c = connection()
            c.tcp = state
            #expect(decode(bytes(c))?.tcp == state)
        }
        let back = decode(bytes(connection()))
        #expect(back?.key == connection().key && back?.opener == .high && back?.openingInterface == 3)
        #expect(back?.openingMAC == connection().openingMAC && back?.trafficOfHigh == connection().trafficOfHigh)
        #expect(back?.lastSeen == Self.now && back?.openedAt == connection().openedAt)
    }

    @Test("exchanges of UDP and ICMP come back too", arguments: ConnectionRecord.Form.allCases)
    func exchanges(form: ConnectionRecord.Form) throws {
        let kinds: [(UInt8, UInt16, UInt8)] = [(IPProtocol.udp, 53, 0), (IPProtocol.icmp, 40_000, 8)]
        let exchanges = kinds.map { number, port, query in
            let key = ConnectionKey(
                lowAddress: IPAddress(v4: 0xc633_6401), highAddress: IPAddress(v4: 0xcb00_7101),
                lowPortOrIdentifier: port, highPortOrIdentifier: 40_000, protocolNumber: number, version: 4,
                queryType: query)
            var c = Connection(key: key, opener: .low, openingDirection: .outgoing, at: Self.now)
            c.udp.hasAnswer = number == IPProtocol.udp
            c.udp.isStream = c.udp.hasAnswer
            if query != 0 { ICMPTracker.admit(&c, requestOf: .low, at: Self.now) }
            return c
        }
        let back = try read(file(exchanges, form))
        #expect(back.map { $0.key } == exchanges.map { $0.key })
        #expect(back.map { $0.stage } == [.udpStream, .icmp] && back.map { $0.icmp } == exchanges.map { $0.icmp })
    }

    @Test("a field that is added to a TCP state has to be added to its record too")
    func sizes() {
        #expect(MemoryLayout<TCPEndpoint>.size == TCPEndpoint.recordBytes)
        #expect(MemoryLayout<TCPOffer>.size == TCPOffer.recordBytes)
        #expect(MemoryLayout<TCPHandshake>.size == TCPHandshake.recordBytes)
        #expect(MemoryLayout<TCPState>.size == TCPState.recordBytes)
    }

    @Test("a whole record brings what the rules have said too, and nothing that no record can be")
    func whole() {
        var c = connection()
        c.generation = 7
        c.isOwnTraffic = true
        c.isAnnounced = true
        c.refusal = Refusal(reason: 3, rule: 5)
        (c.refusal.firstCause, c.refusal.secondCause, c.refusal.thirdCause) = (1, 2, 3)
        c.decisionOfLow.flagsSeen = 1 << 63 | 5
        c.decisionOfLow.generation = 7
        c.decisionOfHigh.rule = 12
        c.decisionOfHigh.logOnlyRule = 13
        c.decisionOfHigh.interface = 3
        c.decisionOfHigh.outcome = 2
        c.decisionOfHigh.direction = .outgoing
        let bytes = ConnectionRecord.whole(c)
        #expect(bytes.count == ConnectionRecord.wholeBytes)
        let back = unsafe ConnectionRecord.decodeWhole(bytes.span.bytes, now: Self.now)
        #expect(back.map { ConnectionRecord.whole($0) } == bytes)
        #expect(back?.tcp == c.tcp && back?.refusal == c.refusal && back?.isOwnTraffic == true)
        for length in 0..<bytes.count {
            let cut = Array(bytes.prefix(length))
            #expect(unsafe ConnectionRecord.decodeWhole(cut.span.bytes, now: Self.now) == nil)
        }
        var random = SeededRandom(seed: 12)
        for _ in 0..<20_000 {
            var changed = bytes
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                changed[Int.random(in: 0..<changed.count, using: &random)] = .random(in: 0...255, using: &random)
            }
            guard let c = unsafe ConnectionRecord.decodeWhole(changed.span.bytes, now: Self.now) else { continue }
            let again = ConnectionRecord.whole(c)
            #expect(
                unsafe ConnectionRecord.decodeWhole(again.span.bytes, now: Self.now).map { ConnectionRecord.whole($0) }
                    == again)
        }
    }

    @Test("a field that is added to what the rules decide has to be added to its record too")
    func decisionSizes() {
        #expect(MemoryLayout<CachedRuleDecision>.size == 26 && MemoryLayout<Refusal>.size == 8)
    }

    @Test("whatever is accepted is written again as it was", arguments: ConnectionRecord.Form.allCases)
    func hostile(form: ConnectionRecord.Form) {
        var random = SeededRandom(seed: 11)
        var accepted = 0
        let valid = bytes(connection(), form)
        for _ in 0..<20_000 {
            var changed = valid
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                changed[Int.random(in: 0..<changed.count, using: &random)] = .random(in: 0...255, using: &random)
            }
            guard let c = decode(changed, form) else { continue }
            accepted += 1
            #expect(c.key.protocolNumber != IPProtocol.tcp || c.tcp.isConsistent)
            let again = bytes(c, form)
            #expect(decode(again, form)?.tcp == c.tcp && decode(again, form)?.key == c.key)
        }
        #expect(accepted > 1_000)
    }

    @Test("a file comes back whole, and not at all with any byte of it changed or missing")
    func damage() throws {
        let whole = file([connection(port: 1_000), connection(port: 2_000)])
        #expect(try read(whole).map { $0.key.highPortOrIdentifier } == [1_000, 2_000])
        for place in whole.indices {
            var changed = whole
            changed[place] ^= 0x10
            #expect(throws: StateRefusal.self) { try read(changed) }
        }
        for length in 0..<whole.count { #expect(throws: StateRefusal.self) { try read(Array(whole.prefix(length))) } }
        #expect(throws: StateRefusal.self) { try read(whole + whole) }
    }

    @Test("a file is of its boot, and of the last five minutes")
    func age() throws {
        let whole = file([connection()])
        #expect(throws: StateRefusal.otherBoot) { try read(whole, boot: (1, 2)) }
        #expect(try read(whole, at: Self.now + .minutes(5)).count == 1)
        #expect(throws: StateRefusal.old(seconds: 301)) { try read(whole, at: Self.now + .seconds(301)) }
        #expect(throws: StateRefusal.old(seconds: -1)) { try read(whole, at: Self.now + .seconds(-1)) }
    }

    @Test("in outline, openings and what is over are left out")
    func outline() throws {
        var opening = connection(port: 1_000)
        opening.tcp.phase = .synSent
        var over = connection(port: 2_000)
        over.tcp.phase = .timeWait
        #expect(
            try read(file([opening, over, connection(port: 3_000)], .outline)).map { $0.key.highPortOrIdentifier } == [
                3_000
            ])
    }

    @Test(
        "a remembered connection counts as established, and learns its windows from whoever speaks first",
        arguments: Party.allCases)
    func remembered(first: Party) {
        var talk = TCPConversation.established()
        talk.send(.client, data: 5_000)
        talk.state = TCPTracker.remember(opener: talk.side(.client), at: talk.clock.now)
        var c = connection()
        c.tcp = talk.state
        #expect(c.stage == .established)
        talk.pass(talk.segment(first, data: 1), from: first)
        c.tcp = talk.state
        #expect(c.stage == .established)
        for _ in 0..<10 {
            talk.send(first, data: 10_000)
            talk.send(first.peer, data: 10_000)
        }
        talk.refuse(talk.segment(.client, data: 1, by: 1 << 30), from: .client, as: .invalidSequence)
        talk.close(first: first.peer)
        #expect(talk.phase.isOver)
    }

    @Test("an unclaimed connection is claimed once, and counted all the time")
    func unclaimed() {
        let shared = SharedLimits(tables: TableLimits(), computers: ComputerLimits(), seed: (1, 2))
        let table = UnclaimedConnections(capacity: 10, timeouts: Timeouts(), seed: (3, 4), shared: shared)
        #expect(table.add(connection(), at: Self.now))
        #expect(!table.add(connection(), at: Self.now))
        #expect(shared.total(of: .tcp) == 1)
        #expect(table.claim(connection().key, at: Self.now)?.key == connection().key)
        #expect(table.claim(connection().key, at: Self.now) == nil)
        #expect(shared.total(of: .tcp) == 0)
        #expect(!table.add(connection(), at: Self.now + .hours(4)))
    }
}

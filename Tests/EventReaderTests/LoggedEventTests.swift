// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import EventLog
import EventReader
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

/// A record as the log writes it, at a Saturday morning plus `milliseconds`.
func record(
    _ reason: DropReason = .deny,
    _ packet: PacketBuilder = .ipv4(from: "198.51.100.9", to: "192.0.2.10").tcp(40_112, 443, [.ack]),
    at milliseconds: Int64 = 0, lasting: Int64 = 0, _ change: (inout EventSummary) -> Void = { _ in }
) -> [UInt8] {
    var event = Event(
        reason: reason, action: .deny, instant: Instant(nanoseconds: milliseconds * 1_000_000),
        metadata: PacketMetadata(), headers: packet.headers)
    event.rule = 0
    var summary = EventSummary(event)
    summary.last = Instant(nanoseconds: (milliseconds + lasting) * 1_000_000)
    change(&summary)
    var resolver = RecordResolver(host: "web-01", flowSeed: (1, 2))
    let rule = Rule(
        name: "No telnet", action: .deny, priority: 0, direction: .incoming,
        position: SourcePosition(file: "p.yaml", line: 1, column: 1))
    resolver.register(PolicyNames(epoch: 0, mode: .inline, rules: [rule]))
    var line: [UInt8] = []
    let fields = resolver.fields(EventRecord(summary), clockOffset: .seconds(saturday))
    EventFormat.json.append(fields, at: RecordPlace(sequence: 1), to: &line)
    return Array(line.dropLast())
}

/// 2026-11-21 09:15:02 UTC.
let saturday: Int64 = 1_795_252_502

@Suite("Events read back")
struct LoggedEventTests {
    @Test("a record says after reading what was written")
    func roundTrip() throws {
        let event = try #require(LoggedEvent(line: record(at: 123, lasting: 500) { $0.count = 7 }))
        #expect(event.time == saturday * 1_000_000 + 123_000)
        #expect(event.first == event.time)
        #expect(event.last == event.time + 500_000)
        #expect(event.reason == .deny)
        #expect(event.action == "deny")
        #expect(event.direction == "incoming")
        #expect(event.rule == "No telnet")
        #expect(event.count == 7)
        #expect(event.protocolName == "TCP")
        #expect(event.source?.text == "198.51.100.9:40112")
        #expect(event.destination?.text == "192.0.2.10:443")
        #expect(event.json["tcp"]?["flags"]?.asText == "A")
    }

    @Test("IPv6 endpoints stand in brackets, and mapped addresses stay IPv6")
    func ipv6() throws {
        let packet = PacketBuilder.ipv6(from: "::ffff:192.0.2.1", to: "2001:db8::1").udp(5, 53)
        let event = try #require(LoggedEvent(line: record(.unsolicitedUDP, packet)))
        #expect(event.source?.text == "[::ffff:192.0.2.1]:5")
        #expect(event.destination?.text == "[2001:db8::1]:53")
    }

    @Test("every reason is read back")
    func everyReason() {
        for reason in DropReason.allCases { #expect(LoggedEvent(line: record(reason))?.reason == reason) }
    }

    @Test(
        "lines that are no records of ours are refused",
        arguments: [
            "", "{}", "null", "[1]", "{\"event_type\":\"alert\"}", "{\"event_type\":\"firewall\"}", "x",
            "{\"event_type\":\"firewall\",\"timestamp\":\"2026-11-21T09:15:02.123456+0000\",\"firewall\":{}}",
            "{\"event_type\":\"firewall\",\"firewall\":{\"reason\":\"deny\"}}",
            "{\"event_type\":\"firewall\",\"timestamp\":\"yesterday\",\"firewall\":{\"reason\":\"deny\"}}",
            "{\"event_type\":\"firewall\",\"timestamp\":\"2026-11-21T09:15:02.123456+0000\",\"firewall\":{\"reason\":\"no\"}}",
            "{\"event_type\":\"drop\",\"timestamp\":\"2026-11-21T09:15:02.123456+0000\",\"drop\":{\"reason\":\"rules\"}}",
            "{\"event_type\":\"drop\",\"timestamp\":\"2026-11-21T09:15:02.123456+0000\",\"portreeve\":{\"reason\":\"no\"}}",
            "{\"event_type\":\"alert\",\"timestamp\":\"2026-11-21T09:15:02.123456+0000\",\"firewall\":{\"reason\":\"deny\"}}",
        ])
    func foreign(line: String) { #expect(LoggedEvent(line: Array(line.utf8)) == nil) }

    @Test("a record of the form that came first is read too: rotated files hold it after an upgrade")
    func firstForm() throws {
        let line = """
            {"timestamp":"2026-11-21T09:15:02.123456+0000","host":"web-01","event_type":"firewall","in_iface":"eth0",\
            "src_ip":"198.51.100.9","src_port":40112,"dest_ip":"192.0.2.10","dest_port":443,"proto":"TCP",\
            "firewall":{"reason":"out-of-connection","id":100,"name":"Out Of Connection","action":"deny",\
            "direction":"incoming","stage":"T","count":3,"first":"2026-11-21T09:15:02.123456+0000",\
            "last":"2026-11-21T09:15:02.900000+0000","explain":"stateful.tcp.enabled"}}
            """
        let event = try #require(LoggedEvent(line: Array(line.utf8)))
        #expect(event.reason == .outOfConnection && event.action == "deny" && event.count == 3)
        #expect(event.last - event.first == 776_544)
        #expect(event.destination?.text == "192.0.2.10:443")
    }

    @Test("a record cut anywhere is refused, and none traps")
    func cut() {
        let whole = record()
        for count in whole.indices { #expect(LoggedEvent(line: Array(whole[..<count])) == nil) }
        #expect(LoggedEvent(line: whole) != nil)
    }

    @Test("reasons are found by slug and by number")
    func reasonNames() {
        #expect(DropReason(slugOrNumber: "out-of-connection") == .outOfConnection)
        #expect(DropReason(slugOrNumber: "100") == .outOfConnection)
        #expect(DropReason(slugOrNumber: "901") == .nullIP)
        #expect(DropReason(slugOrNumber: "117") == nil)
        #expect(DropReason(slugOrNumber: "99999") == nil)
        #expect(DropReason(slugOrNumber: "") == nil)
    }
}

@Suite("Filters of events")
struct EventQueryTests {
    private let event = LoggedEvent(line: record(at: 1000, lasting: 1000))

    private func matches(_ change: (inout EventQuery) -> Void) throws -> Bool {
        var query = EventQuery()
        change(&query)
        return try query.matches(#require(event))
    }

    private func range(_ first: IPAddress, _ last: IPAddress) -> AddressRange { AddressRange(first: first, last: last) }

    private func moment(_ milliseconds: Int64) -> Int64 { saturday * 1_000_000 + milliseconds * 1000 }

    @Test("without criteria everything matches")
    func everything() throws { #expect(try matches { _ in }) }

    @Test("reason, rule and action must be the ones asked for")
    func words() throws {
        #expect(try matches { $0.reasons = [.deny, .logOnly] })
        #expect(try !matches { $0.reasons = [.logOnly] })
        #expect(try matches { $0.rule = "No telnet" })
        #expect(try !matches { $0.rule = "no telnet" })
        #expect(try matches { $0.action = "deny" })
        #expect(try !matches { $0.action = "tap:deny" })
    }

    @Test("source or destination must lie within, to the address")
    func addresses() throws {
        #expect(try matches { $0.addresses = range("198.51.100.9", "198.51.100.9") })
        #expect(try matches { $0.addresses = range("192.0.2.0", "192.0.2.10") })
        #expect(try !matches { $0.addresses = range("192.0.2.0", "192.0.2.9") })
        #expect(try !matches { $0.addresses = range("198.51.100.10", "198.51.100.255") })
    }

    @Test("a folded record matches where any part of it lies between since and until")
    func times() throws {
        #expect(try matches { $0.since = moment(2000) })
        #expect(try !matches { $0.since = moment(2001) })
        #expect(try matches { $0.until = moment(1000) })
        #expect(try !matches { $0.until = moment(999) })
        #expect(
            try matches {
                $0.since = moment(1500); $0.until = moment(1600)
            })
    }

    @Test("a record without addresses matches no address")
    func noAddress() throws {
        let line = record(.internalDriverError) { $0.event.headers = PacketHeaders() }
        var query = EventQuery()
        query.addresses = range("0.0.0.0", "255.255.255.255")
        #expect(try !query.matches(#require(LoggedEvent(line: line))))
    }
}

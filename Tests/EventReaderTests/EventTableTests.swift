// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import EventLog
import EventReader
import FirewallEngine
import PacketWire
import TestSupport
import Testing

@Suite("The table of events")
struct EventTableTests {
    private func events() throws -> [LoggedEvent] {
        try [
            record(.deny, at: 1) { $0.count = 12 },
            record(
                .unsolicitedICMP, .ipv4(from: "198.51.100.77", to: "192.0.2.10").echoReply(id: 1, seq: 1), at: 20
            ) { $0.event.rule = -1 },
            record(.outOfConnection, .ipv6(from: "2001:db8::9", to: "fd00::1").tcp(1, 22, [.rst]), at: 999) {
                $0.event.rule = -1
                $0.event.metadata.direction = .outgoing
                $0.event.note = .refusedConnection
            },
        ].map { try #require(LoggedEvent(line: $0)) }
    }

    @Test("columns are aligned, numbers to the right, and nothing trails")
    func plain() throws {
        var table = EventTable(width: nil, zone: .utc)
        let lines = try table.lines(events())
        #expect(
            (table.header + lines).joined(separator: "\n") == """
                TIME                           ACTION  REASON             RULE       DIRECTION  PROTO     SOURCE              DESTINATION     COUNT  NOTE
                2026-11-21 09:15:02.001 +0000  deny    deny               No telnet  incoming   TCP       198.51.100.9:40112  192.0.2.10:443     12
                2026-11-21 09:15:02.020 +0000  deny    unsolicited-icmp              incoming   ICMP 0/0  198.51.100.77       192.0.2.10          1
                2026-11-21 09:15:02.999 +0000  deny    out-of-connection             outgoing   TCP       [2001:db8::9]:1     [fd00::1]:22        1  refused connection
                """)
    }

    @Test("in a narrow terminal note, rule and reason are cut; addresses and counts never")
    func narrow() throws {
        var table = EventTable(width: 136, zone: .utc)
        let lines = try table.lines(events())
        #expect(lines.allSatisfy { $0.count <= 136 })
        #expect(lines[2].hasSuffix("1  refused…"))
        #expect(lines[2].contains("out-of-conne…"))
        #expect(lines[2].contains("[2001:db8::9]:1"))
    }

    @Test("in a terminal of 80 columns a row takes two lines, and a title as many")
    func folded() throws {
        var table = EventTable(width: 80, zone: .utc)
        let lines = try table.lines(events())
        #expect(
            (table.header + lines).joined(separator: "\n") == """
                TIME                           ACTION  REASON             RULE       DIRECTION
                    PROTO     SOURCE              DESTINATION     COUNT  NOTE
                2026-11-21 09:15:02.001 +0000  deny    deny               No telnet  incoming
                    TCP       198.51.100.9:40112  192.0.2.10:443     12
                2026-11-21 09:15:02.020 +0000  deny    unsolicited-icmp              incoming
                    ICMP 0/0  198.51.100.77       192.0.2.10          1
                2026-11-21 09:15:02.999 +0000  deny    out-of-connection             outgoing
                    TCP       [2001:db8::9]:1     [fd00::1]:22        1  refused connection
                """)
    }

    @Test("the longest addresses, rules and notes fit 80 columns, and every address is there whole")
    func longest() throws {
        var table = EventTable(width: 80, zone: .utc)
        let long = "2001:db8:ffff:ffff:ffff:ffff:ffff:fff"
        let (source, destination) = (
            try #require(IPAddress(parsing: "\(long)1")), try #require(IPAddress(parsing: "\(long)2"))
        )
        var event = try #require(
            LoggedEvent(
                line: record(
                    .outOfConnection, .ipv6(from: source, to: destination).tcp(40_001, 50_022, [.rst]), at: 1)))
        event.rule = "Administrators come in from the bastion host of the office in Frankfurt only, over SSH"
        event.note =
            "a note that is longer than any terminal which anybody has used since the days of the teletype, and more"
        event.action = "tap:deny"
        let lines = table.lines([event])
        #expect(lines.allSatisfy { $0.count <= 80 }, "\(lines.joined(separator: "\n"))")
        let text = lines.joined(separator: "\n")
        for part in ["[\(long)1]:40001", "[\(long)2]:50022", "out-of-connection", "Administrators come in from"] {
            #expect(text.contains(part), "\(text)")
        }
        #expect(table.header.count == lines.count)
    }

    @Test("columns never become narrower, so that a following table stays aligned")
    func growing() throws {
        var table = EventTable(width: nil, zone: .utc)
        let all = try events()
        let first = table.lines([all[2]])
        let second = table.lines([all[0]])
        #expect(first[0].contains("out-of-connection        outgoing"))
        #expect(second[0].contains("deny               No telnet"))
    }

    @Test("names with wide characters stay aligned, and controls cannot reach the terminal")
    func strangeNames() throws {
        var table = EventTable(width: nil, zone: .utc)
        var events = try events()
        events[0].rule = "防火墙"
        events[1].rule = "\u{1b}[2J\u{202e}x"
        events[2].rule = "ünï"
        let lines = table.lines(events)
        #expect(lines[0].contains("防火墙  incoming"))
        #expect(lines[1].contains("\u{fffd}[2J\u{fffd}x  incoming"))
        #expect(lines[2].contains("ünï     outgoing"))
        #expect(!lines.joined().unicodeScalars.contains("\u{1b}"))
    }

    @Test("times before 1970 and far ahead are printed")
    func times() throws {
        var event = try #require(events().first)
        var table = EventTable(width: nil, zone: .utc)
        event.time = -1
        #expect(table.lines([event])[0].hasPrefix("1969-12-31 23:59:59.999 +0000  "))
        event.time = .max
        #expect(table.lines([event])[0].hasPrefix("9999-"))
        event.time = .min
        #expect(table.lines([event])[0].hasPrefix("0000-"))
        event.time = 9_214_732_798_000_000
        #expect(table.lines([event])[0].hasPrefix("2262-01-01 23:59:58.000 +0000  "))
    }
}

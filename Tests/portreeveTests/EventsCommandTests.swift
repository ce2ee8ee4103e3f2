// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import ConnectionTracking
import EventReader
import FirewallEngine
import FirewallPolicy
import PacketWire
import Testing

@testable import portreeve

@Suite("Criteria of the events command")
struct EventsCommandTests {
    private let now = WallTime(microseconds: 1_795_252_502_000_000)

    private func query(_ arguments: String...) throws -> EventQuery {
        try EventsCommand.parse(arguments).query(now: now)
    }

    @Test("Reasons by name and by number, several of them")
    func reasons() throws {
        let query = try query("--reason", "out-of-connection", "--reason", "901")
        #expect(query.reasons == [.outOfConnection, .nullIP])
    }

    @Test("An address is a prefix of one")
    func address() throws {
        let one = try query("--address", "198.51.100.9").addresses
        #expect(one?.first == IPAddress(v4: 0xc633_6409) && one?.first == one?.last)
        let prefix = try query("--address", "198.51.100.9/24").addresses
        #expect(prefix?.first == IPAddress(v4: 0xc633_6400) && prefix?.last == IPAddress(v4: 0xc633_64ff))
    }

    @Test(
        "Times are absolute or lengths of time ago",
        arguments: [
            ("2026-11-21T09:15:02Z", 0), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86_400), ("0s", 0),
        ] as [(String, Int64)])
    func times(text: String, secondsAgo: Int64) throws {
        #expect(try query("--since", text).since == now.microseconds - secondsAgo * 1_000_000)
        #expect(try query("--until", text).until == now.microseconds - secondsAgo * 1_000_000)
    }

    @Test(
        "A criterion that cannot be understood is an error, not a filter that shows nothing",
        arguments: [
            ["--reason", "nonsense"], ["--address", "198.51.100"], ["--address", "198.51.100.0/33"],
            ["--address", "fd00::/-1"], ["--action", "drop"], ["--since", "yesterday"], ["--since=-5m"],
            ["--until", "99999999999999999d"], ["--last=-1"],
        ])
    func refused(arguments: [String]) {
        #expect(throws: (any Error).self) { try EventsCommand.parse(arguments) }
    }
}

@Suite("Prefixes of addresses")
struct AddressPrefixTests {
    @Test(
        "Bits behind the length do not matter",
        arguments: [
            ("10.1.2.3/8", "10.0.0.0", "10.255.255.255"), ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
            ("192.0.2.1/32", "192.0.2.1", "192.0.2.1"), ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
            ("fd00:1::5/64", "fd00:1::", "fd00:1::ffff:ffff:ffff:ffff"), ("fd00::1/128", "fd00::1", "fd00::1"),
            ("fd12:3456::/20", "fd12:3000::", "fd12:3fff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fd00::/65", "fd00::", "fd00::7fff:ffff:ffff:ffff"),
        ])
    func ranges(text: String, first: String, last: String) {
        let range = AddressRange(prefix: text)
        #expect(range != nil && range?.first == IPAddress(parsing: first))
        #expect(range?.last == IPAddress(parsing: last))
    }

    @Test(
        "What is no prefix is refused",
        arguments: ["", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/8/8", "::/129", "10.0.0/8", "a/b"])
    func refused(text: String) {
        #expect(AddressRange(prefix: text) == nil)
    }
}

@Suite("Criteria of the connections command")
struct ConnectionsCommandTests {
    @Test("All criteria reach the filter")
    func criteria() throws {
        let filter = try ConnectionsCommand.parse([
            "--protocol", "UDP", "--address", "fd00::/8", "--port", "53", "--state", "established", "--direction",
            "outgoing", "--refused",
        ]).filter()
        #expect(filter.protocolNumber == 17 && filter.port == 53 && filter.state == "ESTABLISHED")
        #expect(filter.direction == .outgoing && filter.refusedOnly && filter.addresses != nil)
    }

    @Test(
        "What cannot be understood is refused",
        arguments: [
            ["--protocol", "tpc"], ["--protocol", "256"], ["--port", "65536"], ["--direction", "in"], ["--limit", "0"],
            ["--address", "localhost"], ["--state", "foo"], ["--state", "refuse"],
        ])
    func refused(arguments: [String]) {
        #expect(throws: (any Error).self) { try ConnectionsCommand.parse(arguments) }
    }
}

@Suite("What does not exist")
struct UnknownNameTests {
    @Test(
        "is said not to, with what there is",
        arguments: [
            (["connections", "--state", "foo"], ["there is no state 'foo'", "ESTABLISHED", "QUERY or REFUSED"]),
            (["events", "--action", "drop"], ["there is no action 'drop'", "deny, log-only"]),
            (
                ["events", "--reason", "out-of-conection"],
                ["there is no reason 'out-of-conection'", "did you mean \"out-of-connection\"?", "portreeve reasons"]
            ),
        ])
    func unknown(arguments: [String], parts: [String]) throws {
        let error = try #require(throws: (any Error).self) { try Portreeve.parseAsRoot(arguments) }
        let text = Portreeve.fullMessage(for: error)
        for part in parts { #expect(text.contains(part), "\(text)") }
    }
}

@Suite("Wrong usage of the iptables command")
struct IPTablesCommandTests {
    @Test(
        "is refused before anything is touched",
        arguments: [
            [], ["--print", "--apply"], ["--print", "--confirm", "5"], ["--apply", "--confirm", "0"],
            ["--apply", "--confirm", "90000"], ["--apply", "--hook", "output"], ["--print", "--family", "ipx"],
        ])
    func refused(arguments: [String]) {
        #expect(throws: (any Error).self) { try IPTablesCommand.parse(arguments) }
    }

    @Test("Each action stands alone", arguments: ["--print", "--apply", "--keep", "--remove", "--check"])
    func actions(action: String) throws {
        #expect("--\(try IPTablesCommand.parse([action]).action.rawValue)" == action)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import EventReader
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile
import Testing

@testable import portreeve

@Suite("What event records tell of what was tried")
struct SuggestCommandTests {
    private static let client = IPAddress(v4: 0x0a00_0005)
    private static let host = IPAddress(v4: 0xc000_020a)

    /// A record of a TCP segment or datagram, from the client to the host, or the other way.
    private static func record(
        _ reason: String, _ ports: (Int, Int), _ transport: String = "TCP", action: String = "tap:deny",
        isOutgoing: Bool = false, flags: String = "S", note: String? = nil, count: Int64 = 1, more: String = ""
    ) -> String {
        let ends = isOutgoing ? ("192.0.2.10", "10.0.0.5") : ("10.0.0.5", "192.0.2.10")
        let time = "2026-11-30T10:00:00.000000+0000"
        let tcp = transport == "TCP" ? #","tcp":{"flags":"\#(flags)","seq":1,"ack":0,"window":1}"# : ""
        let told = note.map { #","note":"\#($0)""# } ?? ""
        return
            #"{"timestamp":"\#(time)","event_type":"drop","\#(isOutgoing ? "out" : "in")_iface":"eth0","src_ip":"\#(ends.0)","#
            + #""src_port":\#(ports.0),"dest_ip":"\#(ends.1)","dest_port":\#(ports.1),"proto":"\#(transport)","portreeve":{"#
            + #""reason":"\#(reason)","action":"\#(action)","direction":"\#(isOutgoing ? "outgoing" : "incoming")","#
            + #""count":\#(count),"first":"\#(time)","last":"\#(time)","hook":"\#(isOutgoing ? "output" : "prerouting")"\#(told)}\#(tcp)\#(more)}"#
    }

    private static func seen(_ lines: [String]) -> (traffic: SeenTraffic, attempts: [(Attempt, AttemptTally)]) {
        var reader = TrafficReader(tellsInterfacesApart: false)
        for line in lines { if let event = LoggedEvent(line: Array(line.utf8)) { reader.add(event) } }
        var traffic = reader.traffic
        let settled = traffic.settled()
        return (traffic, settled.map { ($0.attempt, $0.tally) })
    }

    private static let opening = record("out-of-allowed-policy-open-port", (40_000, 443))
    private static let answer = record(
        "out-of-allowed-policy-open-port", (443, 40_000), isOutgoing: true, flags: "SA", note: "refused connection")
    private static func segments(_ count: Int64, _ flags: String = "A") -> String {
        record("out-of-allowed-policy-open-port", (40_000, 443), flags: flags, note: "refused connection", count: count)
    }

    @Test("The SYN tells the service, and what follows is counted to it, in whatever order it is read")
    func connection() throws {
        let lines = [Self.opening, Self.answer, Self.segments(4)]
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let (traffic, attempts) = Self.seen(order.map { lines[$0] })
            let (attempt, tally) = try #require(attempts.first)
            #expect(attempts.count == 1 && traffic.withoutOpening == 0)
            #expect(
                attempt == Attempt(.incoming, .tcp(443), from: Self.client, to: Self.host, isIPv6: false))
            #expect(tally.packets == 5 && tally.openings == 1 && tally.answers == 1)
        }
    }

    @Test("Answered and left alone is not wanted, as nmap's openings are; spoken with is; nobody there is not")
    func outcomes() throws {
        func isWanted(_ lines: String...) throws -> Bool {
            let policy = try Self.closed()
            return Suggestion(policy, Self.seen(lines).traffic) { Self.document(adding: $0) }.rules.count == 1
        }
        #expect(try isWanted(Self.opening))
        #expect(try isWanted(Self.opening, Self.answer, Self.segments(4)))
        #expect(try !isWanted(Self.opening, Self.answer, Self.segments(1, "R")))
        #expect(try !isWanted(Self.record("out-of-allowed-policy", (40_000, 81))))
        #expect(try isWanted(Self.record("unsolicited-udp", (40_000, 53), "UDP")))
        #expect(try !isWanted(Self.record("unsolicited-udp", (53, 40_000), "UDP")), "it is a late answer")
        #expect(try !isWanted(Self.record("out-of-connection", (40_000, 443), flags: "A")))
        #expect(try !isWanted(Self.segments(4)), "nothing tells who had opened it")
    }

    @Test("Records that are forged or torn are counted, or left out, and no more")
    func hostile() {
        let (traffic, attempts) = Self.seen([
            "", "{", "[]", "null", #"{"event_type":"drop"}"#,
            Self.record("out-of-allowed-policy", (70_000, 443)), Self.record("out-of-allowed-policy", (40_000, -1)),
            Self.record("out-of-allowed-policy", (40_000, 443), "HOPOPT-FORGED"),
            Self.record("out-of-allowed-policy", (40_000, 443), flags: "\\u0000ZZ"),
            Self.record("out-of-allowed-policy", (40_000, 443), count: .max),
            Self.record("out-of-allowed-policy", (40_001, 443), count: .max),
            Self.record("out-of-connection", (40_000, 443), flags: "A", count: -5),
            Self.record("out-of-allowed-policy", (1, 2), action: "deny").replacing(
                "10.0.0.5", with: "10.0.0.5\\\"; rm"),
        ])
        #expect(attempts.count == 1)
        #expect(attempts.first?.1.packets == .max)
        #expect(traffic.uncurable == [.outOfConnection: 1])
    }
}

extension SuggestCommandTests {
    private static let text = "version: 1\ndefault: { incoming: deny, outgoing: deny }\n"

    private static func document(adding file: String) -> PolicyDocument? {
        try? PolicyFile.parse([("p.yaml", Array(text.utf8)), ("suggestion", Array(file.utf8))]).get()
    }

    private static func closed() throws -> Policy {
        try Policy(try PolicyFile.parse([("p.yaml", Array(text.utf8))]).get(), epoch: 1)
    }
}

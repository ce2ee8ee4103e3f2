// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import Testing

@testable import AgentControl

@Suite("Control messages")
struct MessageTests {
    @Test(
        "A request survives the way",
        arguments: [
            .ping, .status, .connections(ConnectionQuery()), .connections(Samples.query), .reload(ReloadRequest()),
            .reload(Samples.reload), .keep(KeepRequest()), .keep(Samples.keep), .reopen, .blocks,
            .rules(RuleQuery()),
            .block(BlockRequest(address: IPAddress(v4: 0xc633_6407), seconds: 1)), .block(Samples.block),
            .unblock(UnblockRequest(address: Samples.block.address)),
            .unblock(UnblockRequest(address: Samples.block.address, program: BlockAuthor(program: "crowdsec"))),
            .settings, .coldStart, .scene(Samples.sceneQuery),
            .scene(SceneQuery(packet: Samples.sceneQuery.packet, interface: nil)),
        ] as [ControlRequest])
    func requests(request: ControlRequest) throws {
        #expect(try ControlRequest(message: request.message) == request)
        #expect(!request.message.contains(UInt8(ascii: "\n")))
    }

    @Test(
        "A reply survives the way",
        arguments: [
            .pong(Samples.identity), .status(Samples.status), .status(StatusReport(agent: Samples.identity)),
            .connections(ConnectionPage(rows: [], next: nil)),
            .connections(ConnectionPage(rows: [Samples.connection(), Samples.connectionIPv6], next: 1 << 33)),
            .reloaded(ReloadReport(accepted: false, epoch: 3, files: ["a.yaml"], diagnostics: ["a.yaml:1:1: x\n ^"])),
            .reloaded(Samples.trial), .coldStarted, .reopened, .blocks([]), .rules(Samples.rules),
            .blocks([Samples.blocked, Samples.blocked]),
            .blocked(Samples.blocked), .unblocked(Samples.blocked), .blocked(Samples.lostAtRestart),
            .unblocked(Samples.lostAtRestart), .blocks([Samples.lostAtRestart]),
            .settings(SettingsReport(policyEpoch: 7, values: ["engine.timeouts.closed": "10s", "a.b": "\"x\""])),
            .scene(Samples.scene), .failure(ControlFailure(.busy, "too many")),
        ] as [ControlReply])
    func replies(reply: ControlReply) throws {
        #expect(try ControlReply(message: reply.message) == reply)
        #expect(!reply.message.contains(UInt8(ascii: "\n")))
    }

    @Test(
        "A request that cannot be understood is refused with its reason",
        arguments: [
            ("", .malformed, "not a JSON text"), ("GET / HTTP/1.1\r", .malformed, "not a JSON text"),
            ("{}", .malformed, "no member \"portreeve\""), ("[1]", .malformed, "no member \"portreeve\""),
            (#"{"portreeve":"1","request":"ping"}"#, .malformed, "no member \"portreeve\""),
            (#"{"portreeve":2,"request":"ping"}"#, .unsupportedVersion, "version 2"),
            (#"{"portreeve":1}"#, .malformed, "\"request\""),
            (#"{"portreeve":1,"request":7}"#, .malformed, "\"request\""),
            (#"{"portreeve":1,"request":"halt"}"#, .unknownRequest, "\"halt\""),
            (#"{"portreeve":1,"request":"connections","port":65536}"#, .malformed, "from 0 to 65535"),
            (#"{"portreeve":1,"request":"connections","port":"22"}"#, .malformed, "\"port\""),
            (#"{"portreeve":1,"request":"connections","protocol":-1}"#, .malformed, "\"protocol\""),
            (#"{"portreeve":1,"request":"connections","after":-1}"#, .malformed, "\"after\""),
            (#"{"portreeve":1,"request":"connections","first":"198.51.100.0"}"#, .malformed, "\"last\""),
            (#"{"portreeve":1,"request":"connections","first":"198.51.100","last":"::1"}"#, .malformed, "\"first\""),
            (#"{"portreeve":1,"request":"connections","direction":"up"}"#, .malformed, "\"direction\""),
            (#"{"portreeve":1,"request":"connections","refused":1}"#, .malformed, "\"refused\""),
            (#"{"portreeve":1,"request":"reload","confirm":0}"#, .malformed, "1 to 86400"),
            (#"{"portreeve":1,"request":"reload","confirm":86401}"#, .malformed, "1 to 86400"),
            (#"{"portreeve":1,"request":"reload","sessions":"x"}"#, .malformed, "\"sessions\""),
            (#"{"portreeve":1,"request":"keep","force":1}"#, .malformed, "\"force\""),
            (#"{"portreeve":1,"request":"block"}"#, .malformed, "\"address\""),
            (#"{"portreeve":1,"request":"block","address":"198.51.100.0/24","seconds":1}"#, .malformed, "\"address\""),
            (#"{"portreeve":1,"request":"block","address":"::1","seconds":0}"#, .malformed, "\"seconds\""),
            (#"{"portreeve":1,"request":"block","address":"::1","seconds":31622401}"#, .malformed, "\"seconds\""),
            (#"{"portreeve":1,"request":"block","address":"::1","seconds":1,"why":"a\nb"}"#, .malformed, "\"why\""),
            (#"{"portreeve":1,"request":"unblock","address":7}"#, .malformed, "\"address\""),
            (#"{"portreeve":1,"request":"unblock","address":"::2","by":"a b"}"#, .malformed, "\"by\""),
            (#"{"portreeve":1,"request":"unblock","address":"::2","by":"administrator"}"#, .malformed, "\"by\""),
        ] as [(String, ControlFailure.Code, String)])
    func refusedRequests(text: String, code: ControlFailure.Code, part: String) {
        let failure = #expect(throws: ControlFailure.self) { try ControlRequest(message: Array(text.utf8)) }
        #expect(failure?.code == code)
        #expect(failure?.message.contains(part) == true, "\(failure?.message ?? "")")
    }

    @Test("What is told of the present comes back whole, and hostile answers are refused")
    func scenes() throws {
        let told = try Samples.scene.circumstances()
        let again = SceneReport(policyEpoch: 4, policyPath: Samples.scene.policyPath, told)
        var same = Samples.scene
        same.interfaces = []
        #expect(again == same)

        let query = String(decoding: ControlRequest.scene(Samples.sceneQuery).message, as: UTF8.self)
        let list = try #require(query.ranges(of: "\"keys\":[").first)
        let key = String(query[list.upperBound...].prefix { $0 != "}" }) + "}"
        for count in [3, 200] {
            let keys = Array(repeating: key, count: count).joined(separator: ",")
            let text = query.replacing("[\(key)]", with: "[\(keys)]")
            let failure = #expect(throws: ControlFailure.self) { try ControlRequest(message: Array(text.utf8)) }
            #expect(failure?.code == .malformed)
        }
        let changes: [(inout SceneReport) -> Void] = [
            { $0.now = -1 }, { $0.now = .max }, { $0.started = $0.now + 1 }, { $0.booted = .min }, { $0.unseenAt = -5 },
            { $0.connections[0].removeLast() }, { $0.connections[0].append(0) }, { $0.forgotten = [[]] },
            { $0.connections = [Array(repeating: 0xff, count: 1 << 20)] }, { $0.now = 3_700_000_000_000 },
            { $0.acknowledgements[0].removeLast() }, { $0.acknowledgements[0][6] = 65_536 }, { $0.block?.until = -1 },
        ]
        for change in changes {
            var hostile = Samples.scene
            change(&hostile)
            guard case .scene(let read) = try ControlReply(message: ControlReply.scene(hostile).message) else { return }
            #expect(throws: ControlFailure.self) { try read.circumstances() }
        }
        let reply = String(decoding: ControlReply.scene(Samples.scene).message, as: UTF8.self)
        for (part, other) in [
            ("\"schedules\":\"f", "\"schedules\":\"x"), ("[\"udp\"]", "[\"sctp\"]"), ("[443]", "[65536]"),
            ("[\"1 2 3 ", "[\"1 -2 3 "), ("[\"1 2 3 ", "[\"1 4294967296 3 "),
        ] {
            let text = reply.replacing(part, with: other)
            #expect(text != reply)
            #expect(throws: ControlFailure.self) { try ControlReply(message: Array(text.utf8)) }
        }
    }

    @Test(
        "A page never asks for more rows than the protocol allows, nor for none",
        arguments: [(0, 1), (5000, 1000), (7, 7)])
    func limit(asked: Int, taken: Int) throws {
        let text = #"{"portreeve":1,"request":"connections","limit":\#(asked)}"#
        var query = ConnectionQuery()
        query.limit = taken
        #expect(try ControlRequest(message: Array(text.utf8)) == .connections(query))
    }

    @Test("A reply without one of its members is refused, and the member is named")
    func missingMembers() throws {
        guard case .object(let members) = Samples.status.json else { return }
        // May be null: absent means the same.
        let optional: Set = ["fragments_visible"]
        for left in members.indices where !optional.contains(members[left].name) {
            var rest = members
            let removed = rest.remove(at: left)
            let text = JSONValue.object([
                ControlProtocol.marker, .init("reply", .text("status")), .init("status", .object(rest)),
            ])
            let failure = #expect(throws: ControlFailure.self) { try ControlReply(message: Array(text.printed.utf8)) }
            #expect(failure?.message.contains("\"\(removed.name)\"") == true)
        }
    }
}

@Suite("Connection filters")
struct ConnectionFilterTests {
    private let connection = Samples.connection()

    @Test("A criterion that the connection meets admits it, its nearest neighbour does not")
    func criteria() {
        expect(\.protocolNumber, met: 6, missed: 17)
        expect(\.port, met: 443, missed: 444)
        expect(\.port, met: 40112, missed: 40111)
        expect(\.state, met: "SYN_SENT", missed: "SYN_RECEIVED")
        expect(\.direction, met: .outgoing, missed: .incoming)
        expect(\.addresses, met: range(0xc633_6409, 0xc633_6409), missed: range(0xc633_640a, 0xc633_64ff))
        expect(\.addresses, met: range(0xc000_0200, 0xc000_020a), missed: range(0xc000_0200, 0xc000_0209))
    }

    private func expect<Value>(_ criterion: WritableKeyPath<ConnectionFilter, Value?>, met: Value, missed: Value) {
        var filter = ConnectionFilter()
        #expect(filter.admits(connection))
        filter[keyPath: criterion] = met
        #expect(filter.admits(connection), "\(met)")
        filter[keyPath: criterion] = missed
        #expect(!filter.admits(connection), "\(missed)")
    }

    @Test("Only refused connections are shown where only they are asked for")
    func refused() {
        var filter = ConnectionFilter()
        filter.refusedOnly = true
        #expect(filter.admits(connection))
        #expect(!filter.admits(Samples.connectionIPv6))
    }
}

private func range(_ first: UInt32, _ last: UInt32) -> AddressRange {
    AddressRange(first: IPAddress(v4: first), last: IPAddress(v4: last))
}

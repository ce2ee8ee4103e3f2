// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("An event as a line of JSON")
struct JSONLinesTests {
    let stamp = "2026-11-21T09:15:02.000000+0000"

    @Test("a dropped TCP packet, to the byte")
    func tcpPacket() {
        let frame = somePacket.identification(7).ethernet(from: "52:54:00:aa:00:fe", to: "52:54:00:aa:00:01")
        var summary = EventSummary(
            event(.outOfConnection, frame, at: Instant(nanoseconds: 123_456_789)) {
                $0.policyEpoch = 4
                $0.cause = .pawsZeroRow
                $0.remedy.insert(.pawsZeroRow)
            })
        summary.count = 3
        summary.last = .ms(900)
        #expect(
            someResolver().line(EventRecord(summary), at: RecordPlace(sequence: 41, lost: 2)) == """
                {"timestamp":"2026-11-21T09:15:02.123456+0000","host":"web-01","event_type":"drop",\
                "in_iface":"eth0","src_ip":"198.51.100.9","src_port":40112,"dest_ip":"192.0.2.10","dest_port":443,\
                "proto":"TCP","flow_id":\(flow),"community_id":"1:gMefeOBKSzQgVP5stPKQKj/eZ2g=",\
                "ether":{"src_mac":"52:54:00:aa:00:fe","dest_mac":"52:54:00:aa:00:01"},\
                "drop":{"len":40,"ttl":57,"ipid":7,"tcpseq":1,"tcpack":1,"tcpwin":502,"tcpflags":"A",\
                "syn":false,"ack":true,"psh":false,"rst":false,"urg":false,"fin":false,"tcpurgp":0,\
                "reason":"out-of-connection"},"verdict":{"action":"drop"},\
                "portreeve":{"reason":"out-of-connection","id":100,"name":"Out Of Connection",\
                "action":"deny","direction":"incoming","stage":"T","cause":"paws-zero-row","count":3,\
                "first":"2026-11-21T09:15:02.123456+0000","last":"2026-11-21T09:15:02.900000+0000",\
                "mode":"inline","hook":"prerouting","queue":0,"policy_epoch":4,\
                "explain":["engine.anti-evasion.paws-zero: deny"],"sequence":41,"lost":2},\
                "frame":{"type":"IPv4","src_mac":"52:54:00:aa:00:fe","dest_mac":"52:54:00:aa:00:01","length":40,\
                "fragment":"DF","ttl":57},"tcp":{"flags":"A","seq":1,"ack":1,"window":502}}

                """)
    }

    private var flow: UInt64 { someResolver().fields(event(.deny)).flowID ?? 0 }

    @Test("a rule's event has the rule for its name, and says where it stands")
    func ruleEvent() throws {
        let denied = event(
            .deny, .ipv6(from: "2001:db8::9", to: "fd00::1").udp(5353, 23), at: .ms(1)
        ) {
            $0.rule = 0
            $0.policyEpoch = 4
            $0.metadata.hook = .input
            $0.metadata.queue = 3
            $0.cause = .denyRule
            $0.remedy.insert(.denyRule)
            $0.remedyRule = 0
        }
        let fields = someResolver(mode: .tap).fields(denied)
        let identifiers = try (#require(fields.flowID), #require(fields.communityID).text)
        #expect(
            someResolver(mode: .tap).line(denied) == """
                {"timestamp":"2026-11-21T09:15:02.001000+0000","host":"web-01","event_type":"drop",\
                "in_iface":"eth0","src_ip":"2001:db8::9","src_port":5353,"dest_ip":"fd00::1","dest_port":23,\
                "proto":"UDP","flow_id":\(identifiers.0),"community_id":"\(identifiers.1)",\
                "drop":{"len":8,"hoplimit":64,"udplen":8,"reason":"deny"},"verdict":{"action":"drop"},\
                "portreeve":{"reason":"deny","id":21,"name":"No telnet","action":"deny",\
                "direction":"incoming","stage":"R","cause":"deny-rule","rule":"No telnet","priority":2,\
                "rule_file":"/etc/portreeve/policy.yaml","rule_line":34,"count":1,\
                "first":"2026-11-21T09:15:02.001000+0000","last":"2026-11-21T09:15:02.001000+0000",\
                "mode":"tap","hook":"input","queue":3,"policy_epoch":4,\
                "explain":["rule \\"No telnet\\" (/etc/portreeve/policy.yaml:34:5): deny"],"sequence":1},\
                "frame":{"type":"IPv6","length":48,"ttl":64}}

                """)
    }

    @Test("the kernel's time of arrival, where it took one, is that of a capture of the same packet")
    func arrival() throws {
        func written(_ nanoseconds: Int64) throws -> String? {
            let line = someResolver().line(event(.outOfConnection) { $0.metadata.arrival = nanoseconds })
            return try #require(JSONValue(line))["portreeve"]?["arrived"]?.string
        }
        #expect(try written(someSaturday * 1_000_000_000 + 98_765_999) == "2026-11-21T09:15:02.098765+0000")
        #expect(try written(0) == nil)
    }

    @Test("an ICMP error of a host that sends, seen in a capture")
    func icmpPacket() {
        let answer = PacketBuilder.ipv4(from: "192.0.2.10", to: "198.51.100.9").unreachable(
            code: 3, quoting: somePacket)
        let event = event(.unsolicitedICMP, answer) {
            $0.metadata.direction = .outgoing
            $0.metadata.hook = .none
            $0.metadata.inInterface = 0
            $0.metadata.frameNumber = 17
        }
        #expect(
            bareResolver.line(event) == """
                {"timestamp":"\(stamp)","event_type":"drop","src_ip":"192.0.2.10","dest_ip":"198.51.100.9",\
                "proto":"ICMP","icmp_type":3,"icmp_code":3,"flow_id":\(flow),\
                "community_id":"1:LRdVYnmHB7LsUr68idlSKKXL/Xg=",\
                "drop":{"len":\(answer.bytes.count),"ttl":64,"ipid":1,"reason":"unsolicited-icmp"},\
                "verdict":{"action":"drop"},"portreeve":{"reason":"unsolicited-icmp","id":122,\
                "name":"Unsolicited ICMP","action":"deny","direction":"outgoing","stage":"U","count":1,\
                "first":"\(stamp)","last":"\(stamp)","policy_epoch":0,"explain":[],"sequence":1},\
                "frame":{"number":17,"type":"IPv4","length":\(answer.bytes.count),"ttl":64}}

                """)
    }

    @Test("what the agent reports of itself has its own words and no packet")
    func report() {
        var metadata = PacketMetadata()
        metadata.queue = 2
        metadata.hook = .none
        let event = Event(
            reason: .internalDriverError, action: .observed, instant: .ms(0), metadata: metadata,
            headers: PacketHeaders())
        let record = EventRecord(EventSummary(event, count: 12), detail: "queue full: 12")
        #expect(
            bareResolver.line(record) == """
                {"timestamp":"\(stamp)","event_type":"drop","drop":{"reason":"internal-driver-error"},\
                "verdict":{"action":"drop"},"portreeve":{"reason":"internal-driver-error",\
                "id":120,"name":"Internal Driver Error","action":"observed","stage":"E","note":"queue full: 12",\
                "count":12,"first":"\(stamp)","last":"\(stamp)","queue":2,"policy_epoch":0,"explain":[],\
                "sequence":1}}

                """)
    }

    @Test("every reason and every action is written as valid JSON with its number, slug and stage")
    func everyReason() throws {
        for reason in DropReason.allCases {
            for action in EventAction.allCases {
                let line = someResolver().line(event(reason, action: action))
                let json = try #require(JSONValue(line), "\(line)")
                #expect(line.hasSuffix("}\n"))
                #expect(json["portreeve"]?["reason"]?.string == reason.row.slug)
                #expect(json["portreeve"]?["id"]?.number == Int(reason.row.number))
                #expect(json["portreeve"]?["stage"]?.string == reason.row.stage.letter)
                #expect(json["portreeve"]?["action"]?.string == action.text)
            }
        }
    }

    @Test(
        "actions have the words of the specification",
        arguments: zip(
            EventAction.allCases, ["deny", "log-only", "notice", "observed", "tap:deny", "fail-open"]))
    func actionText(action: EventAction, text: String) { #expect(action.text == text) }

    @Test(
        "a rule's name survives as it is",
        arguments: [
            "quotes \" and \\ backslash", "line\nbreak\r\ttab", "\u{0}\u{1}\u{1f}\u{7f}", "Ärger, 防火墙, 🔥",
            "\u{2028}", "</script>", "",
        ])
    func escaping(name: String) throws {
        var rule = noTelnet
        rule.name = name
        var resolver = RecordResolver(host: name, flowSeed: (1, 2))
        resolver.interfaces = InterfaceNames([2: name])
        resolver.register(PolicyNames(epoch: 4, mode: .inline, rules: [rule]))
        let line = resolver.line(
            event(.deny) {
                $0.rule = 0
                $0.policyEpoch = 4
            })
        let json = try #require(JSONValue(line), "\(line)")
        #expect(json["portreeve"]?["rule"]?.string == name)
        #expect(json["portreeve"]?["name"]?.string == name)
        #expect(json["host"]?.string == name)
        #expect(json["in_iface"]?.string == name)
        #expect(!line.dropLast().contains("\n"))
        #expect(!line.utf8.contains { $0 < 0x20 && $0 != 0x0a || $0 == 0x7f })
    }

    @Test("a rule that no registered policy has is left out, and the event still tells its reason")
    func unknownRule() throws {
        for (index, epoch) in [(2, 4), (-2, 4), (0, 3), (Int(Int32.max), 4)] {
            let line = someResolver().line(
                event(.deny) {
                    $0.rule = Int32(index)
                    $0.policyEpoch = UInt32(epoch)
                })
            let json = try #require(JSONValue(line))
            #expect(json["portreeve"]?["rule"] == nil)
            #expect(json["portreeve"]?["priority"] == nil)
            #expect(json["portreeve"]?["name"]?.string == "Deny Rule")
            #expect((json["portreeve"]?["mode"] == nil) == (epoch == 3))
        }
    }

    @Test("the last eight policies are remembered, and registering one again replaces it")
    func policyHistory() {
        var history = PolicyHistory()
        for epoch in 1...9 { history.register(PolicyNames(epoch: UInt32(epoch), mode: .inline, rules: [])) }
        #expect(history[1] == nil)
        #expect(history[2] != nil)
        history.register(PolicyNames(epoch: 9, mode: .tap, rules: [noTelnet]))
        #expect(history[9]?.mode == .tap)
        #expect(history[9]?.rule(0)?.name == "No telnet")
        #expect(history[2] != nil)
    }

    @Test("a built-in rule has no file to point to")
    func builtInRule() throws {
        let line = someResolver().line(
            event(.deny) {
                $0.rule = 1
                $0.policyEpoch = 4
            })
        let facts = try #require(JSONValue(line))["portreeve"]
        #expect(facts?["rule"]?.string == "built-in: path MTU")
        #expect(facts?["rule_file"] == nil && facts?["rule_line"] == nil)
    }

    @Test(
        "what was or would have been dropped is a drop, all else the firewall's own; only what got no further was dropped"
    )
    func kinds() throws {
        for action in EventAction.allCases {
            let json = try #require(JSONValue(someResolver().line(event(.deny, action: action))))
            let isDrop = [.deny, .tapDeny, .failOpen, .observed].contains(action)
            #expect(json["event_type"]?.string == (isDrop ? "drop" : "portreeve"))
            #expect((json["drop"] == nil) == !isDrop && (json["verdict"] == nil) == !isDrop)
            #expect((json["portreeve"]?["explain"] == nil) == !isDrop)
            let verdict = action == .deny || action == .observed ? "drop" : "pass"
            if isDrop { #expect(json["verdict"]?["action"]?.string == verdict) }
        }
    }

    @Test("a record says how many events its output gave up before it, where it gave up any")
    func lost() throws {
        let record = EventRecord(EventSummary(event(.deny)))
        let some = try #require(JSONValue(someResolver().line(record, at: RecordPlace(sequence: 9, lost: 3))))
        #expect(some["portreeve"]?["sequence"]?.number == 9 && some["portreeve"]?["lost"]?.number == 3)
        let none = try #require(JSONValue(someResolver().line(record, at: RecordPlace(sequence: 10))))
        #expect(none["portreeve"]?["sequence"]?.number == 10 && none["portreeve"]?["lost"] == nil)
    }

    @Test("interfaces: in, out, both of a forwarded packet, and one that is gone")
    func interfaces() throws {
        func line(_ entered: UInt32, _ leaves: UInt32) throws -> JSONValue {
            try #require(
                JSONValue(
                    someResolver().line(
                        event(.deny) {
                            $0.metadata.inInterface = entered
                            $0.metadata.outInterface = leaves
                        })))
        }
        #expect(try line(2, 0)["in_iface"]?.string == "eth0")
        #expect(try line(2, 0)["out_iface"] == nil)
        #expect(try line(0, 3)["in_iface"] == nil)
        #expect(try line(0, 3)["out_iface"]?.string == "eth1")
        #expect(try line(2, 3)["in_iface"]?.string == "eth0")
        #expect(try line(2, 3)["out_iface"]?.string == "eth1")
        #expect(try line(99, 0)["in_iface"]?.string == "if99")
    }

    @Test("packet data is base64 with padding", arguments: [0, 1, 2, 3, 4, 5, 1500])
    func packetData(count: Int) throws {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + 250) }
        let record = EventRecord(EventSummary(event(.deny)), packet: bytes)
        let text = try #require(JSONValue(someResolver().line(record)))["packet"]?.string
        if count == 0 {
            #expect(text == nil)
        } else {
            #expect(try decodeBase64(#require(text)) == bytes)
        }
    }

    @Test("what many sources have in common stays, the rest is left out")
    func manySources() throws {
        var merged = MergedEvents()
        for number in 0..<5 {
            merged.merge(
                EventSummary(
                    event(.outOfAllowedPolicy, source: UInt32(number), at: .ms(100)) {
                        $0.remedy.insert(.noAllowRule)
                    }))
        }
        let line = someResolver().line(EventRecord(merged.summaries[0]))
        #expect(
            line == """
                {"timestamp":"2026-11-21T09:15:02.100000+0000","host":"web-01","event_type":"drop",\
                "in_iface":"eth0","dest_ip":"192.0.2.10","dest_port":80,"proto":"TCP",\
                "drop":{"reason":"out-of-allowed-policy"},"verdict":{"action":"drop"},\
                "portreeve":{"reason":"out-of-allowed-policy","id":123,"name":"Out Of Allowed Policy",\
                "action":"deny","direction":"incoming","stage":"R","note":"many sources","count":5,\
                "first":"2026-11-21T09:15:02.100000+0000","last":"2026-11-21T09:15:02.100000+0000",\
                "hook":"prerouting","queue":0,"policy_epoch":0,\
                "explain":["rules: no allow or force-allow rule matches"],"sequence":1},"frame":{"type":"IPv4"}}

                """)
    }

    @Test("fields of unusual packets", arguments: UnusualPacket.all)
    func unusual(packet: UnusualPacket) throws {
        let line = someResolver().line(event(.invalidFlags, packet.packet))
        let json = try #require(JSONValue(line))
        for (path, value) in packet.present {
            let found = path.split(separator: ".").reduce(json as JSONValue?) { $0?[String($1)] }
            #expect(found == value, "\(packet.name): \(path)")
        }
        for path in packet.absent {
            let found = path.split(separator: ".").reduce(json as JSONValue?) { $0?[String($1)] }
            #expect(found == nil, "\(packet.name): \(path)")
        }
    }

    @Test("the same record gives the same bytes, behind whatever the buffer holds")
    func determinism() {
        func text() -> [UInt8] {
            var text = Array("before\n".utf8)
            for number in 0..<100 {
                let record = EventRecord(EventSummary(event(.deny, source: UInt32(number))), packet: [1, 2])
                let place = RecordPlace(sequence: UInt64(number))
                EventFormat.json.append(someResolver().fields(record), at: place, to: &text)
            }
            return text
        }
        let (text, again) = (text(), text())
        #expect(text == again)
        #expect(text.starts(with: Array("before\n{\"timestamp\"".utf8)))
    }

    private func decodeBase64(_ text: String) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        #expect(text.count % 4 == 0)
        var bits = 0
        var held = 0
        var bytes: [UInt8] = []
        for character in text where character != "=" {
            bits = bits << 6 | (alphabet.firstIndex(of: character) ?? 0)
            held += 6
            if held >= 8 {
                held -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> held))
                bits &= 1 << held - 1
            }
        }
        return bytes
    }
}

/// A packet, and what its line has and has not.
struct UnusualPacket: CustomTestStringConvertible, Sendable {
    let name: String
    let packet: PacketBuilder
    let present: [(String, JSONValue)]
    let absent: [String]

    var testDescription: String { name }

    static let all: [UnusualPacket] = [
        UnusualPacket(
            name: "a tagged frame",
            packet: somePacket.vlan(42),
            present: [("vlan", .array([.number(42)])), ("frame.type", .string("IPv4"))], absent: []),
        UnusualPacket(
            name: "ARP",
            packet: PacketBuilder.arpRequest(for: "192.0.2.1", from: "192.0.2.2").ethernet(),
            present: [
                ("frame.type", .string("ARP")), ("frame.src_mac", .string("02:00:00:00:00:01")),
                ("ether.src_mac", .string("02:00:00:00:00:01")),
                ("src_ip", .string("192.0.2.2")), ("dest_ip", .string("192.0.2.1")),
            ],
            absent: ["src_port", "proto", "tcp", "frame.ttl", "drop.len", "flow_id", "community_id"]),
        UnusualPacket(
            name: "another EtherType",
            packet: PacketBuilder.raw(etherType: 0x88, [1, 2, 3]).ethernet(),
            present: [("frame.type", .string("0x0088"))], absent: ["src_ip", "dest_ip", "proto", "tcp"]),
        UnusualPacket(
            name: "no TCP flags",
            packet: PacketBuilder.ipv4(from: "198.51.100.9", to: "192.0.2.10").tcp(0, 0, []),
            present: [("tcp.flags", .string("0")), ("src_port", .number(0)), ("dest_port", .number(0))],
            absent: ["frame.fragment", "frame.src_mac", "vlan", "icmp_type", "uid"]),
        UnusualPacket(
            name: "all TCP flags",
            packet: PacketBuilder.ipv4(from: "198.51.100.9", to: "192.0.2.10").tcp(1, 2, TCPFlags(rawValue: 0xff)),
            present: [
                ("tcp.flags", .string("FSRPAUEC")), ("drop.tcpflags", .string("FSRPAUEC")), ("drop.syn", .bool(true)),
                ("drop.urg", .bool(true)),
            ], absent: ["ether", "drop.udplen", "drop.icmp_id", "drop.hoplimit"]),
        UnusualPacket(
            name: "ICMPv6",
            packet: PacketBuilder.ipv6(from: "fe80::1", to: "ff02::1").icmp(128, code: 1),
            present: [
                ("proto", .string("IPv6-ICMP")), ("icmp_type", .number(128)), ("icmp_code", .number(1)),
                ("src_ip", .string("fe80::1")), ("drop.icmp_id", .number(0)), ("drop.hoplimit", .number(64)),
            ], absent: ["src_port", "dest_port", "drop.ttl"]),
        UnusualPacket(
            name: "a first fragment",
            packet: PacketBuilder.ipv4(from: "198.51.100.9", to: "192.0.2.10").udp(53, 5353).payload(count: 100)
                .identification(4711).fragment(0..<64),
            present: [
                ("frame.fragment", .string("MF")), ("frame.fragment_offset", .number(0)),
                ("frame.fragment_id", .number(4711)), ("dest_port", .number(5353)),
            ], absent: []),
        UnusualPacket(
            name: "a last fragment",
            packet: PacketBuilder.ipv4(from: "198.51.100.9", to: "192.0.2.10").udp(53, 5353).payload(count: 100)
                .identification(4711).fragment(64..<108),
            present: [
                ("frame.fragment", .string("last")), ("frame.fragment_offset", .number(64)), ("proto", .string("UDP")),
                ("drop.ipid", .number(4711)),
            ], absent: ["src_port", "dest_port", "flow_id", "community_id", "drop.udplen"]),
        UnusualPacket(
            name: "a protocol without a name",
            packet: PacketBuilder.ipv4(from: "198.51.100.9", to: "192.0.2.10").upperLayer(99).payload([1]),
            present: [("proto", .string("099")), ("drop.len", .number(21))], absent: ["src_port", "tcp"]),
        UnusualPacket(
            name: "a mapped address in IPv6",
            packet: PacketBuilder.ipv6(from: "::ffff:192.0.2.1", to: "fd00::1").tcp(1, 2, [.syn]),
            present: [("src_ip", .string("::ffff:192.0.2.1")), ("tcp.flags", .string("S"))], absent: []),
    ]
}

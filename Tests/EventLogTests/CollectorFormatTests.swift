// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Foundation
import PacketWire
import TestSupport
import Testing

@Suite("An event as collectors read it")
struct CollectorFormatTests {
    private func line(
        _ format: EventFormat, _ record: EventRecord, _ resolver: RecordResolver = someResolver(), lost: UInt64 = 0
    ) -> String {
        var text: [UInt8] = []
        format.append(resolver.fields(record), at: RecordPlace(sequence: 41, lost: lost), to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    private func line(_ format: EventFormat, _ event: Event) -> String {
        line(format, EventRecord(EventSummary(event)))
    }

    private var denied: EventRecord {
        let frame = PacketBuilder.ipv4(from: "198.51.100.9", to: "192.0.2.10").dontFragment().tcp(
            40_112, 23, [.syn, .ack]
        )
        .identification(7)
        .ethernet(from: "52:54:00:aa:00:fe", to: "52:54:00:aa:00:01")
        var summary = EventSummary(
            event(.deny, frame, at: Instant(nanoseconds: 123_456_789)) {
                $0.rule = 0
                $0.policyEpoch = 4
                $0.cause = .denyRule
                $0.remedy.insert(.denyRule)
                $0.remedyRule = 0
            })
        summary.count = 3
        summary.last = .ms(900)
        return EventRecord(summary)
    }

    @Test("CEF, to the byte: what decided, flags by name, and in which direction the bytes went")
    func cef() {
        let flow = someResolver().fields(denied).flowID ?? 0
        let community = #"1:7AZf7LL2PSgNHWDAFqyD+cFIcoQ\="#
        let text = line(.cef, denied, lost: 2)
        #expect(
            text.replacing(/portreeveCommunityID=\S+/, with: "portreeveCommunityID=\(community)") == """
                CEF:0|Portreeve|Portreeve|\(Release.version)|21|No telnet|5|rt=1795252502900 start=1795252502123 end=1795252502900 \
                dvchost=web-01 cat=Firewall act=Deny cnt=3 deviceDirection=0 deviceInboundInterface=eth0 \
                smac=52:54:00:aa:00:fe dmac=52:54:00:aa:00:01 src=198.51.100.9 dst=192.0.2.10 spt=40112 dpt=23 proto=TCP \
                in=40 cs2=0x12 ACK SYN cs2Label=TCP Flags cs3=DF cs3Label=Fragmentation Bits portreeveFrameType=IPv4 \
                externalId=\(flow) portreeveCommunityID=\(community) reason=deny cs1=deny-rule cs1Label=Cause \
                cs5=No telnet cs5Label=Rule cs6=/etc/portreeve/policy.yaml:34 cs6Label=Policy Line portreevePolicyEpoch=4 \
                portreeveExplain=rule "No telnet" (/etc/portreeve/policy.yaml:34:5): deny portreeveSequence=41 portreeveLost=2

                """)
    }

    @Test("LEEF: its delimiter is said in the header, and every attribute stands between two of them")
    func leef() throws {
        let text = line(.leef, denied)
        let header = "LEEF:2.0|Portreeve|Portreeve|\(Release.version)|21|x09|"
        #expect(text.hasPrefix(header))
        let pairs = text.dropFirst(header.count).dropLast().split(separator: "\t").map {
            $0.split(separator: "=", maxSplits: 1)
        }
        let values = Dictionary(uniqueKeysWithValues: pairs.map { (String($0[0]), String($0[1])) })
        for (key, value) in [
            "cat": "Firewall", "name": "No telnet", "desc": "Deny Rule", "sev": "5", "devTime": "1795252502900",
            "act": "Deny",
            "src": "198.51.100.9", "dst": "192.0.2.10", "srcPort": "40112", "dstPort": "23", "proto": "TCP", "in": "40",
            "srcMAC": "52:54:00:aa:00:fe", "dstMAC": "52:54:00:aa:00:01", "cs2": "0x12 ACK SYN", "cnt": "3",
            "policy": "No telnet",
            "portreevePolicyLine": "/etc/portreeve/policy.yaml:34", "dvchost": "web-01",
        ] { #expect(values[key] == value, "\(key)") }
        #expect(values["out"] == nil)
    }

    @Test("No name of a rule or host ends its field, forges another, or begins a line", arguments: EventFormat.allCases)
    func hostileNames(_ format: EventFormat) throws {
        let hostile = "x|9|\\ act=Allow\tact=Allow\ncs5=y\r\"}\u{7f}\u{1b}[31m"
        var resolver = RecordResolver(host: hostile, flowSeed: (1, 2))
        resolver.register(
            PolicyNames(
                epoch: 4, mode: .inline,
                rules: [
                    Rule(
                        name: hostile, action: .deny, priority: 2, direction: .incoming,
                        position: SourcePosition(file: hostile, line: 1, column: 1))
                ]))
        let text = line(format, denied, resolver)
        #expect(text.filter { $0.isNewline }.count == 1 && text.hasSuffix("\n"))
        #expect(text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f || $0 == 0x0a || $0 == 0x09 && format == .leef })
        switch format {
        case .cef:
            #expect(text.contains("|x\\|9\\|\\\\ act=Allow act=Allow cs5=y \"} "))
            #expect(text.contains("cs5=x|9|\\\\ act\\=Allow act\\=Allow\\ncs5\\=y\\r"))
            #expect(text.ranges(of: " act=").count == 3, "the header has two of them as text")
        case .leef:
            #expect(text.ranges(of: "\tact=").count == 1)
            #expect(text.contains("\tpolicy=x|9|\\\\ act=Allow\\tact=Allow\\ncs5=y\\r"))
        case .json, .ecs, .ocsf:
            let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            #expect(object.count > 8)
        }
    }

    @Test("IPv6 addresses have keys of their own in CEF")
    func sixth() {
        let text = line(.cef, event(.deny, .ipv6(from: "2001:db8::9", to: "fd00::1").udp(5353, 23)))
        #expect(
            text.contains(
                " c6a2=2001:db8::9 c6a2Label=Source IPv6 Address c6a3=fd00::1 c6a3Label=Destination IPv6 Address "))
        #expect(!text.contains(" src=") && !text.contains(" dst="))
    }

    @Test("ECS has the fields of its schema and ours whole beside them")
    func ecs() throws {
        let object = try object(line(.ecs, denied))
        #expect(object["@timestamp"] as? String == "2026-11-21T09:15:02.123456+0000")
        let event = try #require(object["event"] as? [String: Any])
        #expect(event["category"] as? [String] == ["network"])
        #expect(event["type"] as? [String] == ["connection", "denied"])
        #expect(event["action"] as? String == "portreeve-drop")
        #expect(event["code"] as? String == "21" && event["reason"] as? String == "deny")
        let source = try #require(object["source"] as? [String: Any])
        #expect(source["ip"] as? String == "198.51.100.9" && source["port"] as? Int == 40_112)
        #expect(source["mac"] as? String == "52-54-00-AA-00-FE")
        let network = try #require(object["network"] as? [String: Any])
        #expect(network["direction"] as? String == "ingress" && network["iana_number"] as? String == "6")
        #expect(network["transport"] as? String == "tcp" && network["type"] as? String == "ipv4")
        let rule = try #require(object["rule"] as? [String: Any])
        #expect(rule["name"] as? String == "No telnet" && rule["ruleset"] as? String == "/etc/portreeve/policy.yaml")
        #expect((object["labels"] as? [String: Any])?["count"] as? String == "3")
        let ours = try #require(object["portreeve"] as? [String: Any])
        #expect(ours["rule_line"] as? Int == 34 && ours["sequence"] as? Int == 41)
    }

    @Test("OCSF: class, activity and type agree, and the profile says what was done", arguments: EventAction.allCases)
    func ocsf(_ action: EventAction) throws {
        var record = denied
        record = EventRecord(
            EventSummary(
                event(.outOfConnection, .ipv4(from: "198.51.100.9", to: "192.0.2.10").tcp(7, 80, [.ack])) {
                    $0.action = action
                }))
        let object = try object(line(.ocsf, record))
        #expect(object["class_uid"] as? Int == 4001 && object["category_uid"] as? Int == 4)
        #expect(object["type_uid"] as? Int == 400_106 && object["activity_id"] as? Int == 6)
        let expected: (action: Int, disposition: Int) =
            switch action {
            case .deny, .observed: (2, 6)
            case .tapDeny: (3, 17)
            case .failOpen: (1, 1)
            case .logOnly, .notice: (1, 17)
            }
        #expect(object["action_id"] as? Int == expected.action)
        #expect(object["disposition_id"] as? Int == expected.disposition)
        #expect(object["status_id"] as? Int == (expected.action == 2 ? 2 : 1))
        let connection = try #require(object["connection_info"] as? [String: Any])
        #expect(connection["direction_id"] as? Int == 1 && connection["tcp_flags"] as? Int == 16)
    }

    @Test("Every reason and action has a record in every format", arguments: EventFormat.allCases)
    func every(_ format: EventFormat) throws {
        for reason in DropReason.allCases {
            for action in EventAction.allCases {
                let text = line(
                    format, event(reason, .ipv4(from: "198.51.100.9", to: "192.0.2.10").icmp(8)) { $0.action = action })
                #expect(text.contains(reason.row.slug) && text.hasSuffix("\n"))
                if format == .json || format == .ecs || format == .ocsf { _ = try object(text) }
            }
        }
    }

    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// What the JSON Schema says of rules: their keys, and which of them go together.
enum RuleSchema {
    static let rule: String = {
        let properties = RuleKey.allCases.map { (key: $0.rawValue, schema: value(of: $0)) }
        return SchemaText.object(
            properties, required: ["name", "action", "direction"],
            more: [#""allOf":[\#(combinations.joined(separator: ","))]"#])
    }()

    /// What the schema says in several places, by the names under which it stands there once.
    static var definitions: String {
        let all = [
            ("address", address), ("mac", mac), ("port", port), ("endpoint", endpoint),
            ("ipv4", only(SchemaPattern.ipv4Range)), ("ipv6", only(SchemaPattern.ipv6Range)),
        ]
        return "{\(all.map { "\(jsonText($0.0)):\($0.1)" }.joined(separator: ","))}"
    }

    static let addresses = SchemaText.definition("address")
    static let macs = SchemaText.definition("mac")
    static let ports = SchemaText.definition("port")

    // An address of digits alone and a MAC address of digits alone may be numbers to the base of sixty; none that is written as
    // a number is as great as the least of them.
    private static let address = SchemaText.explained(
        SchemaText.anyOf(
            SchemaText.name("\(SchemaPattern.ipv4Range)|\(SchemaPattern.ipv6Range)|\(SchemaPattern.name)"),
            #"{"type":"integer","minimum":2799360000000}"#), "\(ListKind.addresses.literal), or a list's name")
    private static let mac = SchemaText.explained(
        SchemaText.anyOf(
            SchemaText.name("\(SchemaPattern.mac)|\(SchemaPattern.name)"), #"{"type":"integer","minimum":777600000}"#),
        "\(ListKind.macs.literal), or a list's name")
    private static let port = SchemaText.explained(
        SchemaText.anyOf(
            SchemaText.name("\(SchemaPattern.ports)|\(SchemaPattern.name)|\(SchemaPattern.serviceName)"),
            #"{"type":"integer","minimum":0,"maximum":65535}"#),
        "\(ListKind.ports.literal), or a list's or service's name")

    private static func value(of key: RuleKey) -> String {
        switch key {
        case .name: SchemaText.line
        case .action: RuleAction.form.schema
        case .priority: SchemaText.number(0...4)
        case .direction: Direction.form.schema
        case .frame: SchemaText.criterion(FrameMatch.form.schema)
        case .protocols: SchemaText.criterion(ProtocolMatch.form.schema)
        case .source, .destination: SchemaText.definition("endpoint")
        case .sender: sender
        case .flags: SchemaText.criterion(flags)
        case .icmp: SchemaText.criterion(icmp(ValueForm<UInt8>.icmpTypeOfAnyVersion))
        case .interfaces:
            SchemaText.criterion(SchemaText.oneOrSeveral(ValueForm<String>.interface.schema, atLeast: 1))
        case .schedule: SchemaText.name(SchemaPattern.name)
        case .log, .isEnabled, .packetData, .offload: ValueForm.flag.schema
        case .reply: Reply.form.schema
        case .rate: OpeningRate.form.schema
        case .until: RuleEnd.form.schema
        case .comment: SchemaText.scalar
        }
    }

    private static let endpoint: String = {
        let mapping = SchemaText.object([
            ("addresses", list(addresses)), ("ports", list(ports)), ("macs", list(macs)),
        ])
        return SchemaText.anyOf(any, mapping)
    }()

    private static let sender: String = {
        let mapping = SchemaText.object([
            ("users", list(ValueForm<SenderName>.user(nil).schema)),
            ("groups", list(ValueForm<SenderName>.group(nil).schema)), ("units", list(ValueForm<String>.unit.schema)),
        ])
        return SchemaText.anyOf(any, mapping)
    }()

    /// What `addresses` of an endpoint may be.
    static let addressCriterion = list(addresses)

    private static func list(_ item: String) -> String {
        SchemaText.criterion(SchemaText.oneOrSeveral(item, atLeast: 1))
    }

    private static let flags: String = {
        let form = TCPFlags.form.schema
        // Nothing tested, and one that is to be both set and clear.
        let none = #"{"properties":{"set":{"const":[]},"clear":{"const":[]}}}"#
        let both = TCPFlags.names.map { name, _ in
            let has = SchemaText.anyOf(#"{"const":"\#(name)"}"#, #"{"type":"array","contains":{"const":"\#(name)"}}"#)
            return #"{"required":["set","clear"],"properties":{"set":\#(has),"clear":\#(has)}}"#
        }
        let senseless = #""not":\#(SchemaText.anyOf([none] + both))"#
        return SchemaText.anyOf(form, SchemaText.object([("set", form), ("clear", form)], more: [senseless]))
    }()

    /// An endpoint whose addresses, as far as they are written out, are all of one family.
    private static func only(_ family: String) -> String {
        let addresses = SchemaText.oneOrSeveral(SchemaText.text(family), atLeast: 1)
        return #"{"type":"object","required":["addresses"],"properties":{"addresses":\#(addresses)}}"#
    }

    private static func icmp(_ type: String) -> String {
        SchemaText.object(
            [("type", type), ("code", SchemaText.anyOf(any, SchemaText.number(0...255)))], required: ["type"])
    }

    private static let any = SchemaText.values(#""any""#)
}

extension RuleSchema {
    /// What one key says about others.
    private static let combinations: [String] = [
        when("action", is: #""allow""#, then("priority", SchemaText.values("0", #""0""#))),
        when("action", is: #""log-only""#, then("priority", SchemaText.values("4", #""4""#))),
        given("log", "true", then("action", #"{"not":{"const":"bypass"}}"#)),
        given("reply", answering, then("action", SchemaText.values(#""deny""#))),
        given(
            "rate", "{}", then("action", SchemaText.values(#""allow""#, #""force-allow""#)),
            require("protocol", protocols("tcp", "udp", "tcp+udp", "icmp", 6, 17, 1))),
        when("packet-data", is: "true", then("action", writing), then("log", SchemaText.values("true"))),
        when(
            "offload", is: "true", then("action", SchemaText.values(#""bypass""#)), then("flags", any),
            then("icmp", any), then("schedule", "false"), then("until", "false"),
            then("interfaces", #"{"not":{"type":"object"}}"#),
            then("source", withoutMACs), then("destination", withoutMACs), then("sender", withoutSender)),
        given(
            "sender", someSender, then("direction", SchemaText.values(#""outgoing""#)),
            then("action", #"{"not":{"const":"bypass"}}"#)),
        given("source", endpoint(with: "ports"), require("protocol", protocols("tcp", "udp", "tcp+udp", 6, 17))),
        given("destination", endpoint(with: "ports"), require("protocol", protocols("tcp", "udp", "tcp+udp", 6, 17))),
        given("flags", notAny, require("protocol", protocols("tcp", 6))),
        given("icmp", notAny, require("protocol", protocols("icmp", "icmpv6", 1, 58))),
        given(
            "protocol", protocols("icmp", 1),
            then("icmp", SchemaText.criterion(icmp(ValueForm<UInt8>.icmpType(isV6: false).schema)))),
        given(
            "protocol", protocols("icmpv6", 58),
            then("icmp", SchemaText.criterion(icmp(ValueForm<UInt8>.icmpType(isV6: true).schema)))),
        given("frame", onlyIPv4Frames, then("protocol", no(protocols("icmpv6", 58)))),
        given("frame", onlyIPv6Frames, then("protocol", no(protocols("icmp", 1)))),
        given("frame", onlyIPv4Frames, then("source", no(ipv6)), then("destination", no(ipv6))),
        given("frame", onlyIPv6Frames, then("source", no(ipv4)), then("destination", no(ipv4))),
        given("protocol", protocols("icmp", 1), then("source", no(ipv6)), then("destination", no(ipv6))),
        given("protocol", protocols("icmpv6", 58), then("source", no(ipv4)), then("destination", no(ipv4))),
        given("source", ipv4, then("destination", no(ipv6))), given("source", ipv6, then("destination", no(ipv4))),
        given(
            "frame", noIP, then("protocol", any), then("source", withoutAddresses),
            then("destination", withoutAddresses)),
    ]

    private static let writing = SchemaText.values(#""deny""#, #""log-only""#)
    private static let answering = SchemaText.values(#""reset""#, #""unreachable""#, #""prohibited""#)
    private static let notAny = #"{"not":{"const":"any"}}"#
    private static let withoutMACs = #"{"properties":{"macs":\#(any)}}"#
    private static let withoutSender =
        #"{"anyOf":[\#(any),{"properties":{"users":\#(any),"groups":\#(any),"units":\#(any)}}]}"#
    private static let someSender = #"{"not":\#(withoutSender)}"#
    private static let withoutAddresses = #"{"properties":{"addresses":\#(any),"ports":\#(any)}}"#
    private static let ipv4 = SchemaText.definition("ipv4")
    private static let ipv6 = SchemaText.definition("ipv6")
    private static let onlyIPv4Frames = SchemaText.values(#""ipv4""#, #"{"not":"ipv6"}"#)
    private static let onlyIPv6Frames = SchemaText.values(#""ipv6""#, #"{"not":"ipv4"}"#)

    private static func no(_ schema: String) -> String { #"{"not":\#(schema)}"# }

    private static let noIP =
        #"{"anyOf":[{"const":"arp"},{"const":{"not":"ip"}},{"type":"integer","not":{"enum":[2048,34525]}}]}"#

    /// The protocol by name, or by number in and out of quotes.
    private static func protocols(_ values: any CustomStringConvertible...) -> String {
        SchemaText.values(values.flatMap { $0 is Int ? ["\($0)", "\"\($0)\""] : ["\"\($0)\""] })
    }

    private static func endpoint(with key: String) -> String {
        #"{"type":"object","required":["\#(key)"],"properties":{"\#(key)":\#(notAny)}}"#
    }

    /// One key and what it must be.
    private struct Demand {
        var key: String
        var schema: String
        var isRequired = false
    }

    /// The key, if it is there.
    private static func then(_ key: String, _ schema: String) -> Demand { Demand(key: key, schema: schema) }

    /// The key, which must be there.
    private static func require(_ key: String, _ schema: String) -> Demand {
        Demand(key: key, schema: schema, isRequired: true)
    }

    private static func when(_ key: String, is value: String, _ demands: Demand...) -> String {
        rule(key, #"{"const":\#(value)}"#, demands)
    }

    private static func given(_ key: String, _ schema: String, _ demands: Demand...) -> String {
        rule(key, schema, demands)
    }

    private static func rule(_ key: String, _ schema: String, _ demands: [Demand]) -> String {
        let properties = demands.map { "\(jsonText($0.key)):\($0.schema)" }.joined(separator: ",")
        let required = demands.filter(\.isRequired).map { jsonText($0.key) }.joined(separator: ",")
        return #"{"if":{"required":["\#(key)"],"properties":{"\#(key)":\#(schema)}},"#
            + #""then":{"required":[\#(required)],"properties":{\#(properties)}}}"#
    }
}

extension ValueForm where Value == UInt8 {
    /// The schema where the protocol is not known.
    fileprivate static let icmpTypeOfAnyVersion = SchemaText.anyOf(
        icmpType(isV6: false).schema, icmpType(isV6: true).schema)
}

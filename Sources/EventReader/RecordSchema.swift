// SPDX-License-Identifier: GPL-3.0-or-later

package import AgentControl
import ConnectionTracking
import EventLog
import FirewallEngine

/// A JSON Schema (draft 2020-12) of an event record, for those who read `events.jsonl` by program. Every key is in it, with
/// what it means; reasons, causes and actions come from their tables.
package enum RecordSchema {
    package static var json: JSONValue {
        [
            "$schema": .text("https://json-schema.org/draft/2020-12/schema"), "title": .text("Portreeve event record"),
            "description": .text(
                "One line of the events file. What is not known, or not true of all events of a record, is left out."),
            "type": .text("object"), "additionalProperties": .bool(false),
            "required": .texts(["timestamp", "event_type", "portreeve"]), "properties": .object(properties),
            "allOf": .list([dropsHaveTheirObject, othersDoNot]),
        ]
    }

    private static var properties: [JSONValue.Member] {
        [
            .init("timestamp", time("When the first event happened.")),
            .init("host", text("This host's name.")),
            .init(
                "event_type",
                words(
                    RecordFields.Kind.allCases.map(\.rawValue),
                    "drop: dropped, or would have been; flow: a connection ended; portreeve: everything else.")),
            .init("in_iface", text("The interface that the packet came in by.")),
            .init("out_iface", text("The interface that it would leave by.")),
            .init("phys_in_iface", text("The bridge port that it came in by.")),
            .init("phys_out_iface", text("The bridge port that it would leave by.")),
            .init("vlan", list(of: number("A VLAN.", to: 4095), "The outermost VLAN tag.")),
            .init("src_ip", address("Source; left out where many sources were merged.")),
            .init("src_port", number("Source port; the first one where events were folded.", to: 65_535)),
            .init("dest_ip", address("Destination.")),
            .init("dest_port", number("Destination port.", to: 65_535)),
            .init("proto", text("IP protocol: a name as in EVE, or three digits.")),
            .init("icmp_type", number("ICMP type.", to: 255)),
            .init("icmp_code", number("ICMP code.", to: 255)),
            .init(
                "flow_id",
                number(
                    "The same in all records of one connection, both directions, and of ICMP errors that quote it, while the "
                        + "agent runs.", from: 1, to: 1 << 53 - 1)),
            .init(
                "community_id",
                pattern(
                    "^1:[A-Za-z0-9+/]{27}=$",
                    "Community ID 1.0 with seed 0: the same in other tools' records of the flow.")),
            .init("ether", object(macs, "The frame's addresses.")),
            .init("drop", drop), .init("verdict", verdict), .init("flow", flow), .init("portreeve", portreeve),
            .init("frame", frame),
            .init("tcp", tcp),
            .init(
                "packet",
                pattern("^[A-Za-z0-9+/]+={0,2}$", "The packet's bytes in base64, where the rule asks for them.")),
        ]
    }

    private static var macs: [JSONValue.Member] {
        [.init("src_mac", mac("Source.")), .init("dest_mac", mac("Destination."))]
    }

    private static var drop: JSONValue {
        object(
            [
                .init("len", count("Bytes: of the packet (IPv4), of what follows the fixed header (IPv6).")),
                .init("ttl", number("Time to live (IPv4).", to: 255)),
                .init("ipid", number("Identification (IPv4).", to: 65_535)),
                .init("hoplimit", number("Hop limit (IPv6).", to: 255)),
                .init("tcpseq", number("Sequence number.", to: 1 << 32 - 1)),
                .init("tcpack", number("Acknowledgement number.", to: 1 << 32 - 1)),
                .init("tcpwin", number("Window, unscaled.", to: 65_535)), .init("tcpflags", flags),
            ]
                + ["syn", "ack", "psh", "rst", "urg", "fin"].map {
                    .init($0, ["type": .text("boolean"), "description": .text("The flag is set.")])
                }
                + [
                    .init("tcpurgp", number("Urgent pointer.", to: 65_535)),
                    .init("udplen", number("UDP's length field.", to: 65_535)),
                    .init("icmp_id", number("Identifier of an ICMP query or reply.", to: 65_535)),
                    .init("icmp_seq", number("Its sequence number.", to: 65_535)),
                    .init("reason", words(ReasonRow.all.map(\.slug), "As in portreeve.reason.")),
                ], "The packet as EVE's drop events have it.", required: ["reason"])
    }

    private static var verdict: JSONValue {
        object(
            [
                .init(
                    "action",
                    words(["drop", "pass"], "pass: it would have been dropped (portreeve.action says why it was not)."))
            ],
            "What became of the packet, as EVE says it.", required: ["action"])
    }

    private static var flow: JSONValue {
        let sides = ["toserver", "toclient"]
        return object(
            sides.map { .init("pkts_\($0)", count("Packets of one side; the server is who was spoken to.")) }
                + sides.map { .init("bytes_\($0)", count("Their bytes, of IP.")) }
                + [
                    .init("start", time("When it was opened, or met if it is older than the agent.")),
                    .init("end", time("When its last packet came.")), .init("age", count("Seconds between them.")),
                    .init("state", words(["new", "established", "closed"], "How far it had come.")),
                    .init(
                        "reason",
                        words(
                            ["timeout", "forced", "shutdown"],
                            "What ended it, where neither side did, as EVE says it (portreeve.ended says more).")),
                ],
            "A connection that ended, as EVE's flow events have it; the sums where the record stands for several.",
            required: sides.flatMap { ["pkts_\($0)", "bytes_\($0)"] })
    }

    private static var portreeve: JSONValue {
        object(
            decision + circumstances
                + [
                    .init(
                        "sequence",
                        number(
                            "Number of this record among those given to this output since the agent started; a restart begins "
                                + "anew.", from: 1)),
                    .init(
                        "lost",
                        number("Events that this output gave up since the record before; left out where 0.", from: 1)),
                ],
            "What the firewall did, and why.",
            required: [
                "reason", "id", "name", "action", "stage", "count", "first", "last", "sequence",
            ])
    }

    private static var decision: [JSONValue.Member] {
        [
            .init("reason", words(ReasonRow.all.map(\.slug), "Why; `portreeve reasons` explains each.")),
            .init(
                "id",
                ["enum": .list(ReasonRow.all.map { .count($0.number) }), "description": .text("The reason's number.")]),
            .init("name", text("The reason's name; the rule's, where a rule decided.")),
            .init(
                "action",
                words(
                    EventAction.allCases.map(\.text),
                    "deny: dropped; tap:deny: tap mode let it pass; fail-open: a failure setting did; observed: the kernel "
                        + "dropped it; log-only, notice: it passed, or there was none.")),
            .init("direction", words(["incoming", "outgoing"], "As seen from this host.")),
            .init(
                "stage",
                words(["V", "F", "R", "T", "U", "C", "E", "notice"], "The part of the packet's way that decided.")),
            .init(
                "cause", words(Cause.allCases.filter { $0 != .none }.map(\.row.slug), "Which of several tests decided.")
            ),
            .init("rule", text("The rule that decided.")),
            .init("priority", number("The rule's priority.", to: 4)),
            .init("rule_file", text("Where the rule stands; left out for built-in rules.")),
            .init("rule_line", number("The line in that file.", from: 1)),
            .init(
                "reply",
                words(
                    ["reset", "unreachable", "prohibited"],
                    "How its sender was told: a TCP reset, or ICMP; left out where he was not.")),
            .init("note", text("A detail: of the packet, of the record, of the agent.")),
            .init(
                "ended", words(ConnectionEnding.allCases.map(\.text), "How the connection ended.")),
            .init("timeout", text("The setting whose time was over, where it was idle.")),
            .init("duration_ns", count("From its first packet to its last, in nanoseconds.")),
            .init("count", number("Events that the record stands for.", from: 1)),
            .init("first", time("When the first of them happened.")),
            .init("last", time("When the last of them happened.")),
        ]
    }

    private static var circumstances: [JSONValue.Member] {
        [
            .init("mode", words(["inline", "tap"], "The policy's mode.")),
            .init(
                "hook",
                words(
                    ["prerouting", "input", "forward", "output", "postrouting", "unknown"],
                    "The netfilter hook that the packet came from.")),
            .init("queue", number("The queue's number.", to: 65_535)),
            .init("policy_epoch", count("Counts the policies that were in force since the agent started.")),
            .init("arrived", time("When the kernel took the packet in.")),
            .init("uid", count("The sending process's user, for this host's own packets.")),
            .init("user", text("The name of this user, where this host has one.")),
            .init("gid", count("Its group.")),
            .init("unit", text("The systemd unit that the sending socket was of.")),
            .init(
                "explain",
                list(
                    of: text("A setting with its value, or a rule."),
                    "All that has to be turned for this packet to pass; empty where nothing helps. Left out where nothing was "
                        + "refused, or where the events of the record differ in it.")),
        ]
    }

    private static var frame: JSONValue {
        object(
            [
                .init(
                    "number",
                    number("Number of the frame in its capture; the first one's where events were folded.", from: 1)),
                .init("type", pattern("^(IPv4|IPv6|ARP|0x[0-9a-f]{4})$", "The protocol, or the EtherType.")),
            ] + macs + [
                .init("length", count("Bytes of the IP packet.")),
                .init(
                    "fragment",
                    words(["DF", "MF", "DF MF", "last"], "Fragment bits; last: a fragment with none to come.")),
                .init("fragment_offset", count("Byte offset of a fragment.")),
                .init("fragment_id", number("Identification of a fragment's datagram.", to: 1 << 32 - 1)),
                .init("ttl", number("Time to live or hop limit.", to: 255)),
            ], "The frame or packet itself.")
    }

    private static var tcp: JSONValue {
        object(
            [
                .init("flags", flags), .init("seq", number("Sequence number.", to: 1 << 32 - 1)),
                .init("ack", number("Acknowledgement number.", to: 1 << 32 - 1)),
                .init("window", number("Window, unscaled.", to: 65_535)),
            ], "The TCP header.", required: ["flags", "seq", "ack", "window"])
    }

    private static var flags: JSONValue {
        pattern("^(0|F?S?R?P?A?U?E?C?)$", "FIN SYN RST PSH ACK URG ECE CWR, or 0 for none.")
    }
}

/// What depends on the kind of record.
extension RecordSchema {
    private static var isDrop: JSONValue { ["properties": ["event_type": ["const": .text("drop")]]] }
    private static var refusals: [JSONValue] {
        EventAction.allCases.filter(\.isRefusal).map { .text($0.text) }
    }

    private static func actions(_ condition: JSONValue) -> JSONValue {
        ["properties": ["portreeve": ["properties": ["action": condition]]]]
    }

    private static var dropsHaveTheirObject: JSONValue {
        [
            "if": isDrop,
            "then": ["allOf": .list([["required": .texts(["drop", "verdict"])], actions(["enum": .list(refusals)])])],
            "else": ["properties": ["drop": .bool(false), "verdict": .bool(false)]],
        ]
    }

    private static var othersDoNot: JSONValue {
        ["if": isDrop, "else": actions(["not": ["enum": .list(refusals)]])]
    }
}

/// Kinds of values.
extension RecordSchema {
    private static func text(_ description: String) -> JSONValue {
        ["type": .text("string"), "description": .text(description)]
    }

    private static func pattern(_ pattern: String, _ description: String) -> JSONValue {
        ["type": .text("string"), "pattern": .text(pattern), "description": .text(description)]
    }

    private static func words(_ words: [String], _ description: String) -> JSONValue {
        ["enum": .texts(words), "description": .text(description)]
    }

    private static func number(_ description: String, from least: Int64 = 0, to most: Int64? = nil) -> JSONValue {
        var members: [JSONValue.Member] = [.init("type", .text("integer")), .init("minimum", .integer(least))]
        if let most { members.append(.init("maximum", .integer(most))) }
        return .object(members + [.init("description", .text(description))])
    }

    private static func count(_ description: String) -> JSONValue { number(description) }

    private static func list(of items: JSONValue, _ description: String) -> JSONValue {
        ["type": .text("array"), "items": items, "description": .text(description)]
    }

    private static func address(_ description: String) -> JSONValue {
        pattern("^[0-9a-f.:]+$", description)
    }

    private static func mac(_ description: String) -> JSONValue {
        pattern("^([0-9a-f]{2}:){5}[0-9a-f]{2}$", description)
    }

    private static func time(_ description: String) -> JSONValue {
        pattern("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}\\+0000$", description)
    }

    private static func object(
        _ members: [JSONValue.Member], _ description: String, required: [String] = []
    ) -> JSONValue {
        [
            "type": .text("object"), "additionalProperties": .bool(false), "required": .texts(required),
            "description": .text(description), "properties": .object(members),
        ]
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyFile

struct ConnectionsCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "connections", abstract: "List the connections that the agent knows.",
        discussion: discussion(
            """
            All criteria given must hold. Source is the side that opened the connection. One that is "not claimed yet" \
            was handed over by an agent with another number of queues, and no packet of it has come since. RULE is what \
            admitted or refused it; where another policy is in force since and no packet has come that it judged, with the \
            rule's place and epoch of then, and whether a rule of that name is gone.
            """))

    static let examples = [
        Example(
            "portreeve connections --state established --port 22",
            "Who is connected over SSH, and which rule let them in."),
        Example("portreeve connections --refused", "What is refused and remembered, and why."),
        Example(
            "portreeve connections --address 2001:db8::/32 --json", "One line of JSON for each connection of a network."
        ),
    ]

    @OptionGroup var control: ControlOptions

    @Option(name: .customLong("protocol"), help: "tcp, udp, icmp or a number.", completion: Completions.protocols)
    var protocolName: String?

    @Option(help: "An address or prefix; either side.")
    var address: String?

    @Option(help: "Either side's port.")
    var port: UInt16?

    @Option(help: "The state, such as ESTABLISHED; upper or lower case.", completion: Completions.states)
    var state: String?

    @Option(help: "incoming or outgoing; of the packet that opened it.", completion: Completions.directions)
    var direction: String?

    @Flag(help: "Only connections that were refused and are remembered.")
    var refused = false

    @Option(name: .shortAndLong, help: "At most this many.")
    var limit = 10_000

    @Flag(help: "Print JSON lines.")
    var json = false

    func run() throws {
        var query = ConnectionQuery()
        query.filter = try filter()
        var rows: [ConnectionReport] = []
        var shown = 0
        var isComplete = false
        while shown < limit && !isComplete {
            query.limit = min(ControlProtocol.rowLimit, limit - shown)
            guard case .connections(let page) = try control.ask(.connections(query)) else { throw control.unexpected() }
            for row in page.rows.prefix(limit - shown) {
                if json { print(row.json.printed) } else { rows.append(row) }
                shown += 1
            }
            query.after = page.next ?? 0
            isComplete = page.next == nil
        }
        if !json { for line in Self.table(of: rows).lines(width: terminalWidth) { print(line) } }
        if !isComplete { complain("stopped at \(limit) connections; --limit shows more") }
    }

    /// Whether a flow passes in the kernel is shown where any may.
    private static func table(of rows: [ConnectionReport]) -> TextTable {
        let hasFastPath = rows.contains { $0.fastPath != nil }
        var table = TextTable(
            [
                .text("PROTO"), .text("SOURCE"), .text("DESTINATION"), .text("DIRECTION"), .text("STATE"),
                .number("AGE"), .number("IDLE"), .number("PACKETS"), .text("INTERFACE"), .text("RULE", cutTo: 8),
            ] + (hasFastPath ? [.text("FAST PATH")] : []))
        for row in rows { table.add(row.cells + (hasFastPath ? [row.fastPath ?? ""] : [])) }
        return table
    }

    func filter() throws -> ConnectionFilter {
        var filter = ConnectionFilter()
        filter.protocolNumber = try protocolName.map { name in
            guard let number = ProtocolText.number(of: name) else {
                throw ValidationError("'\(name)' is no protocol: tcp, udp, icmp or a number from 0 to 255")
            }
            return number
        }
        filter.addresses = try address.map { text in
            guard let range = AddressRange(prefix: text) else {
                throw ValidationError("'\(text)' is no address and no prefix such as 198.51.100.0/24")
            }
            return range
        }
        filter.direction = try direction.map { word in
            guard let direction = Direction(word: word) else {
                throw ValidationError("'\(word)' is no direction: incoming or outgoing")
            }
            return direction
        }
        filter.port = port
        filter.state = try state.map { text in
            let name = text.uppercased()
            guard ConnectionStage.names.contains(name) else {
                throw ValidationError("there is no state '\(text)': \(alternatives(ConnectionStage.names))")
            }
            return name
        }
        filter.refusedOnly = refused
        return filter
    }

    func validate() throws {
        _ = try filter()
        guard limit > 0 else { throw ValidationError("--limit must be at least 1") }
    }
}

extension ConnectionReport {
    fileprivate var cells: [String] {
        [
            ProtocolText.name(of: protocolNumber), sourceText, destinationText, direction.word,
            (refusal.map { "refused: \($0.row.slug)" } ?? state) + (queue == nil ? " (not claimed yet)" : ""),
            (age.nanoseconds / 1_000_000_000).lengthText,
            (idle.nanoseconds / 1_000_000_000).lengthText, packets.grouped, interface, rule?.text ?? "",
        ]
    }

    var sourceText: String { endpoint(source.description(isIPv6: isIPv6), sourcePortOrIdentifier) }
    var destinationText: String { endpoint(destination.description(isIPv6: isIPv6), destinationPort) }

    private func endpoint(_ address: String, _ port: UInt16) -> String {
        guard port != 0 else { return address }
        return isIPv6 ? "[\(address)]:\(port)" : "\(address):\(port)"
    }
}

extension DecidingRule {
    /// Its name; where another policy is in force since, what it was there.
    var text: String {
        let of = epoch.map { "epoch \($0)" } ?? "an earlier policy"
        guard let name else { return "(a rule of \(of), forgotten)" }
        let origin = [place, of].compactMap { $0 }.joined(separator: ", ")
        return switch standing {
        case .inForce: name
        case .earlier: "\(name) (\(origin))"
        case .gone: "\(name) (\(origin); gone since)"
        }
    }
}

/// Protocol numbers as tables say them.
enum ProtocolText {
    private static let names: [(String, UInt8)] = [
        ("icmp", 1), ("igmp", 2), ("tcp", 6), ("udp", 17), ("gre", 47), ("esp", 50), ("ah", 51), ("icmpv6", 58),
        ("sctp", 132), ("udplite", 136),
    ]

    static func name(of number: UInt8) -> String { names.first { $0.1 == number }?.0 ?? "\(number)" }

    /// As event records have them besides (`protocolName` of EventLog), as EVE does.
    private static let recordNames: [(String, UInt8)] = [
        ("ip-encap", 4), ("dccp", 33), ("ipv6", 41), ("ipv6-icmp", 58), ("eigrp", 88), ("ospfigp", 89), ("pim", 103),
        ("vrrp", 112), ("l2tp", 115),
    ]

    static func number(of name: String) -> UInt8? {
        (names + recordNames).first { $0.0 == name.lowercased() }?.1 ?? UInt8(name)
    }
}

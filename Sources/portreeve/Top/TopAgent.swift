// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire

/// What the agent says for the live view.
struct TopAgent {
    private(set) var status: StatusReport?
    private(set) var connections: [ConnectionReport] = []
    /// There are more than are listed.
    private(set) var isCut = false
    /// Why it says nothing; nil where it does.
    private(set) var trouble: String?

    private static let mostConnections = 2_000

    mutating func ask(_ control: ControlOptions, connections wantsConnections: Bool) {
        let client = ControlClient(path: control.path, timeoutSeconds: 2)
        do {
            guard case .status(let report) = try client.request(.status) else { return }
            (status, trouble) = (report, nil)
            if wantsConnections { try list(client) }
        } catch {
            (status, connections, trouble) = (nil, [], control.explaining(error))
        }
    }

    private mutating func list(_ client: ControlClient) throws(ControlError) {
        var query = ConnectionQuery()
        var found: [ConnectionReport] = []
        isCut = false
        while true {
            guard case .connections(let page) = try client.request(.connections(query)) else { return }
            found += page.rows
            guard let next = page.next, next > query.after else { break }
            guard found.count < Self.mostConnections else {
                isCut = true
                break
            }
            query.after = next
        }
        connections = found
    }

    /// The lines above every page.
    func heading(host: String, now: WallTime, dropped rate: Double) -> [(text: String, isBad: Bool)] {
        guard let status else {
            return [
                ("portreeve top  \(host)  \(now.text)", false), (trouble ?? "the agent has not answered yet", true),
            ]
        }
        let dropped = status.queues.reduce(0) { $0 + $1.dropped }
        let lost = status.queues.reduce(0) { $0 + $1.kernelQueueDrops + $1.kernelSocketDrops }
        let waiting = status.queues.reduce(0) { $0 + $1.queuedNow }
        let mode = status.mode == .tap ? "tap: nothing is dropped" : "inline"
        var lines = [
            (
                "portreeve top  \(host)  \(now.text)  \(mode)  up \(Int64(clamping: status.uptimeSeconds).lengthText)",
                status.mode == .tap
            ),
            (
                "dropped \(dropped.grouped)  \(Int(rate))/s   tcp \(status.connections.tcp.grouped)  udp "
                    + "\(status.connections.udp.grouped)  icmp \(status.connections.icmp.grouped)   waiting \(waiting.grouped)  "
                    + "lost \(lost.grouped)   epoch \(status.policy.epoch)",
                lost > 0
            ),
        ]
        if let warning = status.warnings.first {
            let more = status.warnings.count > 1 ? " (and \(status.warnings.count - 1) more: portreeve status)" : ""
            lines.append(("\(warning)\(more)", true))
        }
        return lines
    }

    var connectionTable: TopTable {
        TopTable(
            columns: [
                .text("PROTO"), .text("SOURCE", cutTo: 15), .text("DESTINATION", cutTo: 15), .text("STATE", cutTo: 8),
                .number("IDLE"), .number("PACKETS"), .text("RULE", cutTo: 8),
            ],
            rows: connections.map { row in
                let name = ProtocolText.name(of: row.protocolNumber)
                let (source, destination) = (row.sourceText, row.destinationText)
                return TopTable.Row(
                    key: "\(name) \(source) \(destination) \(row.direction)",
                    cells: [
                        name, source, destination, row.refusal.map { "refused: \($0.row.slug)" } ?? row.state,
                        (row.idle.nanoseconds / 1_000_000_000).lengthText, row.packets.grouped, row.rule?.text ?? "",
                    ],
                    numbers: [0, 0, 0, 0, Double(row.idle.nanoseconds), Double(row.packets), 0])
            })
    }

    /// A packet of a connection's originator, in the words of `explain`; nil for what has no words.
    func packet(of key: String) -> [String]? {
        guard
            let row = connections.first(where: {
                "\(ProtocolText.name(of: $0.protocolNumber)) \($0.sourceText) \($0.destinationText) \($0.direction)"
                    == key
            })
        else { return nil }
        let ends = [row.sourceText, row.destinationText]
        let interface = row.interface.isEmpty ? [] : ["--interface", row.interface]
        switch row.protocolNumber {
        case 6: return ["--direction", row.direction.word, "--tcp"] + ends + ["--flags", "ack"] + interface
        case 17: return ["--direction", row.direction.word, "--udp"] + ends + interface
        default: return nil
        }
    }

    var queueTable: TopTable {
        TopTable(
            columns: [
                .text("QUEUE"), .text("FOR"), .number("PACKETS"), .number("DROPPED"), .number("WAITING"),
                .number("LOST"),
                .number("OVERFLOWS"),
            ],
            rows: (status?.queues ?? []).map { queue in
                let lost = queue.kernelQueueDrops + queue.kernelSocketDrops
                return TopTable.Row(
                    key: "\(queue.number)",
                    cells: [
                        "\(queue.number)", "\(queue.kind)", queue.packets.grouped, queue.dropped.grouped,
                        queue.queuedNow.grouped, lost.grouped, queue.overflows.grouped,
                    ],
                    numbers: [
                        0, 0, Double(queue.packets), Double(queue.dropped), Double(queue.queuedNow), Double(lost),
                        Double(queue.overflows),
                    ])
            })
    }
}

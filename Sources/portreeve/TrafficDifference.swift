// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import CaptureReplay
import ConnectionTracking
import EventReader
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile

/// What a policy in the place of another would have changed for traffic that there was, connection by connection.
final class TrafficDifference {
    /// One connection, once, however many packets it has.
    struct Flow {
        let sentence: String
        var old = FlowFate()
        var new = FlowFate()
    }

    /// More are counted together.
    private static let mostFlows = 1 << 20

    private let old: Policy
    private let new: Policy
    private var flows: [Flow] = []
    private var places: [FlowName: Int] = [:]
    /// Packets of connections beyond those that are told apart.
    private var uncounted: UInt64 = 0
    private var events: UInt64 = 0

    init(from old: Policy, to new: Policy) {
        self.old = old
        self.new = new
    }

    /// Reads a capture, or the records of an events file.
    func add(_ name: String, local: [AddressRange]) throws {
        let path = try StandardInput.path(for: name)
        if try isEventsFile(path) { try addEvents(path) } else { try addCapture(path, local: local) }
    }

    /// Records are JSON objects; no capture begins like one.
    private func isEventsFile(_ path: String) throws -> Bool {
        guard let first = firstByte(of: path) else { throw fail("\(path.harmless): cannot be read, or is empty") }
        return first == UInt8(ascii: "{")
    }

    private func addCapture(_ path: String, local: [AddressRange]) throws {
        var guess: HostGuess?
        if local.isEmpty {
            var survey = HostSurvey()
            survey.add(path)
            guess = survey.guess
        }
        for (policy, fate) in [(old, \Flow.old), (new, \Flow.new)] {
            var replay = CaptureReplay(
                policy: policy, local: local, guess: guess, folds: false,
                zones: SystemTimeZones.zones(of: policy.document))
            do {
                try replay.judge(path) { packet in
                    let explanation = Explanation(policy, packet.steps, interfaces: [:])
                    self.flow(packet) { $0[keyPath: fate].add(explanation) }
                }
            } catch {
                throw fail("\(error)")
            }
        }
    }

    private func flow(_ packet: JudgedPacket, _ body: (inout Flow) -> Void) {
        let name = FlowName(packet.headers)
        if let place = places[name] { return body(&flows[place]) }
        guard flows.count < Self.mostFlows else {
            uncounted += 1
            return
        }
        places[name] = flows.count
        var flow = Flow(sentence: PacketWords(packet.headers, packet.direction).sentence)
        body(&flow)
        flows.append(flow)
    }

    /// Each record's packet is judged alone, as many times as the record counts.
    private func addEvents(_ path: String) throws {
        do {
            var reader = try LineReader(path: path)
            while let line = try reader.next() {
                guard let event = LoggedEvent(line: line), let words = PacketWords(event) else { continue }
                let scene = PacketScene(here: words)
                guard let name = scene.flowName else { continue }
                let count = UInt64(clamping: max(1, event.count))
                let (before, after) = (scene.judge(old), scene.judge(new))
                events += 1
                if places[name] == nil {
                    guard flows.count < Self.mostFlows else {
                        uncounted += count
                        continue
                    }
                    places[name] = flows.count
                    flows.append(Flow(sentence: words.sentence))
                }
                let place = places[name] ?? 0
                flows[place].old.add(before, count: count)
                flows[place].new.add(after, count: count)
            }
        } catch {
            throw fail("\(error)")
        }
    }

    /// Connections that would have fared otherwise, in the order in which they came.
    private var changed: [Flow] { flows.filter { !$0.old.isLike($0.new) } }

    private var packets: UInt64 { flows.reduce(0) { $0 + $1.old.packets } }

    func lines(limit: Int) -> [String] {
        let changed = changed
        var lines: [String] = []
        for flow in changed.prefix(limit) {
            lines.append("\(flow.sentence): \(flow.old.packets.grouped) packet\(flow.old.packets == 1 ? "" : "s")")
            lines.append("  old: \(flow.old.text(old))")
            lines.append("  new: \(flow.new.text(new))")
        }
        if changed.count > limit { lines.append("and \(changed.count - limit) more; --limit shows more") }
        lines.append(
            "traffic: \(changed.count.grouped) of \(flows.count.grouped) connections, \(packets.grouped) packets in all, "
                + "would have fared otherwise")
        if events > 0 {
            lines.append("  packets of event records are judged alone: records do not tell what came before them")
        }
        if uncounted > 0 { lines.append("  \(uncounted.grouped) packets are of connections beyond the first million") }
        return lines
    }

    func json(limit: Int) -> JSONValue {
        let changed = changed
        return [
            "connections": .count(flows.count), "packets": .count(packets), "changed": .count(changed.count),
            "differences": .list(
                changed.prefix(limit).map {
                    [
                        "connection": .text($0.sentence), "packets": .count($0.old.packets),
                        "old": $0.old.json(old), "new": $0.new.json(new),
                    ]
                }),
        ]
    }
}

extension PacketScene {
    /// nil for what cannot be read.
    fileprivate var flowName: FlowName? {
        var headers = PacketHeaders()
        let traits = PacketTraits(fullLength: UInt32(bytes.count))
        do {
            try unsafe headers.decodePacket(bytes.span.bytes, etherType: metadata.etherType, traits)
        } catch {
            return nil
        }
        return FlowName(headers)
    }
}

extension PacketWords {
    /// A packet by its headers.
    fileprivate init(_ headers: PacketHeaders, _ direction: Direction) {
        let transport: Transport =
            switch headers.transport {
            case .tcp: .tcp(source: headers.sourcePort, destination: headers.destinationPort, headers.tcp.flags)
            case .udp: .udp(source: headers.sourcePort, destination: headers.destinationPort)
            case .icmp, .icmpv6: .icmp(type: headers.icmp.type, code: headers.icmp.code)
            case .none, .other: headers.isIP ? .other(headers.protocolNumber) : .frame(headers.etherType)
            }
        self.init(direction, transport)
        (source, destination, isIPv6) = (headers.source, headers.destination, headers.network == .ipv6)
    }
}

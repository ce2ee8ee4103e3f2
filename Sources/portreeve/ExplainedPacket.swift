// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import CaptureReplay
import ConnectionTracking
import EventReader
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile

/// The packet that is to be explained: what it is called, and how it is judged by a policy.
struct ExplainedPacket {
    let sentence: String
    /// What an event's record says of it.
    var recorded: String?
    /// What to say where there is no such packet.
    let absence: String
    private let judgement: (Policy) throws -> Explanation

    func judge(_ policy: Policy) throws -> Explanation { try judgement(policy) }

    static func inWords(_ words: PacketWords) -> ExplainedPacket {
        var scene = PacketScene(words, now: WallTime.now.microseconds / 1_000_000)
        scene.localAddresses = Set(LocalAddress.all().map(\.address))
        return ExplainedPacket(
            sentence: words.sentence, absence: "the packet was not judged", judgement: { scene.judge($0) })
    }

    /// A packet of a capture, with those before it played first.
    static func inCapture(_ path: String, _ number: UInt64, local: [AddressRange]) throws -> ExplainedPacket {
        var guess: HostGuess?
        if local.isEmpty {
            var survey = HostSurvey()
            survey.add(path)
            guess = survey.guess
        }
        let known = guess
        return ExplainedPacket(
            sentence: "packet \(number) of \(path.harmless)",
            absence: "\(path.harmless) has no packet \(number) from or to this host; --local says who this host is",
            judgement: { policy in
                var replay = CaptureReplay(
                    policy: policy, local: local, guess: known, folds: false,
                    zones: SystemTimeZones.zones(of: policy.document))
                do {
                    return Explanation(policy, try replay.steps(ofPacket: number, in: path), interfaces: [:])
                } catch let error as CaptureError {
                    throw fail(error.description)
                }
            })
    }

    /// The packet of an event, as its record describes it.
    static func ofEvent(_ line: String) throws -> ExplainedPacket {
        let text = line.split(whereSeparator: \.isNewline).last { !$0.isEmpty } ?? ""
        guard let event = LoggedEvent(line: Array(text.utf8)), let words = PacketWords(event) else {
            throw fail("that is no event record of a packet: one line of \"portreeve events --json\" is needed")
        }
        let facts = event.json["portreeve"]
        let cause = facts?["cause"]?.asText.map { ", \($0)" } ?? ""
        let rule = event.rule.map { ", rule \"\($0)\"" } ?? ""
        let epoch = facts?["policy_epoch"]?.asInteger.map { ", policy epoch \($0)" } ?? ""
        var packet = inWords(words)
        packet.recorded = "\(event.action): \(event.reason.row.slug)\(cause)\(rule)\(epoch)"
        return packet
    }
}

extension PacketWords {
    /// nil for a record of many packets or of none.
    init?(_ event: LoggedEvent) {
        guard let direction = Direction(word: event.direction), let source = event.source,
            let destination = event.destination
        else { return nil }
        let ports = (UInt16(clamping: source.port ?? 0), UInt16(clamping: destination.port ?? 0))
        let transport: Transport
        switch event.protocolName {
        case "TCP":
            let flags = event.json["tcp"]?["flags"]?.asText ?? event.json["drop"]?["tcpflags"]?.asText
            guard let flags = flags.map({ TCPFlags(words: $0) ?? [] }) else { return nil }
            transport = .tcp(source: ports.0, destination: ports.1, flags)
        case "UDP": transport = .udp(source: ports.0, destination: ports.1)
        case "ICMP", "IPv6-ICMP":
            transport = .icmp(type: UInt8(clamping: event.icmpType ?? 0), code: UInt8(clamping: event.icmpCode ?? 0))
        case let name:
            guard let number = ProtocolText.number(of: name) else { return nil }
            transport = .other(number)
        }
        self.init(direction, transport)
        (self.source, self.destination, isIPv6) = (source.address, destination.address, source.isIPv6)
        interface = event.json[direction == .incoming ? "in_iface" : "out_iface"]?.asText
        sequence = UInt32(
            clamping: event.json["tcp"]?["seq"]?.asInteger ?? event.json["drop"]?["tcpseq"]?.asInteger ?? 0)
        acknowledgement = UInt32(
            clamping: event.json["tcp"]?["ack"]?.asInteger ?? event.json["drop"]?["tcpack"]?.asInteger ?? 0)
        unixTime = event.time / 1_000_000
    }
}

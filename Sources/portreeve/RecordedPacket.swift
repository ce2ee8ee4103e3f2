// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import EventReader
import FirewallEngine
import PacketWire
import PolicyAnalysis
import PolicyFile

/// The packet of an event, as its record describes it.
struct RecordedPacket {
    var words: PacketWords
    /// What the record says became of it.
    let fate: String
    /// What the record leaves out.
    let gaps: [String]

    init(_ line: String) throws {
        let text = line.split(whereSeparator: \.isNewline).last { !$0.isEmpty } ?? ""
        guard let event = LoggedEvent(line: Array(text.utf8)), let words = PacketWords(event) else {
            throw fail("that is no event record of a packet: one line of \"portreeve events --json\" is needed")
        }
        self.words = words
        let facts = event.json["portreeve"]
        let cause = facts?["cause"]?.asText.map { ", \($0)" } ?? ""
        let rule = event.rule.map { ", rule \"\($0)\"" } ?? ""
        let epoch = facts?["policy_epoch"]?.asInteger.map { ", policy epoch \($0)" } ?? ""
        fate = "\(event.action): \(event.reason.row.slug)\(cause)\(rule)\(epoch)"
        gaps =
            event.mayHaveData
            ? ["how many bytes of data it had, which its record does not tell: it is judged without"] : []
    }
}

extension LoggedEvent {
    /// Whether it is longer than its headers without options: a TCP segment of which the record tells the length alone.
    fileprivate var mayHaveData: Bool {
        guard protocolName == "TCP", let length = json["drop"]?["len"]?.asInteger else { return false }
        let flags = (json["tcp"]?["flags"]?.asText).flatMap { TCPFlags(words: $0) } ?? []
        return !flags.contains(.syn) && length > (source?.isIPv6 == true ? 20 : 40)
    }
}

extension PacketWords {
    /// nil for a record of many packets or of none.
    init?(_ event: LoggedEvent) {
        guard let direction = Direction(word: event.direction), let source = event.source,
            let destination = event.destination, source.isIPv6 == destination.isIPv6
        else { return nil }
        let ports = (UInt16(clamping: source.port ?? 0), UInt16(clamping: destination.port ?? 0))
        let transport: Transport
        switch event.protocolName {
        case "TCP":
            let flags = event.json["tcp"]?["flags"]?.asText ?? event.json["drop"]?["tcpflags"]?.asText
            guard let flags = flags.map({ TCPFlags(words: $0) ?? [] }) else { return nil }
            transport = .tcp(source: ports.0, destination: ports.1, flags)
        case "UDP": transport = .udp(source: ports.0, destination: ports.1)
        case "ICMP" where !source.isIPv6, "IPv6-ICMP" where source.isIPv6:
            transport = .icmp(type: UInt8(clamping: event.icmpType ?? 0), code: UInt8(clamping: event.icmpCode ?? 0))
        case let name:
            guard let number = ProtocolText.number(of: name) else { return nil }
            transport = .other(number)
        }
        self.init(direction, transport)
        (self.source, self.destination, isIPv6) = (source.address, destination.address, source.isIPv6)
        interface = event.json[direction == .incoming ? "in_iface" : "out_iface"]?.asText
        let drop = event.json["drop"]
        sequence = UInt32(clamping: event.json["tcp"]?["seq"]?.asInteger ?? drop?["tcpseq"]?.asInteger ?? 0)
        acknowledgement = UInt32(clamping: event.json["tcp"]?["ack"]?.asInteger ?? drop?["tcpack"]?.asInteger ?? 0)
        if let identifier = drop?["icmp_id"]?.asInteger { self.identifier = UInt16(clamping: identifier) }
        if let length = drop?["udplen"]?.asInteger { payload = max(0, Int(UInt16(clamping: length)) - 8) }
        unixTime = event.time / 1_000_000
    }
}

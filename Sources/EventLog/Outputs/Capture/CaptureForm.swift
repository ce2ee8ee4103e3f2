// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire

/// Refused packets as blocks of a pcapng file, each with what is said of it as its comment.
///
/// Interfaces have numbers in the order in which they first appear, and the block that describes one stands right before its first
/// packet. A file that begins later has those described at its beginning (`prologue`), so that numbers hold over rotation.
final class CaptureForm {
    private struct Interface: Hashable {
        let name: String
        let link: PCAPNG.Link
    }

    private var interfaces: [Interface] = []
    private var numbers: [Interface: Int] = [:]

    /// More are told of as one.
    private static let mostInterfaces = 4096

    /// Appends one packet. Of a record that stands for packets that were not kept there is the comment alone.
    func append(_ fields: RecordFields, at place: RecordPlace, to text: inout [UInt8]) {
        let packet = fields.record.packet
        let frame = CaptureFrame(fields, packet)
        let interface = number(of: Interface(name: name(fields), link: frame.link), &text)
        PCAPNG.appendPacket(
            interface: interface, time: UInt64(max(0, fields.arrival ?? fields.first)), frame.header, packet,
            length: frame.length, flags: fields.direction == .outgoing ? 2 : 1,
            comment: CaptureForm.comment(fields, place), to: &text)
    }

    /// What stands at the beginning of a file whose first packets wait in a backlog: they bring the blocks of interfaces that
    /// are new with them.
    func prologue(of backlog: borrowing EventBacklog) -> [UInt8] {
        let waiting = PCAPNG.countInterfaces(backlog.text[backlog.start...])
        var text: [UInt8] = []
        PCAPNG.appendSection(program: "Portreeve \(Release.version)", to: &text)
        for interface in interfaces.dropLast(waiting) {
            PCAPNG.appendInterface(interface.name, interface.link, to: &text)
        }
        return text
    }

    private func name(_ fields: RecordFields) -> String {
        let isIncoming = fields.direction != .outgoing
        let name =
            isIncoming
            ? fields.physicalInInterface ?? fields.inInterface : fields.physicalOutInterface ?? fields.outInterface
        return name ?? "unknown"
    }

    private func number(of interface: Interface, _ text: inout [UInt8]) -> Int {
        if let number = numbers[interface] { return number }
        if interfaces.count >= CaptureForm.mostInterfaces, interface.name != "others" {
            return number(of: Interface(name: "others", link: interface.link), &text)
        }
        let number = interfaces.count
        interfaces.append(interface)
        numbers[interface] = number
        PCAPNG.appendInterface(interface.name, interface.link, to: &text)
        return number
    }

    /// `reason: deny (21, Deny Rule); action: Deny; rule: No telnet; policy: /etc/portreeve/policy.yaml:12; …`
    private static func comment(_ fields: RecordFields, _ place: RecordPlace) -> String {
        let row = fields.event.reason.row
        var parts = ["reason: \(row.slug) (\(row.number), \(row.name))", "action: \(fields.event.action.syslogText)"]
        if let rule = fields.rule { parts.append("rule: \(rule.name)") }
        if let policy = fields.rule?.placeText { parts.append("policy: \(policy)") }
        if let cause = fields.cause { parts.append("cause: \(cause.slug)") }
        if let note = fields.note { parts.append("note: \(note)") }
        if let explain = fields.explain, !explain.isEmpty {
            parts.append("explain: \(explain.joined(separator: ", "))")
        }
        if fields.summary.count > 1 { parts.append("count: \(fields.summary.count)") }
        parts.append("sequence: \(place.sequence)")
        if place.lost > 0 { parts.append("lost before: \(place.lost)") }
        return parts.joined(separator: "; ")
    }
}

/// What stands before a packet's bytes, and which kind of link that makes of it.
///
/// The kernel's queue gives packets from their IP header on. Frames that are not IP have no header of their own in the queue's
/// bytes: theirs is made of what is known of them.
struct CaptureFrame {
    let link: PCAPNG.Link
    let header: [UInt8]
    /// Bytes of the packet with its header, as they were on the wire.
    let length: UInt32

    init(_ fields: RecordFields, _ packet: [UInt8]) {
        let headers = fields.event.headers
        let whole = max(fields.length ?? 0, UInt32(packet.count))
        guard !packet.isEmpty else {
            (link, header, length) = (.raw, [], 0)
            return
        }
        if headers.networkOffset >= 14 {
            (link, header, length) = (.ethernet, [], whole)
        } else if CaptureFrame.isIP(packet) && (headers.isIP || headers.network == .none) {
            (link, header, length) = (.raw, [], whole)
        } else {
            var bytes = CaptureFrame.bytes(of: headers.destinationMAC) + CaptureFrame.bytes(of: headers.sourceMAC)
            bytes += [UInt8(headers.etherType >> 8), UInt8(truncatingIfNeeded: headers.etherType)]
            (link, header, length) = (.ethernet, bytes, whole + 14)
        }
    }

    /// By the version, which is all that a reader goes by.
    private static func isIP(_ packet: [UInt8]) -> Bool { packet[0] >> 4 == 4 || packet[0] >> 4 == 6 }

    /// Zeros where it is not known.
    private static func bytes(of address: MACAddress) -> [UInt8] {
        guard address != .none else { return [0, 0, 0, 0, 0, 0] }
        return (0..<6).map { UInt8(truncatingIfNeeded: address.bits >> UInt64(40 - 8 * $0)) }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import PacketWire

/// What the formats of collectors say alike.
extension RecordFields {
    /// From 0 to 10: 5 what was refused or tells of a scan, 3 other news of the agent, 0 what was only logged.
    var severity: UInt8 {
        switch event.action {
        case .deny, .observed, .tapDeny, .failOpen: 5
        case .logOnly: 0
        case .notice: event.reason.isOfScan ? 5 : 3
        }
    }

    var firstMilliseconds: UInt64 { UInt64(max(0, first / 1_000_000)) }
    var lastMilliseconds: UInt64 { UInt64(max(0, last / 1_000_000)) }

    /// Of what the record is about: a connection lasted from its opening to its last packet.
    var startMilliseconds: UInt64 { UInt64(max(0, (account?.times?.opened ?? first) / 1_000_000)) }
    var endMilliseconds: UInt64 { UInt64(max(0, (account?.times?.lastPacket ?? last) / 1_000_000)) }

    /// "DF", "MF", "DF MF", "last"; with the offset of a fragment behind it.
    var fragmentText: String? {
        guard let packet, packet.isIP, let bits = packet.fragment.bitNames else { return nil }
        return packet.fragment.isFragment ? "\(bits) \(packet.fragment.offset)" : bits
    }

    /// The name, and what the firewall notes beside it.
    var message: String { note.map { "\(name): \($0)" } ?? name }
}

extension DropReason {
    fileprivate var isOfScan: Bool {
        switch self {
        case .portScan, .osFingerprint, .nullScan, .synfinScan, .xmasScan: true
        default: false
        }
    }
}

extension EventAction {
    /// As Deep Security's agent says it in syslog.
    var syslogText: String {
        switch self {
        case .deny, .observed: "Deny"
        case .logOnly: "Log"
        case .notice: "Notice"
        case .tapDeny: "IDS:Deny"
        case .failOpen: "Fail Open:Deny"
        }
    }
}

extension RuleName {
    /// "policy.yaml:12"; nil for a built-in rule.
    var placeText: String? { position.file.isEmpty ? nil : "\(position.file):\(position.line)" }
}

extension TCPFlags {
    /// The flags in hexadecimal, then the name of each, the highest bit first: "0x12 ACK SYN".
    var longText: String { longTexts[Int(rawValue)] }
}

/// Of every set of flags.
private let longTexts: [String] = (0..<256).map { bits in
    let names = ["CWR", "ECE", "URG", "ACK", "PSH", "RST", "SYN", "FIN"].enumerated()
        .filter { bits & 0x80 >> $0.offset != 0 }.map(\.element)
    let digits = String(bits, radix: 16, uppercase: true)
    return (["0x" + (digits.count < 2 ? "0" : "") + digits] + names).joined(separator: " ")
}

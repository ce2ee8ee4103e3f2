// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// What reconnaissance detection can tell of a source.
enum ScanKind: UInt8, BitwiseCopyable, CaseIterable {
    case portScan, osFingerprint, nullScan, synfinScan, xmasScan

    var reason: DropReason {
        switch self {
        case .portScan: .portScan
        case .osFingerprint: .osFingerprint
        case .nullScan: .nullScan
        case .synfinScan: .synfinScan
        case .xmasScan: .xmasScan
        }
    }
}

/// A set of kinds, one bit each.
struct ScanKinds: BitwiseCopyable {
    private var bits: UInt8 = 0

    init(_ settings: ReconnaissanceSettings) {
        if settings.detectsPortScan { insert(.portScan) }
        if settings.detectsOSFingerprint { insert(.osFingerprint) }
        if settings.detectsNullScan { insert(.nullScan) }
        if settings.detectsSYNFINScan { insert(.synfinScan) }
        if settings.detectsXmasScan { insert(.xmasScan) }
    }

    var isEmpty: Bool { bits == 0 }
    func contains(_ kind: ScanKind) -> Bool { bits >> kind.rawValue & 1 != 0 }
    private mutating func insert(_ kind: ScanKind) { bits |= 1 << kind.rawValue }
}

extension TCPFields {
    /// The scan whose packets have just these flags; no stack sends them (RFC 9293 section 3.5).
    var scanByFlags: ScanKind? {
        switch flags.rawValue {
        case 0: .nullScan
        case 0x3f, 0xff: .xmasScan
        default:
            switch flags.intersection(.ruleFlags) {
            case .syn | .fin: .synfinScan
            case .fin | .psh | .urg: .xmasScan
            default: nil
            }
        }
    }

    /// Whether its sender wants to learn how a port answers one that has no connection: an opening, or what has none of the
    /// flags that each segment of a connection has after it. A leftover of a connection, however late, has ACK or RST.
    var probesPort: Bool { flags.isDisjoint(with: .ack | .rst) && !flags.intersection(.ruleFlags).isEmpty }
}

/// Packets by the answers to which nmap tells one TCP stack from another ("Remote OS Detection", nmap.org/book). No stack sends
/// one of them in earnest; still two different ones are asked for.
enum FingerprintProbe: UInt8, BitwiseCopyable {
    /// T2: no flag, and options that only a SYN has.
    case nullWithOptions
    /// T3.
    case synFinUrgPsh
    /// T4, T6: an acknowledgement with options that only a SYN has.
    case ackWithOptions
    /// T7.
    case finPshUrgWithOptions
    /// SEQ, T5: a SYN whose time stamp is all ones.
    case synOfFingerprint
    /// ECN: a SYN with an urgent pointer, and URG not set.
    case synWithPointer
    /// IE: an echo request with a code.
    case echoWithCode

    init?(_ headers: inout PacketHeaders) {
        switch headers.transport {
        case .tcp: self.init(headers.tcp)
        case .icmp:
            guard headers.icmp.type == 8, headers.icmp.code != 0 else { return nil }
            self = .echoWithCode
        default: return nil
        }
    }

    private init?(_ tcp: TCPFields) {
        let flags = tcp.flags.intersection(.ruleFlags)
        let hasOptionsOfSYN = tcp.maximumSegmentSize != 0 || tcp.windowScale != TCPFields.noWindowScale
        switch flags {
        case [] where hasOptionsOfSYN: self = .nullWithOptions
        case .syn | .fin | .urg | .psh: self = .synFinUrgPsh
        case .ack where hasOptionsOfSYN: self = .ackWithOptions
        case .fin | .psh | .urg where hasOptionsOfSYN: self = .finPshUrgWithOptions
        case .syn where tcp.hasTimestamps && tcp.timestampValue == .max: self = .synOfFingerprint
        case .syn where tcp.urgentPointer != 0: self = .synWithPointer
        default: return nil
        }
    }
}

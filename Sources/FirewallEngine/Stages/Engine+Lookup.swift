// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// What stages T and U take a packet for.
enum Exchange: UInt8, BitwiseCopyable {
    /// Rules are all there is: other protocols, ICMPv6 but its errors, and everything whose stateful inspection is off.
    case none
    case tcp
    case udp
    /// A datagram that claims to come from this host and does not: it is none of the exchanges that this host has.
    case falseSource
    case icmpRequest
    case icmpReply
    /// Of ICMP or ICMPv6; redirects too.
    case icmpError
    /// ICMPv4 that neither asks, answers nor reports an error, or all of it but errors where its inspection is off.
    case icmpOther
}

extension Engine {
    /// Stages R, T, U and C, from the look-up that every packet takes. The bytes are for what reads the data of a segment.
    mutating func judge(_ p: inout Inspection, _ bytes: RawSpan) -> Finding? {
        switch p.headers.transport {
        case .tcp where hot.tcpEnabled:
            guard let packet = ConnectionKey.make(p.headers) else { return judgeUnknown(&p, .none) }
            if let i = lookUp(&p, packet.key) {
                return table.fastPath.isOn
                    ? judgeBesideFastPath(&p, i, packet, bytes) : judgeKnownTCP(&p, i, packet.sender, bytes)
            }
            if pendingACKs.count > 0, let i = openByAnswer(&p, packet) {
                return judgeKnownTCP(&p, i, packet.sender, bytes)
            }
            return judgeUnknown(&p, .tcp, packet)
        case .udp where hot.udpEnabled:
            guard let packet = ConnectionKey.make(p.headers) else { return judgeUnknown(&p, .none) }
            if p.hasFalseSource { return judgeUnknown(&p, .falseSource) }
            if let i = lookUp(&p, packet.key) {
                return table.fastPath.isOn ? judgeUDPBesideFastPath(&p, i, packet) : judgeKnownUDP(&p, i, packet)
            }
            return judgeUnknown(&p, .udp, packet)
        case .icmp: return lookUpICMP(&p)
        case .icmpv6 where p.headers.icmp.isError: return judgeUnknown(&p, .icmpError)
        default: return judgeUnknown(&p, .none)
        }
    }

    private mutating func lookUpICMP(_ p: inout Inspection) -> Finding? {
        if p.headers.icmp.isError { return judgeUnknown(&p, .icmpError) }
        guard hot.icmpEnabled, let packet = ConnectionKey.make(p.headers),
            let query = ICMPQuery(type: p.headers.icmp.type)
        else { return judgeUnknown(&p, .icmpOther) }
        if let i = lookUp(&p, packet.key) {
            return table.fastPath.isOn
                ? judgeQueryBesideFastPath(&p, i, packet, isReply: query.isReply)
                : judgeKnownQuery(&p, i, packet, isReply: query.isReply)
        }
        return judgeUnknown(&p, query.isReply ? .icmpReply : .icmpRequest, packet)
    }

    /// A packet of no known connection: the rules are asked, and what a Bypass rule lets by is asked nothing else.
    mutating func judgeUnknown(_ p: inout Inspection, _ exchange: Exchange, _ packet: KeyedPacket) -> Finding? {
        p.packet = packet
        return judgeUnknown(&p, exchange)
    }

    mutating func judgeUnknown(_ p: inout Inspection, _ exchange: Exchange) -> Finding? {
        p.exchange = exchange
        p.isUnknown = true
        if records(&p), exchange == .none { record(.stateless) }
        ask(&p)
        if p.ruling.outcome == .bypass { return nil }
        switch exchange {
        case .tcp: return judgeUnknownTCP(&p, p.packet)
        case .udp: return judgeUnknownUDP(&p, p.packet)
        case .falseSource: return judgeFalseSource(&p)
        case .icmpRequest: return judgeFirstRequest(&p, p.packet)
        case .icmpReply, .icmpOther: return judgeUnrelatedICMP(&p)
        case .icmpError: return judgeICMPError(&p)
        case .none: return judgeByRulesAlone(&p)
        }
    }

    private mutating func lookUp(_ p: inout Inspection, _ key: ConnectionKey) -> ConnectionIndex? {
        let i = connection(key, at: p.now)
        if records(&p) { recordLookUp(&p, i) }
        return i
    }

    private mutating func recordLookUp(_ p: inout Inspection, _ i: ConnectionIndex?) {
        guard let i else { return record(.lookedUp(nil, opening: p.direction, nil)) }
        let c = table[i]
        let opening = c.isOwnTraffic ? nil : ruling(on: openingSubject(c))
        record(.lookedUp(c.stage, opening: c.openingDirection, opening))
    }

    /// The connection of a key: in the table, or among those that are claimed by the worker to which their packets come.
    mutating func connection(_ key: ConnectionKey, at now: Instant) -> ConnectionIndex? {
        if let index = table.find(key, at: now) { return index }
        return unclaimed == nil ? nil : claim(key, at: now)
    }

    private mutating func claim(_ key: ConnectionKey, at now: Instant) -> ConnectionIndex? {
        guard let claimed = unclaimed?.claim(key, at: now) else { return nil }
        return try? table.insert(claimed, at: now)
    }
}

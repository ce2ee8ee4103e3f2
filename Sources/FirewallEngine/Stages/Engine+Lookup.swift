// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// What stages T and U take a packet for.
enum Exchange: UInt8, BitwiseCopyable {
    /// Rules are all there is: other protocols, ICMPv6, and everything whose stateful inspection is off.
    case none
    case tcp
    case udp
    /// A datagram that claims to come from this host and does not: it is none of the exchanges that this host has.
    case falseSource
    case icmpRequest
    case icmpReply
    case icmpError
    /// ICMPv4 that neither asks, answers nor reports an error, or all of it but errors where its inspection is off.
    case icmpOther
}

extension Engine {
    /// The look-up that every packet takes: says what it is to the trackers, and which known connection has it; nil: none.
    mutating func lookUp(_ p: inout Inspection) -> ConnectionIndex? {
        switch p.headers.transport {
        case .tcp where hot.tcpEnabled: return lookUp(&p, as: .tcp)
        case .udp where hot.udpEnabled:
            return p.hasFalseSource ? lookUp(&p, without: .falseSource) : lookUp(&p, as: .udp)
        case .icmp: return lookUpICMP(&p)
        default: return nil
        }
    }

    @inline(__always)
    private mutating func lookUp(_ p: inout Inspection, as exchange: Exchange) -> ConnectionIndex? {
        guard let packet = ConnectionKey.make(p.headers) else { return nil }
        p.exchange = exchange
        p.packet = packet
        return connection(packet.key, at: p.now)
    }

    private mutating func lookUp(_ p: inout Inspection, without exchange: Exchange) -> ConnectionIndex? {
        p.exchange = exchange
        return nil
    }

    private mutating func lookUpICMP(_ p: inout Inspection) -> ConnectionIndex? {
        if p.headers.icmp.isError { return lookUp(&p, without: .icmpError) }
        guard hot.icmpEnabled, let query = ICMPQuery(type: p.headers.icmp.type) else {
            return lookUp(&p, without: .icmpOther)
        }
        return lookUp(&p, as: query.isReply ? .icmpReply : .icmpRequest)
    }

    /// The connection of a key: in the table, or among those that are claimed by the worker to which their packets come.
    private mutating func connection(_ key: ConnectionKey, at now: Instant) -> ConnectionIndex? {
        if let index = table.find(key, at: now) { return index }
        return unclaimed == nil ? nil : claim(key, at: now)
    }

    private mutating func claim(_ key: ConnectionKey, at now: Instant) -> ConnectionIndex? {
        guard let claimed = unclaimed?.claim(key, at: now) else { return nil }
        return try? table.insert(claimed, at: now)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// An ICMPv4 query or reply (RFC 792, RFC 950): echo, time stamp, information, address mask.
public struct ICMPQuery: Hashable, Sendable, BitwiseCopyable {
    /// The type of the request, also for a reply; this is the `queryType` of the connection's key.
    public var requestType: UInt8
    public var isReply: Bool

    /// `nil` for every type that is neither a query nor a reply.
    public init?(type: UInt8) {
        switch type {
        case 8, 13, 15, 17: (requestType, isReply) = (type, false)
        case 0: (requestType, isReply) = (8, true)
        case 14, 16, 18: (requestType, isReply) = (type - 1, true)
        default: return nil
        }
    }
}

/// Which sides of an exchange have a request outstanding: an admitted one, at most `timeouts.icmp` ago.
public struct ICMPState: Hashable, Sendable, BitwiseCopyable {
    var requesters: UInt8 = 0
    public init() {}

    /// The only side that has asked; nil where none has, or both have.
    var onlyAsker: Side? {
        switch requesters {
        case Self.bit(.low): .low
        case Self.bit(.high): .high
        default: nil
        }
    }

    fileprivate func hasAsked(_ sides: UInt8) -> Bool { requesters & sides != 0 }

    fileprivate static func bit(_ side: Side) -> UInt8 { side == .low ? 1 : 2 }
}

/// What an ICMPv4 query or reply is to an exchange that is known.
public enum ICMPStep: UInt8, Sendable, BitwiseCopyable {
    /// A further request of a side that was admitted, or a reply to one.
    case belongs
    /// The first request of this side: to be judged as an opening packet is, and then `ICMPTracker.admit`ted.
    case opening
    /// A reply, and the other side never asked.
    case unsolicitedReply
}

/// ICMPv4 pseudo-state.
///
/// A reply is admitted while a request of the other side is outstanding. Requests renew the exchange, replies do not, and
/// a reply does not use the request up: one request legally brings several (duplicates on the wire, two hosts behind one
/// address), and with several requests in flight a count would drop the answers to those that were sent twice. So an
/// exchange ends `timeouts.icmp` after its last request, however many replies came. Where both sides ask with the same
/// identifier, either one's requests keep the exchange alive.
///
/// Replies to a broadcast or multicast request come from other addresses, hence belong to no exchange.
public enum ICMPTracker {
    /// Judges a query or reply of `sender` and notes it in the connection.
    public static func step(
        _ connection: inout Connection, isReply: Bool, sender: Side, at now: Instant
    ) -> ICMPStep {
        guard connection.icmp.hasAsked(askers(connection, isReply: isReply, sender: sender)) else {
            return isReply ? .unsolicitedReply : .opening
        }
        if !isReply { connection.lastSeen = now }
        return .belongs
    }

    /// Who may have asked what this answers, or who asks. An address that speaks to itself is both.
    private static func askers(_ connection: Connection, isReply: Bool, sender: Side) -> UInt8 {
        if connection.key.isOfOneEndpoint { return ICMPState.bit(.low) | ICMPState.bit(.high) }
        return ICMPState.bit(isReply ? sender.opposite : sender)
    }

    /// Notes that the rules admitted a request of this side.
    public static func admit(_ connection: inout Connection, requestOf side: Side, at now: Instant) {
        connection.icmp.requesters |= ICMPState.bit(side)
        connection.lastSeen = now
    }
}

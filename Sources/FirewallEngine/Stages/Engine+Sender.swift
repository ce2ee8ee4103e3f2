// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
public import FirewallPolicy
import PacketWire

/// Rules for senders are about who opens something: the decision over an opening holds for its connection, and no packet of one that
/// was opened from elsewhere has a sender in this sense, whoever answers.
///
/// The kernel names a sender for what comes from a socket that a process holds. What it sends itself in a connection's place (the
/// ACK in TIME-WAIT, a reset) has none, and is judged as the connection's. Of a TCP connection all packets are of the socket that has
/// opened it. Datagrams and queries of the same endpoints may be of several, so each of them is put to the rules.
extension Engine {
    /// Who has sent this packet, as rules tell senders apart; 0: nobody, no process of this host, or no rule asks.
    mutating func senders(_ p: inout Inspection) -> UInt64 {
        guard hot.examinesSender, p.hasSender else { return 0 }
        return policy.senders(
            Sender(
                user: p.metadata.senderUID, group: p.metadata.senderGID, units: unitMarks.units(of: p.metadata.mark)))
    }

    /// Who has opened what this packet is of, where its own sender may not tell.
    mutating func sendersOfOpener(_ p: inout Inspection, isBySender: Bool, _ direction: Direction) -> UInt64 {
        guard hot.examinesSender, direction == .outgoing, p.metadata.hook != .forward else { return 0 }
        return isBySender && p.hasSender ? senders(&p) : policy.sendersOfUnknown
    }

    /// Whether it is still to be told who has opened what this packet is of.
    mutating func isSenderUnknown(_ p: inout Inspection, isBySender: Bool, _ direction: Direction) -> Bool {
        hot.examinesSender && direction == .outgoing && p.metadata.hook != .forward && !(isBySender && p.hasSender)
    }

    /// The same of a known connection.
    mutating func sendersOfKnown(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> UInt64 {
        guard hot.examinesSender, p.direction == .outgoing, side == table[i].opener else { return 0 }
        return sendersOfOpener(&p, isBySender: true, .outgoing)
    }

    /// Whether this packet of a known connection may have another sender than its opening, and has to be put to the rules.
    mutating func mayHaveOtherSender(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Bool {
        guard hot.examinesSender, p.hasSender, side == table[i].opener else { return false }
        return p.headers.transport != .tcp || TCPTracker.isOpening(p.headers.tcp)
    }

    /// Whether what the rules say of this packet holds for those that follow from this side: not where nobody is named for it, and
    /// not where others may be named for them.
    mutating func speaksForItsSender(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Bool {
        guard hot.examinesSender, p.direction == .outgoing, p.metadata.hook != .forward, side == table[i].opener else {
            return true
        }
        return p.headers.transport == .tcp && p.hasSender
    }

    /// The bits by which packets of these units are known; of some there may be none.
    public func mark(ofUnits units: Set<String>) -> UInt32 {
        unitMarks.marks.reduce(0) { units.contains($1.unit) ? $0 | $1.bit : $0 }
    }

    /// Says by which bits of packet marks the rules before the queue tell units apart; a change makes cached decisions void.
    public mutating func setUnitMarks(_ marks: [UnitMark]) {
        guard marks != unitMarks.marks else { return }
        unitMarks = UnitMarks(marks, policy.units)
        generation &+= 1
    }
}

/// From marks to `Sender.units`.
struct UnitMarks: Sendable {
    /// As the rules before the queue have them.
    let marks: [UnitMark]
    private let mask: UInt32
    /// By the number of the bit.
    private let units: [UInt64]

    init(_ marks: [UnitMark], _ names: [String]) {
        self.marks = marks
        var units = [UInt64](repeating: 0, count: UInt32.bitWidth)
        var mask: UInt32 = 0
        for mark in marks where mark.bit.nonzeroBitCount == 1 {
            guard let place = names.firstIndex(of: mark.unit) else { continue }
            mask |= mark.bit
            units[mark.bit.trailingZeroBitCount] |= 1 << UInt64(place)
        }
        self.mask = mask
        self.units = units
    }

    func units(of mark: UInt32) -> UInt64 {
        var (rest, found) = (mark & mask, UInt64(0))
        while rest != 0 {
            found |= units[rest.trailingZeroBitCount]
            rest &= rest &- 1
        }
        return found
    }
}

extension Inspection {
    /// The kernel names who has sent it: it is one of this host's own, and comes from a socket. Of what arrives it may name who will
    /// receive it.
    var hasSender: Bool {
        metadata.senderUID != .max && metadata.direction == .outgoing
            && (metadata.hook == .output || metadata.hook == .none)
    }
}

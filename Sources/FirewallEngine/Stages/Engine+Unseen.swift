// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
public import PacketWire

/// A full queue that fails open passes packets that the engine never sees; so do a host without the queue's rules, and a policy
/// that leaves connections untracked. The connections they belong to have moved on by then; judged by what was seen of them,
/// everything that follows would be out of their windows, and failing open would break what it is to keep alive. So for the time
/// of a cold start such connections are taken over where they are.
extension Engine {
    /// How long after packets have passed unseen that may come to the agent's ears: it looks once a second, and a loaded host is
    /// slow.
    private static let hearsay = Instant.Span.seconds(10)

    /// The kernel may have passed packets without asking.
    public mutating func notePassedUnseen(at now: Instant) { unseenAt = now }

    func mayHaveMissedPackets(at now: Instant) -> Bool {
        guard let unseenAt else { return false }
        return now < unseenAt + hot.timeouts.coldStart
    }

    /// Whether packets of this connection may have passed unseen: one that was opened since has been seen whole.
    private func mayHaveMissedPackets(of i: ConnectionIndex, at now: Instant) -> Bool {
        guard let unseenAt, table[i].openedAt <= unseenAt + Self.hearsay else { return false }
        return now < unseenAt + hot.timeouts.coldStart || table[i].lastSeen <= unseenAt
    }

    /// Whether a SYN+ACK on a connection that is over may be of an opening that was seen in part: a SYN that waited in the queue
    /// while a copy of it passed unseen makes the responder open anew, and ask again and again, when the connection of the copy has
    /// long ended. Its receiver knows best.
    func mayBeOfUnseenOpening(_ step: TCPStep, _ p: inout Inspection, _ i: ConnectionIndex) -> Bool {
        step.refusal == .packetOnClosedConnection && mayHaveMissedPackets(of: i, at: p.now) && table[i].tcp.isClaimed
            && p.headers.tcp.flags.intersection([.syn, .ack, .rst, .fin]) == [.syn, .ack]
    }

    /// Whether a segment that the tracker refuses may be the continuation of some that passed unseen. What its own flags or
    /// time stamp condemn is not; nor can a closed connection go on, but one that opens anew may have been answered unseen.
    func mayFollowFromUnseen(_ step: TCPStep, _ p: inout Inspection, _ i: ConnectionIndex) -> Bool {
        guard mayHaveMissedPackets(of: i, at: p.now) else { return false }
        let flags = p.headers.tcp.flags
        guard flags.contains(.ack) || flags.contains(.rst), !flags.contains(.syn) else { return false }
        return (step.refusal != .packetOnClosedConnection || table[i].tcp.isHalfOpen)
            && step.row != .invalidTimestamps && step.row != .pawsZero
    }

    /// Whether a segment that fits no opening under way is of the one before it: the SYN that was seen only repeated an
    /// earlier one, whose answer came before the agent.
    func isOfOlderOpening(_ step: TCPStep, _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Bool {
        p.now < graceEnds && step.fault == .outsideOpening
            && TCPTracker.mayFollowRepeatedSYN(table[i].tcp, p.headers.tcp, from: side)
    }

    /// Learns the connection's windows anew, beginning with this segment. A RST that is out of the windows known passes and changes
    /// nothing: its receiver knows better whether to believe it (RFC 5961 section 3).
    mutating func catchUp(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> Finding? {
        guard !p.leavesNoTrace, !p.headers.tcp.flags.contains(.rst) else { return nil }
        table.abandonPlace(of: i)
        TCPTracker.relearn(&table[i].tcp, p.headers.tcp, from: side, at: p.now)
        seen(&p, i, side)
        return nil
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport

@testable import ConnectionTracking

/// A segment of somebody who knows the addresses and ports, but sees nothing.
struct TCPForgery {
    enum Aim: CaseIterable {
        /// Anywhere.
        case blind
        /// Just outside what the receiver can expect: the best that luck can do without being right.
        case aboveWindow, belowWindow, aboveData, belowData
    }

    var fields: TCPFields
    var aim: Aim
    var distance: UInt32
}

extension TCPModel {
    mutating func scheduleForgery() {
        let party: Party = Bool.random(using: &random) ? .client : .server
        var s = TCPFields()
        let flags: [TCPFlags] = [.ack, [.ack, .psh], [.fin, .ack], .rst, [.rst, .ack], [.syn, .ack]]
        s.flags = flags.randomElement(using: &random) ?? .ack
        s.sequence = UInt32.random(in: 0...UInt32.max, using: &random)
        s.acknowledgement = UInt32.random(in: 0...UInt32.max, using: &random)
        s.window = UInt16.random(in: 0...UInt16.max, using: &random)
        s.dataLength = s.flags.contains(.psh) ? 1_000 : 0
        let aim = TCPForgery.Aim.allCases.randomElement(using: &random) ?? .blind
        let forgery = TCPForgery(fields: s, aim: aim, distance: UInt32.random(in: 1...3, using: &random))
        queue.add(.forged(party, forgery), at: Int64.random(in: 0...3_000_000, using: &random))
    }

    /// What the tracker refuses does not arrive and leaves no trace; what passes must not have changed the phase. What its
    /// receiver cannot expect must be refused.
    mutating func forge(_ forgery: TCPForgery, from party: Party) {
        guard var known = state else { return forgeFirst(forgery, from: party) }
        let before = known
        let s = take(forgery, from: party)
        let isForeign = isForeign(s, from: party, before)
        guard isForeign || forgery.aim == .blind else { return }
        report.forged += 1
        note(s, from: party)
        let step = TCPTracker.step(&known, s, from: side(party), at: Instant(nanoseconds: now * 1_000), posture)
        if step.refusal != nil ? known != before : known.phase != before.phase {
            fail("forged \(forgery.aim) of \(party)'s changed \(before) to \(known)")
        }
        if step.refusal == .internalStatesError { fail("a forged segment was refused as an internal error") }
        if isForeign {
            if step.refusal == nil { fail("forged \(forgery.aim) of \(party)'s passed in \(before)") }
            report.refused += 1
        }
        guard step.refusal == nil else { return }
        state = known
        let sent = Sent(fields: s, time: now, initial: 0)
        travel(sent, leg: party == .client ? 1 : 3) { .arrives(party.peer, $0.fields) }
    }

    /// The first segment that a tracker sees of a connection older than itself.
    private mutating func forgeFirst(_ forgery: TCPForgery, from party: Party) {
        guard now >= startsAt, startsAt > 0, forgery.aim == .blind, !forgery.fields.flags.contains(.rst),
            client.mode == .open, server.mode == .open
        else { return }
        note(forgery.fields, from: party)
        report.forged += 1
        let instant = Instant(nanoseconds: now * 1_000)
        state = TCPTracker.adopt(forgery.fields, from: side(party), opener: clientSide, at: instant)
        report.takenOver += 1
    }

    /// The segment with its numbers as they are aimed.
    private func take(_ forgery: TCPForgery, from party: Party) -> TCPFields {
        let (sender, receiver) = (self[party], self[party.peer])
        var s = forgery.fields
        if forgery.aim != .blind {
            s.sequence = receiver.expected
            s.acknowledgement = receiver.highest
        }
        switch forgery.aim {
        case .blind: break
        case .aboveWindow: s.sequence = receiver.farthestEdge &- s.dataLength &+ 1 &+ forgery.distance
        case .belowWindow: s.sequence = receiver.expected &- receiver.reach &- s.dataLength &- forgery.distance
        case .aboveData: s.acknowledgement = receiver.highest &+ forgery.distance
        case .belowData: s.acknowledgement = receiver.unacknowledged &- sender.reach &- forgery.distance
        }
        return s
    }

    /// Whether both ends and the tracker are in the same connection or opening, and the segment is none of it. A SYN+ACK that
    /// acknowledges the SYN may be the answer to a late copy of it, and with Fast Open so may data.
    private func isForeign(_ s: TCPFields, from party: Party, _ state: TCPState) -> Bool {
        let (sender, receiver) = (self[party], self[party.peer])
        if receiver.mode == .synSent { return isForeignToSYN(s, of: receiver, state) }
        guard !s.flags.contains(.syn), !state.handshake.offer.marks.contains(.fastOpen),
            sender.mode == .open, receiver.mode == .open, sender.initial == receiver.peerInitial,
            receiver.initial == sender.peerInitial, state.hasWindows, !state.handshake.isUnderWay,
            state[side(party)].start == sender.initial, state[side(party.peer)].start == receiver.initial
        else { return false }
        let end = s.sequence &+ s.dataLength
        let isMisplaced =
            end.isAfter(receiver.farthestEdge &+ 1) || end.isBefore(receiver.expected &- receiver.reach)
        if s.flags.contains(.rst) || isMisplaced { return isMisplaced }
        return s.acknowledgement.isAfter(receiver.highest)
            || s.acknowledgement.isBefore(receiver.unacknowledged &- sender.reach)
    }

    /// A pure ACK of anything may be the challenge of a peer that still holds an older connection (RFC 9293 section 3.5.1).
    private func isForeignToSYN(_ s: TCPFields, of opener: TCPModelEndpoint, _ state: TCPState) -> Bool {
        guard state.windows == .none, !state.handshake.hasAnswer, state.handshake.offer.isn == opener.initial,
            state.handshake.offer.otherISN == opener.initial
        else { return false }
        if s.flags == .rst { return true }
        let isAnswer = !s.flags.isDisjoint(with: [.syn, .rst, .fin]) || s.dataLength > 0
        let first = opener.initial &+ 1
        return isAnswer && !s.acknowledgement.isWithin(opener.highest &- first, from: first)
    }
}

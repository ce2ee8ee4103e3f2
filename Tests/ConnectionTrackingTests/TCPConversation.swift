// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import ConnectionTracking

enum Party: CaseIterable {
    case client, server
    var peer: Party { self == .client ? .server : .client }
}

/// Drives both ends of one connection through the tracker, with the bookkeeping of real stacks: what each end would send
/// next, and what it expects. Nothing is lost between the ends; a test that wants loss or reordering builds a segment with
/// `segment` and judges it later, or never.
struct TCPConversation {
    struct End {
        var isn: UInt32
        /// The next sequence number to send.
        var next: UInt32
        /// The next sequence number expected from the peer.
        var expected: UInt32 = 0
        /// As in the header.
        var window: UInt16 = 8_000
        var scale: UInt8 = 7
        /// Time stamp value, if this end sends time stamps.
        var timestamp: UInt32?

        init(isn: UInt32) {
            self.isn = isn
            next = isn
        }

        /// The window in bytes, after the handshake.
        var bytes: UInt32 { UInt32(window) << (scale == TCPFields.noWindowScale ? 0 : UInt32(scale)) }
    }

    var client: End
    var server: End
    var state = TCPState()
    var isKnown = false
    var clock = ManualClock()
    var posture = AntiEvasion()
    /// Since when nothing was under way.
    var idle = Instant.Span.seconds(60)
    /// The client's side in the canonical order.
    var clientSide = Side.low

    /// Both sequences wrap around within the first bytes.
    init(clientISN: UInt32 = 0xffff_ffa0, serverISN: UInt32 = 0xffff_fff0) {
        client = End(isn: clientISN)
        server = End(isn: serverISN)
    }

    /// A connection whose handshake is complete.
    static func established(scale: UInt8 = 7) -> TCPConversation {
        var talk = TCPConversation()
        talk.client.scale = scale
        talk.server.scale = scale
        talk.open()
        return talk
    }

    subscript(party: Party) -> End {
        get { party == .client ? client : server }
        set { if party == .client { client = newValue } else { server = newValue } }
    }

    func side(_ party: Party) -> Side { party == .client ? clientSide : clientSide.opposite }
    func endpoint(_ party: Party) -> TCPEndpoint { state[side(party)] }
    var phase: TCPPhase { state.phase }

    /// What this end would send now; `by` and `acknowledging` shift its two numbers.
    func segment(
        _ party: Party, _ flags: TCPFlags = .ack, data: UInt32 = 0, by shift: Int64 = 0,
        acknowledging ackShift: Int64 = 0
    ) -> TCPFields {
        var s = TCPFields()
        s.flags = flags
        s.sequence = self[party].next &+ UInt32(truncatingIfNeeded: shift)
        if flags.contains(.ack) { s.acknowledgement = self[party].expected &+ UInt32(truncatingIfNeeded: ackShift) }
        s.window = self[party].window
        s.dataLength = data
        if flags.contains(.syn) { s.windowScale = self[party].scale }
        if let value = self[party].timestamp {
            s.hasTimestamps = true
            s.timestampValue = value
        }
        return s
    }

    /// Judges a segment; nothing but the tracker's state changes.
    mutating func judge(_ s: TCPFields, from party: Party, unseenBytes: UInt32 = 0) -> TCPStep {
        if !isKnown, TCPTracker.isOpening(s) {
            state = TCPTracker.open(s, from: side(party), at: clock.now)
            isKnown = true
            return .passed
        }
        return TCPTracker.step(
            &state, s, from: side(party), at: clock.now, posture, unseenBytes: unseenBytes, idle: idle)
    }

    /// Judges a segment that has to pass.
    @discardableResult
    mutating func pass(
        _ s: TCPFields, from party: Party, at location: SourceLocation = #_sourceLocation
    ) -> TCPStep {
        let step = judge(s, from: party)
        #expect(step.refusal == nil, sourceLocation: location)
        return step
    }

    /// Judges a segment that has to pass and to change nothing, except that a SYN is known to be repeated.
    mutating func passInVain(_ s: TCPFields, from party: Party, at location: SourceLocation = #_sourceLocation) {
        var before = state
        pass(s, from: party, at: location)
        before.handshake.offer.marks.formUnion(state.handshake.offer.marks.intersection(.repeated))
        #expect(state == before, sourceLocation: location)
    }

    /// Judges a segment that has to be refused for this reason, without a trace.
    mutating func refuse(
        _ s: TCPFields, from party: Party, as refusal: TCPRefusal, at location: SourceLocation = #_sourceLocation
    ) {
        let before = state
        #expect(judge(s, from: party).refusal == refusal, sourceLocation: location)
        #expect(state == before, sourceLocation: location)
    }

    /// Sends and receives what this end would send next; it has to pass.
    @discardableResult
    mutating func send(
        _ party: Party, _ flags: TCPFlags = .ack, data: UInt32 = 0, at location: SourceLocation = #_sourceLocation
    ) -> TCPFields {
        let s = segment(party, flags, data: data)
        pass(s, from: party, at: location)
        self[party].next = s.sequence &+ s.length
        self[party.peer].expected = self[party].next
        return s
    }

    mutating func open(at location: SourceLocation = #_sourceLocation) {
        send(.client, .syn, at: location)
        send(.server, [.syn, .ack], at: location)
        send(.client, .ack, at: location)
        #expect(phase == .established, sourceLocation: location)
    }

    /// Both ends close, `first` before the other.
    mutating func close(first: Party, at location: SourceLocation = #_sourceLocation) {
        send(first, [.fin, .ack], at: location)
        send(first.peer, .ack, at: location)
        send(first.peer, [.fin, .ack], at: location)
        send(first, .ack, at: location)
    }

    /// Forgets the numbers of the old connection, for another one between the same ports.
    mutating func renew(clientISN: UInt32, serverISN: UInt32) {
        client.isn = clientISN
        client.next = clientISN
        server.isn = serverISN
        server.next = serverISN
    }
}

extension TCPFields {
    /// Sequence numbers that the segment takes.
    var length: UInt32 {
        dataLength &+ (flags.contains(.syn) ? 1 : 0) &+ (flags.contains(.fin) ? 1 : 0)
    }

    func with(_ change: (inout TCPFields) -> Void) -> TCPFields {
        var copy = self
        change(&copy)
        return copy
    }
}

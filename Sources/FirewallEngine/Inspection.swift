// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// One packet on its way through the engine.
///
/// It goes from function to function `inout`, and the engine's functions are mutating, also where both are only read: then
/// their addresses are passed. Swift 6.3 copies a struct of this size, whole, for a function that only reads it.
struct Inspection: BitwiseCopyable {
    var headers = PacketHeaders()
    var metadata: PacketMetadata
    let now: Instant
    /// The interface that rules look at: where an incoming packet entered, where an outgoing one leaves.
    var interface: UInt32 = 0
    var traits = InterfaceTraits(patterns: 0, isIgnored: false, isInside: false)
    var isLoopback = false
    /// From outside, with an address of this host as its source: it is none of the connections that this host has.
    var hasFalseSource = false
    /// What the rules said, once they were asked.
    var ruling = RuleDecision(outcome: .noMatch, rule: -1, logOnlyRule: -1)
    /// The first trait whose posture row says `log`: if the packet passes, an event names it.
    private(set) var logged: DropReason?
    /// The verdict waits for the other workers' tables.
    var mustAsk = false
    /// What another worker said of the connection that an ICMP error quotes.
    var relation = ErrorRelation.notAsked
    /// Bytes of the same TCP segment that may still follow in later fragments.
    var unseenBytes: UInt32 = 0

    init(_ metadata: PacketMetadata, at now: Instant) {
        self.metadata = metadata
        self.now = now
    }

    var direction: Direction { metadata.direction }

    mutating func log(_ reason: DropReason) {
        if logged == nil { logged = reason }
    }
}

/// Why a packet must not pass.
struct Finding: BitwiseCopyable {
    var reason: DropReason
    var rule: Int32 = -1
    /// The posture row that decides, where one does.
    var posture = PostureAction.deny
    var note = EventNote.none

    init(_ reason: DropReason, rule: Int32 = -1, posture: PostureAction = .deny, note: EventNote = .none) {
        self.reason = reason
        self.rule = rule
        self.posture = posture
        self.note = note
    }
}

/// What is known of the connection that an ICMP error quotes.
public enum ErrorRelation: UInt8, Sendable, BitwiseCopyable {
    /// Other workers were not asked yet.
    case notAsked
    /// No worker has such a connection, or the quoted sequence number is not plausible.
    case unrelated
    /// An admitted connection has sent the quoted packet.
    case related
}

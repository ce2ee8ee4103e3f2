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
    /// The agent itself sent it.
    var isOwnTraffic = false
    /// A control connection has announced the connection that it opens, which therefore needs no Allow rule.
    var isAnnounced = false
    /// The rate of the rule that admits what it opens has counted it (`Engine+Rates`).
    var isCountedByRate = false
    /// What stages T and U take the packet for, and its endpoints where it has a state (`Engine+Lookup`).
    var exchange = Exchange.none
    var packet = KeyedPacket(
        key: ConnectionKey(
            lowAddress: .zero, highAddress: .zero, lowPortOrIdentifier: 0, highPortOrIdentifier: 0, protocolNumber: 0,
            version: 0, queryType: 0), sender: .low)
    /// What the rules said, once they were asked.
    var ruling = RuleDecision(outcome: .noMatch, rule: -1, logOnlyRule: -1)
    /// It is of no known connection.
    var isUnknown = false
    /// What is to be told of the packet whether it passes or not: traits whose posture row says `log`.
    var notices = ReasonSet()
    /// How a retransmission differs, where only that is told.
    var retransmitNote = EventNote.none
    /// All that must be turned for the packet to pass, once that is known, and the Deny rule among it, or -1.
    var remedy = CauseSet()
    var remedyRule: Int32 = -1
    var isExplained = false
    /// Causes that are taken as turned: of each, the packet passes the test. Empty but in a rehearsal (`Engine+Explain`).
    var excused = CauseSet()
    /// The Deny rule among them, or -1.
    var excusedRule: Int32 = -1
    /// Nothing is to be changed: the packet was judged, and is judged again as if something were otherwise.
    var isRehearsal = false
    /// Its receiver does not believe it: its checksum is wrong. It is judged as any other, and whatever comes of that, no
    /// connection is opened, closed, moved on or renewed by it.
    var isDisbelieved = false
    /// The verdict waits for the other workers' tables.
    var mustAsk = false
    /// What another worker said of the connection that an ICMP error quotes.
    var relation = ErrorRelation.notAsked
    /// Bytes of the same TCP segment that may still follow in later fragments.
    var unseenBytes: UInt32 = 0
    /// How many equal acknowledgements there are with this one, once they were counted.
    var equalACKs: UInt32?
    /// Of a fragment: what tells it from another in the same place (`FragmentTracker.digest`).
    var fragmentDigest: UInt32 = 0

    init(_ metadata: PacketMetadata, at now: Instant) {
        self.metadata = metadata
        self.now = now
    }

    var direction: Direction { metadata.direction }

    /// Whether nothing that is remembered may change by this packet.
    var leavesNoTrace: Bool { isRehearsal || isDisbelieved }

    /// Whether a test that this cause decides refuses the packet: always, but where the cause is taken as turned.
    mutating func isSubject(to cause: Cause) -> Bool { !isRehearsal || !excused.contains(cause) }
}

/// Why a packet must not pass. Eight bytes, so that it is returned in a register.
struct Finding: BitwiseCopyable {
    var reason: DropReason
    /// What decided.
    var cause: Cause
    var rule: Int32 = -1
    /// The posture row that decides, where one does.
    var posture = PostureAction.deny
    var note = EventNote.none

    init(
        _ reason: DropReason, _ cause: Cause, rule: Int32 = -1, posture: PostureAction = .deny, note: EventNote = .none
    ) {
        self.reason = reason
        self.cause = cause
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

// SPDX-License-Identifier: GPL-3.0-or-later

public import FirewallPolicy
public import PacketWire

/// What an event says was done.
public enum EventAction: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case deny
    case logOnly
    /// Not a drop (142, 910–914).
    case notice
    /// The kernel dropped it; the frame guard saw it.
    case observed
    /// Tap mode: would have been dropped.
    case tapDeny
    /// Should have been dropped; the failure setting let it pass.
    case failOpen
}

/// One firewall event: a fixed size, no references, so that a worker writes it without allocation. Names and text are
/// added by the thread that formats it.
public struct Event: Sendable, BitwiseCopyable {
    public var reason: DropReason
    public var action: EventAction
    /// When the packet was judged, on the worker's clock (`EventLog` turns it into calendar time).
    public var instant: Instant
    /// Index of the rule in the policy of `policyEpoch`, or -1.
    public var rule: Int32 = -1
    /// `Policy.epoch` in force.
    public var policyEpoch: UInt32 = 0
    public var metadata: PacketMetadata
    public var headers: PacketHeaders
    public var note = EventNote.none
    /// What decided.
    public var cause = Cause.none
    /// All that has to be turned for this packet to pass; empty where nothing helps.
    public var remedy = CauseSet()
    /// Index of the Deny rule in `remedy`, where there is one; otherwise, and where its policy is gone, -1.
    public var remedyRule: Int32 = -1
    /// Of a connection that ended; `headers` name its ends then, its opener the source.
    public var account: ConnectionAccount?
    /// How who sent it was told.
    public var reply = Reply.none
    /// Bytes of the packet in the batch's copy, where the policy asks for packet data: offset into `Outbox.bytes`, or -1.
    public var packetData: Int32 = -1
    /// How many of them.
    public var packetDataCount: UInt16 = 0
    /// They are for the capture of dropped packets: the rule does not want them in the event.
    public var packetIsForCapture = false

    public init(
        reason: DropReason, action: EventAction, instant: Instant, metadata: PacketMetadata, headers: PacketHeaders
    ) {
        self.reason = reason
        self.action = action
        self.instant = instant
        self.metadata = metadata
        self.headers = headers
    }
}

/// Engine detail of an event.
public enum EventNote: UInt8, Sendable, BitwiseCopyable {
    case none
    /// The connection was refused at its opening; this is a later packet of it.
    case refusedConnection
    case prevFull, prevPart, nextFull, nextPart
    /// The trait's anti-evasion row says `log`.
    case posture
    /// An earlier fragment of this datagram overlapped.
    case condemnedDatagram
    /// The checksum of the IPv4 header.
    case ipHeader
}

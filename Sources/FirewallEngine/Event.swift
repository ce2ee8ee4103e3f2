// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// What an event says was done.
package enum EventAction: UInt8, Sendable, BitwiseCopyable, CaseIterable {
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
package struct Event: Sendable, BitwiseCopyable {
    package var reason: DropReason
    package var action: EventAction
    /// When the packet was judged, on the worker's clock (`EventLog` turns it into calendar time).
    package var instant: Instant
    /// Index of the rule in the policy of `policyEpoch`, or -1.
    package var rule: Int32 = -1
    /// `Policy.epoch` in force.
    package var policyEpoch: UInt32 = 0
    package var metadata: PacketMetadata
    package var headers: PacketHeaders
    package var note = EventNote.none
    /// Bytes of the packet in the batch's copy, where the policy asks for packet data: offset into `Outbox.bytes`, or -1.
    package var packetData: Int32 = -1
    /// How many of them.
    package var packetDataCount: UInt16 = 0

    package init(
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
package enum EventNote: UInt8, Sendable, BitwiseCopyable {
    case none
    /// The connection was refused at its opening; this is a later packet of it.
    case refusedConnection
    case prevFull, prevPart, nextFull, nextPart
    /// The trait's anti-evasion row says `log`.
    case posture
    /// An earlier fragment of this datagram overlapped.
    case condemnedDatagram
}

// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking

/// What becomes of a packet.
public enum Verdict: UInt8, Sendable, BitwiseCopyable {
    case pass
    case drop
    /// A fragment that waits for its datagram's first one: the worker keeps the packet; `Engine.takeRelease` settles it.
    case hold
    /// An ICMP error whose quoted connection this worker does not know: ask the other workers (`Engine.relation`), then
    /// `Engine.inspect` again with what they said.
    case askOtherWorkers
}

/// The outcome of one inspection.
public struct Decision: Sendable, BitwiseCopyable {
    public var verdict: Verdict
    /// Set for a drop, and for a pass that an event reports (tap, failure open).
    public var reason: DropReason?
    /// The kernel may accept what follows of this flow in this direction; nil for what is to be judged packet by packet.
    public var offloads: Direction?
    /// Index of the deciding rule in `Policy.rules`, or -1.
    public var rule: Int32
    /// `hold`: the ticket under which the release names this packet.
    public var ticket: UInt32

    public init(verdict: Verdict, reason: DropReason? = nil, rule: Int32 = -1, ticket: UInt32 = 0) {
        self.verdict = verdict
        self.reason = reason
        self.rule = rule
        self.ticket = ticket
    }

    public static let pass = Decision(verdict: .pass)
}

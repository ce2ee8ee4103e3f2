// SPDX-License-Identifier: GPL-3.0-or-later

/// What is known of one side of a connection: the four bounds of Guido van Rooij, "Real Stateful TCP Packet Filtering
/// in IP Filter" (2001), and what closing, resets and time stamps need.
///
/// For a segment that A sends to B, with `end` and `ceiling` of A, `largestWindow` of B, and so on:
///
/// - *data, above:* its last byte is not beyond A's `ceiling`, the highest right edge of a window that B offered;
/// - *data, below:* it ends at most B's `reach` before A's `end`. A sends nothing a whole window ahead of a byte before that
///   byte is acknowledged, after which it does not repeat it;
/// - *acknowledgement, above:* not beyond what B was seen to send;
/// - *acknowledgement, below:* at most A's `reach` behind B's `end`, for the same reason.
///
/// The upper bounds hold wherever on the path the observer sits: it sees a window before the sender may use it, and data
/// before its receiver may acknowledge it.
struct TCPEndpoint: Equatable, Sendable, BitwiseCopyable {
    /// With `.young` the sequence number of its SYN, with `.unsettled` the second in which it was taken over.
    var start: UInt32 = 0
    /// The sequence number after the highest byte or FIN seen from this side.
    var end: UInt32 = 0
    /// The highest acknowledgement plus window that the peer has sent. Windows that shrink (RFC 9293 section 3.8.6) leave
    /// it, since data sent under the older window may still come.
    var ceiling: UInt32 = 0
    /// The highest acknowledgement this side has sent: what it expects next, if nothing is on its way to it.
    var acknowledged: UInt32 = 0
    /// The latest time stamp value (RFC 7323 section 5.3), and the second in which it came; valid with `.timestamped`.
    var timestamp: UInt32 = 0
    var timestampSecond: UInt32 = 0
    /// The largest window this side has offered, in units of `scale`, rounded up.
    var windowUnits: UInt16 = 0
    /// With `.gapped`, where what was seen without a gap up to `end` begins, in units of 32 KiB modulo 2^30, rounded up; the
    /// highest bit says that the peer has what was seen last.
    var gapUnits: UInt16 = 0
    /// Bytes after `end` that later fragments of a segment may bring: the peer may acknowledge them.
    var unseen: UInt16 = 0
    /// The shift of the windows that this side offers outside SYN segments (RFC 7323 section 2).
    var scale: UInt8 = 0
    var marks = Marks()

    struct Marks: OptionSet, Equatable, Sendable, BitwiseCopyable {
        var rawValue: UInt8
        /// Its FIN was seen; it is the last before `end`. Beyond a gap it may be forged: see `hasFinished`.
        static let fin = Marks(rawValue: 1 << 0)
        /// The peer has acknowledged its FIN.
        static let finAcknowledged = Marks(rawValue: 1 << 1)
        /// It has sent a RST that ended the connection.
        static let reset = Marks(rawValue: 1 << 2)
        /// It sends time stamps.
        static let timestamped = Marks(rawValue: 1 << 3)
        /// Taken over in mid-stream and not heard since.
        static let silent = Marks(rawValue: 1 << 4)
        /// Taken over in mid-stream: it may have sent more than was seen. Ends with an acknowledgement of exactly `end` at a
        /// time when what was lost before must have been sent again.
        static let unsettled = Marks(rawValue: 1 << 5)
        /// So little was sent since its SYN that nothing can lie before that.
        static let young = Marks(rawValue: 1 << 6)
        /// Something before `gapUnits` was not seen, so that the peer may expect less than `end` next.
        static let gapped = Marks(rawValue: 1 << 7)
    }

    /// The most that a window can be: 65,535 shifted by 14.
    static let greatestWindow: UInt32 = 65_535 << 14
    /// A small window says little about how long a path delays what it has doubled.
    private static let leastReach: UInt32 = 66_000
    private static let greatestReach: UInt32 = 1 << 30
    /// The least that a window shown once is taken for: a later one may have come before.
    static let leastLearntWindow: UInt32 = 1 << 20
    /// Seconds until a connection taken over is known as well as any.
    static let settlingTime: UInt32 = 60

    /// The largest window this side has offered, in bytes; set it after `scale`.
    var largestWindow: UInt32 {
        get { UInt32(windowUnits) << UInt32(scale) }
        set { windowUnits = UInt16(clamping: (newValue &+ (1 << UInt32(scale) &- 1)) >> UInt32(scale)) }
    }

    /// How far behind the peer's `end` a segment may lie. A window would do on a path that keeps the order. On another, a
    /// byte that was repeated just before its acknowledgement came may be overtaken by the whole next window.
    var reach: UInt32 { max(min(largestWindow, Self.greatestReach / 2) * 2, Self.leastReach) }

    /// The lowest sequence number that a segment of this side, for a peer with this reach, may end at.
    func lowest(within reach: UInt32) -> UInt32 {
        let lowest = end &- reach
        return marks.contains(.young) && lowest.isBefore(start) ? start : lowest
    }

    /// The highest acknowledgement that the peer can send.
    var limitOfAcknowledgement: UInt32 {
        let mayHaveSentMore = marks.contains(.unsettled) && !marks.contains(.fin)
        return mayHaveSentMore ? ceiling.later(end) : end &+ UInt32(unseen)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

/// What is known of one side of a connection: the four bounds of Guido van Rooij, "Real Stateful TCP Packet Filtering
/// in IP Filter" (2001), and what closing, resets and time stamps need.
///
/// For a segment that A sends to B, with `end` and `ceiling` of A, `largestWindow` of B, and so on:
///
/// - *data, above:* its last byte is not beyond A's `ceiling`, the highest right edge of a window that B offered;
/// - *data, below:* it ends at most B's `largestWindow` before A's `end`, because A sends no new byte before what is
///   that far behind was acknowledged, and so never repeats it;
/// - *acknowledgement, above:* not beyond what B was seen to send;
/// - *acknowledgement, below:* at most A's `largestWindow` behind B's `end`, for the same reason.
///
/// The bounds hold wherever on the path the observer sits: it sees a window before the sender may use it, and data before
/// its receiver may acknowledge it. A refused segment must therefore never have moved them, and one that passes always
/// does, unless it merely repeats what is behind.
struct TCPEndpoint: Equatable, Sendable, BitwiseCopyable {
    /// The sequence number after the highest byte or FIN seen from this side.
    var end: UInt32 = 0
    /// The highest acknowledgement plus window that the peer has sent. Windows that shrink (RFC 9293 section 3.8.6) leave
    /// it, since data sent under the older window may still come.
    var ceiling: UInt32 = 0
    /// The largest window this side has offered, in bytes.
    var largestWindow: UInt32 = 0
    /// The highest acknowledgement this side has sent: what it expects next, if nothing is on its way to it.
    var acknowledged: UInt32 = 0
    /// The sequence number after its FIN; valid with `.fin`.
    var finEnd: UInt32 = 0
    /// The latest time stamp value (RFC 7323 section 5.3), and the second in which it came; valid with `.timestamped`.
    var timestamp: UInt32 = 0
    var timestampSecond: UInt32 = 0
    /// Bytes after `end` that later fragments of a segment may bring: the peer may acknowledge them.
    var unseen: UInt16 = 0
    /// The shift of the windows that this side offers outside SYN segments (RFC 7323 section 2).
    var scale: UInt8 = 0
    var marks = Marks()

    struct Marks: OptionSet, Equatable, Sendable, BitwiseCopyable {
        var rawValue: UInt8
        /// Its FIN was seen.
        static let fin = Marks(rawValue: 1 << 0)
        /// The peer has acknowledged its FIN.
        static let finAcknowledged = Marks(rawValue: 1 << 1)
        /// It has sent a RST that ended the connection.
        static let reset = Marks(rawValue: 1 << 2)
        /// It sends time stamps.
        static let timestamped = Marks(rawValue: 1 << 3)
        /// Taken over in mid-stream and not heard since: its window, and so the peer's ceiling, are guesses.
        static let silent = Marks(rawValue: 1 << 4)
        /// Taken over in mid-stream: it may have sent more than was seen, until an acknowledgement of exactly `end`.
        static let unsettled = Marks(rawValue: 1 << 5)
        /// It acknowledged something unknown while a SYN waited for its answer; `acknowledged` holds the number. A RST with
        /// that sequence answers it (RFC 9293 section 3.10.7.3).
        static let stray = Marks(rawValue: 1 << 6)
    }

    /// Segments and acknowledgements this far behind still pass, however small the windows are. What arrives so late
    /// is harmless to its receiver, and a path may delay a duplicate for longer than a small window lasts.
    static let leastReach: UInt32 = 66_000
    /// The most that a window can be: 65,535 shifted by 14.
    static let greatestWindow: UInt32 = 65_535 << 14

    /// How far behind the peer's `end` a segment can belong to what this side allowed.
    var reach: UInt32 { max(largestWindow, Self.leastReach) }
    /// The highest acknowledgement that the peer can send.
    var limitOfAcknowledgement: UInt32 { end &+ UInt32(unseen) }
}

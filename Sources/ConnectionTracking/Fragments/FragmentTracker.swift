// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// The fragmented datagrams of one worker: checks every fragment, sees overlaps, and gives later fragments the verdict of
/// their first one.
///
/// - *What is seen is what the receiver sees.* Fragments are not put together, but a datagram's record begins, is complete
///   and ends as in the host that reassembles it. A fragment that overlaps others condemns the datagram: it and all that
///   come later are refused (RFC 5722, RFC 8200 section 4.5, and the same for IPv4). An exact duplicate, the
///   same bytes in the same place, is no overlap; after the datagram is complete it passes for a second more, and begins a
///   new record as it does in the receiver.
/// - *The first fragment decides.* Later ones get its verdict. Those that come before it are held by the caller under a
///   ticket; `takeRelease` says what becomes of them. Once one first fragment has passed, a duplicate that is refused does
///   not take the verdict back: the receiver got only the one that passed.
/// - *A fragment refused by itself* (`FragmentCheck`) leaves no trace, because the receiver never gets it; except that a
///   refused first one gives its reason to those that follow, until an acceptable first one comes.
/// - *Bounded.* At most `limit` records of about 3.6 KiB each; when all are in use the oldest gives way, complete ones first,
///   so that a flood of fragments costs others only datagrams that take longer than the flood needs to fill the table. With
///   a limit of 0 every fragment is refused as incomplete. At most `maximumWaiting` packets wait, `fragmentHold` long each;
///   for one more the datagram that has waited longest gives way.
public struct FragmentTracker: ~Copyable, Sendable {
    /// Packets that wait for a first fragment at most.
    public static let maximumWaiting = 64
    /// Packets held at most: those that wait, and those that can be settled and were not taken yet. A worker takes them
    /// after each batch, which is smaller than the difference.
    public static let heldCapacity = 2 * maximumWaiting
    /// How long exact duplicates of a complete datagram pass with its verdict.
    static let duplicateTime = Instant.Span.seconds(1)

    /// What is known about the verdict of a datagram.
    enum Standing: BitwiseCopyable {
        case undecided
        /// The verdict of the complete datagram that a duplicate belongs to, valid for `duplicateTime` after `completed`.
        case inherited(DatagramVerdict)
        case decided(DatagramVerdict)
        /// With what its first fragment wants for, in the numbering of the engine; nil until that is known.
        case firstRefused(FragmentRefusal, DatagramRefusal? = nil)
        case condemned
    }

    struct Record: BitwiseCopyable {
        var key: DatagramKey
        var hash: UInt32
        /// Distinguishes the datagrams that use this place one after the other.
        var generation: UInt32
        var began: Instant
        /// When the datagram, or the one that this one began as a duplicate of, was complete.
        var completed = Instant(nanoseconds: 0)
        var isComplete = false
        var standing = Standing.undecided
        /// Units of eight bytes covered so far.
        var units: Int32 = 0
        /// Fragments seen, duplicates apart.
        var fragments: Int32 = 0
        /// Byte after the highest one seen.
        var highest: UInt32 = 0
        /// Length of the payload, as the last fragment says; `UInt32.max` until it was seen.
        var end = UInt32.max
        /// Next record of the bucket's chain, or of the vacant ones.
        var nextInBucket: Int32 = -1
        /// The list of incomplete or of complete records, in the order in which they became so.
        var newer: Int32 = -1
        var older: Int32 = -1
        /// The pair that counts this incomplete IPv4 datagram, or -1, with its list.
        var pair: Int32 = -1
        var serial: UInt32 = 0
        var newerOfPair: Int32 = -1
        var olderOfPair: Int32 = -1
    }

    struct Held: BitwiseCopyable {
        var ticket: UInt32
        var record: DatagramRecord
        var since: Instant
        /// nil while it waits.
        var outcome: FragmentOutcome?
    }

    var records: [Record] = []
    var coverage = FragmentCoverage()
    var digests = FragmentDigests()
    var buckets: HashBuckets
    var pairs: DatagramPairs
    var vacant: Int32 = -1
    var incomplete = EntryList()
    var complete = EntryList()
    /// In the order of their tickets.
    var held: [Held] = []
    var lastTicket: UInt32 = 0
    let seed: (UInt64, UInt64)

    /// Datagrams of which a record is kept.
    public internal(set) var count = 0
    /// `fragment` and `fragmentHold` are used; may be replaced at any time.
    public var timeouts: Timeouts
    /// The most records kept.
    let limit: Int

    /// Bytes of a worker with so many records, all of them used.
    public static func memory(limit: Int) -> Int {
        let perRecord =
            MemoryLayout<Record>.stride + FragmentCoverage.bytesPerRecord + FragmentDigests.bytesPerRecord
            + MemoryLayout<DatagramPairs.Pair>.stride + 2 * MemoryLayout<Int32>.stride
        return limit * perRecord + heldCapacity * MemoryLayout<Held>.stride
    }

    /// - Parameters:
    ///   - limit: this worker's share of `limits.fragmented-datagrams`.
    ///   - timeouts: see `Timeouts`.
    ///   - seed: key of the hash: random in the agent, fixed in a replay.
    public init(limit: Int, timeouts: Timeouts, seed: (UInt64, UInt64)) {
        self.timeouts = timeouts
        self.seed = seed
        self.limit = max(0, min(limit, 1 << 20))
        buckets = HashBuckets(limit: self.limit)
        pairs = DatagramPairs(limit: self.limit)
        held.reserveCapacity(Self.heldCapacity)
        records.reserveCapacity(self.limit)
        coverage.reserve(records: self.limit)
        digests.reserve(records: self.limit)
    }
}

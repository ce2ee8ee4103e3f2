// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// The position of a connection in its table; it means nothing any more once the connection was removed.
public typealias ConnectionIndex = Int32

/// The connections of one worker.
///
/// What always holds:
/// - *Rigid.* Storage for `capacity` entries is reserved once and never moves; memory is touched only when it is first
///   used, an entry's place is reused, and what a flood leaves behind is given back (`compact`). No operation allocates.
/// - *Flat.* A look-up costs one keyed hash and a chain of half an entry on average (`HashBuckets` keeps two buckets per
///   entry and grows with them); nothing is ever done for all entries at once.
/// - *Exact.* An entry whose timeout has passed is never found, whether or not it was collected yet. Its place in the
///   totals and per-computer counts is given back when it is collected: at its next look-up, when the wheel comes to it
///   (`expire`, at most 0.27 s later plus the backlog), or when an insertion would fail otherwise.
/// - *Bounded.* Totals over all workers and per-computer counts are kept by `SharedLimits`. When TCP is nearly full, each
///   new connection takes the place of the oldest one of this worker that is over or half-open; when UDP or ICMP is full,
///   of the oldest that came in, or of UDP that was answered. A worker that holds more than its share gives way to one that
///   holds less.
///
/// The owner calls `recordChange(of:)` after each packet that changed a connection, and `expire` between batches.
public struct ConnectionTable: ~Copyable, Sendable {
    /// The order of the fields matters. Array elements begin 48 bytes into a page where the storage is large; the four
    /// links fill that cache line, and all that a look-up compares stands in the next one.
    struct Entry: BitwiseCopyable {
        /// The list of the wheel's slot; of a vacant entry, the one before it in the list of those.
        var nextInSlot: Int32 = -1
        var previousInSlot: Int32 = -1
        /// The list of what can be given up (`ConnectionTable+Lists.swift`), oldest first.
        var newer: Int32 = -1
        var older: Int32 = -1
        var hash: UInt32
        /// Next entry of the bucket's chain, or of the list of vacant entries.
        var nextInBucket: Int32 = -1
        var connection: Connection
        /// The round of counting that `counts` belongs to (`SharedLimits.generation`).
        var countGeneration: UInt16 = 0
        var slot: UInt16 = 0
        /// What is counted for it in `SharedLimits`.
        var counts = ComputerCounts.Kinds()
        /// The stage by which the entry is placed in lists, census and counts; nil: vacant.
        var stage: ConnectionStage?
        /// The opener by which it is counted.
        var opener: Side
        /// The listener that it is half-open for; `settled`: it does not count as half-open.
        var listener = ListenerLoads.settled

        /// Whether it counts as half-open in the total.
        var isCountedHalfOpen: Bool { listener != ListenerLoads.settled }
    }

    var entries: [Entry]
    var buckets: HashBuckets
    var wheel = TimingWheel()
    var vacant: Int32 = -1
    /// Places whose memory was ever used and not given back.
    var touched = 0
    /// Places whose memory is counted in `shared`, and what was counted for them.
    var paidPlaces = 0
    var paidBytes: UInt64 = 0
    var halfOpen = EntryList()
    var over = EntryList()
    var incomingUDP = EntryList()
    /// Of what this side began.
    var answeredUDP = EntryList()
    var incomingICMP = EntryList()
    var forgottenConnections = ForgottenConnections()
    /// The pure acknowledgements of each entry's connection, by its index; empty while nobody asks for them.
    var acknowledgements: [ConnectionACKs] = []
    var countsACKs = false
    /// How many entries of each protocol there are here.
    var held = InlineArray<3, UInt32>(repeating: 0)
    /// How many connections are in which stage.
    public internal(set) var census = ConnectionCensus()
    /// Which of them pass in the kernel.
    public internal(set) var fastPath = FastPathPlaces()
    /// Flows without a connection that do.
    var bypassed = BypassedFlows()
    /// What is kept to tell of connections that end.
    var log = ConnectionLog()
    /// What passed in the kernel, by rule.
    var kernelRules = KernelRuleCounts()
    /// Which listeners are flooded.
    public var listeners: ListenerLoads
    let seed: (UInt64, UInt64)
    public let shared: SharedLimits
    /// The most entries that this table holds, of all protocols together.
    public let capacity: Int

    /// Next entry of the walk that brings all entries up to date after a change of timeouts or limits, or -1.
    var sweepPosition: Int32 = -1
    /// The round of counting that the entries were last swept for.
    var sweptGeneration: UInt16 = 0

    /// May be replaced at any time; look-ups follow it at once, `expire` brings the wheel up to date entry by entry.
    public var timeouts: Timeouts {
        didSet {
            guard timeouts != oldValue else { return }
            spans = timeouts.byStage
            sweepPosition = 0
        }
    }
    /// The timeouts in nanoseconds by stage, for the look-ups.
    var spans: [Int64]

    /// - Parameters:
    ///   - capacity: the most entries, of all protocols together; more than the totals of `shared` is never used.
    ///   - timeouts: see `Timeouts`.
    ///   - seed: key of the hash: random in the agent, fixed in a replay.
    ///   - shared: the limits and counts over all workers.
    public init(capacity: Int, timeouts: Timeouts, seed: (UInt64, UInt64), shared: SharedLimits) {
        self.capacity = max(0, min(capacity, Int(Int32.max) / 2))
        self.timeouts = timeouts
        spans = timeouts.byStage
        self.seed = seed
        self.shared = shared
        listeners = ListenerLoads(seed: seed)
        entries = []
        entries.reserveCapacity(self.capacity)
        buckets = HashBuckets(limit: self.capacity * 2)
    }

    /// The connection at an index that `find` or `insert` returned. Changed in place; reading copies it, which what is
    /// done for every packet avoids (`ConnectionTable+Packet.swift`).
    public subscript(index: ConnectionIndex) -> Connection {
        get { entries.span[Int(index)].connection }
        _modify {
            var entries = entries.mutableSpan
            yield &entries[Int(index)].connection
        }
    }

    /// Memory for one connection in a table that has grown: its entry and two buckets.
    public static var bytesPerConnection: Int { MemoryLayout<Entry>.stride + 2 * MemoryLayout<Int32>.stride }

    deinit { shared.giveMemory(paidBytes) }
}

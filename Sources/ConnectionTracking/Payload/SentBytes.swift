// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// How a retransmission differs from what was queued first: where the difference lies, and which of the two holds all of the
/// other.
public enum RetransmitDifference: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// In the queued segment that begins last before it or with it: that one holds all of the retransmission, or not.
    case previousFull
    case previousPart
    /// In one that follows: the retransmission holds all of that one, or not.
    case nextFull
    case nextPart
}

/// The bytes that both sides of the connections of one worker have sent, so that what is sent again can be compared with them.
///
/// Each side of a connection has a queue of segments in the order of their sequence numbers, which do not overlap: of a segment
/// that overlaps others only what is new is kept. A segment is a run of blocks of one size, taken from memory that is reserved
/// once (when the policy first asks for it) and touched when it is first used.
///
/// Bounds: so many blocks for each side, so many for all. Where there is none, the block whose bytes were acknowledged first goes,
/// of the same side where its own bound is reached. What is not acknowledged never goes for that; what finds no room is not kept,
/// and counted (`bytesNotCompared`). What was acknowledged and is gone cannot be compared when it comes again: its receiver has
/// it already, and it is counted as well. A connection that is over gives all back.
public struct SentBytes: Sendable {
    static let blockBytes = 1536
    static let wordsPerBlock = blockBytes / 8
    /// Two mebibytes: more than most windows.
    static let mostBlocksPerSide = 1366
    /// For all workers together: 64 MiB.
    static let mostBlocks = 43_690
    static let buckets = 4096

    /// Some bytes of a segment.
    struct Block: BitwiseCopyable {
        var start: UInt32 = 0
        var length: UInt16 = 0
        /// It goes on with the segment of the block before.
        var isContinued = false
        var isAcknowledged = false
        /// In the queue; `next` also in the list of vacant blocks.
        var previous: Int32 = -1
        var next: Int32 = -1
        /// In the list of acknowledged blocks of all connections.
        var older: Int32 = -1
        var newer: Int32 = -1
        var stream: Int32 = -1
        var side = Side.low

        var end: UInt32 { start &+ UInt32(length) }
    }

    /// What one side has sent.
    struct Queue: BitwiseCopyable {
        var first: Int32 = -1
        var last: Int32 = -1
        /// The first block that is not wholly acknowledged.
        var firstOpen: Int32 = -1
        var count: Int32 = 0
        /// What the other side has acknowledged.
        var acknowledged: UInt32 = 0
        var hasBegun = false
    }

    /// The two sides of one connection.
    struct Stream: BitwiseCopyable {
        var key: ConnectionKey
        var nextInBucket: Int32 = -1
        var isUsed = false
        var low = Queue()
        var high = Queue()

        subscript(side: Side) -> Queue {
            get { side == .low ? low : high }
            set { if side == .low { low = newValue } else { high = newValue } }
        }
    }

    var blocks: [Block] = []
    var words: [UInt64] = []
    var streams: [Stream] = []
    var bucketHeads: [Int32] = []
    var vacantBlock: Int32 = -1
    var vacantStream: Int32 = -1
    var oldestAcknowledged: Int32 = -1
    var newestAcknowledged: Int32 = -1
    /// Where the upkeep goes on.
    var sweep = 0
    let limit: Int
    let seed: (UInt64, UInt64)

    /// Bytes that were repeated, or are not kept for when they are, without having been compared.
    public internal(set) var bytesNotCompared: UInt64 = 0
    /// Bytes copied.
    public internal(set) var bytesKept: UInt64 = 0

    /// - Parameters:
    ///   - workers: among how many the memory is shared.
    ///   - seed: of the keyed hash.
    public init(workers: Int, seed: (UInt64, UInt64)) {
        limit = max(256, Self.mostBlocks / max(1, workers))
        self.seed = seed
    }

    /// The same with other bounds, for tests.
    package init(blocks: Int, seed: (UInt64, UInt64)) {
        limit = blocks
        self.seed = seed
    }

    /// Bytes of a worker, all of them used.
    public static func memory(workers: Int) -> Int {
        let limit = max(256, mostBlocks / max(1, workers))
        return limit * (MemoryLayout<Block>.stride + blockBytes + MemoryLayout<Stream>.stride)
            + buckets * MemoryLayout<Int32>.stride
    }

    public var isInUse: Bool { !bucketHeads.isEmpty }

    /// Reserves the memory, or gives it back with all that was kept.
    public mutating func prepare(isUsed: Bool) {
        guard isUsed != isInUse else { return }
        guard isUsed else {
            (blocks, words, streams, bucketHeads) = ([], [], [], [])
            (vacantBlock, vacantStream, oldestAcknowledged, newestAcknowledged) = (-1, -1, -1, -1)
            return
        }
        blocks.reserveCapacity(limit)
        words.reserveCapacity(limit * Self.wordsPerBlock)
        streams.reserveCapacity(limit)
        bucketHeads = [Int32](repeating: -1, count: Self.buckets)
    }

    /// How many blocks hold something.
    var usedBlocks: Int {
        streams.reduce(0) { $1.isUsed ? $0 + Int($1.low.count) + Int($1.high.count) : $0 }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

/// Whether a queue may have been full. The kernel tells of packets that it dropped, and not of those that it passed
/// because the queue fails open.
///
/// Where the socket buffer was full a serial number is missing. A full queue leaves no gap; but it can only have been full
/// if, since it was last seen empty, as many packets came as it holds. So this may say yes where there was room, and
/// never no where there was none.
struct QueueFilling {
    private let length: Int
    private var lastID: UInt32?
    /// Packets that came since the queue was last seen empty, with those that were not settled then.
    private var waiting = 0
    private var hasOverflowed = false

    init(length: Int) { self.length = length }

    /// A batch was received while `held` earlier packets were not settled.
    mutating func note(batch count: Int, held: Int) {
        waiting += count
        if waiting + held >= length { hasOverflowed = true }
        // A batch that is not full met the queue's end; its own packets wait until they are settled.
        if count < QueueFilling.batch { waiting = count }
    }

    /// The next packet's serial number.
    @inline(__always)
    mutating func note(_ id: UInt32) {
        if let lastID, id != lastID &+ 1 { hasOverflowed = true }
        lastID = id
    }

    mutating func takeOverflow() -> Bool {
        defer { hasOverflowed = false }
        return hasOverflowed
    }

    /// Packets of a full batch: `PRQ_BATCH`.
    static let batch = 32
}

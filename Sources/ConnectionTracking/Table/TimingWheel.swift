// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// A ring of slots of about a quarter second each, by which a table finds the entries whose time may have come (Varghese
/// and Lauck, "Hashed and hierarchical timing wheels", 1987, scheme 6).
///
/// A slot that fires only means "look at these entries": one that was seen since is placed again, one whose deadline lies
/// beyond the ring's round is placed as far away as the ring reaches. So an entry is touched here when its deadline
/// becomes earlier, never because a packet arrived; and a clock that jumps costs a round of looking, never an error.
struct TimingWheel {
    /// A tick is 2^28 ns, 0.27 s; the ring's round is 18 minutes.
    private static let tickShift: Int64 = 28
    private static let slotCount: Int64 = 4096

    static var memory: Int { Int(slotCount) * MemoryLayout<Int32>.stride }

    /// The first entry of each slot, or -1; the links of the lists live in the owner's entries.
    private(set) var heads = [Int32](repeating: -1, count: Int(slotCount))
    /// The last tick whose slot was emptied.
    private var cursor: Int64 = 0

    init() {}

    subscript(slot: UInt16) -> Int32 {
        get { heads[Int(slot)] }
        set { heads[Int(slot)] = newValue }
    }

    private static func tick(_ instant: Instant) -> Int64 { instant.nanoseconds >> tickShift }

    /// Ticks from the cursor to the slot in which this deadline is certainly over, within the ring.
    @inline(__always)
    func distance(to deadline: Instant) -> Int64 {
        let ticks = Self.tick(deadline) &+ 1 &- cursor
        return max(1, min(ticks, Self.slotCount - 1))
    }

    @inline(__always)
    func distance(toSlot slot: UInt16) -> Int64 { (Int64(slot) &- cursor) & (Self.slotCount - 1) }

    @inline(__always)
    func slot(at distance: Int64) -> UInt16 {
        UInt16(truncatingIfNeeded: (cursor &+ distance) & (Self.slotCount - 1))
    }

    /// The slot to be emptied next.
    var dueSlot: UInt16 { slot(at: 1) }

    func isBehind(_ now: Instant) -> Bool { cursor < Self.tick(now) }

    mutating func advance() { cursor &+= 1 }

    /// For an empty wheel: the present is now.
    mutating func start(at now: Instant) { cursor = Self.tick(now) }

    /// Never more than one round behind, and never ahead of a clock that was set back.
    mutating func catchUp(to now: Instant) {
        let tick = Self.tick(now)
        if cursor > tick { cursor = tick }
        if tick &- cursor > Self.slotCount { cursor = tick &- Self.slotCount }
    }
}

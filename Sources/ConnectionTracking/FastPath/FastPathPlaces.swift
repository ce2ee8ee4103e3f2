// SPDX-License-Identifier: GPL-3.0-or-later

import CFastPath
import PacketWire

/// What the maps in the kernel have to be told.
public enum FastPathChange: Sendable, BitwiseCopyable {
    /// Packets of this flow are held against the state in a place, as long as that has this generation.
    case put(ConnectionKey, place: UInt32, generation: UInt32)
    case remove(ConnectionKey)
}

/// Which places of one worker's shared memory hold whose state.
///
/// A flow leaves the fast path by one store into its place; that the kernel's hash forgets its key may wait. What a processor has
/// in hand at that moment goes on and may still write. So the connection goes on taking up what stands in the place, and no other
/// flow gets the place for a while: those that were freed stand in a queue, the oldest first.
public struct FastPathPlaces: Sendable {
    /// Longer than a packet is in the program's hands.
    private static let quarantine = Instant.Span.seconds(2)
    /// Changes that wait for the kernel beyond which no further flow is put there.
    private static let mostChanges = 1024

    let memory: FastPathMemory?
    /// Places that were never used are from here on.
    private(set) var used: Int32 = 0
    /// By place: the connection whose state it holds or held last, or -1, or a bypassed flow (`BypassedFlows.holder`); and the
    /// generation by which it is open, or 0.
    private var holders: [ConnectionIndex] = []
    private var generations: [UInt32] = []
    /// By place: when it was left last.
    private var leftAt: [Int64] = []
    /// The queue of the freed.
    private var freed: [Int32] = []
    private var firstFreed = 0
    private var freedCount = 0
    private var latestGeneration: UInt32 = 0
    public private(set) var changes: [FastPathChange] = []

    var epoch: UInt32 = 0
    /// The latest time that it was told.
    private var clock = Instant(nanoseconds: .min)
    /// Where the walk that takes up what was counted goes on, and when it last did.
    var walkPosition: Int32 = 0
    var walkedAt = Instant(nanoseconds: 0)
    public internal(set) var counts = FastPathCounts()

    /// None: nothing takes the fast path.
    public init() { memory = nil }

    /// - Parameters:
    ///   - memory: where states are kept; nothing in it is in use.
    ///   - generation: of places; those of runs before should be others.
    public init(_ memory: FastPathMemory, generation: UInt32) {
        self.memory = memory
        latestGeneration = generation
        holders = Array(repeating: -1, count: memory.count)
        generations = Array(repeating: 0, count: memory.count)
        freed = Array(repeating: 0, count: memory.count)
        leftAt = Array(repeating: .min / 2, count: memory.count)
        changes.reserveCapacity(2 * Self.mostChanges)
    }

    public var isOn: Bool { memory != nil }

    func isOpen(_ place: Int32) -> Bool { generations[Int(place)] != 0 }
    func holder(of place: Int32) -> ConnectionIndex { holders[Int(place)] }
    mutating func setHolder(of place: Int32, _ index: ConnectionIndex) { holders[Int(place)] = index }

    /// A place for a flow, which somebody may still read; nil where there is none to be had now.
    mutating func take(at now: Instant) -> Int32? {
        guard let memory, changes.count < Self.mostChanges else { return nil }
        note(now)
        if Int(used) < memory.count {
            used += 1
            return used - 1
        }
        guard freedCount > 0, isSettled(freed[firstFreed], at: now) else { return nil }
        let place = freed[firstFreed]
        firstFreed = (firstFreed + 1) % freed.count
        freedCount -= 1
        return place
    }

    /// Puts a flow's state into a place that was taken for it.
    mutating func begin(_ place: Int32, _ state: FastPathState, _ key: ConnectionKey, holder: ConnectionIndex) {
        guard let memory else { return }
        latestGeneration = latestGeneration == .max ? 1 : latestGeneration + 1
        var state = state
        state.flow.generation = latestGeneration
        state.flow.epoch = epoch
        state.flow.owner = memory.owner
        memory.begin(place, state)
        holders[Int(place)] = holder
        generations[Int(place)] = latestGeneration
        counts.flows += 1
        changes.append(.put(key, place: memory.first + UInt32(place), generation: latestGeneration))
    }

    /// No packet of the flow passes any more.
    mutating func end(_ place: Int32, _ key: ConnectionKey) {
        guard let memory, isOpen(place) else { return }
        memory.end(place)
        generations[Int(place)] = 0
        let last = (firstFreed + freedCount) % freed.count
        freed[last] = place
        leftAt[Int(place)] = clock.nanoseconds
        freedCount += 1
        counts.flows -= 1
        changes.append(.remove(key))
    }

    /// Whether a place that was left is left by every processor too: nothing that passes moves its bounds any more.
    func isSettled(_ place: Int32, at now: Instant) -> Bool {
        now.nanoseconds &- leftAt[Int(place)] >= Self.quarantine.nanoseconds
    }

    /// To be called between batches too.
    mutating func note(_ now: Instant) { if now > clock { clock = now } }

    public mutating func removeChanges() { changes.removeAll(keepingCapacity: true) }
}

/// What one worker counts of its fast path.
public struct FastPathCounts: Sendable, BitwiseCopyable {
    /// Flows that are on it now.
    public var flows: UInt64 = 0
    /// Those among them that a Bypass rule lets by, which are no connections.
    public var bypassed: UInt64 = 0
    /// Flows that came to it ever.
    public var admitted: UInt64 = 0
    /// Packets that passed there, and their bytes from the IP header on.
    public var packets: UInt64 = 0
    public var bytes: UInt64 = 0
    /// Times that a flow was left to the queue for want of a place.
    public var full: UInt64 = 0
    public init() {}
}

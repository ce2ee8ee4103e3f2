// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Flows that pass in the kernel because a Bypass rule with `offload` lets them by. They are no connections: all that is known of one is
/// where it stands there, and by whose decision.
///
/// What always holds:
/// - *Rigid.* Room is reserved once, for half of the worker's places at most: connections have the other half.
/// - *Not for the asking.* A flow comes here with its second packet, so that datagrams whose sources are made up take no room.
struct BypassedFlows: Sendable {
    /// One flow; `place` is -1 for an entry that nothing uses.
    struct Flow: Sendable, BitwiseCopyable {
        let key: ConnectionKey
        fileprivate let hash: UInt32
        /// The next of its bucket, or of the vacant entries.
        fileprivate var next: Int32 = -1
        fileprivate(set) var place: Int32
        /// When a packet of it came to the queue last, or was found to have passed in the kernel.
        var lastSeen: Instant
        /// One of its sides has begun the end.
        var isEnding = false
        var decisionOfLow = CachedRuleDecision()
        var decisionOfHigh = CachedRuleDecision()

        fileprivate init(key: ConnectionKey, hash: UInt32, place: Int32, lastSeen: Instant) {
            self.key = key
            self.hash = hash
            self.place = place
            self.lastSeen = lastSeen
        }

        /// Whether one of its sides was let there in this generation.
        func isDecided(in generation: UInt32) -> Bool {
            decisionOfLow.generation == generation || decisionOfHigh.generation == generation
        }

        subscript(decisionOf side: Side) -> CachedRuleDecision {
            get { side == .low ? decisionOfLow : decisionOfHigh }
            set { if side == .low { decisionOfLow = newValue } else { decisionOfHigh = newValue } }
        }
    }

    /// Sides of flows of which one packet was seen, by their hash; others take their places.
    private static let remembered = 1 << 12

    private var flows: [Flow] = []
    private var buckets: [Int32] = []
    private var vacant: Int32 = -1
    private var seen: [UInt32] = []
    private let capacity: Int
    private(set) var count = 0

    /// - Parameter places: how many the worker has.
    init(places: Int = 0) {
        capacity = places / 2
        guard capacity > 0 else { return }
        flows.reserveCapacity(capacity)
        var width = 1
        while width < capacity { width <<= 1 }
        buckets = Array(repeating: -1, count: width)
        seen = Array(repeating: 0, count: Self.remembered)
    }

    subscript(flow: Int32) -> Flow {
        get { flows.span[Int(flow)] }
        _modify {
            var span = flows.mutableSpan
            yield &span[Int(flow)]
        }
    }

    /// How `FastPathPlaces` tells its holders from connections, which count from 0; -1 is nobody.
    static func holder(of flow: Int32) -> ConnectionIndex { -2 - flow }

    /// The flow that holds a place, as its entry says too; nil where it is none of these.
    func flow(heldBy holder: ConnectionIndex, place: Int32) -> Int32? {
        let flow = -2 - holder
        guard holder <= -2, Int(flow) < flows.count, flows.span[Int(flow)].place == place else { return nil }
        return flow
    }

    func find(_ key: ConnectionKey, hash: UInt32) -> Int32? {
        guard count > 0 else { return nil }
        let flows = flows.span
        var flow = buckets[bucket(of: hash)]
        while flow >= 0 {
            if flows[Int(flow)].hash == hash, flows[Int(flow)].key.isSame(as: key) { return flow }
            flow = flows[Int(flow)].next
        }
        return nil
    }

    /// Whether a packet of this side was seen before; from now on it was.
    mutating func isSeenAgain(_ hash: UInt32, _ side: Side) -> Bool {
        // Never 0.
        let mark = hash & ~3 | (side == .low ? 1 : 2)
        let at = Int((hash >> 2) % UInt32(Self.remembered))
        let isSeen = seen[at] == mark
        seen[at] = mark
        return isSeen
    }

    var isFull: Bool { vacant < 0 && flows.count >= capacity }

    /// An entry for a flow that has none; nil where there is no room.
    mutating func insert(_ key: ConnectionKey, hash: UInt32, place: Int32, at now: Instant) -> Int32? {
        var flow = Flow(key: key, hash: hash, place: place, lastSeen: now)
        let bucket = bucket(of: hash)
        let index: Int32
        if vacant >= 0 {
            index = vacant
            vacant = flows[Int(index)].next
            flow.next = buckets[bucket]
            flows[Int(index)] = flow
        } else {
            guard flows.count < capacity else { return nil }
            index = Int32(flows.count)
            flow.next = buckets[bucket]
            flows.append(flow)
        }
        buckets[bucket] = index
        count += 1
        return index
    }

    mutating func remove(_ flow: Int32) {
        let bucket = bucket(of: flows[Int(flow)].hash)
        let next = flows[Int(flow)].next
        if buckets[bucket] == flow {
            buckets[bucket] = next
        } else {
            var previous = buckets[bucket]
            while previous >= 0, flows[Int(previous)].next != flow { previous = flows[Int(previous)].next }
            if previous >= 0 { flows[Int(previous)].next = next }
        }
        flows[Int(flow)].place = -1
        flows[Int(flow)].next = vacant
        vacant = flow
        count -= 1
    }

    private func bucket(of hash: UInt32) -> Int { Int(hash) & (buckets.count - 1) }
}

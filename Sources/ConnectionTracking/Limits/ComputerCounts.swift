// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// How many concurrent TCP connections each remote computer has, for a part of all computers: one shard of
/// `SharedLimits`, which guards it with a lock.
///
/// A record exists while something is counted for its computer, so there are never more records than counted
/// connections: a flood of spoofed sources cannot grow it past the TCP table limit. Storage is reserved once.
struct ComputerCounts: Sendable {
    /// What one connection counts as.
    struct Kinds: OptionSet, BitwiseCopyable {
        var rawValue: UInt8
        static let incoming = Kinds(rawValue: 1)
        static let outgoing = Kinds(rawValue: 2)
        static let halfOpen = Kinds(rawValue: 4)
    }

    private struct Record: BitwiseCopyable {
        var computer: RemoteComputer
        var hash: UInt32
        /// Next record of the bucket's chain, or of the vacant ones.
        var next: Int32 = -1
        var incoming: UInt32 = 0
        var outgoing: UInt32 = 0
        var halfOpen: UInt32 = 0

        mutating func add(_ kinds: Kinds) {
            if kinds.contains(.incoming) { incoming += 1 }
            if kinds.contains(.outgoing) { outgoing += 1 }
            if kinds.contains(.halfOpen) { halfOpen += 1 }
        }

        mutating func subtract(_ kinds: Kinds) {
            if kinds.contains(.incoming), incoming > 0 { incoming -= 1 }
            if kinds.contains(.outgoing), outgoing > 0 { outgoing -= 1 }
            if kinds.contains(.halfOpen), halfOpen > 0 { halfOpen -= 1 }
        }

        var isEmpty: Bool { incoming == 0 && outgoing == 0 && halfOpen == 0 }
    }

    /// The round of counting; 0 while nothing is counted.
    private(set) var generation: UInt16 = 0
    private var records: [Record] = []
    private var buckets = HashBuckets(limit: 2)
    private var capacity = 0
    private var inUse = 0
    private var vacant: Int32 = -1

    init() {}

    /// A record and its bucket; there are never more than connections.
    static var bytesPerRecord: Int { MemoryLayout<Record>.stride + MemoryLayout<Int32>.stride }

    /// Forgets everything and begins a round of counting with room for `capacity` computers.
    mutating func begin(generation: UInt16, capacity: Int) {
        self = ComputerCounts()
        self.generation = generation
        self.capacity = capacity
        records.reserveCapacity(capacity)
        buckets = HashBuckets(limit: capacity)
    }

    /// Makes room for more computers; what is counted stays.
    mutating func raise(capacity: Int) {
        guard capacity > self.capacity else { return }
        self.capacity = capacity
        records.reserveCapacity(capacity)
    }

    /// Counts without asking. False: no room.
    mutating func count(_ kinds: Kinds, of computer: HashedComputer) -> Bool {
        guard let record = find(computer) ?? make(computer) else { return false }
        records[record].add(kinds)
        return true
    }

    mutating func release(_ kinds: Kinds, of computer: HashedComputer) {
        guard let record = find(computer) else { return }
        records[record].subtract(kinds)
        if records[record].isEmpty { remove(record) }
    }

    /// The kinds of which the computer already has as many as its limit says.
    func exhausted(_ computer: HashedComputer, limits: ComputerLimits) -> Kinds {
        let record = find(computer).map { records[$0] }
        var kinds: Kinds = []
        if let limit = limits.incoming, record?.incoming ?? 0 >= limit { kinds.insert(.incoming) }
        if let limit = limits.outgoing, record?.outgoing ?? 0 >= limit { kinds.insert(.outgoing) }
        if let limit = limits.halfOpen, record?.halfOpen ?? 0 >= limit { kinds.insert(.halfOpen) }
        return kinds
    }

    func standing(of computer: HashedComputer) -> ComputerStanding? {
        find(computer).map { index in
            let record = records[index]
            return ComputerStanding(
                address: record.computer.address, version: record.computer.version, incoming: record.incoming,
                outgoing: record.outgoing, halfOpen: record.halfOpen)
        }
    }

    /// Sets what is counted for a computer, where there is room for it.
    mutating func assume(_ standing: ComputerStanding, of computer: HashedComputer) {
        guard let index = find(computer) ?? make(computer) else { return }
        records[index].incoming = standing.incoming
        records[index].outgoing = standing.outgoing
        records[index].halfOpen = standing.halfOpen
    }

    /// How many computers have something counted.
    var computers: Int { inUse }
}

/// A remote computer: its address, and the IP version that keeps ::ffff:192.0.2.1 and 192.0.2.1 apart.
struct RemoteComputer: Equatable, BitwiseCopyable {
    var address: IPAddress
    var version: UInt8
}

/// A remote computer with its keyed hash.
struct HashedComputer: BitwiseCopyable {
    var computer: RemoteComputer
    var hash: UInt32

    init(_ computer: RemoteComputer, seed: (UInt64, UInt64)) {
        self.computer = computer
        var sip = SipHash(seed: seed)
        sip.absorb(computer.address.high)
        sip.absorb(computer.address.low)
        sip.absorb(UInt64(computer.version))
        hash = UInt32(truncatingIfNeeded: sip.finish())
    }
}

extension ConnectionKey {
    /// The computer that the per-computer limits count: the opener of an incoming connection, the target of an outgoing one.
    func computer(opener: Side, direction: Direction) -> RemoteComputer {
        RemoteComputer(address: address(of: direction == .incoming ? opener : opener.opposite), version: version)
    }
}

extension Connection {
    var computer: RemoteComputer { key.computer(opener: opener, direction: openingDirection) }
}

extension ComputerCounts {
    private func find(_ computer: HashedComputer) -> Int? {
        var index = buckets[buckets.index(of: computer.hash)]
        while index >= 0 {
            let record = records[Int(index)]
            if record.hash == computer.hash, record.computer == computer.computer { return Int(index) }
            index = record.next
        }
        return nil
    }

    private mutating func make(_ computer: HashedComputer) -> Int? {
        let record = Record(computer: computer.computer, hash: computer.hash)
        let index: Int
        if vacant >= 0 {
            index = Int(vacant)
            vacant = records[index].next
            records[index] = record
        } else if records.count < capacity {
            index = records.count
            records.append(record)
        } else {
            return nil
        }
        link(index)
        inUse += 1
        if buckets.canGrow, buckets.count < inUse { split() }
        return index
    }

    private mutating func remove(_ index: Int) {
        let bucket = buckets.index(of: records[index].hash)
        if buckets[bucket] == Int32(truncatingIfNeeded: index) {
            buckets[bucket] = records[index].next
        } else {
            var previous = Int(buckets[bucket])
            while records[previous].next != Int32(truncatingIfNeeded: index) { previous = Int(records[previous].next) }
            records[previous].next = records[index].next
        }
        records[index].next = vacant
        vacant = Int32(truncatingIfNeeded: index)
        inUse -= 1
    }

    private mutating func link(_ index: Int) {
        let bucket = buckets.index(of: records[index].hash)
        records[index].next = buckets[bucket]
        buckets[bucket] = Int32(truncatingIfNeeded: index)
    }

    private mutating func split() {
        let bucket = buckets.grow()
        var index = buckets[bucket]
        buckets[bucket] = -1
        while index >= 0 {
            let next = records[Int(index)].next
            link(Int(index))
            index = next
        }
    }
}

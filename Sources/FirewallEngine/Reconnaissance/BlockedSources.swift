// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
public import PacketWire

/// An address, and the IP version that keeps ::ffff:192.0.2.1 and 192.0.2.1 apart.
public struct BlockedAddress: Hashable, Sendable, BitwiseCopyable {
    public let address: IPAddress
    /// 4 or 6.
    public let version: UInt8

    public init(_ address: IPAddress, version: UInt8) {
        self.address = address
        self.version = version
    }
}

/// One source that is blocked.
public struct SourceBlock: Sendable, BitwiseCopyable {
    public var source: BlockedAddress
    public var until: Instant
    /// By reconnaissance detection, and not by an administrator.
    public var isOfScanner: Bool

    public init(_ source: BlockedAddress, until: Instant, isOfScanner: Bool) {
        self.source = source
        self.until = until
        self.isOfScanner = isOfScanner
    }
}

/// The sources of which every packet is dropped, as the agent has given them to one worker: a table that is made whole and then
/// only looked at.
public struct BlockedSources: Sendable {
    /// As many as there can be.
    public static let capacity = 4096

    /// Bytes, where all places are taken; the workers share them.
    static var memory: Int { capacity * (MemoryLayout<SourceBlock>.stride + 2 * MemoryLayout<UInt16>.stride) }

    private var blocks: [SourceBlock] = []
    /// Index of a block plus one; 0 ends a search.
    private var places: [UInt16] = []
    private var seed: (UInt64, UInt64) = (0, 0)
    /// When the last of them is over.
    let lastEnd: Instant

    public init() { lastEnd = Instant(nanoseconds: .min) }

    /// Of more than `capacity`, those behind are left out.
    public init(_ list: [SourceBlock], seed: (UInt64, UInt64)) {
        blocks = Array(list.prefix(Self.capacity))
        self.seed = seed
        lastEnd = blocks.map(\.until).max() ?? Instant(nanoseconds: .min)
        places = [UInt16](repeating: 0, count: blocks.isEmpty ? 0 : 2 * Self.capacity)
        for (index, block) in blocks.enumerated() {
            var place = place(of: block.source.address)
            while places[place] != 0 { place = (place + 1) % places.count }
            places[place] = UInt16(index + 1)
        }
    }

    /// The block of a source that holds now.
    func find(_ address: IPAddress, version: UInt8, at now: Instant) -> SourceBlock? {
        guard now < lastEnd else { return nil }
        var place = place(of: address)
        while places[place] != 0 {
            let block = blocks[Int(places[place]) - 1]
            if block.source.version == version, block.source.address.isSame(as: address) {
                return now < block.until ? block : nil
            }
            place = (place + 1) % places.count
        }
        return nil
    }

    private func place(of address: IPAddress) -> Int {
        var hash = SipHash(seed: seed)
        hash.absorb(address.high)
        hash.absorb(address.low)
        return Int(hash.finish() % UInt64(2 * Self.capacity))
    }
}

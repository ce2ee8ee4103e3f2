// SPDX-License-Identifier: GPL-3.0-or-later

import Locking
public import PacketWire
import Synchronization

/// How many connections are counted for one remote computer.
public struct ComputerStanding: Hashable, Sendable {
    public var address: IPAddress
    /// 4 or 6.
    public var version: UInt8
    public var incoming: UInt32
    public var outgoing: UInt32
    public var halfOpen: UInt32

    public init(address: IPAddress, version: UInt8, incoming: UInt32, outgoing: UInt32, halfOpen: UInt32) {
        self.address = address
        self.version = version
        self.incoming = incoming
        self.outgoing = outgoing
        self.halfOpen = halfOpen
    }
}

/// For a table of one's own that is to refuse what these limits refuse.
extension SharedLimits {
    /// What is counted for a computer; nil while no limit per computer is set, and where nothing is counted for it.
    public func standing(of address: IPAddress, version: UInt8) -> ComputerStanding? {
        guard generation != 0 else { return nil }
        return shard(of: RemoteComputer(address: address, version: version)) { $0.standing(of: $1) }
    }

    /// Counts so many for a computer, whatever was counted for it before.
    public func assume(_ standing: ComputerStanding) {
        guard generation != 0 else { return }
        shard(of: RemoteComputer(address: standing.address, version: standing.version)) { $0.assume(standing, of: $1) }
    }

    /// How many connections are half-open in all.
    public var halfOpen: UInt32 { halfOpenTotal.load(ordering: .relaxed) }

    /// Counts so many as half-open in all, whatever was counted before.
    public func assume(halfOpen: UInt32) { halfOpenTotal.store(halfOpen, ordering: .relaxed) }

    /// Leaves no room in the total of a protocol.
    public func fill(_ kind: TrackedProtocol) {
        totals[Int(kind.rawValue)].store(limit(of: kind), ordering: .relaxed)
    }
}

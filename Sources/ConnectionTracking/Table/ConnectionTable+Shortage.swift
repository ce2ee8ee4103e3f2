// SPDX-License-Identifier: GPL-3.0-or-later

/// All that keeps a connection from being opened.
public struct OpeningShortage: OptionSet, Sendable, BitwiseCopyable {
    public var rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// The remote computer is at its limit of incoming, of outgoing, of half-open connections.
    public static let incoming = OpeningShortage(rawValue: 1)
    public static let outgoing = OpeningShortage(rawValue: 2)
    public static let halfOpen = OpeningShortage(rawValue: 4)
    /// So many connections are half-open as may be in all.
    public static let halfOpenInAll = OpeningShortage(rawValue: 16)
    /// The table of its protocol is full.
    public static let room = OpeningShortage(rawValue: 8)
    /// The memory of all tables is in use.
    public static let memory = OpeningShortage(rawValue: 32)
}

extension ConnectionTable {
    /// What `insert` would want for, all of it at once; takes nothing and gives nothing up. Where the connection `replaces`
    /// one that is over, only the limits per computer are asked.
    public mutating func shortage(for connection: Connection, replaces: Bool) -> OpeningShortage {
        var shortage: OpeningShortage = []
        let kinds = connection.counted(in: connection.stage)
        let generation = shared.generation
        if generation != 0, connection.tcp.phase.isHalfOpen {
            let exhausted = shared.exhausted(kinds, of: connection.computer, generation: generation)
            if exhausted.contains(.incoming) { shortage.insert(.incoming) }
            if exhausted.contains(.outgoing) { shortage.insert(.outgoing) }
            if exhausted.contains(.halfOpen) { shortage.insert(.halfOpen) }
        }
        if connection.tcp.phase.isHalfOpen, connection.countsHalfOpen, shared.hasNoMoreHalfOpen {
            shortage.insert(.halfOpenInAll)
        }
        let kind = connection.key.trackedProtocol
        if replaces { return shortage }
        if !hasRoom(for: kind) { shortage.insert(.room) }
        if lacksMemory, expendable() < 0 { shortage.insert(.memory) }
        return shortage
    }

    /// Whether a new connection of this protocol finds a place, be it that of one that can be given up.
    public mutating func hasRoom(for kind: TrackedProtocol) -> Bool {
        (vacant >= 0 || entries.count < capacity) && shared.hasRoom(kind, holding: held[Int(kind.rawValue)])
            || canMakeRoom(for: kind)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

/// What the places of this table cost, and who pays (`SharedLimits+Memory`).
extension ConnectionTable {
    /// Places that are paid for together: fewer payments, and a table of a few connections costs little more than they.
    private static var placesAtOnce: Int { 64 }

    /// Bytes of a table without connections: its wheel, and what is told of those that were forgotten.
    public static var memoryOfNone: Int {
        TimingWheel.memory + ForgottenConnections.capacity * MemoryLayout<Connection?>.stride
    }

    /// What is kept for one place now.
    var bytesPerPlace: UInt64 {
        UInt64(
            Self.bytesPerConnection + (countsACKs ? MemoryLayout<ConnectionACKs>.stride : 0)
                + (log.isOn ? MemoryLayout<ConnectionLog.Opening>.stride : 0))
            + (shared.generation == 0 ? 0 : UInt64(ComputerCounts.bytesPerRecord))
    }

    /// Whether a place is vacant, or another one is paid for and reserved.
    var hasPlace: Bool { vacant >= 0 || (entries.count < capacity && entries.count < paidPlaces) }

    /// Pays for more places where all that there are are taken; false: there is no memory for them.
    mutating func payForPlaces() -> Bool {
        guard vacant < 0, entries.count < capacity, entries.count >= paidPlaces else { return true }
        let bytes = UInt64(Self.placesAtOnce) * bytesPerPlace
        guard shared.payMemory(bytes, having: paidBytes) else { return false }
        paidPlaces += Self.placesAtOnce
        paidBytes += bytes
        return true
    }

    /// Whether another connection would find no place for want of memory.
    public var lacksMemory: Bool {
        vacant < 0 && entries.count < capacity && entries.count >= paidPlaces
            && !shared.hasMemory(UInt64(Self.placesAtOnce) * bytesPerPlace, having: paidBytes)
    }

    /// Whether nothing here can be given up.
    public var isWithoutSpare: Bool { expendable() < 0 }

    /// Leaves no memory for one more connection.
    public mutating func assumeNoMemory() {
        shared.setMemory(limit: 0, fixed: 0)
        refund(keeping: entries.count)
    }

    /// Pays for what is kept for each place, where a policy has changed that.
    mutating func repay() {
        let due = UInt64(paidPlaces) * bytesPerPlace
        if due > paidBytes { shared.addMemory(due - paidBytes) } else { shared.giveMemory(paidBytes - due) }
        paidBytes = due
    }

    /// Places behind these were given back.
    mutating func refund(keeping places: Int) {
        guard places < paidPlaces else { return }
        paidPlaces = places
        repay()
    }
}

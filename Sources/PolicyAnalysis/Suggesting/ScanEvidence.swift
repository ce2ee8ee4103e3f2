// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// The evidence for and against a source's being a scanner, from all that it has tried: the sequential hypothesis test of
/// reconnaissance (`Suspect` of FirewallEngine), with the numbers that it has there, over distinct targets instead of over time, so
/// that the order in which they are told of does not matter.
///
/// Five new targets that were not there move the likelihood ratio of "scanner" and "benign" by a factor of four, five that were move
/// it back; from four to the power of four on it is a scanner. Its targets have to be many ports at few addresses or many addresses
/// at few ports. Where it is not known whether a target was there, because the firewall was in the way, it counts as missing only of
/// who tries many ports at few addresses: who asks many addresses for one service may have to.
package struct ScanEvidence: Sendable {
    package private(set) var tried = 0
    package private(set) var present = 0
    package private(set) var missing = 0
    private(set) var unknown = 0
    /// Tried for so long that it is no scan's way.
    private var persistent = 0
    private var addresses: Set<IPAddressAndFamily> = []
    private var services: Set<Attempt.Service> = []
    /// How often the agent told of it as scanning.
    package private(set) var notices: UInt64 = 0

    private static let bin = 5
    private static let powerOfScanner = 4
    private static let ratio = 3

    private struct IPAddressAndFamily: Hashable {
        let high: UInt64
        let low: UInt64
        let isIPv6: Bool
    }

    init(notices: UInt64) { self.notices = notices }

    mutating func add(_ attempt: Attempt, _ outcome: AttemptOutcome, isPersistent: Bool) {
        tried += 1
        addresses.insert(
            IPAddressAndFamily(
                high: attempt.destination.high, low: attempt.destination.low, isIPv6: attempt.isIPv6))
        services.insert(attempt.service)
        if outcome >= .listening {
            present += 1
        } else if outcome == .unknown {
            // Whoever tries all ports of a computer behind this one, again and again, monitors nothing: persistence excuses only what
            // no rule would be made for.
            unknown += 1
        } else if isPersistent {
            persistent += 1
        } else {
            missing += 1
        }
    }

    package var addressCount: Int { addresses.count }
    package var serviceCount: Int { services.count }

    private var isVertical: Bool { services.count >= Self.ratio * addresses.count }
    private var isHorizontal: Bool { addresses.count >= Self.ratio * services.count }

    /// Targets that were not there.
    package var failed: Int { missing + (isVertical ? unknown : 0) }

    /// The exponent of the likelihood ratio, of which the base is four. What the agent itself has told of counts as much as makes a
    /// scanner; it may have been sent in another's name, and what this source has used speaks against it.
    package var power: Int {
        let own = (failed - present) / Self.bin
        return own + (notices > 0 ? Self.powerOfScanner : 0)
    }

    package var isScanner: Bool {
        guard power >= Self.powerOfScanner else { return false }
        if notices > 0 { return failed >= present }
        return isVertical || isHorizontal
    }
}

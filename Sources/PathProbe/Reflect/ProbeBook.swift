// SPDX-License-Identifier: GPL-3.0-or-later

internal import Glibc

/// What a lease knows about the probes of one session.
struct ProbeBook {
    let key: SecretKey
    private(set) var records: [WitnessRecord] = []
    /// Attempts of each probe that were answered, a bit each.
    private var answered: [UInt16] = []

    init(key: SecretKey) { self.key = key }

    mutating func grow(to count: Int) {
        guard count > records.count else { return }
        answered += [UInt16](repeating: 0, count: count - records.count)
        records += [WitnessRecord](repeating: WitnessRecord(), count: count - records.count)
    }

    /// True the first time; a repetition is noted.
    mutating func claim(_ probe: Int, _ attempt: UInt32) -> Bool {
        guard records.indices.contains(probe) else { return false }
        let bit: UInt16 = 1 << UInt16(attempt)
        guard answered[probe] & bit == 0 else {
            records[probe].marks.insert(.repeated)
            return false
        }
        answered[probe] |= bit
        return true
    }

    mutating func note(_ probe: Int, _ change: (inout WitnessRecord) -> Void) {
        guard records.indices.contains(probe) else { return }
        change(&records[probe])
    }
}

/// Sessions without a control channel. Both sides make the keys from the pre-shared key and the bytes of the plan; a scan
/// chooses its number, whose upper half is the time, so that what was recorded earlier is not answered later.
package struct OfflineSessions: Sendable {
    /// For what all sessions of the plan have in common.
    package let planKey: SecretKey
    private let start: UInt64

    /// Sessions that one reflector serves.
    static let most = 16
    /// How far the clocks of both sides may be apart.
    private static let clockSkew: UInt64 = 300

    package init(_ key: SecretKey, plan: [UInt8]) {
        planKey = key.derived(for: "portreeve offline", SHA256.digest(plan))
        start = Self.now
    }

    private static var now: UInt64 { UInt64(time(nil)) }

    /// A new session for a scan.
    package func begin() throws(SystemFault) -> (number: UInt64, key: SecretKey) {
        let number = Self.now << 32 | UInt64(try randomBytes(4).bigEndian(at: 0, as: UInt32.self))
        return (number, sessionKey(number))
    }

    /// Nil for a session of another time.
    func key(of session: UInt64) -> SecretKey? {
        let second = session >> 32
        guard second + Self.clockSkew >= start, second <= Self.now + Self.clockSkew else { return nil }
        return sessionKey(session)
    }

    private func sessionKey(_ session: UInt64) -> SecretKey {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: session)
        return planKey.derived(for: "portreeve session", bytes)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

/// What tells an exact duplicate from a fragment that brings other bytes to the same place (RFC 5722, RFC 8200 section 4.5):
/// for each record the keyed digests of its fragments, in the order in which they came, with the unit at which each starts.
///
/// Where a datagram comes in more fragments than any path cuts one into, the digests of the rest are not kept: one of those
/// that comes again is not known to be the same, and counts as other bytes.
struct FragmentDigests: Sendable {
    /// 65,535 bytes over the smallest MTU in use, 296 of slow serial lines (RFC 1144 section 5.2), are 241 fragments.
    private static let perRecord = 256
    static var bytesPerRecord: Int { perRecord * (MemoryLayout<UInt32>.stride + MemoryLayout<UInt16>.stride) }

    /// Of bytes that the copy range or the snap length cut off.
    static let unknown: UInt32 = 0

    private var digests: [UInt32] = []
    private var starts: [UInt16] = []

    /// Memory for a record is reserved here and touched when the record is first used.
    mutating func reserve(records: Int) {
        digests.reserveCapacity(records * Self.perRecord)
        starts.reserveCapacity(records * Self.perRecord)
    }

    /// Makes the record one beyond those used so far usable.
    mutating func appendRecord() {
        for _ in 0..<Self.perRecord {
            digests.append(0)
            starts.append(0)
        }
    }

    /// Keeps the digest of the fragment that starts at this unit; `number` fragments of the record came before it.
    mutating func keep(_ digest: UInt32, at unit: Int, after number: Int, in record: Int) {
        guard number < Self.perRecord else { return }
        digests[record * Self.perRecord + number] = digest
        starts[record * Self.perRecord + number] = UInt16(truncatingIfNeeded: unit)
    }

    /// Whether the fragment that starts at this unit, one of the first `count` of the record, has this digest, as far as
    /// that is known of both.
    func has(_ digest: UInt32, at unit: Int, among count: Int, in record: Int) -> Bool {
        let first = record * Self.perRecord
        for place in first..<first + min(count, Self.perRecord) where Int(starts[place]) == unit {
            return digests[place] == digest || digest == Self.unknown || digests[place] == Self.unknown
        }
        return false
    }
}

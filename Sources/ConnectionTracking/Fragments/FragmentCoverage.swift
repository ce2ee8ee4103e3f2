// SPDX-License-Identifier: GPL-3.0-or-later

/// Which parts of the datagrams of a tracker were seen: two maps of 8,192 bits for each record, one bit per eight bytes of
/// payload: which units are covered, and at which a fragment starts.
///
/// So a record is exact for any way to cut 65,535 bytes into fragments, and its size (2 KiB) does not depend on how a
/// sender cuts them.
struct FragmentCoverage: Sendable {
    private static let wordsPerMap = 128
    private static let wordsPerRecord = 2 * wordsPerMap
    static var bytesPerRecord: Int { wordsPerRecord * MemoryLayout<UInt64>.stride }
    private static let unitsPerMap = wordsPerMap * 64

    private var words: [UInt64] = []

    /// Memory for a record is reserved here and touched when the record is first used.
    mutating func reserve(records: Int) { words.reserveCapacity(records * Self.wordsPerRecord) }

    /// Makes the record one beyond those used so far usable.
    mutating func appendRecord() { for _ in 0..<Self.wordsPerRecord { words.append(0) } }

    /// Forgets what was seen of a record.
    mutating func clear(_ record: Int) {
        let first = record * Self.wordsPerRecord
        for word in first..<first + Self.wordsPerRecord { words[word] = 0 }
    }

    /// Notes a fragment over these units.
    mutating func cover(_ units: Range<Int>, in record: Int) {
        guard !units.isEmpty else { return }
        Self.forEachWord(of: units) { word, mask in words[record * Self.wordsPerRecord + word] |= mask }
        words[startWord(units.lowerBound, record)] |= Self.bit(units.lowerBound)
    }

    /// Whether any of these units is covered.
    func touches(_ units: Range<Int>, in record: Int) -> Bool {
        var touched = false
        Self.forEachWord(of: units) { word, mask in
            if words[record * Self.wordsPerRecord + word] & mask != 0 { touched = true }
        }
        return touched
    }

    /// Whether one fragment over exactly these units was seen before.
    func hasFragment(_ units: Range<Int>, in record: Int) -> Bool {
        guard !units.isEmpty, startsFragment(units.lowerBound, in: record) else { return false }
        var isCovered = true
        var startsWithin = false
        Self.forEachWord(of: units) { word, mask in
            if words[record * Self.wordsPerRecord + word] & mask != mask { isCovered = false }
            let starts = words[record * Self.wordsPerRecord + Self.wordsPerMap + word] & mask
            let own = units.lowerBound / 64 == word ? Self.bit(units.lowerBound) : 0
            if starts & ~own != 0 { startsWithin = true }
        }
        return isCovered && !startsWithin && !continues(at: units.upperBound, in: record)
    }

    /// Whether the unit belongs to a fragment that started before it.
    private func continues(at unit: Int, in record: Int) -> Bool {
        guard unit < Self.unitsPerMap else { return false }
        let isCovered = words[record * Self.wordsPerRecord + unit / 64] & Self.bit(unit) != 0
        return isCovered && !startsFragment(unit, in: record)
    }

    private func startsFragment(_ unit: Int, in record: Int) -> Bool {
        words[startWord(unit, record)] & Self.bit(unit) != 0
    }

    private func startWord(_ unit: Int, _ record: Int) -> Int {
        record * Self.wordsPerRecord + Self.wordsPerMap + unit / 64
    }

    private static func bit(_ unit: Int) -> UInt64 { 1 &<< UInt64(unit & 63) }

    @inline(__always)
    private static func forEachWord(of units: Range<Int>, _ body: (_ word: Int, _ mask: UInt64) -> Void) {
        var unit = units.lowerBound
        while unit < units.upperBound {
            let end = min(units.upperBound, (unit / 64 + 1) * 64)
            let ones: UInt64 = end - unit == 64 ? .max : (1 &<< UInt64(end - unit)) &- 1
            body(unit / 64, ones &<< UInt64(unit & 63))
            unit = end
        }
    }
}

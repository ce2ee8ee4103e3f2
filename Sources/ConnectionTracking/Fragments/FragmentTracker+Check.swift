// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// The part of a datagram's payload that a fragment holds.
struct FragmentPiece: BitwiseCopyable {
    var start: UInt32
    /// Byte after the last one.
    var end: UInt32
    var isLast: Bool
    /// `FragmentTracker.digest` of its bytes.
    var digest: UInt32

    init(_ fragment: FragmentFields, digest: UInt32) {
        self.digest = digest
        start = min(fragment.offset, FragmentPiece.maximum)
        end = min(start &+ min(fragment.dataLength, FragmentPiece.maximum), FragmentPiece.maximum)
        isLast = !fragment.moreFragments
    }

    /// The units of eight bytes that it touches. A length that is no multiple of eight is illegal but in the last fragment;
    /// its rest counts as a whole unit, since receivers disagree about it.
    var units: Range<Int> { Int(start / 8)..<Int((end + 7) / 8) }

    private static let maximum: UInt32 = 65_536
}

extension FragmentTracker {
    /// The keyed digest of a fragment's bytes: equal for fragments that bring the same, and for others only by a chance of one
    /// in four thousand million, which nobody who does not know the key can better. 0 where not all of them are at hand: then
    /// nothing tells the one from the other, and none is refused for it.
    public func digest(of packet: borrowing PacketHeaders, in bytes: RawSpan) -> UInt32 {
        let end = Int(packet.networkOffset) + Int(packet.length)
        guard end <= bytes.byteCount else { return FragmentDigests.unknown }
        var offset = end - Int(packet.fragment.dataLength)
        var sip = SipHash(seed: seed)
        while offset + 8 <= end {
            sip.absorb(bytes.bigEndian64(at: offset))
            offset += 8
        }
        var rest: UInt64 = 0
        while offset < end {
            rest = rest << 8 | UInt64(bytes.byte(at: offset))
            offset += 1
        }
        sip.absorb(rest)
        sip.absorb(UInt64(packet.fragment.dataLength))
        return max(UInt32(truncatingIfNeeded: sip.finish()), 1)
    }

    /// Checks a fragment (`packet.fragment.isFragment`) and notes it; `digest` is that of its bytes.
    public mutating func check(
        _ packet: borrowing PacketHeaders, digest: UInt32, direction: Direction, at now: Instant,
        _ settings: FragmentSettings
    ) -> FragmentStep {
        let isFirst = packet.fragment.offset == 0
        let key = DatagramKey(packet, direction: direction)
        if let refusal = FragmentCheck.refusal(of: packet, settings) {
            let isOfAll = refusal == .fragmented || refusal == .fragmentedByRow
            let record = isFirst && !isOfAll ? noteRefusedFirst(key, refusal, at: now) : nil
            let isSilent = refusal == .fragmentedByRow && settings.row == .denySilent
            return .refused(refusal, silently: isSilent, record: record)
        }
        let piece = FragmentPiece(packet.fragment, digest: digest)
        guard let index = record(of: key, with: piece, at: now) else { return .refused(.noRecord, silently: false) }
        guard take(piece, into: index) else { return .refused(.overlapping, silently: false) }
        if isFirst, case .firstRefused = records[Int(index)].standing { records[Int(index)].standing = .undecided }
        let step = step(of: index, isFirst: isFirst, at: now)
        if isWhole(index) { markComplete(index, at: now) }
        return step
    }

    /// Tells what was decided about a first fragment, for the rest of its datagram.
    public mutating func decide(_ record: DatagramRecord, _ verdict: DatagramVerdict) {
        guard isCurrent(record) else { return }
        switch records[Int(record.index)].standing {
        case .condemned, .decided(.pass): return
        case .undecided, .inherited, .firstRefused, .decided(.dropped): break
        }
        records[Int(record.index)].standing = .decided(verdict)
        release(heldOf: record, .decided(verdict))
    }

    /// What `check` would say of a fragment that it has refused, under other settings: against what was seen of its datagram so
    /// far, and without noting anything.
    public mutating func preview(
        _ packet: borrowing PacketHeaders, digest: UInt32, direction: Direction, at now: Instant,
        _ settings: FragmentSettings
    ) -> FragmentStep {
        let isFirst = packet.fragment.offset == 0
        if let refusal = FragmentCheck.refusal(of: packet, settings) { return .refused(refusal, silently: false) }
        guard let index = find(DatagramKey(packet, direction: direction), at: now) else {
            let none = DatagramRecord(index: -1, generation: 0)
            if limit == 0 { return .refused(.noRecord, silently: false) }
            return isFirst ? .first(none) : .awaitsFirst(none)
        }
        guard fits(FragmentPiece(packet.fragment, digest: digest), index) else {
            return .refused(.overlapping, silently: false)
        }
        return step(of: index, isFirst: isFirst, at: now)
    }

    /// Keeps what a refused first fragment wants for, for the rest of its datagram.
    public mutating func keep(_ verdict: DatagramRefusal, ofFirst record: DatagramRecord) {
        guard isCurrent(record), case .firstRefused(let refusal, _) = records[Int(record.index)].standing
        else { return }
        records[Int(record.index)].standing = .firstRefused(refusal, verdict)
    }

    /// What was kept of a refused first fragment; nil where there is none.
    public func verdict(ofFirst record: DatagramRecord) -> DatagramRefusal? {
        guard isCurrent(record), case .firstRefused(_, let verdict) = records[Int(record.index)].standing
        else { return nil }
        return verdict
    }

    private func step(of index: Int32, isFirst: Bool, at now: Instant) -> FragmentStep {
        let record = records[Int(index)]
        let handle = DatagramRecord(index: index, generation: record.generation)
        if isFirst { return .first(handle) }
        switch record.standing {
        case .decided(let verdict): return .decided(verdict)
        case .inherited(let verdict) where now - record.completed < Self.duplicateTime: return .decided(verdict)
        case .undecided, .inherited: return .awaitsFirst(handle)
        case .firstRefused(let refusal, _): return .refused(refusal, silently: false, record: handle)
        case .condemned: return .refused(.overlapping, silently: false)
        }
    }

    /// Notes a piece. False: it overlaps, or contradicts the length; the datagram is condemned.
    private mutating func take(_ piece: FragmentPiece, into index: Int32) -> Bool {
        guard fits(piece, index) else {
            if case .condemned = records[Int(index)].standing { return false }
            return condemn(index)
        }
        if coverage.touches(piece.units, in: Int(index)) { return true }
        coverage.cover(piece.units, in: Int(index))
        digests.keep(
            piece.digest, at: piece.units.lowerBound, after: Int(records[Int(index)].fragments), in: Int(index))
        records[Int(index)].fragments += 1
        records[Int(index)].units += Int32(truncatingIfNeeded: piece.units.count)
        records[Int(index)].highest = max(records[Int(index)].highest, piece.end)
        if piece.isLast { records[Int(index)].end = piece.end }
        return true
    }

    /// Whether a piece is an exact duplicate, or neither overlaps what was seen nor contradicts the datagram's length.
    private func fits(_ piece: FragmentPiece, _ index: Int32) -> Bool {
        let record = records[Int(index)]
        if case .condemned = record.standing { return false }
        if coverage.touches(piece.units, in: Int(index)) { return isDuplicate(piece, of: index) }
        let end = piece.isLast ? piece.end : record.end
        let contradictsLast = record.end != .max && (piece.isLast ? piece.end != record.end : piece.end >= record.end)
        return !contradictsLast && max(record.highest, piece.end) <= end
    }

    /// The same bytes, place, length and position in the order as a piece seen before.
    func isDuplicate(_ piece: FragmentPiece, of index: Int32) -> Bool {
        let end = records[Int(index)].end
        let agrees = piece.isLast ? piece.end == end : end == .max || piece.end < end
        return agrees && coverage.hasFragment(piece.units, in: Int(index))
            && digests.has(
                piece.digest, at: piece.units.lowerBound, among: Int(records[Int(index)].fragments), in: Int(index))
    }

    private mutating func condemn(_ index: Int32) -> Bool {
        records[Int(index)].standing = .condemned
        let record = DatagramRecord(index: index, generation: records[Int(index)].generation)
        release(heldOf: record, .refused(.overlapping))
        return false
    }

    private mutating func noteRefusedFirst(
        _ key: DatagramKey, _ refusal: FragmentRefusal, at now: Instant
    ) -> DatagramRecord? {
        guard let index = find(key, at: now) ?? begin(key, at: now), !records[Int(index)].isComplete else { return nil }
        switch records[Int(index)].standing {
        case .condemned, .decided: return nil
        case .undecided, .inherited, .firstRefused: break
        }
        records[Int(index)].standing = .firstRefused(refusal)
        let record = DatagramRecord(index: index, generation: records[Int(index)].generation)
        release(heldOf: record, .refused(refusal))
        return record
    }

    private func isWhole(_ index: Int32) -> Bool {
        let record = records[Int(index)]
        return !record.isComplete && record.end != .max && UInt32(record.units) == (record.end + 7) / 8
    }
}

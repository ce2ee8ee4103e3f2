// SPDX-License-Identifier: GPL-3.0-or-later

/// Why bytes are not a time zone.
public enum TimeZoneError: Error, Hashable, Sendable {
    /// They do not begin as a TZif file does.
    case notTZif
    /// They end before what their header announces.
    case truncated
    /// A count, an order, an offset or the footer breaks RFC 8536 section 3.
    case malformed
}

/// When clocks of a time zone are how far from UTC: the content of a TZif file (RFC 8536), read from bytes that the caller
/// got from the system's time zone database. Leap second records are not used.
public struct TimeZoneRules: Hashable, Sendable {
    /// Ascending Unix times, each with the seconds east of UTC that hold from it on.
    private var transitions: [Int64] = []
    private var offsets: [Int64] = []
    /// Before the first transition.
    private var firstOffset: Int64 = 0
    /// After the last transition.
    private var footer: PosixTimeZone?

    public static let utc = TimeZoneRules()

    private init() {}

    /// - Throws: `TimeZoneError`; any bytes are safe.
    public init(tzif bytes: [UInt8]) throws(TimeZoneError) {
        var reader = TZifReader(bytes)
        var header = try reader.header()
        if header.version >= 2 {
            try reader.skip(header.bodySize(timeSize: 4))
            header = try reader.header()
            try readBody(header, timeSize: 8, &reader)
            let text = try reader.footer()
            if !text.isEmpty {
                guard let footer = PosixTimeZone(text) else { throw .malformed }
                self.footer = footer
            }
        } else {
            try readBody(header, timeSize: 4, &reader)
        }
    }

    private mutating func readBody(
        _ header: TZifHeader, timeSize: Int, _ reader: inout TZifReader
    ) throws(TimeZoneError) {
        guard header.typeCount > 0 else { throw .malformed }
        try reader.require(header.bodySize(timeSize: timeSize))
        transitions.reserveCapacity(header.timeCount)
        for _ in 0..<header.timeCount { transitions.append(try reader.integer(size: timeSize)) }
        guard zip(transitions, transitions.dropFirst()).allSatisfy({ $0 < $1 }) else { throw .malformed }
        var types: [Int] = []
        for _ in 0..<header.timeCount { types.append(Int(try reader.integer(size: 1)) & 0xff) }
        var typeOffsets: [Int64] = []
        for _ in 0..<header.typeCount {
            typeOffsets.append(try reader.integer(size: 4))
            try reader.skip(2)
        }
        // RFC 8536 section 3.2: offsets beyond a day and a bit are not to be expected.
        guard types.allSatisfy({ $0 < header.typeCount }), typeOffsets.allSatisfy({ -90_000...93_600 ~= $0 })
        else { throw .malformed }
        offsets = types.map { typeOffsets[$0] }
        firstOffset = typeOffsets[0]
        try reader.skip(header.remainderSize(timeSize: timeSize))
    }

    /// Seconds east of UTC at a Unix time.
    public func offset(at unixTime: Int64) -> Int64 {
        let time = TimeZoneRules.clamp(unixTime)
        let count = countOfTransitions(until: time)
        if count == transitions.count, let footer { return footer.offset(at: time) }
        return count == 0 ? firstOffset : offsets[count - 1]
    }

    /// The first moment after a Unix time at which the offset may change.
    public func nextTransition(after unixTime: Int64) -> Int64? {
        let time = TimeZoneRules.clamp(unixTime)
        let count = countOfTransitions(until: time)
        return count < transitions.count ? transitions[count] : footer?.nextTransition(after: time)?.time
    }

    /// Calendar arithmetic stays far from overflow within a billion years.
    private static func clamp(_ unixTime: Int64) -> Int64 { min(max(unixTime, -1 << 54), 1 << 54) }

    private func countOfTransitions(until time: Int64) -> Int {
        var low = 0
        var high = transitions.count
        while low < high {
            let middle = (low + high) / 2
            if transitions[middle] <= time { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// The header of a TZif file or of its second part (RFC 8536 section 3.1).
private struct TZifHeader {
    /// 1 to 4.
    var version: Int
    var utCount: Int
    var standardCount: Int
    var leapCount: Int
    var timeCount: Int
    var typeCount: Int
    var characterCount: Int

    /// Bytes of the data block that follows.
    func bodySize(timeSize: Int) -> Int {
        timeCount * (timeSize + 1) + typeCount * 6 + remainderSize(timeSize: timeSize)
    }

    /// Bytes of the data block after transitions and types.
    func remainderSize(timeSize: Int) -> Int {
        characterCount + leapCount * (timeSize + 4) + standardCount + utCount
    }
}

/// Reads big-endian values from a TZif file, within its bounds.
private struct TZifReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func require(_ count: Int) throws(TimeZoneError) {
        guard count <= bytes.count - position else { throw .truncated }
    }

    mutating func skip(_ count: Int) throws(TimeZoneError) {
        try require(count)
        position += count
    }

    /// A signed integer of 1, 4 or 8 bytes.
    mutating func integer(size: Int) throws(TimeZoneError) -> Int64 {
        try require(size)
        var value = Int64(Int8(bitPattern: bytes[position]))
        for byte in bytes[position + 1..<position + size] { value = value << 8 | Int64(byte) }
        position += size
        return value
    }

    mutating func header() throws(TimeZoneError) -> TZifHeader {
        let magic = Array("TZif".utf8)
        guard bytes.count - position >= 5, Array(bytes[position..<position + 4]) == magic else { throw .notTZif }
        let digit = bytes[position + 4]
        try skip(20)
        var counts: [Int] = []
        for _ in 0..<6 { counts.append(Int(UInt32(truncatingIfNeeded: try integer(size: 4)))) }
        return TZifHeader(
            version: digit == 0 ? 1 : Int(digit) - Int(UInt8(ascii: "0")), utCount: counts[0], standardCount: counts[1],
            leapCount: counts[2], timeCount: counts[3], typeCount: counts[4], characterCount: counts[5])
    }

    /// The TZ string between two newlines at the end.
    mutating func footer() throws(TimeZoneError) -> ArraySlice<UInt8> {
        let newline = UInt8(ascii: "\n")
        guard position < bytes.count else { throw .truncated }
        guard bytes[position] == newline else { throw .malformed }
        guard let end = bytes[(position + 1)...].firstIndex(of: newline) else { throw .truncated }
        return bytes[position + 1..<end]
    }
}

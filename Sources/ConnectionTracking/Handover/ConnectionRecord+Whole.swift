// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// A connection as bytes with all that judging its packets reads: an exact record, and what the rules have said of it by the policy
/// in force. It is for an engine that judges by the same policy, whose rules have the same numbers.
extension ConnectionRecord {
    private static let decisionBytes = 26
    private static let rulesBytes = 12 + 2 * decisionBytes
    /// Length of such a record.
    public static var wholeBytes: Int { bytes(of: .exact) + rulesBytes }

    /// The record of a connection.
    public static func whole(_ c: Connection) -> [UInt8] {
        var bytes: [UInt8] = []
        append(c, worker: 0, .exact, to: &bytes)
        var record = RecordWriter(bytes: bytes)
        record.put(c.generation)
        record.put(UInt32(bitPattern: c.refusal.rule))
        record.put(c.refusal.firstCause)
        record.put(c.refusal.secondCause)
        record.put(c.refusal.thirdCause)
        record.put(c.isOwnTraffic)
        for decision in [c.decisionOfLow, c.decisionOfHigh] { put(decision, into: &record) }
        return record.bytes
    }

    /// The connection of a record; nil if the bytes are none that `whole` could have given before `now`.
    public static func decodeWhole(_ bytes: RawSpan, now: Instant) -> Connection? {
        guard bytes.byteCount == wholeBytes, var c = decode(bytes, at: 0, .exact, now: now)?.connection else {
            return nil
        }
        var record = RecordReader(at: Self.bytes(of: .exact))
        c.generation = record.number32(bytes)
        c.refusal.rule = Int32(bitPattern: record.number32(bytes))
        c.refusal.firstCause = record.byte(bytes)
        c.refusal.secondCause = record.byte(bytes)
        c.refusal.thirdCause = record.byte(bytes)
        c.isOwnTraffic = record.flag(bytes)
        c.decisionOfLow = readDecision(&record, bytes)
        c.decisionOfHigh = readDecision(&record, bytes)
        return record.isSound ? c : nil
    }

    private static func put(_ decision: CachedRuleDecision, into record: inout RecordWriter) {
        record.put(decision.flagsSeen)
        record.put(decision.generation)
        record.put(UInt32(bitPattern: decision.rule))
        record.put(UInt32(bitPattern: decision.logOnlyRule))
        record.put(decision.interface)
        record.put(decision.outcome)
        record.put(decision.direction.rawValue)
    }

    private static func readDecision(_ record: inout RecordReader, _ bytes: RawSpan) -> CachedRuleDecision {
        var decision = CachedRuleDecision()
        decision.flagsSeen = record.number64(bytes)
        decision.generation = record.number32(bytes)
        decision.rule = Int32(bitPattern: record.number32(bytes))
        decision.logOnlyRule = Int32(bitPattern: record.number32(bytes))
        decision.interface = record.number32(bytes)
        decision.outcome = record.byte(bytes)
        decision.direction = record.choice(bytes, else: .incoming)
        return decision
    }
}

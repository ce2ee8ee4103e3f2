// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// Reads what `StateEncoder` made, a part at a time. Bytes are hostile. Nothing of them may be used before `finish` has
/// found the checksum right, so who wants the connections reads twice.
public struct StateDecoder {
    public let header: StateHeader
    /// How many records there are by the file's length.
    public let records: UInt64
    private var hash = SipHash(seed: StateFormat.seed)
    private var read: UInt64 = 0

    /// - Parameters:
    ///   - bytes: the first `StateFormat.headerBytes` of the file.
    ///   - length: of the whole file.
    ///   - boot: the id of this boot.
    ///   - now: the present on the clock of `StateHeader.writtenAt`.
    /// - Throws: why the state is not used.
    public init(
        header bytes: RawSpan, length: Int, boot: (high: UInt64, low: UInt64), now: Instant
    ) throws(StateRefusal) {
        guard bytes.byteCount == StateFormat.headerBytes, bytes.bigEndian64(at: 0) == StateFormat.magic else {
            throw .notAState
        }
        var record = RecordReader(at: 8)
        let version = record.number32(bytes)
        guard version == StateFormat.version else { throw .otherVersion(version) }
        guard let form = ConnectionRecord.Form(rawValue: record.byte(bytes)) else { throw .damaged }
        _ = record.byte(bytes)
        let workers = record.number16(bytes)
        let written = (high: record.number64(bytes), low: record.number64(bytes))
        guard written == boot else { throw .otherBoot }
        header = StateHeader(form: form, workers: workers, boot: written, writtenAt: record.instant(bytes))
        let age = now.nanoseconds.subtractingReportingOverflow(header.writtenAt.nanoseconds)
        guard !age.overflow, 0...StateFormat.lifetime.nanoseconds ~= age.partialValue else {
            throw .old(seconds: age.partialValue / 1_000_000_000)
        }
        let body = length - StateFormat.headerBytes - StateFormat.trailerBytes
        guard body >= 0, body % ConnectionRecord.bytes(of: form) == 0 else { throw .torn }
        records = UInt64(body / ConnectionRecord.bytes(of: form))
        absorb(bytes)
    }

    /// Takes whole records; gives each connection that is to live on to `body`.
    ///
    /// - Parameters:
    ///   - bytes: one or more records, in the order of the file.
    ///   - now: the present on the clock of the connections' instants.
    ///   - body: told the worker's place and the connection.
    /// - Throws: `invalidRecord` for bytes that describe no connection.
    public mutating func take(
        _ bytes: RawSpan, now: Instant, _ body: (UInt16, Connection) -> Void
    ) throws(StateRefusal) {
        absorb(bytes)
        let size = ConnectionRecord.bytes(of: header.form)
        var position = 0
        while position < bytes.byteCount {
            guard let (worker, connection) = ConnectionRecord.decode(bytes, at: position, header.form, now: now) else {
                throw .invalidRecord(read)
            }
            body(worker, connection)
            read += 1
            position += size
        }
    }

    /// Checks the trailer.
    public mutating func finish(_ trailer: RawSpan) throws(StateRefusal) {
        guard trailer.byteCount == StateFormat.trailerBytes, trailer.bigEndian64(at: 0) == read, read == records else {
            throw .torn
        }
        hash.absorb(read)
        guard trailer.bigEndian64(at: 8) == hash.finish() else { throw .damaged }
    }

    private mutating func absorb(_ bytes: RawSpan) {
        var position = 0
        while position + 8 <= bytes.byteCount {
            hash.absorb(bytes.bigEndian64(at: position))
            position += 8
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// The state that one run of the agent hands to the next. The input is read as a whole file, and then as records, whose
/// checksum no fuzzer would find: what a record describes goes into a table and meets segments made of the same bytes.
@c(LLVMFuzzerTestOneInput)
func fuzzState(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: start, count: count))
    readWhole(input)
    for form in ConnectionRecord.Form.allCases { readRecords(input, form) }
    return 0
}

private let present = Instant(nanoseconds: 1_000_000_000_000)

private func readWhole(_ input: RawSpan) {
    let body = input.byteCount - StateFormat.headerBytes - StateFormat.trailerBytes
    guard body >= 0 else { return }
    do throws(StateRefusal) {
        let head = input.extracting(0..<StateFormat.headerBytes)
        var decoder = try StateDecoder(header: head, length: input.byteCount, boot: (1, 2), now: present)
        let records = input.extracting(StateFormat.headerBytes..<StateFormat.headerBytes + body)
        try decoder.take(records, now: present) { _, _ in }
        try decoder.finish(input.extracting(StateFormat.headerBytes + body..<input.byteCount))
    } catch {
        _ = error.description
    }
}

private func readRecords(_ input: RawSpan, _ form: ConnectionRecord.Form) {
    let shared = SharedLimits(tables: TableLimits(), computers: ComputerLimits(), seed: (1, 2))
    var table = ConnectionTable(capacity: 64, timeouts: Timeouts(), seed: (3, 4), shared: shared)
    let size = ConnectionRecord.bytes(of: form)
    var offset = 0
    while offset + size <= input.byteCount {
        if let (worker, connection) = ConnectionRecord.decode(input, at: offset, form, now: present) {
            writeAgain(connection, worker, form)
            live(connection, in: &table, input)
        }
        offset += size
    }
    table.expire(at: present + .hours(24), atMost: 1 << 20)
}

/// What was accepted is accepted again.
private func writeAgain(_ connection: Connection, _ worker: UInt16, _ form: ConnectionRecord.Form) {
    var bytes: [UInt8] = []
    ConnectionRecord.append(connection, worker: worker, form, to: &bytes)
    guard let (again, copy) = ConnectionRecord.decode(bytes.span.bytes, at: 0, form, now: present),
        again == worker, copy.key == connection.key, copy.tcp == connection.tcp
    else { fatalError("a record that was accepted does not come back") }
}

private func live(_ connection: Connection, in table: inout ConnectionTable, _ input: RawSpan) {
    guard table.find(connection.key, at: present) == nil, let index = try? table.insert(connection, at: present) else {
        return
    }
    guard connection.key.protocolNumber == IPProtocol.tcp else { return }
    var position = 0
    var now = present
    while position + 16 <= min(input.byteCount, 512) {
        var s = TCPFields()
        s.sequence = input.bigEndian32(at: position)
        s.acknowledgement = input.bigEndian32(at: position + 4)
        s.window = input.bigEndian16(at: position + 8)
        s.flags = TCPFlags(rawValue: input.byte(at: position + 10))
        s.dataLength = UInt32(input.byte(at: position + 11))
        s.windowScale = input.byte(at: position + 12)
        s.hasTimestamps = input.byte(at: position + 13) & 1 != 0
        s.timestampValue = input.bigEndian32(at: position)
        now = now + .milliseconds(Int64(input.byte(at: position + 14)))
        _ = TCPTracker.step(
            &table[index].tcp, s, from: input.byte(at: position + 15) & 1 == 0 ? .low : .high, at: now, .normal)
        table.recordChange(of: index)
        position += 16
    }
}

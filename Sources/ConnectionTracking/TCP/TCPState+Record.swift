// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// A TCP state as bytes. Every field is written; one that is added has to be added here too (a test compares states that
/// came back with those that went).
extension TCPState {
    static let recordBytes = 4 + 2 * TCPEndpoint.recordBytes + TCPHandshake.recordBytes

    func put(into record: inout RecordWriter) {
        record.put(phase.rawValue)
        record.put(opener.rawValue)
        record.put(windows.rawValue)
        record.put(authentication.rawValue)
        low.put(into: &record)
        high.put(into: &record)
        handshake.put(into: &record)
    }

    init(_ record: inout RecordReader, _ bytes: RawSpan) {
        self.init()
        phase = record.choice(bytes, else: .closed)
        opener = record.choice(bytes, else: .low)
        windows = record.choice(bytes, else: .none)
        authentication.rawValue = record.byte(bytes)
        low = TCPEndpoint(&record, bytes)
        high = TCPEndpoint(&record, bytes)
        handshake = TCPHandshake(&record, bytes)
    }
}

extension TCPEndpoint {
    static let recordBytes = 32

    fileprivate func put(into record: inout RecordWriter) {
        for number in [start, end, ceiling, acknowledged, timestamp, timestampSecond] { record.put(number) }
        for number in [windowUnits, gapUnits, unseen] { record.put(number) }
        record.put(scale)
        record.put(marks.rawValue)
    }

    fileprivate init(_ record: inout RecordReader, _ bytes: RawSpan) {
        self.init()
        start = record.number32(bytes)
        end = record.number32(bytes)
        ceiling = record.number32(bytes)
        acknowledged = record.number32(bytes)
        timestamp = record.number32(bytes)
        timestampSecond = record.number32(bytes)
        windowUnits = record.number16(bytes)
        gapUnits = record.number16(bytes)
        unseen = record.number16(bytes)
        scale = record.byte(bytes)
        marks = Marks(rawValue: record.byte(bytes))
        record.require(scale <= 14)
    }
}

extension TCPHandshake {
    static let recordBytes = 2 + 2 * TCPOffer.recordBytes

    fileprivate func put(into record: inout RecordWriter) {
        record.put(stage.rawValue)
        record.put(opener.rawValue)
        offer.put(into: &record)
        answer.put(into: &record)
    }

    fileprivate init(_ record: inout RecordReader, _ bytes: RawSpan) {
        self.init()
        stage = record.choice(bytes, else: .none)
        opener = record.choice(bytes, else: .low)
        offer = TCPOffer(&record, bytes)
        answer = TCPOffer(&record, bytes)
    }
}

extension TCPOffer {
    static let recordBytes = 20

    fileprivate func put(into record: inout RecordWriter) {
        for number in [isn, otherISN, timestamp] { record.put(number) }
        for number in [length, window, laterWindow] { record.put(number) }
        record.put(scale)
        record.put(marks.rawValue)
    }

    fileprivate init(_ record: inout RecordReader, _ bytes: RawSpan) {
        self.init()
        isn = record.number32(bytes)
        otherISN = record.number32(bytes)
        timestamp = record.number32(bytes)
        length = record.number16(bytes)
        window = record.number16(bytes)
        laterWindow = record.number16(bytes)
        scale = record.byte(bytes)
        marks = Marks(rawValue: record.byte(bytes))
    }
}

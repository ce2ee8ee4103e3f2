// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// What reads the data of segments: lines of FTP, and the comparison of what is sent again. The input is a run of segments, each
/// with a head of four bytes: side and length, an offset from what its sender would send next, and how far it acknowledges.
///
/// Whatever comes, what is announced is a free port, and bytes that were kept a moment ago do not differ from themselves.
@c(LLVMFuzzerTestOneInput)
func fuzzPayload(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(start: start, count: count))
    var readers = Readers()
    var position = 0
    while position + 4 <= input.byteCount { position = readers.take(input, at: position) }
    return 0
}

private struct Readers {
    var controls = FTPControls(seed: (1, 2))
    var sent = SentBytes(blocks: 64, seed: (1, 2))
    /// What each side sends next.
    var next: (low: UInt32, high: UInt32) = (0xffff_fff0, 100)
    let key = ConnectionKey(
        lowAddress: IPAddress(v4: 0xc000_020a), highAddress: IPAddress(v4: 0xc633_6407), lowPortOrIdentifier: 21,
        highPortOrIdentifier: 40_000, protocolNumber: IPProtocol.tcp, version: 4, queryType: 0)

    init() {
        controls.prepare(isUsed: true)
        sent.prepare(isUsed: true)
    }

    mutating func take(_ input: RawSpan, at position: Int) -> Int {
        let side: Side = input.byte(at: position) & 0x80 == 0 ? .high : .low
        let shift = Int32(Int8(bitPattern: input.byte(at: position + 1)))
        var s = TCPFields()
        s.flags = .ack
        s.sequence = (side == .low ? next.low : next.high) &+ UInt32(bitPattern: shift)
        s.acknowledgement = (side == .low ? next.high : next.low) &- UInt32(input.byte(at: position + 2))
        let wanted = Int(input.byte(at: position) & 0x7f) << (input.byte(at: position + 3) & 7)
        let length = min(wanted, input.byteCount - position - 4)
        s.dataLength = UInt32(length)
        s.dataOffset = UInt16(truncatingIfNeeded: 4)
        let packet = input.extracting(position..<position + 4 + length)
        let reading = controls.read(
            packet, s, of: key, from: side, client: .high, at: Instant(nanoseconds: Int64(position)),
            keeping: .unlessRefused)
        for port in [reading.activePort, reading.passivePort] where port != 0 && port < 1024 {
            fatalError("a port below 1024 is announced")
        }
        if sent.difference(packet, s, of: key, from: side) == nil {
            sent.keep(packet, s, of: key, from: side)
            if sent.difference(packet, s, of: key, from: side) != nil { fatalError("bytes differ from themselves") }
        }
        if side == .low { next.low &+= UInt32(length) } else { next.high &+= UInt32(length) }
        return position + 4 + length
    }
}

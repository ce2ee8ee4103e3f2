// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport

/// Decoding of one packet. An input is three bytes of circumstances, then the packet (`Seeds.swift` makes the same).
@c(LLVMFuzzerTestOneInput)
func fuzzDecode(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= DecodeInput.headLength else { return 0 }
    let input = UnsafeRawBufferPointer(start: start, count: count)
    let bytes = RawSpan(_unsafeBytes: input).extracting(DecodeInput.headLength...)
    let fullLength = bytes.byteCount + Int(input[1]) << 8 + Int(input[2])
    let traits = PacketTraits(
        fullLength: UInt32(fullLength), isSegmentationOffload: input[0] & DecodeInput.segmentationOffload != 0)
    var headers = PacketHeaders()
    do throws(DecodeError) {
        if input[0] & DecodeInput.frame != 0 {
            try headers.decodeFrame(bytes, traits)
        } else {
            try headers.decodePacket(bytes, etherType: DecodeInput.etherType(input[0]), traits)
        }
    } catch {
        return 0
    }
    if let broken = headers.inconsistency(count: bytes.byteCount, fullLength: fullLength) { fatalError(broken) }
    _ = TransportChecksum.isValid(bytes, headers)
    return 0
}

// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

extension SentBytes {
    /// Compares the data of a segment with those first seen in their place.
    ///
    /// - Parameters:
    ///   - packet: the packet, as far as it is at hand.
    ///   - s: its segment.
    ///   - key: the connection.
    ///   - side: who sent it.
    /// - Returns: the first difference; nil: none, as far as can be told.
    public mutating func difference(
        _ packet: RawSpan, _ s: TCPFields, of key: ConnectionKey, from side: Side
    ) -> RetransmitDifference? {
        guard let stream = stream(of: key) else { return nil }
        let count = dataAtHand(packet, s)
        let queue = streams[Int(stream)][side]
        guard count > 0, queue.last >= 0, s.sequence.isBefore(blocks[Int(queue.last)].end) else { return nil }
        let end = s.sequence &+ UInt32(count)
        var block = firstOverlapping(queue, s.sequence)
        while block >= 0, blocks[Int(block)].start.isBefore(end) {
            if differs(block, packet, at: Int(s.dataOffset), s.sequence, end) {
                let segment = segment(of: block)
                return !segment.start.isAfter(s.sequence)
                    ? end.isAfter(segment.end) ? .previousPart : .previousFull
                    : segment.end.isAfter(end) ? .nextPart : .nextFull
            }
            block = blocks[Int(block)].next
        }
        return nil
    }

    func dataAtHand(_ packet: RawSpan, _ s: TCPFields) -> Int {
        max(0, min(Int(s.dataLength), packet.byteCount - Int(s.dataOffset)))
    }

    /// The first block that ends behind this number. Nearly always it is among the last ones.
    func firstOverlapping(_ queue: Queue, _ sequence: UInt32) -> Int32 {
        var found: Int32 = -1
        var block = queue.last
        while block >= 0, blocks[Int(block)].end.isAfter(sequence) {
            found = block
            block = blocks[Int(block)].previous
        }
        return found
    }

    /// Whether what a block and the segment `start..<end` have in common differs.
    private func differs(
        _ index: Int32, _ packet: RawSpan, at offset: Int, _ start: UInt32, _ end: UInt32
    ) -> Bool {
        let block = blocks[Int(index)]
        let lower = block.start.later(start)
        let upper = block.end.isAfter(end) ? end : block.end
        var place = Int(lower &- block.start)
        let last = Int(upper &- block.start)
        let shift = offset + Int(Int32(bitPattern: block.start &- start))
        let words = words.span
        let first = Int(index) * Self.wordsPerBlock
        while place < last {
            if place & 7 == 0, place + 8 <= last {
                if words[first + place >> 3] != packet.bigEndian64(at: shift + place) { return true }
                place += 8
            } else {
                let word = words[first + place >> 3]
                if UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * (place & 7))) != packet.byte(at: shift + place) {
                    return true
                }
                place += 1
            }
        }
        return false
    }

    /// Where the segment of a block begins and ends.
    private func segment(of block: Int32) -> (start: UInt32, end: UInt32) {
        var first = block
        while blocks[Int(first)].isContinued, blocks[Int(first)].previous >= 0 { first = blocks[Int(first)].previous }
        var last = block
        while blocks[Int(last)].next >= 0, blocks[Int(blocks[Int(last)].next)].isContinued {
            last = blocks[Int(last)].next
        }
        return (blocks[Int(first)].start, blocks[Int(last)].end)
    }
}

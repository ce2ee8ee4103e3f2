// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

extension SentBytes {
    /// Keeps what is new of the data of a segment that passes, and takes note of what it acknowledges.
    ///
    /// - Parameters:
    ///   - packet: the packet, as far as it is at hand.
    ///   - s: its segment.
    ///   - key: the connection.
    ///   - side: who sent it.
    public mutating func keep(_ packet: RawSpan, _ s: TCPFields, of key: ConnectionKey, from side: Side) {
        guard let stream = s.dataLength > 0 ? stream(of: key) ?? open(key) : stream(of: key) else {
            bytesNotCompared &+= UInt64(s.dataLength)
            return
        }
        if s.flags.contains(.ack) { acknowledge(s.acknowledgement, by: side.opposite, stream) }
        guard s.dataLength > 0 else { return }
        let count = dataAtHand(packet, s)
        bytesNotCompared &+= UInt64(s.dataLength) - UInt64(count)
        append(packet, at: Int(s.dataOffset), s.sequence, s.sequence &+ UInt32(count), stream, side)
    }

    /// The other side of the one named `side` has acknowledged everything before this number of what it sent.
    private mutating func acknowledge(_ number: UInt32, by side: Side, _ stream: Int32) {
        var queue = streams[Int(stream)][side]
        if !queue.hasBegun || number.isAfter(queue.acknowledged) {
            queue.acknowledged = number
            queue.hasBegun = true
        }
        while queue.firstOpen >= 0, !blocks[Int(queue.firstOpen)].end.isAfter(queue.acknowledged) {
            let block = queue.firstOpen
            queue.firstOpen = blocks[Int(block)].next
            noteAcknowledged(block)
        }
        streams[Int(stream)][side] = queue
    }

    private mutating func append(
        _ packet: RawSpan, at offset: Int, _ start: UInt32, _ end: UInt32, _ stream: Int32, _ side: Side
    ) {
        let queue = streams[Int(stream)][side]
        var cursor = start
        // What was acknowledged is of no use any more: its receiver has it.
        if queue.hasBegun, cursor.isBefore(queue.acknowledged) {
            let known = queue.acknowledged.isAfter(end) ? end : queue.acknowledged
            bytesNotCompared &+= UInt64(known &- cursor) - UInt64(held(from: cursor, to: known, queue))
            cursor = known
        }
        var following =
            queue.last >= 0 && cursor.isBefore(blocks[Int(queue.last)].end)
            ? firstOverlapping(queue, cursor) : -1
        while cursor.isBefore(end) {
            let gapEnd =
                following >= 0 && blocks[Int(following)].start.isBefore(end) ? blocks[Int(following)].start : end
            if cursor.isBefore(gapEnd) {
                insert(packet, at: offset + Int(cursor &- start), cursor, gapEnd, before: following, stream, side)
            }
            guard following >= 0 else { return }
            cursor =
                gapEnd == end && blocks[Int(following)].start.isAfter(gapEnd)
                ? end : cursor.later(blocks[Int(following)].end)
            following = blocks[Int(following)].next
        }
    }

    /// How many bytes from `start` to `end` are held.
    private func held(from start: UInt32, to end: UInt32, _ queue: Queue) -> UInt32 {
        guard queue.last >= 0, start.isBefore(blocks[Int(queue.last)].end) else { return 0 }
        var sum: UInt32 = 0
        var block = firstOverlapping(queue, start)
        while block >= 0, blocks[Int(block)].start.isBefore(end) {
            let upper = blocks[Int(block)].end.isAfter(end) ? end : blocks[Int(block)].end
            sum &+= upper &- blocks[Int(block)].start.later(start)
            block = blocks[Int(block)].next
        }
        return sum
    }

    /// Puts bytes that are new before a block of the queue, or at its end (-1).
    private mutating func insert(
        _ packet: RawSpan, at offset: Int, _ start: UInt32, _ end: UInt32, before following: Int32, _ stream: Int32,
        _ side: Side
    ) {
        var place = start
        var isContinued = false
        while place.isBefore(end) {
            let length = min(end &- place, UInt32(Self.blockBytes))
            guard let block = takeBlock(stream, side) else {
                bytesNotCompared &+= UInt64(end &- place)
                return
            }
            blocks[Int(block)].start = place
            blocks[Int(block)].length = UInt16(length)
            blocks[Int(block)].isContinued = isContinued
            copy(packet, at: offset + Int(place &- start), Int(length), to: block)
            link(block, before: following, stream, side)
            isContinued = true
            place = place &+ length
        }
        bytesKept &+= UInt64(end &- start)
    }

    private mutating func copy(_ packet: RawSpan, at offset: Int, _ count: Int, to block: Int32) {
        var words = words.mutableSpan
        let first = Int(block) * Self.wordsPerBlock
        let whole = count >> 3
        for i in 0..<whole { words[first + i] = packet.bigEndian64(at: offset + i << 3) }
        guard count & 7 != 0 else { return }
        var word: UInt64 = 0
        for i in whole << 3..<count { word |= UInt64(packet.byte(at: offset + i)) << UInt64(56 - 8 * (i & 7)) }
        words[first + whole] = word
    }

    private mutating func link(_ block: Int32, before following: Int32, _ stream: Int32, _ side: Side) {
        var queue = streams[Int(stream)][side]
        let previous = following >= 0 ? blocks[Int(following)].previous : queue.last
        blocks[Int(block)].previous = previous
        blocks[Int(block)].next = following
        if previous >= 0 { blocks[Int(previous)].next = block } else { queue.first = block }
        if following >= 0 { blocks[Int(following)].previous = block } else { queue.last = block }
        if queue.firstOpen == following { queue.firstOpen = block }
        queue.count += 1
        streams[Int(stream)][side] = queue
    }
}

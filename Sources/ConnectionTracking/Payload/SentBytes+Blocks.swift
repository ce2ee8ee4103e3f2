// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Where the blocks and the streams come from, and where they go.
extension SentBytes {
    /// The stream of a connection.
    func stream(of key: ConnectionKey) -> Int32? {
        var stream = bucketHeads[bucket(of: key)]
        while stream >= 0 {
            if streams[Int(stream)].key.isSame(as: key) { return stream }
            stream = streams[Int(stream)].nextInBucket
        }
        return nil
    }

    private func bucket(of key: ConnectionKey) -> Int { Int(key.hash(seed: seed)) & (Self.buckets - 1) }

    /// Begins a stream; nil where there are as many as blocks.
    mutating func open(_ key: ConnectionKey) -> Int32? {
        let stream: Int32
        if vacantStream >= 0 {
            stream = vacantStream
            vacantStream = streams[Int(stream)].nextInBucket
            streams[Int(stream)] = Stream(key: key)
        } else {
            guard streams.count < limit else { return nil }
            stream = Int32(truncatingIfNeeded: streams.count)
            streams.append(Stream(key: key))
        }
        let bucket = bucket(of: key)
        streams[Int(stream)].isUsed = true
        streams[Int(stream)].nextInBucket = bucketHeads[bucket]
        bucketHeads[bucket] = stream
        return stream
    }

    /// Gives back all that is kept of a connection: it is over, or another has taken its place.
    public mutating func forget(_ key: ConnectionKey) {
        guard isInUse, let stream = stream(of: key) else { return }
        for side in Side.allCases {
            while streams[Int(stream)][side].first >= 0 { release(streams[Int(stream)][side].first) }
        }
        let bucket = bucket(of: key)
        let next = streams[Int(stream)].nextInBucket
        if bucketHeads[bucket] == stream {
            bucketHeads[bucket] = next
        } else {
            var before = bucketHeads[bucket]
            while streams[Int(before)].nextInBucket != stream { before = streams[Int(before)].nextInBucket }
            streams[Int(before)].nextInBucket = next
        }
        streams[Int(stream)].isUsed = false
        streams[Int(stream)].nextInBucket = vacantStream
        vacantStream = stream
    }

    /// The connection of one stream after the other: for the upkeep, which asks whether it is still known.
    public mutating func nextToLookAt() -> ConnectionKey? {
        guard !streams.isEmpty else { return nil }
        sweep = sweep + 1 < streams.count ? sweep + 1 : 0
        return streams[sweep].isUsed ? streams[sweep].key : nil
    }

    /// A block for what one side sends; nil where no room can be made.
    mutating func takeBlock(_ stream: Int32, _ side: Side) -> Int32? {
        let queue = streams[Int(stream)][side]
        if Int(queue.count) >= Self.mostBlocksPerSide {
            guard queue.first >= 0, blocks[Int(queue.first)].isAcknowledged else { return nil }
            release(queue.first)
        }
        if vacantBlock < 0, blocks.count >= limit, oldestAcknowledged >= 0 { release(oldestAcknowledged) }
        let block: Int32
        if vacantBlock >= 0 {
            block = vacantBlock
            vacantBlock = blocks[Int(block)].next
            blocks[Int(block)] = Block()
        } else {
            guard blocks.count < limit else { return nil }
            block = Int32(truncatingIfNeeded: blocks.count)
            blocks.append(Block())
            for _ in 0..<Self.wordsPerBlock { words.append(0) }
        }
        blocks[Int(block)].stream = stream
        blocks[Int(block)].side = side
        return block
    }

    /// Takes a block out of its queue.
    private mutating func release(_ index: Int32) {
        let block = blocks[Int(index)]
        var queue = streams[Int(block.stream)][block.side]
        if block.previous >= 0 { blocks[Int(block.previous)].next = block.next } else { queue.first = block.next }
        if block.next >= 0 {
            blocks[Int(block.next)].previous = block.previous
            if !block.isContinued { blocks[Int(block.next)].isContinued = false }
        } else {
            queue.last = block.previous
        }
        if queue.firstOpen == index { queue.firstOpen = block.next }
        queue.count -= 1
        streams[Int(block.stream)][block.side] = queue
        if block.isAcknowledged { forgetAcknowledged(index) }
        blocks[Int(index)].next = vacantBlock
        vacantBlock = index
    }

    /// Puts a block at the end of the list of those whose bytes were acknowledged.
    mutating func noteAcknowledged(_ block: Int32) {
        blocks[Int(block)].isAcknowledged = true
        blocks[Int(block)].older = newestAcknowledged
        blocks[Int(block)].newer = -1
        if newestAcknowledged >= 0 { blocks[Int(newestAcknowledged)].newer = block } else { oldestAcknowledged = block }
        newestAcknowledged = block
    }

    private mutating func forgetAcknowledged(_ index: Int32) {
        let block = blocks[Int(index)]
        if block.older >= 0 { blocks[Int(block.older)].newer = block.newer } else { oldestAcknowledged = block.newer }
        if block.newer >= 0 { blocks[Int(block.newer)].older = block.older } else { newestAcknowledged = block.older }
    }
}

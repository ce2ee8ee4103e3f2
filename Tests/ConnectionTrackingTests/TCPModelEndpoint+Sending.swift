// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport

@testable import ConnectionTracking

extension TCPModelEndpoint {
    mutating func connect(at now: Int64) {
        reset()
        initial = chooseISN()
        unacknowledged = initial
        next = initial &+ 1
        highest = next
        sendLimit = next &+ traits.bytesToSend
        mode = .synSent
        sendSYN(now)
        arm(now)
    }

    /// The first is often close to where sequence numbers or their signed differences wrap around.
    mutating func chooseISN() -> UInt32 {
        defer { hasConnected = true }
        if hasConnected { return UInt32.random(in: 0...UInt32.max, using: &random) }
        let base: UInt32 =
            [0, 0x8000_0000, UInt32.random(in: 0...UInt32.max, using: &random)]
            .randomElement(using: &random) ?? 0
        return base &- UInt32.random(in: 0...3_000, using: &random)
    }

    mutating func reset() {
        let before = self
        self = TCPModelEndpoint(before.traits, isServer: before.isServer, seed: 0)
        random = before.random
        output = before.output
        hasConnected = before.hasConnected
    }

    mutating func close() {
        reset()
    }

    mutating func arm(_ now: Int64) { retransmitAt = now + (200_000 << Int64(min(retries, 6))) }

    mutating func make(_ flags: TCPFlags, at sequence: UInt32, data: UInt32 = 0, now: Int64) -> TCPFields {
        var s = TCPFields()
        s.flags = flags
        s.sequence = sequence
        s.dataLength = data
        if flags.contains(.ack) { s.acknowledgement = expected }
        if let offset = traits.timestampOffset {
            s.hasTimestamps = true
            s.timestampValue = UInt32(truncatingIfNeeded: now / 1_000) &+ offset
        }
        offerWindow(&s)
        return s
    }

    /// The free space, never less than was offered before unless this end shrinks windows.
    private mutating func offerWindow(_ s: inout TCPFields) {
        if s.flags.contains(.syn) {
            s.window = UInt16(clamping: traits.buffer)
            s.windowScale = mode == .synReceived && !isScaled ? TCPFields.noWindowScale : traits.scale
            if !s.flags.contains(.ack) || mode == .synReceived || mode == .synSent { s.fastOpen = traits.fastOpen }
            edge = laterOf(edge, expected &+ UInt32(s.window))
            farthestEdge = laterOf(farthestEdge, edge)
            return
        }
        let held = unread &+ islands.reduce(0) { $0 &+ ($1.end &- $1.start) }
        var free = traits.buffer > held ? traits.buffer - held : 0
        if !traits.shrinksWindow, edge.isAfter(expected) { free = max(free, edge &- expected) }
        let unit = UInt32(1) << UInt32(ownScale)
        s.window = UInt16(clamping: traits.shrinksWindow ? free / unit : (free + unit - 1) / unit)
        let offered = expected &+ UInt32(s.window) << UInt32(ownScale)
        edge = traits.shrinksWindow ? offered : laterOf(edge, offered)
        farthestEdge = laterOf(farthestEdge, edge)
    }

    func laterOf(_ a: UInt32, _ b: UInt32) -> UInt32 { a.isBefore(b) ? b : a }

    mutating func sendSYN(_ now: Int64) {
        var s = make(crossed || isAnswering ? [.syn, .ack] : .syn, at: initial, now: now)
        if retries > 2, !isAnswering, !crossed { s.windowScale = TCPFields.noWindowScale }
        if traits.fastOpen, retries == 0, !crossed, !isAnswering {
            s.dataLength = min(traits.bytesToSend, traits.segmentSize, 500)
            highest = laterOf(highest, initial &+ 1 &+ s.dataLength)
        }
        output.append(s)
    }

    private var isAnswering: Bool { mode == .synReceived }

    mutating func acknowledge(_ now: Int64) {
        var s = make(.ack, at: highest, now: now)
        if traits.sack, let blocks = islands.last ?? lastDuplicate {
            s.sackBlockCount = 1
            s.sackLowest = blocks.start
            s.sackHighest = blocks.end
            lastDuplicate = nil
        }
        output.append(s)
        acknowledgeAt = nil
    }

    /// Sends what window, congestion window and data allow.
    mutating func transmit(_ now: Int64) {
        guard mode == .open || (mode == .synReceived && answersFastOpen) else { return }
        if !hasClosed, traits.closesFirst || peerFinished { hasClosed = true }
        let right = unacknowledged &+ min(window, traits.congestionWindow)
        while true {
            let limit = right.isBefore(sendLimit) ? right : sendLimit
            let room = limit.isAfter(next) ? limit &- next : 0
            let amount = min(room, traits.segmentSize * traits.offload, 65_000)
            let isLast = next &+ amount == sendLimit
            let finFits = !traits.holdsFIN || (next &+ amount).isBefore(unacknowledged &+ window)
            let carriesFIN = hasClosed && isLast && finFits && !next.isAfter(sendLimit) && (!finSent || next != highest)
            guard amount > 0 || carriesFIN else { break }
            var flags: TCPFlags = .ack
            if isLast { flags.insert(.psh) }
            if carriesFIN { flags.insert(.fin) }
            output.append(make(flags, at: next, data: amount, now: now))
            next = next &+ amount &+ (carriesFIN ? 1 : 0)
            highest = laterOf(highest, next)
            finSent = finSent || carriesFIN
            acknowledgeAt = nil
            if retransmitAt == nil { arm(now) }
            if carriesFIN { break }
        }
        let hasMore = !finSent && (next != sendLimit || hasClosed)
        if retransmitAt == nil, hasMore, unacknowledged == highest { arm(now) }
    }

    var finIsAcknowledged: Bool { finSent && unacknowledged == sendLimit &+ 1 }

    mutating func abort(at now: Int64) {
        let isPlain = mode != .synReceived && Bool.random(using: &random)
        var s = make(isPlain ? .rst : [.rst, .ack], at: highest, now: now)
        s.window = 0
        output.append(s)
        close()
    }
}

extension TCPModelEndpoint {
    mutating func tick(at now: Int64) {
        if let at = endAt, at <= now { close() }
        if let at = abortAt, at <= now, mode != .closed, mode != .listen { abort(at: now) }
        if let at = readAt, at <= now { read(now) }
        if let at = acknowledgeAt, at <= now { acknowledge(now) }
        if let at = keepAliveAt, at <= now { keepAlive(now) }
        if let at = retransmitAt, at <= now { retransmit(now) }
    }

    private mutating func read(_ now: Int64) {
        let wasClosed = edge &- expected < traits.segmentSize
        unread -= min(unread, traits.readSize)
        readAt = unread > 0 ? now + max(traits.readInterval, 1) : nil
        if wasClosed, mode == .open { acknowledge(now) }
    }

    private mutating func keepAlive(_ now: Int64) {
        keepAliveAt = traits.keepAliveInterval.map { now + $0 }
        guard mode == .open, unacknowledged == highest, !finSent else { return }
        output.append(make(.ack, at: highest &- 1, data: traits.keepAliveGarbage, now: now))
    }

    private mutating func retransmit(_ now: Int64) {
        retransmitAt = nil
        retries += 1
        guard retries < 12 else { return abort(at: now) }
        switch mode {
        case .synSent, .synReceived: sendSYN(now)
        case .open where unacknowledged == highest && window == 0 && !traits.probesWithData:
            output.append(make(.ack, at: unacknowledged &- 1, now: now))
        case .open where unacknowledged == highest && window == 0 && unacknowledged != sendLimit:
            output.append(make(.ack, at: unacknowledged, data: 1, now: now))
            highest = unacknowledged &+ 1
            next = highest
        case .open where window == 0 && highest == unacknowledged &+ 1 && traits.probesWithData && !finSent:
            output.append(make(.ack, at: unacknowledged, data: 1, now: now))
        case .open: resend(now)
        default: return
        }
        arm(now)
    }

    /// Repeats the oldest segment, perhaps cut in another way.
    mutating func resend(_ now: Int64) {
        guard unacknowledged != highest else { return transmit(now) }
        let ahead = (finSent ? sendLimit : highest) &- unacknowledged
        let amount = min(ahead, traits.segmentSize)
        var flags: TCPFlags = .ack
        if finSent, amount == ahead { flags.insert(.fin) }
        output.append(make(flags, at: unacknowledged, data: amount, now: now))
        arm(now)
    }
}

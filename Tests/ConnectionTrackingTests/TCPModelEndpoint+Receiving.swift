// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport

@testable import ConnectionTracking

extension TCPModelEndpoint {
    mutating func receive(_ s: TCPFields, at now: Int64) {
        switch mode {
        case .closed: answerWithReset(s, now)
        case .listen: receiveListening(s, now)
        case .synSent: receiveOpening(s, now)
        case .synReceived, .open, .timeWait: receiveSynchronized(s, now)
        }
    }

    /// The side of a server that does not listen is behind an address translator, which drops a SYN that nobody waits for.
    private mutating func answerWithReset(_ s: TCPFields, _ now: Int64) {
        guard !s.flags.contains(.rst), isServer || !TCPTracker.isOpening(s) else { return }
        var rst = TCPFields()
        if s.flags.contains(.ack) {
            rst.flags = .rst
            rst.sequence = s.acknowledgement
        } else {
            rst.flags = [.rst, .ack]
            rst.acknowledgement = s.sequence &+ s.length
        }
        output.append(rst)
    }

    private mutating func receiveListening(_ s: TCPFields, _ now: Int64) {
        if s.flags.contains(.rst) { return }
        guard !s.flags.contains(.ack), s.flags.contains(.syn) else { return answerWithReset(s, now) }
        reset()
        mode = .synReceived
        initial = chooseISN()
        unacknowledged = initial
        next = initial &+ 1
        highest = next
        sendLimit = next &+ traits.bytesToSend
        takeSYN(s, now)
        if s.fastOpen, traits.fastOpen {
            answersFastOpen = true
            expected = expected &+ s.dataLength
            unread = s.dataLength
        }
        sendSYN(now)
        arm(now)
        transmit(now)
    }

    mutating func takeSYN(_ s: TCPFields, _ now: Int64) {
        expected = s.sequence &+ 1
        edge = expected
        farthestEdge = expected &+ UInt32(UInt16(clamping: traits.buffer))
        peerInitial = s.sequence
        window = UInt32(s.window)
        windowSequence = s.sequence
        windowAcknowledgement = s.acknowledgement
        isScaled = s.windowScale != TCPFields.noWindowScale && traits.scale != TCPFields.noWindowScale
        peerScale = isScaled ? s.windowScale : 0
        ownScale = isScaled ? traits.scale : 0
        keepAliveAt = traits.keepAliveInterval.map { now + $0 }
        abortAt = traits.abortsAfter.map { now + $0 }
    }

    private mutating func receiveOpening(_ s: TCPFields, _ now: Int64) {
        if s.flags.contains(.ack), !s.acknowledgement.isAfter(initial) || s.acknowledgement.isAfter(highest) {
            return answerWithReset(s, now)
        }
        if s.flags.contains(.rst) {
            if s.flags.contains(.ack) { close() }
            return
        }
        guard s.flags.contains(.syn) else { return }
        takeSYN(s, now)
        if s.flags.contains(.ack) {
            unacknowledged = s.acknowledgement
            next = unacknowledged
            expected = expected &+ s.dataLength
            unread = s.dataLength
            mode = .open
            retransmitAt = nil
            retries = 0
            acknowledge(now)
            transmit(now)
        } else {
            crossed = true
            mode = .synReceived
            sendSYN(now)
            arm(now)
        }
    }

    private func isAcceptable(_ s: TCPFields) -> Bool {
        let size = edge.isAfter(expected) ? edge &- expected : 0
        if s.length == 0 { return size == 0 ? s.sequence == expected : s.sequence &- expected < size }
        guard size > 0 else { return false }
        return s.sequence &- expected < size || (s.sequence &+ s.length &- 1) &- expected < size
    }

    /// Whether this end discards a RST without an answer.
    func ignoresReset(_ s: TCPFields) -> Bool {
        switch mode {
        case .closed, .listen: true
        case .synSent:
            !s.flags.contains(.ack) || !s.acknowledgement.isAfter(initial) || s.acknowledgement.isAfter(highest)
        case .synReceived, .open, .timeWait: s.sequence != expected && !isAcceptable(s)
        }
    }

    private mutating func receiveSynchronized(_ s: TCPFields, _ now: Int64) {
        if s.flags.contains(.syn) { return receiveSYN(s, now) }
        guard isAcceptable(s) else {
            if s.flags.contains(.rst) { return }
            if s.dataLength > 0, s.sequence.isBefore(expected) {
                lastDuplicate = (s.sequence, s.sequence &+ s.dataLength)
            }
            if s.sequence == expected, s.flags.contains(.ack) { receiveACK(s, now) }
            if mode == .open || mode == .synReceived || mode == .timeWait { acknowledge(now) }
            return
        }
        if s.flags.contains(.rst) {
            if s.sequence == expected { close() } else { acknowledge(now) }
            return
        }
        guard s.flags.contains(.ack) else { return }
        receiveACK(s, now)
        guard mode == .open || mode == .timeWait else { return }
        receiveData(s, now)
        finishIfDone(now)
        transmit(now)
    }

    private mutating func receiveSYN(_ s: TCPFields, _ now: Int64) {
        let isNewer = s.sequence.isAfter(expected)
        if mode == .timeWait, isServer, !s.flags.contains(.ack), isNewer {
            reset()
            mode = .listen
            return receiveListening(s, now)
        }
        let answersOurs = s.flags.contains(.ack) && s.sequence &+ 1 == expected && s.acknowledgement == highest
        if mode == .synReceived, crossed, traits.takesCrossedSYNACK, answersOurs {
            return establish(s, now)
        }
        if mode == .synReceived, !crossed, !s.flags.contains(.ack), s.sequence &+ 1 == expected {
            return sendSYN(now)
        }
        acknowledge(now)
    }

    private mutating func establish(_ s: TCPFields, _ now: Int64) {
        mode = .open
        retransmitAt = nil
        retries = 0
        unacknowledged = laterOf(unacknowledged, initial &+ 1)
        if next.isBefore(unacknowledged) { next = unacknowledged }
        if s.acknowledgement.isAfter(unacknowledged) { unacknowledged = s.acknowledgement }
        window = UInt32(s.window) << (s.flags.contains(.syn) ? 0 : UInt32(peerScale))
        windowSequence = s.sequence
        windowAcknowledgement = s.acknowledgement
        if s.flags.contains(.syn) { acknowledge(now) }
        if highest != unacknowledged { arm(now) }
        transmit(now)
    }

    private mutating func receiveACK(_ s: TCPFields, _ now: Int64) {
        if mode == .synReceived {
            guard s.acknowledgement.isAfter(initial), !s.acknowledgement.isAfter(highest) else {
                return answerWithReset(s, now)
            }
            return establish(s, now)
        }
        guard !s.acknowledgement.isAfter(highest) else { return acknowledge(now) }
        let advances = s.acknowledgement.isAfter(unacknowledged)
        if advances {
            let acked = s.acknowledgement &- unacknowledged
            window = window > acked ? window - acked : 0
            unacknowledged = s.acknowledgement
            if next.isBefore(unacknowledged) { next = unacknowledged }
            retries = 0
            duplicates = 0
            retransmitAt = nil
            if unacknowledged != highest { arm(now) }
        } else if s.acknowledgement == unacknowledged, s.length == 0, highest != unacknowledged {
            duplicates += 1
            if duplicates == 3, window > 0 { resend(now) }
        }
        let isNewer =
            (advances && !traits.probesWithData) || windowSequence.isBefore(s.sequence)
            || (windowSequence == s.sequence && !s.acknowledgement.isBefore(windowAcknowledgement))
        if isNewer, !s.acknowledgement.isBefore(unacknowledged) {
            window = UInt32(s.window) << UInt32(peerScale)
            windowSequence = s.sequence
            windowAcknowledgement = s.acknowledgement
            if window > 0, retries > 0 { retries = 0 }
        }
    }

    private mutating func receiveData(_ s: TCPFields, _ now: Int64) {
        guard s.length > 0 else { return }
        if traits.closesBothWays, finSent, s.dataLength > 0, (s.sequence &+ s.dataLength).isAfter(expected) {
            return abort(at: now)
        }
        let end = s.sequence &+ s.dataLength
        if s.flags.contains(.fin) { finAt = end }
        let capped = end.isAfter(edge) ? edge : end
        if s.dataLength > 0, capped.isAfter(expected) {
            store(s.sequence.isBefore(expected) ? expected : s.sequence, capped)
        }
        let before = expected
        drain()
        if let fin = finAt, fin == expected, !peerFinished {
            peerFinished = true
            expected = expected &+ 1
            edge = laterOf(edge, expected)
        }
        if unread > 0, readAt == nil { readAt = now + max(traits.readInterval, 1) }
        let isInOrder = before == s.sequence && islands.isEmpty && !s.flags.contains(.fin)
        if traits.delayedACK, isInOrder, acknowledgeAt == nil {
            acknowledgeAt = now + 40_000
        } else {
            acknowledge(now)
        }
    }

    private mutating func store(_ start: UInt32, _ end: UInt32) {
        guard end.isAfter(start), islands.count < 50 else { return }
        var merged = (start: start, end: end)
        islands.removeAll { island in
            guard !island.end.isBefore(merged.start), !island.start.isAfter(merged.end) else { return false }
            if island.start.isBefore(merged.start) { merged.start = island.start }
            if island.end.isAfter(merged.end) { merged.end = island.end }
            return true
        }
        islands.append(merged)
    }

    private mutating func drain() {
        guard let index = islands.firstIndex(where: { $0.start == expected }) else { return }
        unread &+= islands[index].end &- expected
        expected = islands[index].end
        islands.remove(at: index)
    }

    private mutating func finishIfDone(_ now: Int64) {
        guard mode == .open, peerFinished, finIsAcknowledged else { return }
        if traits.closesFirst {
            mode = .timeWait
            retransmitAt = nil
            keepAliveAt = nil
            abortAt = nil
            endAt = now + 4_000_000
        } else {
            close()
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport

@testable import ConnectionTracking

/// How one end of a modelled connection behaves.
struct TCPModelTraits {
    var scale: UInt8
    var buffer: UInt32
    var segmentSize: UInt32
    /// Segments per packet that leaves, as with segmentation offload.
    var offload: UInt32
    var congestionWindow: UInt32
    var bytesToSend: UInt32
    /// Microseconds between two reads of the application, and bytes per read; a lazy reader closes its window.
    var readInterval: Int64
    var readSize: UInt32
    var delayedACK: Bool
    var sack: Bool
    /// Offset of the time stamp clock, if it sends time stamps.
    var timestampOffset: UInt32?
    /// Probes a closed window with one new byte, as in BSD, or one byte below it, as in Linux.
    var probesWithData: Bool
    /// Counts a FIN against the peer's window.
    var holdsFIN: Bool
    var keepAliveInterval: Int64?
    var keepAliveGarbage: UInt32
    /// Takes back window that it has offered, when its buffer fills.
    var shrinksWindow: Bool
    /// Closes as soon as its data is sent; otherwise waits for the peer's FIN.
    var closesFirst: Bool
    /// Answers data that comes after it has closed with a RST.
    var closesBothWays: Bool
    /// Resets the connection this many microseconds after it is open.
    var abortsAfter: Int64?
    var fastOpen: Bool
    /// Takes a SYN+ACK that crosses its own for an answer; otherwise answers with an ACK.
    var takesCrossedSYNACK: Bool

    init(_ random: inout SeededRandom) {
        scale = Bool.random(using: &random) ? TCPFields.noWindowScale : UInt8.random(in: 0...14, using: &random)
        let sizes: [UInt32] = [1_000, 5_840, 65_535, 200_000, 1_000_000]
        buffer = sizes.randomElement(using: &random) ?? 65_535
        segmentSize = [536, 1_460, 8_960].randomElement(using: &random) ?? 1_460
        offload = [1, 1, 7, 44].randomElement(using: &random) ?? 1
        congestionWindow = [10, 40, 1_000].randomElement(using: &random).map { $0 * 1_460 } ?? 14_600
        bytesToSend = [0, 1, 500, 8_000, 60_000].randomElement(using: &random) ?? 500
        readInterval =
            Int.random(in: 0..<3, using: &random) == 0 ? Int64.random(in: 1_000...2_000_000, using: &random) : 0
        readSize = [1, 300, 5_000, 1_000_000].randomElement(using: &random) ?? 5_000
        delayedACK = Bool.random(using: &random)
        sack = Bool.random(using: &random)
        timestampOffset = Bool.random(using: &random) ? UInt32.random(in: 1...UInt32.max, using: &random) : nil
        probesWithData = Bool.random(using: &random)
        holdsFIN = Bool.random(using: &random)
        keepAliveInterval =
            Int.random(in: 0..<3, using: &random) == 0 ? Int64.random(in: 50_000...3_000_000, using: &random) : nil
        keepAliveGarbage = UInt32.random(in: 0...1, using: &random)
        shrinksWindow = Int.random(in: 0..<6, using: &random) == 0
        closesFirst = Bool.random(using: &random)
        closesBothWays = Int.random(in: 0..<4, using: &random) == 0
        abortsAfter =
            Int.random(in: 0..<5, using: &random) == 0 ? Int64.random(in: 0...1_500_000, using: &random) : nil
        fastOpen = Int.random(in: 0..<5, using: &random) == 0
        takesCrossedSYNACK = Bool.random(using: &random)
    }
}

/// One end of a TCP connection after RFC 9293, with enough of what real stacks do on top to produce every segment that the
/// tracker must not refuse. It models sequence numbers, not bytes.
struct TCPModelEndpoint {
    enum Mode { case closed, listen, synSent, synReceived, open, timeWait }

    var traits: TCPModelTraits
    var random: SeededRandom
    /// Goes back to listening after a connection.
    let isServer: Bool
    private(set) var mode: Mode
    /// Segments to send, in order.
    var output: [TCPFields] = []
    private(set) var aborted = false
    private var hasConnected = false

    // Sending (RFC 9293 section 3.3.1)
    private var initial: UInt32 = 0
    private var unacknowledged: UInt32 = 0
    private var next: UInt32 = 0
    private var highest: UInt32 = 0
    private var window: UInt32 = 0
    private var largestWindow: UInt32 = 0
    private var windowSequence: UInt32 = 0
    private var windowAcknowledgement: UInt32 = 0
    private var peerScale: UInt8 = 0
    private var ownScale: UInt8 = 0
    private var isScaled = false
    private var sendLimit: UInt32 = 0
    private var hasClosed = false
    private var finSent = false
    private var duplicates = 0
    private var retries = 0

    // Receiving
    private var expected: UInt32 = 0
    private var edge: UInt32 = 0
    private var unread: UInt32 = 0
    private var islands: [(start: UInt32, end: UInt32)] = []
    private var finAt: UInt32?
    private var peerFinished = false
    private var lastDuplicate: (start: UInt32, end: UInt32)?
    private var crossed = false
    private var answersFastOpen = false

    // Timers, in microseconds of the model
    private var retransmitAt: Int64?
    private var acknowledgeAt: Int64?
    private var readAt: Int64?
    private var keepAliveAt: Int64?
    private var abortAt: Int64?
    private var endAt: Int64?

    init(_ traits: TCPModelTraits, isServer: Bool, seed: UInt64) {
        self.traits = traits
        self.isServer = isServer
        random = SeededRandom(seed: seed)
        mode = isServer ? .listen : .closed
    }

    var nextDeadline: Int64? {
        [retransmitAt, acknowledgeAt, readAt, keepAliveAt, abortAt, endAt].compactMap(\.self).min()
    }
}

// MARK: - Sending

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
    private mutating func chooseISN() -> UInt32 {
        defer { hasConnected = true }
        if hasConnected { return UInt32.random(in: 0...UInt32.max, using: &random) }
        let base: UInt32 =
            [0, 0x8000_0000, UInt32.random(in: 0...UInt32.max, using: &random)]
            .randomElement(using: &random) ?? 0
        return base &- UInt32.random(in: 0...3_000, using: &random)
    }

    private mutating func reset() {
        let before = self
        self = TCPModelEndpoint(before.traits, isServer: before.isServer, seed: 0)
        random = before.random
        output = before.output
        hasConnected = before.hasConnected
    }

    private mutating func close() {
        let wasAborted = aborted
        reset()
        aborted = wasAborted
    }

    private mutating func arm(_ now: Int64) { retransmitAt = now + (200_000 << Int64(min(retries, 6))) }

    private mutating func make(_ flags: TCPFlags, at sequence: UInt32, data: UInt32 = 0, now: Int64) -> TCPFields {
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
            return
        }
        let held = unread &+ islands.reduce(0) { $0 &+ ($1.end &- $1.start) }
        var free = traits.buffer > held ? traits.buffer - held : 0
        if !traits.shrinksWindow, edge.isAfter(expected) { free = max(free, edge &- expected) }
        let unit = UInt32(1) << UInt32(ownScale)
        s.window = UInt16(clamping: traits.shrinksWindow ? free / unit : (free + unit - 1) / unit)
        let offered = expected &+ UInt32(s.window) << UInt32(ownScale)
        edge = traits.shrinksWindow ? offered : laterOf(edge, offered)
    }

    private func laterOf(_ a: UInt32, _ b: UInt32) -> UInt32 { a.isBefore(b) ? b : a }

    private mutating func sendSYN(_ now: Int64) {
        var s = make(crossed || isAnswering ? [.syn, .ack] : .syn, at: initial, now: now)
        if retries > 2, !isAnswering, !crossed { s.windowScale = TCPFields.noWindowScale }
        if traits.fastOpen, retries == 0, !crossed, !isAnswering {
            s.dataLength = min(traits.bytesToSend, traits.segmentSize, 500)
            highest = laterOf(highest, initial &+ 1 &+ s.dataLength)
        }
        output.append(s)
    }

    private var isAnswering: Bool { mode == .synReceived }

    private mutating func acknowledge(_ now: Int64) {
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
    private mutating func transmit(_ now: Int64) {
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

    private var finIsAcknowledged: Bool { finSent && unacknowledged == sendLimit &+ 1 }

    mutating func abort(at now: Int64) {
        let isPlain = mode != .synReceived && Bool.random(using: &random)
        var s = make(isPlain ? .rst : [.rst, .ack], at: highest, now: now)
        s.window = 0
        output.append(s)
        aborted = true
        close()
    }
}

// MARK: - Time

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
    private mutating func resend(_ now: Int64) {
        guard unacknowledged != highest else { return transmit(now) }
        let ahead = (finSent ? sendLimit : highest) &- unacknowledged
        let amount = min(ahead, traits.segmentSize)
        var flags: TCPFlags = .ack
        if finSent, amount == ahead { flags.insert(.fin) }
        output.append(make(flags, at: unacknowledged, data: amount, now: now))
        arm(now)
    }
}

// MARK: - Receiving

extension TCPModelEndpoint {
    mutating func receive(_ s: TCPFields, at now: Int64) {
        switch mode {
        case .closed: answerWithReset(s, now)
        case .listen: receiveListening(s, now)
        case .synSent: receiveOpening(s, now)
        case .synReceived, .open, .timeWait: receiveSynchronized(s, now)
        }
    }

    private mutating func answerWithReset(_ s: TCPFields, _ now: Int64) {
        guard !s.flags.contains(.rst) else { return }
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

    private mutating func takeSYN(_ s: TCPFields, _ now: Int64) {
        expected = s.sequence &+ 1
        edge = expected
        window = UInt32(s.window)
        largestWindow = window
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

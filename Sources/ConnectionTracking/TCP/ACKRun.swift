// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// The pure acknowledgements that one side of a connection has sent in a row, all equal and none of them of use.
///
/// Two hosts that have lost each other's numbers, because a third has forged data of one or of both, answer each
/// acknowledgement of the other with one of their own, as fast as the path carries them (Joncheray, "A simple active attack
/// against TCP", 1995). Such an acknowledgement repeats the one before in everything, answers nothing that the other side has
/// sent, and comes while that has nothing left to be acknowledged. What honest sides repeat is told apart by that:
///
/// - duplicates that report a loss: the other side has data on its way;
/// - answers to data, FIN or SYN that came again (a retransmission for nothing, of which a window may be under way): each
///   answers one segment, or as many as segmentation offload has put into one;
/// - window updates, and duplicates with other SACK blocks: they are not equal;
/// - keep-alives and probes of a closed window, which look like the acknowledgement before them: they take their time.
struct ACKRun: BitwiseCopyable {
    private var sequence: UInt32 = 0
    private var acknowledgement: UInt32 = 0
    private var sackDigest: UInt32 = 0
    /// How many there are, the last one included.
    private(set) var length: UInt32 = 0
    /// In milliseconds, modulo 2^32.
    private var lastSeen: UInt32 = 0
    private var lastAsked: UInt32 = 0
    private var window: UInt16 = 0
    private var sackBlockCount: UInt8 = 0
    /// What the other side has sent and this one may still answer.
    private var answersOwed: UInt16 = 0

    /// A segment of the most common least size; more of them are not in one that offload has put together.
    private static let leastSegment: UInt32 = 512
    /// Probes by which a side asks whether the other is there, or takes data, are further apart than this part of the time.
    private static let probesPerTime: UInt32 = 10

    init() {}

    /// The other side has sent something that this one has to answer.
    mutating func ask(bytes: UInt32, at now: UInt32) {
        answersOwed = UInt16(clamping: UInt32(answersOwed) + bytes / Self.leastSegment + 1)
        lastAsked = now
    }

    /// Takes in a pure acknowledgement, and says how many equal ones there are with it.
    ///
    /// - Parameters:
    ///   - s: the acknowledgement.
    ///   - isProbe: it lies one below what the other side expects.
    ///   - now: in milliseconds, modulo 2^32.
    ///   - span: in milliseconds; what is further apart is not in a row.
    /// - Returns: whether it asks the other side for an answer.
    mutating func take(_ s: TCPFields, isProbe: Bool, at now: UInt32, within span: UInt32) -> Bool {
        let pause = now &- lastSeen
        let isEqual = length > 0 && equals(s)
        lastSeen = now
        if isProbe, !isEqual || pause >= max(1, span / Self.probesPerTime) {
            begin(s)
            return true
        }
        if now &- lastAsked > span { answersOwed = 0 }
        guard isEqual, pause <= span else {
            if answersOwed > 0 { answersOwed -= 1 }
            begin(s)
            return false
        }
        if answersOwed > 0 { answersOwed -= 1 } else { length = length == .max ? .max : length + 1 }
        return false
    }

    /// What comes next begins another row.
    mutating func end() { length = 0 }

    static var numberCount: Int { 9 }

    var numbers: [UInt32] {
        [
            sequence, acknowledgement, sackDigest, length, lastSeen, lastAsked, UInt32(window), UInt32(sackBlockCount),
            UInt32(answersOwed),
        ]
    }

    init?(_ numbers: ArraySlice<UInt32>) {
        let n = Array(numbers)
        guard n.count == Self.numberCount, let window = UInt16(exactly: n[6]), let blocks = UInt8(exactly: n[7]),
            let owed = UInt16(exactly: n[8])
        else { return nil }
        (sequence, acknowledgement, sackDigest, length, lastSeen, lastAsked) = (n[0], n[1], n[2], n[3], n[4], n[5])
        (self.window, sackBlockCount, answersOwed) = (window, blocks, owed)
    }

    private mutating func begin(_ s: TCPFields) {
        sequence = s.sequence
        acknowledgement = s.acknowledgement
        window = s.window
        sackBlockCount = s.sackBlockCount
        sackDigest = s.sackDigest
        length = 1
    }

    private func equals(_ s: TCPFields) -> Bool {
        sequence == s.sequence && acknowledgement == s.acknowledgement && window == s.window
            && sackBlockCount == s.sackBlockCount && sackDigest == s.sackDigest
    }
}

/// The rows of both sides of a connection.
public struct ConnectionACKs: BitwiseCopyable, Sendable {
    private var low = ACKRun()
    private var high = ACKRun()

    public init() {}

    /// Takes in a segment of one side, before its step, and says how many equal ones there are with it of those that are
    /// of no use; 0 where it is not one.
    mutating func take(
        _ s: TCPFields, from side: Side, of state: TCPState, at now: Instant, within span: Instant.Span
    ) -> UInt32 {
        let milliseconds = UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000)
        guard s.dataLength == 0, s.flags.subtracting(.ece | .cwr) == .ack else {
            self[side.opposite].ask(bytes: s.dataLength, at: milliseconds)
            return 0
        }
        guard state.hasWindows, state.mayExchange(s, from: side) else { return 0 }
        if state[side.opposite].end.isAfter(s.acknowledgement) {
            self[side].end()
            return 0
        }
        let isProbe = s.sequence &+ 1 == state[side.opposite].acknowledged
        let asks = self[side].take(
            s, isProbe: isProbe, at: milliseconds, within: UInt32(clamping: span.nanoseconds / 1_000_000))
        if asks { self[side.opposite].ask(bytes: 0, at: milliseconds) }
        return self[side].length
    }

    /// As numbers, for another process: those of the lower side, then those of the higher.
    public var numbers: [UInt32] { low.numbers + high.numbers }

    /// What `numbers` gave; nil for anything that it cannot give.
    public init?(numbers: [UInt32]) {
        guard numbers.count == 2 * ACKRun.numberCount, let low = ACKRun(numbers[..<ACKRun.numberCount]),
            let high = ACKRun(numbers[ACKRun.numberCount...])
        else { return nil }
        (self.low, self.high) = (low, high)
    }

    private subscript(side: Side) -> ACKRun {
        get { side == .low ? low : high }
        set { if side == .low { low = newValue } else { high = newValue } }
    }
}

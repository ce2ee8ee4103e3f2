// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// The tests of one segment against the bounds.
extension TCPEndpoint {
    /// No segment is this long; it keeps hostile lengths out of the arithmetic of sequence numbers.
    private static let longestSegment: UInt32 = 1 << 24
    /// Bytes after which the sequence numbers before a SYN begin to mean later ones.
    private static let youth: UInt32 = 1 << 30

    /// Whether a segment of this side lies where `receiver` may expect it.
    func mayPlace(_ s: TCPFields, before receiver: TCPEndpoint) -> Bool {
        fault(ofPlacing: s, before: receiver) == nil
    }

    /// The test that a segment of this side fails by where it lies; nil: `receiver` may expect it there.
    @inline(__always)
    func fault(ofPlacing s: TCPFields, before receiver: TCPEndpoint) -> TCPFault? {
        guard s.dataLength <= Self.longestSegment else { return .aboveCeiling }
        let dataEnd = s.sequence &+ s.dataLength
        if dataEnd.isBefore(lowest(within: receiver.reach)) { return .belowReach }
        if !isBelowCeiling(s, dataEnd, receiver) { return .aboveCeiling }
        return isBeyondFIN(s, dataEnd) ? .pastFIN : nil
    }

    /// A FIN may stand just past the window, which counts data only.
    private func isBelowCeiling(
        _ s: TCPFields, _ dataEnd: UInt32, _ receiver: TCPEndpoint
    ) -> Bool {
        !dataEnd.isAfter(ceiling) || isWindowProbe(s, receiver) || (s.dataLength == 0 && s.sequence == ceiling &+ 1)
    }

    /// The one byte that is sent into a closed window to learn whether it has opened (RFC 9293 section 3.8.6.1).
    private func isWindowProbe(_ s: TCPFields, _ receiver: TCPEndpoint) -> Bool {
        s.dataLength == 1 && s.sequence == ceiling && receiver.acknowledged == ceiling
    }

    /// After its FIN a side sends nothing new (RFC 9293 section 3.6); data ends before the FIN, and an empty segment may
    /// stand after it.
    private func isBeyondFIN(_ s: TCPFields, _ dataEnd: UInt32) -> Bool {
        guard hasFinished else { return false }
        let takesSpace = s.dataLength > 0 || s.flags.contains(.fin)
        return dataEnd.isAfter(takesSpace ? end &- 1 : end)
    }

    /// Whether this side may acknowledge what the segment acknowledges.
    func mayAcknowledge(_ s: TCPFields, sentBy sender: TCPEndpoint) -> Bool {
        fault(ofAcknowledging: s, sentBy: sender) == nil
    }

    /// The test that a segment of this side fails by what it acknowledges, also selectively (RFC 2018); nil: it may. Duplicate
    /// blocks (RFC 2883) lie below the acknowledgement and can be of any age.
    @inline(__always)
    func fault(ofAcknowledging s: TCPFields, sentBy sender: TCPEndpoint) -> TCPFault? {
        let limit = sender.limitOfAcknowledgement
        if s.acknowledgement.isAfter(limit) { return .acknowledgesUnsent }
        if s.acknowledgement.isBefore(sender.lowest(within: reach)) { return .acknowledgesTooOld }
        guard s.sackBlockCount > 0, s.sackHighest.isAfter(s.acknowledgement) else { return nil }
        return s.sackHighest.isAfter(limit) ? .selectivelyAcknowledgesUnsent : nil
    }
}

/// What a segment that passes teaches.
extension TCPEndpoint {
    /// Takes note of what this side sends; `acknowledged` is what the peer has of it.
    ///
    /// What takes no sequence number says nothing of what was sent before it: what is lost between cannot be acknowledged, and who
    /// does not see it can forge it. Only of a connection that was taken over it may tell what has gone before.
    mutating func send(_ s: TCPFields, unseenBytes: UInt32, acknowledged: UInt32) {
        let isEmpty = s.dataLength == 0 && !s.flags.contains(.fin)
        if isEmpty, s.sequence.isAfter(end), !marks.contains(.unsettled) { return }
        let dataEnd = s.sequence &+ s.dataLength
        if marks.contains(.fin), !hasFinished {
            if mayLieBehindFIN(s, unseenBytes) {
                unseen = max(unseen, UInt16(clamping: dataEnd &- end))
                return
            }
            doubtFIN(before: s)
        }
        if s.sequence.isAfter(end) { noteGap(before: s.sequence) }
        advance(to: dataEnd)
        // Where the FIN of a fragmented segment stands is not known before it is acknowledged or sent again.
        if s.flags.contains(.fin), unseenBytes == 0 { finish(s, at: dataEnd &+ 1, acknowledged) }
        let ahead = dataEnd &+ min(unseenBytes, 65_535)
        if ahead.isAfter(end) { unseen = max(unseen, UInt16(clamping: ahead &- end)) }
    }

    /// A FIN is the last that a side sends: one before data that was seen, or in the place of some, is none. But where these lie
    /// beyond a gap they may be what is forged: then it is one when the peer acknowledges just that. In the place of the last of them
    /// no acknowledgement tells; it is one if nothing was missing before its segment.
    private mutating func finish(_ s: TCPFields, at sequence: UInt32, _ acknowledged: UInt32) {
        guard !hasFinished, !marks.contains(.fin) || sequence != end else { return }
        if !sequence.isAfter(end) {
            let beyond = end &- sequence &+ UInt32(unseen)
            guard marks.contains(.gapped), sequence.isAfter(acknowledged), beyond <= UInt32(UInt16.max),
                beyond > 0 || !s.sequence.isAfter(acknowledged)
            else { return }
            unseen = UInt16(beyond)
            end = sequence
        }
        advance(to: sequence)
        marks.insert(.fin)
    }

    /// What has overtaken the opening, and was seen before it, counts where it lies within the first window.
    mutating func takeUp(_ earlier: TCPEndpoint) {
        guard !earlier.marks.contains(.silent), earlier.end.isAfter(end), !earlier.end.isAfter(ceiling &+ 1) else {
            return
        }
        advance(to: earlier.end)
        if earlier.marks.contains(.fin) { marks.insert(.fin) }
    }

    mutating func advance(to sequence: UInt32) {
        guard sequence.isAfter(end) else { return }
        if sequence &- start > Self.youth { marks.remove(.young) }
        let gained = sequence &- end
        unseen = gained < UInt32(unseen) ? unseen - UInt16(gained) : 0
        end = sequence
    }

    /// Takes note of what this side acknowledges and offers to `sender`.
    mutating func acknowledge(_ s: TCPFields, to sender: inout TCPEndpoint, at now: Instant) {
        let window = UInt32(s.window) << UInt32(scale)
        windowUnits = max(windowUnits, s.window)
        sender.ceiling = sender.ceiling.later(s.acknowledgement &+ window)
        acknowledged = acknowledged.later(s.acknowledgement)
        if sender.marks.contains(.fin), s.acknowledgement.isAfter(sender.end) {
            sender.marks.remove(.fin)
            sender.advance(to: s.acknowledgement)
        }
        if sender.marks.contains(.gapped) { sender.closeGap(s) }
        sender.hear(s.acknowledgement, at: now)
    }

    /// Takes note of an acknowledgement that the peer sent.
    private mutating func hear(_ acknowledgement: UInt32, at now: Instant) {
        if marks.contains(.unsettled) { settle(acknowledgement, at: now) }
        guard marks.contains(.fin), !acknowledgement.isBefore(end) else { return }
        marks.insert(.finAcknowledged)
        unseen = 0
    }

    private mutating func settle(_ acknowledgement: UInt32, at now: Instant) {
        let age = Self.second(of: now) &- start
        if acknowledgement.isAfter(end) {
            end = acknowledgement
        } else if acknowledgement == end, age >= Self.settlingTime {
            marks.remove(.unsettled)
        }
    }
}

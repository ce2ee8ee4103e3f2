// SPDX-License-Identifier: GPL-3.0-or-later

/// Kinds and lengths of TCP options (RFC 9293 section 3.2, 7323, 2018, 7413, 2385, 5925).
private enum Option {
    static let endOfList: UInt8 = 0
    static let noOperation: UInt8 = 1
    static let maximumSegmentSize: UInt8 = 2
    static let windowScale: UInt8 = 3
    static let sackPermitted: UInt8 = 4
    static let sack: UInt8 = 5
    static let timestamps: UInt8 = 8
    static let md5Signature: UInt8 = 19
    static let authentication: UInt8 = 29
    static let fastOpen: UInt8 = 34
    static let experimental: UInt8 = 254

    /// Kind and length byte.
    static let headLength = 2
    static let maximumSegmentSizeLength = 4
    static let windowScaleLength = 3
    static let sackPermittedLength = 2
    static let sackBlockLength = 8
    static let timestampsLength = 10
    static let md5SignatureLength = 18
    /// Kind, length and two key identifiers; the code follows.
    static let authenticationHeadLength = 4
    /// Two no-operations, then a timestamps option: what nearly every segment of a connection carries, and nothing else
    /// (RFC 7323 appendix A).
    static let alignedTimestamps: UInt32 = 0x0101_080a
    static let alignedTimestampsLength = 12
    /// Identifies Fast Open among the users of the experimental kind (RFC 7413 section 4.1.1, RFC 6994).
    static let fastOpenMagic: UInt16 = 0xf989
    static let experimentHeadLength = 4

    static let maximumWindowScale: UInt8 = 14
}

extension TCPFields {
    /// Reads the options in `start..<end`, all of which are at hand. What the receiver's stack would ignore is ignored: an
    /// option with a length that is not its own, and everything from an option on whose length is below 2 or beyond
    /// the list.
    ///
    /// Deliberately not handled: what MD5 and authentication options prove, which takes the key; multipath TCP, user timeout.
    /// They are stepped over.
    mutating func decodeOptions(_ bytes: RawSpan, from start: Int, to end: Int) {
        if end - start == Option.alignedTimestampsLength, bytes.bigEndian32(at: start) == Option.alignedTimestamps {
            return decodeTimestamps(bytes, at: start + 4)
        }
        var offset = start
        while offset < end {
            let kind = bytes.byte(at: offset)
            if kind == Option.noOperation {
                offset += 1
                continue
            }
            guard kind != Option.endOfList, offset + Option.headLength <= end else { return }
            let length = Int(bytes.byte(at: offset + 1))
            guard length >= Option.headLength, offset + length <= end else {
                if end - offset > Option.authenticationHeadLength { authentication.insert(.unreadable) }
                return
            }
            decodeOption(kind, bytes, at: offset, length)
            offset += length
        }
    }

    /// Takes what decides how the rest of the connection is read for offered, where a SYN's options are not all at hand.
    /// Without it the windows of a connection that has them scaled would be taken for a few hundred bytes.
    mutating func assumeOptions() {
        if windowScale == TCPFields.noWindowScale { windowScale = Option.maximumWindowScale }
        fastOpen = true
    }

    private mutating func decodeOption(_ kind: UInt8, _ bytes: RawSpan, at offset: Int, _ length: Int) {
        let value = offset + Option.headLength
        switch (kind, length) {
        case (Option.timestamps, Option.timestampsLength):
            decodeTimestamps(bytes, at: value)
        case (Option.maximumSegmentSize, Option.maximumSegmentSizeLength):
            maximumSegmentSize = bytes.bigEndian16(at: value)
        case (Option.windowScale, Option.windowScaleLength):
            // A shift above 14 counts as 14 (RFC 7323 section 2.3).
            windowScale = min(bytes.byte(at: value), Option.maximumWindowScale)
        case (Option.sackPermitted, Option.sackPermittedLength):
            sackPermitted = true
        case (Option.sack, _):
            decodeSACK(bytes, from: value, to: offset + length)
        case (Option.md5Signature, Option.md5SignatureLength): noteAuthentication(.md5)
        case (Option.authentication, Option.authenticationHeadLength...): noteAuthentication(.ao)
        case (Option.fastOpen, _):
            if isCookieLength(length - Option.headLength) { fastOpen = true }
        case (Option.experimental, Option.experimentHeadLength...):
            if bytes.bigEndian16(at: value) == Option.fastOpenMagic,
                isCookieLength(length - Option.experimentHeadLength)
            {
                fastOpen = true
            }
        default: break
        }
    }

    private mutating func noteAuthentication(_ kind: TCPAuthentication) {
        authentication.insert(authentication.isEmpty ? kind : .unreadable)
    }

    private mutating func decodeTimestamps(_ bytes: RawSpan, at value: Int) {
        hasTimestamps = true
        timestampValue = bytes.bigEndian32(at: value)
        timestampEcho = bytes.bigEndian32(at: value + 4)
    }

    private mutating func decodeSACK(_ bytes: RawSpan, from start: Int, to end: Int) {
        guard (end - start) % Option.sackBlockLength == 0 else { return }
        for block in stride(from: start, to: end, by: Option.sackBlockLength) {
            let left = bytes.bigEndian32(at: block)
            let right = bytes.bigEndian32(at: block + 4)
            if sackBlockCount == 0 || left.precedes(sackLowest) { sackLowest = left }
            if sackBlockCount == 0 || sackHighest.precedes(right) { sackHighest = right }
            sackDigest = (sackDigest.rotatedLeft(5) ^ left).rotatedLeft(5) ^ right
            sackBlockCount &+= 1
        }
    }
}

/// None asks for a cookie; else 4 to 16 bytes, an even number (RFC 7413 section 4.1.1).
private func isCookieLength(_ length: Int) -> Bool {
    length == 0 || (4...16).contains(length) && length % 2 == 0
}

extension UInt32 {
    /// Order of sequence numbers, modulo 2^32 (RFC 9293 section 3.4).
    fileprivate func precedes(_ other: UInt32) -> Bool { Int32(bitPattern: self &- other) < 0 }

    fileprivate func rotatedLeft(_ bits: UInt32) -> UInt32 { self << bits | self >> (32 - bits) }
}

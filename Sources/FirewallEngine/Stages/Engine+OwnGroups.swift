// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// This host's own packets to groups loop back, where it is a member itself, and were judged on their way out. Only what this
/// engine has let out comes in unjudged: an address of this host as the source proves nothing.
///
/// A packet is known by a keyed digest of what it carries and to whom. The kernel hands the same bytes back; its network header
/// may be another by then (address translation, TTL), and a UDP checksum may not be filled in yet in one of them. Both directions
/// of a pair of addresses come to the same queue, so to the same engine.
extension Engine {
    /// Whether this is the copy of one that was let out. What only claims to be one is of none of the exchanges that this host
    /// has. One that only passes through is not this host's, whatever source it claims.
    mutating func isOwnGroupPacket(_ p: inout Inspection, _ bytes: RawSpan) -> Bool {
        guard p.direction == .incoming, p.metadata.hook != .forward, hostAddresses.sendToGroup(&p.headers) else {
            return false
        }
        // The kernel loops it before it has a link header, and trusts its own checksums.
        p.hasFalseSource = p.headers.sourceMAC != .none || p.metadata.checksumNotVerified
        if !p.hasFalseSource { p.hasFalseSource = !isLetOut(&p, bytes) && !mayHaveMissedOwn(at: p.now) }
        return !p.hasFalseSource
    }

    /// Notes a packet to a group that passes on its way out.
    mutating func noteLetOut(_ p: inout Inspection, _ bytes: RawSpan) {
        guard p.direction == .outgoing, p.metadata.hook != .none, hostAddresses.isToGroup(&p.headers) else { return }
        ownGroupPackets.note(digest(&p, bytes, .whole), amount: 1, at: p.now)
        guard p.headers.network == .ipv6, p.headers.length > OwnGroupPackets.leastLinkMTU else { return }
        ownGroupPackets.note(digest(&p, bytes, .beginning), amount: carried(&p), at: p.now)
    }

    /// Bytes after the network header and its extensions.
    private func carried(_ p: inout Inspection) -> UInt32 {
        let end = UInt32(p.headers.networkOffset) + p.headers.length
        return end - min(end, UInt32(p.headers.transportOffset))
    }

    /// A full queue that fails open may have let it out.
    private func mayHaveMissedOwn(at now: Instant) -> Bool {
        unseenAt.map { now < $0 + OwnGroupPackets.lifetime } ?? false
    }

    private mutating func isLetOut(_ p: inout Inspection, _ bytes: RawSpan) -> Bool {
        guard p.headers.fragment.isFragment else {
            return ownGroupPackets.take(digest(&p, bytes, .whole), 1, at: p.now) != nil
        }
        return p.headers.network == .ipv6 && isFragmentOfLetOut(&p, bytes)
    }

    /// IPv6 loops what it has already fragmented (IPv4 before). The first fragment tells whose it is; later ones have its
    /// identification, and bring no more bytes than were let out.
    private mutating func isFragmentOfLetOut(_ p: inout Inspection, _ bytes: RawSpan) -> Bool {
        if p.headers.fragment.offset != 0 {
            return ownGroupPackets.take(digestOfFragment(&p), p.headers.fragment.dataLength, at: p.now) != nil
        }
        let whole = p.headers.transport == .udp ? UInt32(p.headers.udpLength) : nil
        let length = carried(&p)
        guard let all = ownGroupPackets.take(digest(&p, bytes, .beginning), whole, at: p.now), all > length else {
            return false
        }
        ownGroupPackets.note(digestOfFragment(&p), amount: all - length, at: p.now)
        return true
    }

    enum Extent { case whole, beginning }

    /// Of what follows the network header. A port and a UDP length count, its checksum does not.
    mutating func digest(_ p: inout Inspection, _ bytes: RawSpan, _ extent: Extent = .whole) -> UInt64 {
        var sip = SipHash(seed: ownGroupPackets.seed)
        sip.absorb(p.headers.destination.high)
        sip.absorb(p.headers.destination.low)
        sip.absorb(UInt64(p.headers.protocolNumber) | (extent == .whole ? 1 << 8 : 0))
        let start = min(Int(p.headers.transportOffset), bytes.byteCount)
        let reach = Int(p.headers.networkOffset) + Int(p.headers.length)
        var end = min(reach, bytes.byteCount)
        if extent == .beginning { end = min(end, start + OwnGroupPackets.beginning) }
        if extent == .whole { sip.absorb(UInt64(max(0, reach - start))) }
        var offset = start
        if p.headers.transport == .udp, end >= start + 8 {
            sip.absorb(bytes.bigEndian64(at: start) >> 16)
            offset += 8
        }
        sip.absorb(bytes, from: offset, to: end)
        return sip.finish()
    }

    private mutating func digestOfFragment(_ p: inout Inspection) -> UInt64 {
        var sip = SipHash(seed: ownGroupPackets.seed)
        sip.absorb(p.headers.source.high)
        sip.absorb(p.headers.source.low)
        sip.absorb(p.headers.destination.high)
        sip.absorb(p.headers.destination.low)
        sip.absorb(UInt64(p.headers.fragment.identification) | 1 << 63)
        return sip.finish()
    }
}

extension SipHash {
    /// The bytes from `start` up to `end`; the last word is filled up with zeros.
    fileprivate mutating func absorb(_ bytes: RawSpan, from start: Int, to end: Int) {
        var offset = start
        while offset + 8 <= end {
            absorb(bytes.bigEndian64(at: offset))
            offset += 8
        }
        var rest: UInt64 = 0
        while offset < end {
            rest = rest << 8 | UInt64(bytes.byte(at: offset))
            offset += 1
        }
        absorb(rest)
    }
}

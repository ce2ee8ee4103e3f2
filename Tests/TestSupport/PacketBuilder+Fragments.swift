// SPDX-License-Identifier: GPL-3.0-or-later

/// Fragments, of IPv4 in its header, of IPv6 in a fragment header.
extension PacketBuilder {
    /// The whole datagram as fragments of at most `size` bytes of payload each, in order. `size` is a multiple of 8.
    package func fragmented(at size: Int) -> [PacketBuilder] {
        let total = divisiblePayload.count
        return stride(from: 0, to: Swift.max(total, 1), by: size).map { fragment($0..<Swift.min($0 + size, total)) }
    }

    /// The fragment that carries these bytes of the datagram's payload (in IPv6: of its fragmentable part). Checksums
    /// are those of the whole datagram. `more` says whether others follow; right unless set.
    package func fragment(_ range: Range<Int>, more: Bool? = nil) -> PacketBuilder {
        let total = divisiblePayload.count
        return with {
            $0.fragment = FragmentPiece(
                offset: range.lowerBound, more: more ?? (range.upperBound < total), range: range)
        }
    }

    /// The whole payload as it is, called a fragment: at any offset, with or without more to come. In IPv6 with `offset` 0
    /// and no more to come it is an atomic fragment (RFC 8021).
    package func fragmentFields(offset: Int, more: Bool) -> PacketBuilder {
        with { $0.fragment = FragmentPiece(offset: offset, more: more, range: nil) }
    }

    /// Payload as this packet carries it: extension headers, fragment header, the fragment's share.
    var carriedPayload: [UInt8] {
        if network.isIPv6 { return ipv6Payload }
        return fragment.map { $0.slice(of: upperLayer) } ?? upperLayer
    }

    /// What fragmentation divides.
    private var divisiblePayload: [UInt8] {
        guard network.isIPv6 else { return upperLayer }
        let whole = with { $0.fragment = FragmentPiece(offset: 0, more: false, range: nil) }
        let perFragment = whole.perFragmentExtensions.reduce(0) { $0 + 2 + $1.body.count }
        return Array(whole.ipv6Payload.dropFirst(perFragment + 8))
    }
}

/// Which part of its datagram a packet carries; without `range` all of it.
struct FragmentPiece: Sendable {
    var offset: Int
    var more: Bool
    var range: Range<Int>?

    func slice(of payload: [UInt8]) -> [UInt8] {
        guard let range else { return payload }
        return Array(payload[range.clamped(to: payload.indices)])
    }
}

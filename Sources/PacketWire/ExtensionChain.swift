// SPDX-License-Identifier: GPL-3.0-or-later

/// Offsets of IPv6 extension headers (RFC 8200 section 4).
private enum Field {
    static let nextHeader = 0
    /// In units of eight bytes beyond the first eight; of an authentication header in words beyond the first two.
    static let lengthField = 1
    static let minimumLength = 8

    static let routingType = 2
    static let routingSegmentsLeft = 3

    static let fragmentOffsetAndMore = 2
    static let fragmentIdentification = 4
    static let fragmentOffsetMask: UInt16 = 0xfff8
    static let moreFragments: UInt16 = 1

    static let firstOption = 2
}

/// A walk over the extension headers of an IPv6 packet, bounded by their number and by the packet's extent.
///
/// RFC 8200 section 4.1 wants every order accepted except that hop-by-hop options stand only first; a second fragment
/// header is refused as well, because no stack sends one and reassembly would have to nest. An authentication header is
/// walked over like the others. Everything else ends the walk as the upper layer: also ESP, whose contents nobody here can
/// read, and the mobility, HIP and shim6 headers, whose messages have no payload of their own. What follows No Next
/// Header is ignored (section 4.7).
struct ExtensionChain {
    enum Ending {
        /// `offset` is where the header that `nextHeader` names starts, or the packet's end.
        case upperLayer
        case laterFragment
        case noNextHeader
        /// An extension header that was cut off by the copy or the capture.
        case cut
        /// An extension header that goes beyond the packet.
        case beyond
        /// Hop-by-hop options not first, two fragment headers, too short an authentication header, too many headers.
        case illegal
    }

    static let maximumHeaders = 16

    private(set) var nextHeader: UInt8
    private(set) var offset: Int
    private(set) var ending = Ending.illegal
    private(set) var fragment = FragmentFields()
    private(set) var hasRoutingHeaderZero = false
    private(set) var hasSegmentsLeft = false
    private var hasFragmentHeader = false

    static func isExtension(_ number: UInt8) -> Bool {
        switch number {
        case IPProtocol.hopByHop, IPProtocol.routing, IPProtocol.fragment, IPProtocol.authentication,
            IPProtocol.destinationOptions, IPProtocol.noNextHeader:
            true
        default: false
        }
    }

    init(_ bytes: RawSpan, from start: Int, nextHeader first: UInt8, _ packet: PacketExtent) {
        nextHeader = first
        offset = start
        for index in 0...Self.maximumHeaders {
            if let ending = step(bytes, packet, isFirst: index == 0, isOneTooMany: index == Self.maximumHeaders) {
                self.ending = ending
                return
            }
        }
    }

    /// Goes over one header; returns how the walk ends, if it does.
    private mutating func step(
        _ bytes: RawSpan, _ packet: PacketExtent, isFirst: Bool, isOneTooMany: Bool
    ) -> Ending? {
        guard Self.isExtension(nextHeader) else { return .upperLayer }
        guard nextHeader != IPProtocol.noNextHeader else { return .noNextHeader }
        guard !isOneTooMany, isFirst || nextHeader != IPProtocol.hopByHop else { return .illegal }
        switch packet.reach(offset + Field.minimumLength) {
        case .present: break
        case .cut: return .cut
        case .beyond: return .beyond
        }
        let length = headerLength(bytes)
        switch packet.reach(offset + length) {
        case .present: break
        case .cut: return .cut
        case .beyond: return .beyond
        }
        return interpret(bytes, packet, length)
    }

    private func headerLength(_ bytes: RawSpan) -> Int {
        let field = Int(bytes.byte(at: offset + Field.lengthField))
        switch nextHeader {
        case IPProtocol.fragment: return Field.minimumLength
        case IPProtocol.authentication: return (field + 2) * 4
        default: return (field + 1) * 8
        }
    }

    private mutating func interpret(_ bytes: RawSpan, _ packet: PacketExtent, _ length: Int) -> Ending? {
        switch nextHeader {
        case IPProtocol.routing:
            if bytes.byte(at: offset + Field.routingType) == 0 { hasRoutingHeaderZero = true }
            if bytes.byte(at: offset + Field.routingSegmentsLeft) > 0 { hasSegmentsLeft = true }
        case IPProtocol.fragment:
            guard !hasFragmentHeader else { return .illegal }
            readFragmentHeader(bytes, packet)
        case IPProtocol.authentication:
            // Fixed part of twelve bytes (RFC 4302 section 2).
            guard length >= 12 else { return .illegal }
        default: break
        }
        nextHeader = bytes.byte(at: offset + Field.nextHeader)
        offset += length
        return fragment.offset > 0 ? .laterFragment : nil
    }

    private mutating func readFragmentHeader(_ bytes: RawSpan, _ packet: PacketExtent) {
        let bits = bytes.bigEndian16(at: offset + Field.fragmentOffsetAndMore)
        hasFragmentHeader = true
        fragment.offset = UInt32(bits & Field.fragmentOffsetMask)
        fragment.moreFragments = bits & Field.moreFragments != 0
        // With neither it is a whole packet (atomic fragment, RFC 8021).
        fragment.isFragment = fragment.moreFragments || fragment.offset != 0
        fragment.identification = bytes.bigEndian32(at: offset + Field.fragmentIdentification)
        fragment.dataLength = UInt32(truncatingIfNeeded: packet.end - offset - Field.minimumLength)
    }
}

/// The jumbo payload option (RFC 2675 section 2): a length beyond 65,535 in the hop-by-hop header, while the payload length
/// field is 0.
enum JumboPayload {
    case length(UInt32)
    /// The header that could say it is cut off.
    case cut
    case none

    private static let option: UInt8 = 0xc2
    private static let pad1: UInt8 = 0

    static func find(_ bytes: RawSpan, at start: Int, _ frame: PacketExtent) -> JumboPayload {
        switch frame.reach(start + Field.minimumLength) {
        case .present: break
        case .cut: return .cut
        case .beyond: return .none
        }
        let end = start + (Int(bytes.byte(at: start + Field.lengthField)) + 1) * 8
        switch frame.reach(end) {
        case .present: return find(bytes, optionsFrom: start + Field.firstOption, to: end)
        case .cut: return .cut
        case .beyond: return .none
        }
    }

    private static func find(_ bytes: RawSpan, optionsFrom start: Int, to end: Int) -> JumboPayload {
        var offset = start
        while offset < end {
            let kind = bytes.byte(at: offset)
            if kind == pad1 {
                offset += 1
                continue
            }
            guard offset + 2 <= end else { return .none }
            let length = Int(bytes.byte(at: offset + 1))
            guard offset + 2 + length <= end else { return .none }
            if kind == option, length == 4 {
                let jumbo = bytes.bigEndian32(at: offset + 2)
                return jumbo > 0xffff ? .length(jumbo) : .none
            }
            offset += 2 + length
        }
        return .none
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallEngine
package import FirewallPolicy
import PacketWire

/// One packet of a capture as it comes by itself: for an engine that knows the connections' state from elsewhere.
package struct CapturedPacket: Sendable {
    /// From the network header on.
    package var bytes: [UInt8]
    package var metadata: PacketMetadata
    /// The captured fragments of the same datagram before it.
    package var earlierFragments: [[UInt8]] = []

    /// More fragments of a datagram are not looked for.
    private static let mostFragments = 64
    /// Of all datagrams together: more are no capture's that anybody looks at packet by packet, but one made to fill the memory.
    private static let mostFragmentBytes = 64 << 20

    /// - Parameters:
    ///   - wanted: its number in the file, 1-based.
    ///   - path: the file.
    ///   - local: the addresses that are this host.
    /// - Throws: why the file cannot be read.
    /// - Returns: nil where the file has no such packet, or where it is neither from nor to this host.
    package static func packet(
        _ wanted: UInt64, in path: String, local: [AddressRange]
    ) throws(CaptureError) -> CapturedPacket? {
        var fragments: [FragmentName: [[UInt8]]] = [:]
        var found: CapturedPacket?
        var conversations = Conversations(local: local)
        var file = try CaptureFile(path: path)
        var (number, held) = (UInt64(0), 0)
        while number < wanted,
            try file.next({ bytes, frame in
                number = frame.number
                guard let link = frame.link, let read = Reading(bytes, frame.fullLength, link) else { return }
                let direction = conversations.direction(read.headers)
                let name = FragmentName(read.headers)
                if number == wanted {
                    found = direction.map { CapturedPacket(read, $0) }
                    found?.earlierFragments = name.flatMap { fragments[$0] } ?? []
                } else if let name, fragments[name]?.count ?? 0 < mostFragments,
                    held + read.bytes.count <= mostFragmentBytes
                {
                    held += read.bytes.count
                    fragments[name, default: []].append(read.bytes)
                }
            })
        {}
        return found
    }

    private init(_ read: Reading, _ direction: Direction) {
        bytes = read.bytes
        metadata = read.metadata
        metadata.direction = direction
        // What the capture cut off is no malformation, which only a packet that is told to be from a capture is believed.
        if Int(metadata.fullLength) == bytes.count { metadata.hook = direction == .incoming ? .prerouting : .output }
        metadata.checksumNotReady = direction == .outgoing
    }
}

/// A frame, decoded, without what stands before its network header.
private struct Reading {
    var headers = PacketHeaders()
    var metadata = PacketMetadata()
    var bytes: [UInt8] = []

    /// nil for one that is too short to be read.
    init?(_ frame: RawSpan, _ fullLength: UInt32, _ link: LinkType) {
        guard let header = LinkHeader(link, frame) else { return nil }
        var start = header.length
        if link == .ethernet {
            let traits = PacketTraits(fullLength: fullLength, isCapture: true)
            do { try headers.decodeFrame(frame, traits) } catch { return nil }
            start = Int(headers.networkOffset)
            metadata.sourceMAC = headers.sourceMAC
            metadata.destinationMAC = headers.destinationMAC
            metadata.vlan = headers.vlan
        } else {
            let traits = PacketTraits(fullLength: fullLength - UInt32(start), isCapture: true)
            let packet = frame.extracting(start..<frame.byteCount)
            do { try headers.decodePacket(packet, etherType: header.etherType, traits) } catch { return nil }
            metadata.sourceMAC = header.sourceMAC
        }
        metadata.hook = .none
        metadata.etherType = headers.etherType
        guard start <= frame.byteCount, fullLength >= UInt32(start) else { return nil }
        // Frames are filled up to the least length of a link; the packet ends before.
        let isWhole = Int(fullLength) == frame.byteCount
        let length = headers.isIP ? Int(headers.networkOffset) + Int(headers.length) : frame.byteCount
        let end = link == .ethernet && isWhole ? min(frame.byteCount, max(start, length)) : frame.byteCount
        for place in start..<end { bytes.append(frame.byte(at: place)) }
        metadata.fullLength = isWhole ? UInt32(bytes.count) : fullLength - UInt32(start)
    }
}

/// By which fragments of one datagram are known (RFC 791 section 3.2, RFC 8200 section 4.5).
private struct FragmentName: Hashable {
    let source: IPAddress
    let destination: IPAddress
    let identification: UInt32

    /// nil for what is no fragment.
    init?(_ headers: PacketHeaders) {
        guard headers.isIP, headers.fragment.isFragment else { return nil }
        (source, destination) = (headers.source, headers.destination)
        identification = headers.fragment.identification
    }
}

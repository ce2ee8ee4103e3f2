// SPDX-License-Identifier: GPL-3.0-or-later

internal import CPathShim
internal import Glibc
internal import PacketWire

/// Sees openings of connections at the interfaces of the reflector's host, where it is allowed to (CAP_NET_RAW): what a filter
/// on this host drops has arrived all the same.
final class OpeningWatch: PollSource {
    private struct Knock: Hashable {
        var peer: Endpoint
        var port: UInt16
    }

    private let descriptor: CInt
    private let poller: Poller
    private let isOfLease: (UInt16, Endpoint) -> Bool
    private let limit: Int
    private var token: Poller.Token = 0
    private var found: [Knock: OpeningSighting] = [:]
    private var order: [Knock] = []
    /// Not all were seen, or kept.
    private(set) var isIncomplete = false

    /// Nil where this host does not allow it.
    ///
    /// - Parameters:
    ///   - poller: the loop that it is served by.
    ///   - limit: how many senders with their ports are kept.
    ///   - isOfLease: whether the port, for a sender of that family, is one of the lease's.
    init?(_ poller: Poller, limit: Int, isOfLease: @escaping (UInt16, Endpoint) -> Bool) {
        descriptor = path_opening_watch()
        guard descriptor >= 0 else { return nil }
        self.poller = poller
        self.limit = limit
        self.isOfLease = isOfLease
        token = poller.add(self)
        do throws(SystemFault) {
            try poller.watch(descriptor, for: .readable, token, isNew: true)
        } catch {
            close()
            return nil
        }
    }

    func close() {
        poller.remove(token)
        ProbeSocket(descriptor: descriptor).close()
    }

    func due(at now: Instant) {}

    func ready(_ what: Readiness, at now: Instant) { drain() }

    /// All that were seen by now, in the order in which they came.
    var sightings: [OpeningSighting] {
        drain()
        if path_missed_openings(descriptor) { isIncomplete = true }
        return order.compactMap { found[$0] }
    }

    private func drain() {
        while true {
            var isOutgoing = false
            let count = unsafe poller.buffer.withUnsafeMutableBytes { bytes in
                unsafe bytes.baseAddress.map { unsafe path_take_opening(descriptor, $0, bytes.count, &isOutgoing) } ?? 0
            }
            guard count > 0 else { return }
            take(poller.buffer[..<count], isOutgoing)
        }
    }

    private func take(_ bytes: ArraySlice<UInt8>, _ isOutgoing: Bool) {
        var headers = PacketHeaders()
        do {
            try unsafe headers.decodePacket(
                bytes.span.bytes, etherType: 0, PacketTraits(fullLength: UInt32(bytes.count)))
        } catch {
            return
        }
        guard headers.transport == .tcp else { return }
        let isIPv6 = headers.network == .ipv6
        let source = Endpoint(headers.source, isIPv6: isIPv6, port: headers.sourcePort)
        let destination = Endpoint(headers.destination, isIPv6: isIPv6, port: headers.destinationPort)
        let flags = headers.tcp.flags
        if isOutgoing {
            let knock = Knock(peer: destination, port: source.port)
            if flags.contains(.syn | .ack) { found[knock]?.isAnswered = true }
            if flags.contains(.rst) { found[knock]?.isRefused = true }
        } else if flags.contains(.syn), flags.isDisjoint(with: .ack | .rst) {
            note(Knock(peer: source, port: destination.port), headers, bytes)
        }
    }

    private func note(_ knock: Knock, _ headers: PacketHeaders, _ bytes: ArraySlice<UInt8>) {
        guard found[knock] == nil else {
            found[knock]?.count += 1
            return
        }
        guard isOfLease(knock.port, knock.peer) else { return }
        guard found.count < limit else {
            isIncomplete = true
            return
        }
        var header = OpeningHeader()
        header.hops = headers.timeToLive
        header.trafficClass = headers.network == .ipv6 ? bytes[0] << 4 | bytes[1] >> 4 : bytes[1]
        header.maximumSegmentSize = headers.tcp.maximumSegmentSize
        header.hasWindowScale = headers.tcp.windowScale != TCPFields.noWindowScale
        header.hasSACK = headers.tcp.sackPermitted
        header.hasTimestamps = headers.tcp.hasTimestamps
        header.offersECN = headers.tcp.flags.contains(.ece | .cwr)
        found[knock] = OpeningSighting(port: knock.port, peer: knock.peer, header: header)
        order.append(knock)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

internal import CPathShim
internal import Glibc
internal import PacketWire

/// A socket of either protocol and side. A thin cover of the shim: Swift's types for C's, and nothing decided.
struct ProbeSocket {
    let descriptor: CInt

    init(descriptor: CInt) { self.descriptor = descriptor }

    /// A socket for a probe, with the error queue on.
    init(_ transport: Transport, isIPv6: Bool) throws(SystemFault) {
        descriptor = try checked(path_socket(isIPv6, transport == .tcp))
        do throws(SystemFault) {
            try checked(path_prepare_probe(descriptor, isIPv6, transport == .tcp))
        } catch {
            close()
            throw error
        }
    }

    /// A socket that listens, or one that takes datagrams.
    init(listening endpoint: Endpoint, _ transport: Transport, backlog: Int32) throws(SystemFault) {
        var c = endpoint.c
        descriptor = try checked(unsafe path_listener(&c, transport == .tcp, backlog))
    }

    /// Has routers discard what it sends after so many of them.
    func limit(hops: UInt8, isIPv6: Bool) throws(SystemFault) {
        try checked(path_limit_hops(descriptor, isIPv6, CInt(hops)))
    }

    /// Sets DSCP and ECN of what it sends.
    func mark(_ trafficClass: UInt8, isIPv6: Bool) throws(SystemFault) {
        try checked(path_mark(descriptor, isIPv6, CInt(trafficClass)))
    }

    /// Has what it sends go out as it is, or not at all.
    func keepWhole(isIPv6: Bool) throws(SystemFault) { try checked(path_keep_whole(descriptor, isIPv6)) }

    func close() { _ = Glibc.close(descriptor) }

    func bind(_ endpoint: Endpoint) -> SystemFault? {
        var c = endpoint.c
        return fault(unsafe path_bind(descriptor, &c))
    }

    /// Nil once it is connected or on its way.
    func connect(_ endpoint: Endpoint) -> SystemFault? {
        var c = endpoint.c
        let result = unsafe path_connect(descriptor, &c)
        return result == -EINPROGRESS ? nil : fault(result)
    }

    private func fault(_ result: Int32) -> SystemFault? { result < 0 ? SystemFault(-result) : nil }

    var local: Endpoint? {
        var c = path_endpoint()
        return unsafe path_local(descriptor, &c) == 0 ? Endpoint(c) : nil
    }

    func accept() throws(SystemFault) -> (socket: ProbeSocket, peer: Endpoint) {
        var peer = path_endpoint()
        let accepted = try checked(unsafe path_accept(descriptor, &peer))
        return (ProbeSocket(descriptor: accepted), Endpoint(peer))
    }

    /// The pending error, which is cleared by asking.
    func takeError() -> SystemFault? {
        let number = path_take_error(descriptor)
        return number == 0 ? nil : SystemFault(number)
    }

    func takeQueuedError() -> QueuedError? {
        var c = path_error()
        return unsafe path_take_queued_error(descriptor, &c) ? QueuedError(c) : nil
    }

    var tcpInfo: TCPInfo? {
        var c = path_tcp_info()
        guard unsafe path_read_tcp_info(descriptor, &c) else { return nil }
        return TCPInfo(
            retransmissions: c.retransmissions, bytesAcknowledged: c.bytes_acked, bytesReceived: c.bytes_received,
            roundTrip: .microseconds(Int64(c.rtt_microseconds)), offeredSegmentSize: c.offered_segment_size)
    }

    /// What could be done with it now.
    var readiness: Readiness {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN | POLLOUT), revents: 0)
        _ = unsafe poll(&entry, 1, 0)
        return Readiness(rawValue: UInt32(UInt16(bitPattern: entry.revents)))
    }

    /// Whether the peer has acknowledged all that was written.
    var isAcknowledged: Bool { path_unacknowledged(descriptor) == 0 }

    /// Bytes taken by the kernel.
    func send(_ bytes: ArraySlice<UInt8>) throws(SystemFault) -> Int {
        let count = unsafe bytes.withUnsafeBytes {
            unsafe $0.baseAddress.map { unsafe path_send(descriptor, $0, bytes.count) } ?? 0
        }
        return try counted(count)
    }

    /// Fills `buffer` from its start; 0 at the end of the stream.
    func receive(into buffer: inout [UInt8]) throws(SystemFault) -> Int {
        let count = unsafe buffer.withUnsafeMutableBytes { bytes in
            unsafe bytes.baseAddress.map { unsafe path_receive(descriptor, $0, bytes.count) } ?? 0
        }
        return try counted(count)
    }

    func send(_ bytes: [UInt8], to endpoint: Endpoint, from local: Endpoint? = nil) throws(SystemFault) -> Int {
        var to = endpoint.c
        var from = (local ?? endpoint).c
        let count = unsafe bytes.withUnsafeBytes { buffer in
            unsafe buffer.baseAddress.map { start in
                unsafe withUnsafePointer(to: &from) { from in
                    unsafe path_send_to(descriptor, start, buffer.count, &to, local == nil ? nil : from)
                }
            } ?? 0
        }
        return try counted(count)
    }

    /// One datagram: its length, which may exceed the buffer, its sender, the address that it was sent to, and its DSCP and ECN where
    /// they are known.
    func receiveDatagram(
        into buffer: inout [UInt8]
    ) throws(SystemFault) -> (length: Int, from: Endpoint, local: Endpoint, trafficClass: UInt8?) {
        var from = path_endpoint()
        var local = path_endpoint()
        var trafficClass: CInt = -1
        let count = unsafe buffer.withUnsafeMutableBytes { bytes in
            unsafe bytes.baseAddress.map {
                unsafe path_receive_from(descriptor, $0, bytes.count, &from, &local, &trafficClass)
            } ?? 0
        }
        return (try counted(count), Endpoint(from), Endpoint(local), UInt8(exactly: trafficClass))
    }

    private func counted(_ count: Int) throws(SystemFault) -> Int {
        guard count >= 0 else { throw SystemFault(Int32(-count)) }
        return count
    }
}

/// One message of a socket's error queue.
struct QueuedError: Hashable, Sendable {
    var fault: SystemFault
    /// Nil where no ICMP message is behind it.
    var icmp: ICMPEvidence?
    /// What this host's own link takes, where that was too small.
    var linkMTU: UInt32?

    fileprivate init(_ c: path_error) {
        fault = SystemFault(c.error)
        if c.origin == 1, c.mtu > 0 { linkMTU = c.mtu }
        guard c.origin == 2 || c.origin == 3 else { return }
        icmp = ICMPEvidence(
            version: c.origin == 3 ? 6 : 4, type: c.type, code: c.code,
            offender: c.has_offender ? Endpoint(c.offender) : nil)
        if c.mtu > 0 { icmp?.mtu = c.mtu }
    }
}

/// Of TCP_INFO.
struct TCPInfo: Hashable, Sendable {
    var retransmissions: UInt32
    /// The SYN counts as one for who connects.
    var bytesAcknowledged: UInt64
    var bytesReceived: UInt64
    var roundTrip: Instant.Span
    /// The MSS option of its SYN.
    var offeredSegmentSize: UInt32
}

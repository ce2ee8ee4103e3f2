// SPDX-License-Identifier: GPL-3.0-or-later

internal import PacketWire

/// What all probes of a scan share.
final class ProbeContext {
    let poller: Poller
    var ports: LocalPorts
    /// Nil where there is no reflector.
    let session: (number: UInt64, key: SecretKey)?
    /// What every SYN from here offers, but for its size of segments.
    let offered = OfferedOpening.ofThisHost
    private var owned: [IPAddress: Bool] = [:]
    private var sources: [Endpoint: Endpoint] = [:]

    init(_ poller: Poller, ports: LocalPorts, session: (number: UInt64, key: SecretKey)?) {
        self.poller = poller
        self.ports = ports
        self.session = session
    }

    /// A socket for the probe, bound to a port that nobody has. `isBound` is false only where the kernel chooses the address.
    func socket(for job: ProbeJob) throws(SystemFault) -> ProbeSocket {
        let socket = try ProbeSocket(job.transport, isIPv6: job.target.isIPv6)
        if let hops = job.hopLimit { try socket.limit(hops: hops, isIPv6: job.target.isIPv6) }
        if job.trafficClass != 0 { try socket.mark(job.trafficClass, isIPv6: job.target.isIPv6) }
        if job.isWhole { try socket.keepWhole(isIPv6: job.target.isIPv6) }
        let source = job.source ?? .any(isIPv6: job.target.isIPv6)
        var fault = SystemFault(0)
        for _ in 0..<ports.attempts {
            guard let refused = socket.bind(source.with(port: ports.take())) else { return socket }
            fault = refused
            guard refused.name == "EADDRINUSE" || refused.name == "EACCES" else { break }
        }
        socket.close()
        throw fault
    }

    /// Whether this host has the address: whether a socket can be bound to it.
    func isOwn(_ endpoint: Endpoint) -> Bool {
        if let known = owned[endpoint.address] { return known }
        guard let socket = try? ProbeSocket(.udp, isIPv6: endpoint.isIPv6) else { return false }
        defer { socket.close() }
        let isOwn = socket.bind(endpoint.with(port: 0)) == nil
        owned[endpoint.address] = isOwn
        return isOwn
    }

    /// The address that the kernel sends from to the target.
    func source(to target: Endpoint) -> Endpoint? {
        if let known = sources[target.with(port: 0)] { return known }
        guard let local = target.sourceAddress else { return nil }
        sources[target.with(port: 0)] = local
        return local
    }

    /// The payload that the job's probe sends and the one that answers it.
    func keyed(_ job: ProbeJob, length: Int, attempt: Int) -> (request: [UInt8], reply: [UInt8]) {
        guard let session else { return ([], []) }
        let payload = ProbePayload(
            .request, port: job.target.port, session: session.number, probe: UInt64(job.number),
            attempt: UInt32(attempt), length: length)
        return (payload.encoded(session.key), payload.answer.encoded(session.key))
    }
}

extension Endpoint {
    /// The address that the kernel would send from to this one, as routes are now; nothing is sent.
    package var sourceAddress: Endpoint? {
        guard let socket = try? ProbeSocket(.udp, isIPv6: isIPv6) else { return nil }
        defer { socket.close() }
        return socket.connect(port == 0 ? with(port: 9) : self) == nil ? socket.local : nil
    }
}

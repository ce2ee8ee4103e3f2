// SPDX-License-Identifier: GPL-3.0-or-later

internal import CPathShim
internal import Glibc
package import PacketWire

/// The far end of path tests: it listens where a scan that has proven itself asks it to, answers that scan's probes alone, and
/// says what it saw. Everything ends with the scan's control channel.
package final class Reflector {
    /// Bounds of one message of the control channel, which are the scan's affair to keep.
    package static let portsOfOneRequest = 2_048
    static let recordsOfOneAnswer = 400
    static let strangersOfOneAnswer = 100
    /// Answers that a scan may leave unread.
    static let unreadBytes = 4 << 20

    /// The port of the control channel, unless another is given.
    package static let defaultControlPort: UInt16 = 7_411

    let options: ReflectorOptions
    private let poller: Poller
    private var doors: [ControlDoor] = []
    private var peers: [ObjectIdentifier: ControlPeer] = [:]
    private var failures = FailureRegister()
    private let report: (String) -> Void
    private var isEnding = false
    private var standardPeer: ControlPeer?
    private var offlineLease: Lease?
    private var offlineEnds: Instant?

    private let agent: () -> (any DropSource)?

    /// - Parameters:
    ///   - options: how it runs.
    ///   - agent: begins to look at what the agent on this host does; scans are told what it did to their packets. Nil where
    ///     they are not to know.
    ///   - report: gets a line about each thing that the operator may want to know.
    /// - Throws: where this host has no descriptor for its loop.
    package init(
        _ options: ReflectorOptions, agent: @escaping () -> (any DropSource)? = { nil },
        report: @escaping (String) -> Void
    ) throws(SystemFault) {
        self.options = options
        self.agent = agent
        self.report = report
        poller = try Poller()
        _ = path_raise_descriptor_limit()
    }

    /// Awaits scans at an address.
    package func listen(_ endpoint: Endpoint) throws(SystemFault) {
        doors.append(try ControlDoor(endpoint, of: self, poller))
    }

    /// Serves one scan on two descriptors, and ends with it.
    package func serve(input: Int32, output: Int32) throws(SystemFault) {
        let flags = fcntl(input, F_GETFL)
        _ = fcntl(input, F_SETFL, flags | O_NONBLOCK)
        let peer = ControlPeer(input, output, from: nil, of: self, poller)
        standardPeer = peer
        peers[ObjectIdentifier(peer)] = peer
        try peer.start()
    }

    /// Listens on all ports of a plan, for scans that have it and the key, until `lease` is over. Returns the ports that it could
    /// not have.
    package func serve(_ plan: ScanPlan, _ sessions: OfflineSessions) -> [RefusedPort] {
        let lease = Lease(sessions, poller: poller, options: options)
        offlineLease = lease
        offlineEnds = Poller.now + options.limits.lease
        var refused: [RefusedPort] = []
        for request in plan.resolved(sessions.planKey).requests(source: { _ in nil }) {
            switch request {
            case .script(let id, let transport, let steps):
                if let script = try? PayloadScript(steps, over: transport) { _ = lease.add(script, as: id) }
            case .open(let opening):
                refused +=
                    lease.open(opening)
                    ?? opening.ports.ports.map { RefusedPort(port: $0, reason: "more than a lease may have") }
            default: break
            }
        }
        report("\(lease.openPorts) ports listen, offline")
        return refused
    }

    /// What an offline reflector saw, a JSON text for each probe that came.
    package var offlineRecords: [String] {
        guard let lease = offlineLease else { return [] }
        return lease.sessions.flatMap { session in
            lease.records(of: session).enumerated().compactMap { number, record in
                record.marks.contains(.arrived) ? record.line(session: session, probe: number) : nil
            }
        }
    }

    /// Serves until a signal asks it to end, or the one scan has gone.
    package func run() throws(SystemFault) {
        let signals = try SignalSource(poller)
        while !isEnding, signals.received == nil {
            if let offlineEnds, Poller.now >= offlineEnds { break }
            try poller.turn(until: offlineEnds)
        }
        offlineLease?.end()
        for peer in peers.values { peer.close() }
        peers = [:]
        for door in doors { door.close() }
    }

    /// One turn of the loop, for tests.
    package func turn(until limit: Instant) throws(SystemFault) { try poller.turn(until: limit) }

    func say(_ what: String, _ address: Endpoint?) { report("\(address.map { "\($0)" } ?? "standard input"): \(what)") }

    /// A connection to the control port.
    func admit(_ socket: ProbeSocket, from address: Endpoint, at now: Instant) {
        let isPeer = options.peers.isEmpty || options.peers.contains { $0.contains(address) }
        let unproven = peers.values.count { !$0.isProven }
        guard isPeer, unproven < options.limits.unprovenClients,
            failures.count(of: address, at: now) < options.limits.failures
        else { return socket.close() }
        let peer = ControlPeer(socket.descriptor, socket.descriptor, from: address, of: self, poller)
        peers[ObjectIdentifier(peer)] = peer
        do throws(SystemFault) {
            try peer.start()
        } catch {
            ended(peer, because: "\(error)")
        }
    }

    func openAgent() -> (any DropSource)? { agent() }

    func noteFailure(of address: Endpoint?, at now: Instant) {
        guard let address else { return }
        failures.add(address, at: now)
    }

    /// A number for a lease; nil where there are as many as may be.
    func newSession() -> UInt64? {
        guard peers.values.count(where: \.isProven) < options.limits.leases, let bytes = try? randomBytes(8) else {
            return nil
        }
        return bytes.bigEndian(at: 0, as: UInt64.self)
    }

    func ended(_ peer: ControlPeer, because reason: String?) {
        guard peers.removeValue(forKey: ObjectIdentifier(peer)) != nil else { return }
        if peer.isProven || reason == "wrong key" { say(reason ?? "the scan is done", peer.address) }
        peer.close()
        if peer === standardPeer { isEnding = true }
    }
}

/// Where control connections are accepted.
final class ControlDoor: PollSource {
    private let socket: ProbeSocket
    private unowned let reflector: Reflector
    private let poller: Poller
    private var token: Poller.Token = 0

    init(_ endpoint: Endpoint, of reflector: Reflector, _ poller: Poller) throws(SystemFault) {
        socket = try ProbeSocket(listening: endpoint, .tcp, backlog: 64)
        self.reflector = reflector
        self.poller = poller
        token = poller.add(self)
        try poller.watch(socket.descriptor, for: .readable, token, isNew: true)
    }

    func close() {
        poller.remove(token)
        socket.close()
    }

    func ready(_ what: Readiness, at now: Instant) {
        while true {
            do throws(SystemFault) {
                let (accepted, peer) = try socket.accept()
                reflector.admit(accepted, from: peer, at: now)
            } catch {
                if error.isExhaustion {
                    poller.unwatch(socket.descriptor)
                    poller.schedule(token, at: now + .milliseconds(100))
                }
                return
            }
        }
    }

    func due(at now: Instant) {
        try? poller.watch(socket.descriptor, for: .readable, token, isNew: true)
    }
}

/// Wrong proofs by address, of the last minute, for a bounded number of addresses.
struct FailureRegister {
    private var failures: [IPAddress: [Instant]] = [:]
    private static let addresses = 1_024

    func count(of endpoint: Endpoint, at now: Instant) -> Int {
        failures[endpoint.address]?.count { $0 + .minutes(1) > now } ?? 0
    }

    mutating func add(_ endpoint: Endpoint, at now: Instant) {
        if failures.count >= Self.addresses {
            failures = failures.filter { entry in entry.value.contains { $0 + .minutes(1) > now } }
        }
        guard failures.count < Self.addresses || failures[endpoint.address] != nil else { return }
        let recent = failures[endpoint.address, default: []].filter { $0 + .minutes(1) > now }
        failures[endpoint.address] = recent.suffix(15) + [now]
    }
}

/// SIGINT and SIGTERM, heard by a loop.
final class SignalSource: PollSource {
    private let descriptor: CInt
    private let poller: Poller
    private var token: Poller.Token = 0
    private(set) var received: CInt?

    init(_ poller: Poller) throws(SystemFault) {
        self.poller = poller
        descriptor = try checked(path_signals())
        token = poller.add(self)
        try poller.watch(descriptor, for: .readable, token, isNew: true)
    }

    func ready(_ what: Readiness, at now: Instant) {
        let signal = path_take_signal(descriptor)
        if signal != 0 { received = signal }
    }

    func due(at now: Instant) {}
}

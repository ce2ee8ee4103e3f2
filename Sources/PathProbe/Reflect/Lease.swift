// SPDX-License-Identifier: GPL-3.0-or-later

internal import PacketWire

/// What one scan was given: ports that listen until it ends, and what was seen at them.
///
/// Ports are opened by `open` alone, which only the control channel calls (or, offline, the start): nothing that arrives at
/// a port opens another.
final class Lease {
    /// Of the scan that the lease was given to; offline, of all that know the plan, and then scripts are played under it.
    let session: UInt64
    private let offline: OfflineSessions?
    private var books: [UInt64: ProbeBook] = [:]
    private var probes = 0
    private let poller: Poller
    private let options: ReflectorOptions
    /// Where the scan's control connection comes from; scripts may be played from there.
    private let client: Endpoint?
    private var listeners: [ListenerKey: PortListener] = [:]
    private var openings: [Opening] = []
    private var scripts: [Int: PayloadScript] = [:]
    private var strangers: [Stranger] = []
    private var shownStrangers: [Stranger] = []
    private var counters = ReflectorCounters()
    private let countersAtStart = KernelCounters.now()
    private var connections: [ObjectIdentifier: Reflection] = [:]
    private var answerAllowance: Allowance
    private var openingWatch: OpeningWatch?
    private var shownSightings: [OpeningSighting] = []
    /// The agent on this host, where the scan may know what it drops.
    var agent: (any DropSource)?
    private var shownDrops: [AgentDrop] = []

    struct ListenerKey: Hashable {
        var transport: Transport
        var address: Endpoint
    }

    init(session: UInt64, key: SecretKey, client: Endpoint?, poller: Poller, options: ReflectorOptions) {
        self.session = session
        offline = nil
        books[session] = ProbeBook(key: key)
        self.client = client
        self.poller = poller
        self.options = options
        answerAllowance = Allowance(perSecond: options.limits.answersPerSecond)
    }

    /// A lease for whoever has the key and the plan, without a control channel.
    init(_ offline: OfflineSessions, poller: Poller, options: ReflectorOptions) {
        session = 0
        self.offline = offline
        books[0] = ProbeBook(key: offline.planKey)
        client = nil
        self.poller = poller
        self.options = options
        answerAllowance = Allowance(perSecond: options.limits.answersPerSecond)
    }

    var limits: ReflectorLimits { options.limits }
    var openPorts: Int { listeners.count }

    func add(_ script: PayloadScript, as id: Int) -> Bool {
        guard scripts.count < 256 || scripts[id] != nil else { return false }
        scripts[id] = script
        return true
    }

    /// Listens on the ports; returns those where that failed. Nil where the request exceeds what a lease may have.
    func open(_ opening: Opening) -> [RefusedPort]? {
        let end = opening.first + opening.ports.count
        guard end <= limits.probes, openings.count < 4_096, opening.script.map({ scripts[$0] != nil }) ?? true else {
            return nil
        }
        probes = max(probes, end)
        books[session]?.grow(to: probes)
        openings.append(opening)
        return opening.ports.ports.compactMap { port in
            listen(opening, port).map { RefusedPort(port: port, reason: $0) }
        }
    }

    /// Nil once every address of the family listens; else why one does not.
    private func listen(_ opening: Opening, _ port: UInt16) -> String? {
        let transport = opening.transport
        let addresses = options.addresses.filter { $0.isIPv6 == opening.isIPv6 }
        guard !addresses.isEmpty else { return "no address of this family" }
        for address in addresses {
            let key = ListenerKey(transport: transport, address: address.with(port: port))
            do throws(SystemFault) {
                if listeners[key] == nil {
                    listeners[key] = try PortListener(key.address, transport, of: self, poller)
                }
                if opening.isWhole { try listeners[key]?.keepWhole() }
            } catch {
                return error.name
            }
        }
        return nil
    }

    /// All ports are closed, and all connections.
    func end() {
        for listener in listeners.values { listener.close() }
        listeners = [:]
        for connection in connections.values { connection.close() }
        connections = [:]
        openingWatch?.close()
        openingWatch = nil
        agent = nil
    }

    func enter(_ connection: Reflection) -> Bool {
        guard connections.count < limits.connections else {
            counters.refusedByLimits += 1
            return false
        }
        connections[ObjectIdentifier(connection)] = connection
        return true
    }

    /// How long a connection at a port may last: longer where a probe there is to be silent first.
    func patience(at port: UInt16) -> Instant.Span {
        let rest = openings.filter { $0.transport == .tcp && $0.ports.index(of: port) != nil }.map(\.rest).max() ?? 0
        let patience = Instant.Span(nanoseconds: limits.connection.nanoseconds + Int64(rest) * 1_000_000)
        return min(patience, limits.lease)
    }

    func leave(_ connection: Reflection) { connections[ObjectIdentifier(connection)] = nil }

    func currentCounters() -> ReflectorCounters {
        let kernel = KernelCounters.now()
        var now = counters
        now.listenOverflows = kernel.listenOverflows - countersAtStart.listenOverflows
        now.listenDrops = kernel.listenDrops - countersAtStart.listenDrops
        now.receiveBufferErrors = kernel.receiveBufferErrors - countersAtStart.receiveBufferErrors
        return now
    }
}

// MARK: - What arrives

extension Lease {
    /// The probe that these bytes are a whole request of; nil for anything else, which is counted and never answered.
    /// Proving costs, so what can be seen without is looked at first.
    func request(in bytes: some RandomAccessCollection<UInt8>) -> ProbePayload? {
        guard let payload = ProbePayload(unproven: bytes), isKnown(payload), let key = key(of: payload.session),
            payload.isProven(by: bytes, key)
        else {
            counters.unauthenticated += 1
            return nil
        }
        if books[payload.session] == nil {
            var book = ProbeBook(key: key)
            book.grow(to: probes)
            books[payload.session] = book
        }
        return payload
    }

    /// Whether the payload claims to be a request of a session for a probe of it.
    func isKnown(_ payload: ProbePayload) -> Bool {
        payload.direction == .request && payload.probe < UInt64(probes)
            && (books[payload.session] != nil || offline != nil) && (payload.session != 0 || offline == nil)
    }

    private func key(of session: UInt64) -> SecretKey? {
        if let book = books[session] { return book.key }
        guard let offline, books.count <= OfflineSessions.most else { return nil }
        return offline.key(of: session)
    }

    /// What answers a proven request.
    func answer(to request: ProbePayload) -> [UInt8] {
        books[request.session].map { request.answer.encoded($0.key) } ?? []
    }

    /// True the first time that this attempt of the probe is seen: then it may be answered.
    func claim(_ payload: ProbePayload) -> Bool {
        books[payload.session]?.claim(Int(payload.probe), payload.attempt) ?? false
    }

    /// False where answers come too fast; the answer is left out then.
    func mayAnswer(at now: Instant) -> Bool {
        if answerAllowance.take(at: now) { return true }
        counters.refusedByLimits += 1
        return false
    }

    func note(_ probe: ProbeName, _ change: (inout WitnessRecord) -> Void) {
        books[probe.session]?.note(probe.number, change)
    }

    /// What was seen of a session's probes.
    func records(of session: UInt64) -> [WitnessRecord] { books[session]?.records ?? [] }
    var sessions: [UInt64] { books.keys.sorted() }

    func noteStranger(_ stranger: Stranger) {
        if strangers.count < limits.strangers { strangers.append(stranger) }
    }

    /// What the scan is told of, page by page: the first one looks at the connections that are still there, too.
    func strangers(from start: Int) -> ArraySlice<Stranger> {
        if start == 0 {
            shownStrangers = (strangers + connections.values.compactMap(\.stranger)).suffix(limits.strangers)
        }
        return shownStrangers.dropFirst(start)
    }

    /// The script that is played at the port with a peer from this address, and the probe that it belongs to.
    func script(
        _ transport: Transport, at port: UInt16, with peer: Endpoint
    ) -> (probe: ProbeName, script: PayloadScript)? {
        for opening in openings where opening.transport == transport && opening.isIPv6 == peer.isIPv6 {
            guard let id = opening.script, let script = scripts[id], let index = opening.ports.index(of: port) else {
                continue
            }
            let known = opening.sources + (client.map { [$0] } ?? [])
            if known.contains(where: { $0.address == peer.address && $0.isIPv6 == peer.isIPv6 }) {
                return (ProbeName(session: session, number: opening.first + index), script)
            }
        }
        return nil
    }
}

// MARK: - What the host saw

extension Lease {
    /// From before the first probe on.
    func watchOpenings() {
        guard openingWatch == nil else { return }
        openingWatch = OpeningWatch(poller, limit: limits.sightings) { [unowned self] port, peer in
            isOpen(.tcp, port, isIPv6: peer.isIPv6)
        }
    }

    private func isOpen(_ transport: Transport, _ port: UInt16, isIPv6: Bool) -> Bool {
        options.addresses.contains { address in
            address.isIPv6 == isIPv6
                && listeners[ListenerKey(transport: transport, address: address.with(port: port))] != nil
        }
    }

    /// A page of the openings; the first one looks.
    func sightings(from start: Int) -> ProbeAnswer {
        guard let openingWatch else { return .sightings([], isComplete: nil, more: false) }
        if start == 0 { shownSightings = openingWatch.sightings }
        let page = shownSightings.dropFirst(start).prefix(Reflector.recordsOfOneAnswer)
        return .sightings(
            Array(page), isComplete: !openingWatch.isIncomplete, more: start + page.count < shownSightings.count)
    }

    /// A page of what the agent did to packets between the scan's addresses and the ports of the lease; the first one looks. What
    /// it did to others' is not the scan's affair.
    func drops(from start: Int) -> ProbeAnswer {
        guard let agent else { return .drops([], settling: nil, more: false) }
        if start == 0 {
            let own = addresses
            shownDrops = agent.drops().filter { drop in
                own.contains(drop.source.with(port: 0)) && isOpen(drop.transport, drop.destination)
                    || own.contains(drop.destination.with(port: 0)) && isOpen(drop.transport, drop.source)
            }
        }
        let page = shownDrops.dropFirst(start).prefix(Reflector.strangersOfOneAnswer)
        return .drops(
            Array(page), settling: Int(clamping: agent.settling.nanoseconds / 1_000_000),
            more: start + page.count < shownDrops.count)
    }

    private func isOpen(_ transport: Transport, _ endpoint: Endpoint) -> Bool {
        isOpen(transport, endpoint.port, isIPv6: endpoint.isIPv6)
    }

    /// Of the scan: where its control channel comes from, what it says that it sends from, and where its proven probes came from.
    private var addresses: Set<Endpoint> {
        let proven = books.values.flatMap { book in
            book.records.compactMap { $0.marks.contains(.proven) ? $0.peer : nil }
        }
        return Set(((client.map { [$0] } ?? []) + openings.flatMap(\.sources) + proven).map { $0.with(port: 0) })
    }
}

/// A probe of one of the sessions.
struct ProbeName: Hashable {
    var session: UInt64
    var number: Int

    init(session: UInt64, number: Int) {
        self.session = session
        self.number = number
    }

    init(_ payload: ProbePayload) { self.init(session: payload.session, number: Int(payload.probe)) }
}

/// So many in a second, with as many saved up at most.
struct Allowance {
    private let perSecond: Int
    private var left: Double
    private var filledAt: Instant?

    init(perSecond: Int) {
        self.perSecond = perSecond
        left = Double(perSecond)
    }

    mutating func take(at now: Instant) -> Bool {
        if let filledAt {
            left = min(Double(perSecond), left + Double((now - filledAt).nanoseconds) * Double(perSecond) / 1e9)
        }
        filledAt = now
        guard left >= 1 else { return false }
        left -= 1
        return true
    }
}

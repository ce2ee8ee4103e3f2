// SPDX-License-Identifier: GPL-3.0-or-later

internal import PacketWire

/// What one scan was given: ports that listen until it ends, and what was seen at them.
///
/// Ports are opened by `open` alone, which only the control channel calls (or, offline, the start): nothing that arrives at
/// a port opens another.
final class Lease {
    let session: UInt64
    let key: SecretKey
    private let poller: Poller
    private let options: ReflectorOptions
    /// Where the scan's control connection comes from; scripts may be played from there.
    private let client: Endpoint?
    private var listeners: [ListenerKey: PortListener] = [:]
    private var openings: [Opening] = []
    private var scripts: [Int: PayloadScript] = [:]
    private(set) var records: [WitnessRecord] = []
    /// Attempts of each probe that were answered, a bit each.
    private var answered: [UInt16] = []
    private(set) var strangers: [Stranger] = []
    private var counters = ReflectorCounters()
    private let countersAtStart = KernelCounters.now()
    private var connections: [ObjectIdentifier: Reflection] = [:]
    private var answerAllowance: Allowance

    struct ListenerKey: Hashable {
        var transport: Transport
        var address: Endpoint
    }

    init(session: UInt64, key: SecretKey, client: Endpoint?, poller: Poller, options: ReflectorOptions) {
        self.session = session
        self.key = key
        self.client = client
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
        if records.count < end {
            records += [WitnessRecord](repeating: WitnessRecord(), count: end - records.count)
            answered += [UInt16](repeating: 0, count: end - answered.count)
        }
        openings.append(opening)
        return opening.ports.ports.compactMap { port in
            listen(opening.transport, isIPv6: opening.isIPv6, port).map { RefusedPort(port: port, reason: $0) }
        }
    }

    /// Nil once every address of the family listens; else why one does not.
    private func listen(_ transport: Transport, isIPv6: Bool, _ port: UInt16) -> String? {
        let addresses = options.addresses.filter { $0.isIPv6 == isIPv6 }
        guard !addresses.isEmpty else { return "no address of this family" }
        for address in addresses {
            let key = ListenerKey(transport: transport, address: address.with(port: port))
            guard listeners[key] == nil else { continue }
            do throws(SystemFault) {
                listeners[key] = try PortListener(key.address, transport, of: self, poller)
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
    }

    func enter(_ connection: Reflection) -> Bool {
        guard connections.count < limits.connections else {
            counters.refusedByLimits += 1
            return false
        }
        connections[ObjectIdentifier(connection)] = connection
        return true
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
        guard let payload = ProbePayload(unproven: bytes), isKnown(payload), payload.isProven(by: bytes, key) else {
            counters.unauthenticated += 1
            return nil
        }
        return payload
    }

    /// Whether the payload claims to be a request of this session for a probe of it.
    func isKnown(_ payload: ProbePayload) -> Bool {
        payload.direction == .request && payload.session == session && payload.probe < UInt64(records.count)
    }

    /// True the first time that this attempt of the probe is seen: then it may be answered.
    func claim(_ payload: ProbePayload) -> Bool {
        let index = Int(payload.probe)
        let bit: UInt16 = 1 << UInt16(payload.attempt)
        guard answered[index] & bit == 0 else {
            records[index].marks.insert(.repeated)
            return false
        }
        answered[index] |= bit
        return true
    }

    /// False where answers come too fast; the answer is left out then.
    func mayAnswer(at now: Instant) -> Bool {
        if answerAllowance.take(at: now) { return true }
        counters.refusedByLimits += 1
        return false
    }

    func note(_ probe: Int, _ change: (inout WitnessRecord) -> Void) {
        guard records.indices.contains(probe) else { return }
        change(&records[probe])
    }

    func noteStranger(_ stranger: Stranger) {
        if strangers.count < limits.strangers { strangers.append(stranger) }
    }

    /// The script that is played at the port with a peer from this address, and the probe that it belongs to.
    func script(_ transport: Transport, at port: UInt16, with peer: Endpoint) -> (probe: Int, script: PayloadScript)? {
        for opening in openings where opening.transport == transport && opening.isIPv6 == peer.isIPv6 {
            guard let id = opening.script, let script = scripts[id], let index = opening.ports.index(of: port) else {
                continue
            }
            let known = opening.sources + (client.map { [$0] } ?? [])
            if known.contains(where: { $0.address == peer.address && $0.isIPv6 == peer.isIPv6 }) {
                return (opening.first + index, script)
            }
        }
        return nil
    }
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

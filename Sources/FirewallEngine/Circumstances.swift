// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
public import FirewallPolicy
public import PacketWire

/// All that judging one packet reads beside the packet, the policy and the interfaces: taken from the engines that judge a host's
/// packets, and given to one of one's own, which judges that packet as they would at this moment.
///
/// What the packet's payload is compared with is not in it: fragments of its datagram, bytes that its connection has sent, commands
/// of FTP that were read in part, and copies of what this host has sent to groups.
public struct Circumstances: Sendable {
    public var now: Instant
    public var clock: EngineClock
    /// When packets may last have passed unseen; nil: never.
    public var unseenAt: Instant?
    public var generation: UInt32 = 0
    public var activeSchedules: UInt64 = 0
    /// Of the packet's keys, those that are known.
    public var connections: [Connection] = []
    /// The acknowledgements of each of these, in their order, where they are counted.
    public var acknowledgements: [ConnectionACKs] = []
    /// Of the packet's keys, those whose time was over.
    public var forgotten: [Connection] = []
    /// Protocols of which no worker has room for one more connection.
    public var full: [TrackedProtocol] = []
    /// Whether no worker has the memory for one more connection.
    public var lacksMemory = false
    /// The bound of that memory in the policy in force; nil: none.
    public var memoryLimit: UInt64?
    /// The block of the packet's source.
    public var block: SourceBlock?
    /// Of openings without entries.
    public var cookies = CookieCircumstances()
    /// What is counted for the packet's two computers.
    public var computers: [ComputerStanding] = []
    /// What the rates of rules have counted for the packet's source.
    public var rates: [RateStanding] = []
    /// The directions in which a control connection has announced the packet's opening.
    public var announced: [Direction] = []
    /// Of the packet's addresses, those that are the host's own on the packet's interface or on any.
    public var own: [IPAddress] = []
    public var linkLocal: [LinkAddress] = []
    public var broadcasts: [IPAddress] = []
    /// Of the packet's ports, those on which this host listens.
    public var listeningTCP: [UInt16] = []
    public var listeningUDP: [UInt16] = []
    /// Whether this host's TCP ports are known at all.
    public var knowsListeningTCP = false
    /// By which bits of the packet's mark units are known.
    public var unitMarks: [UnitMark] = []
    /// Routes that answer for the packet's source as all routes do.
    public var routes: [ReversePaths.Route] = []

    public init(now: Instant, clock: EngineClock) {
        self.now = now
        self.clock = clock
    }

    /// Whether connections older than the agent are admitted still, and for how much longer.
    public func graceLeft(_ timeouts: Timeouts) -> Instant.Span {
        max(.zero, clock.graceEnds(timeouts) - now)
    }
}

extension Engine {
    /// What all engines of a host have alike.
    public mutating func circumstances(
        of packet: PacketIdentity, on interface: UInt32, at now: Instant
    ) -> Circumstances {
        var told = Circumstances(now: now, clock: clock)
        told.generation = generation
        told.activeSchedules = activeSchedules
        let addresses = packet.source == packet.destination ? [packet.source] : [packet.source, packet.destination]
        hostAddresses.tell(of: addresses, into: &told)
        let ports = [packet.sourcePort, packet.destinationPort]
        told.listeningTCP = ports.filter { listeningPorts.contains(tcp: $0) }
        told.listeningUDP = ports.filter { listeningPorts.contains(udp: $0) }
        told.knowsListeningTCP = listeningPorts.knowsTCP
        told.routes = reversePaths.excerpt(for: packet.source, on: interface)
        told.full = TrackedProtocol.allCases
        told.unitMarks = unitMarks.marks
        told.cookies.hasSYNCookies = hasSYNCookies
        told.cookies.halfOpen = shared.halfOpen
        told.lacksMemory = true
        told.memoryLimit = policy.document.engine.limits.memory
        told.block = blocked.find(packet.source, version: packet.version, at: now)
        told.rates = rateStandings(of: packet.source, version: packet.version, at: now)
        told.computers = addresses.compactMap { shared.standing(of: $0, version: packet.version) }
        return told
    }

    /// Adds what this engine alone has. Of a connection that is known here, its own words on packets unseen are what counts.
    public mutating func tell(of packet: PacketIdentity, into told: inout Circumstances) {
        var isKnown = false
        for key in packet.keys where !told.connections.contains(where: { $0.key == key }) {
            if let i = table.find(key, at: told.now) {
                told.connections.append(table[i])
                told.acknowledgements.append(table.acknowledgements(of: i))
                isKnown = true
            } else if let forgotten = table.forgotten(key) {
                told.forgotten.append(forgotten)
            }
        }
        tell(of: packet, into: &told.cookies, at: told.now)
        told.full.removeAll { table.hasRoom(for: $0) }
        told.lacksMemory = told.lacksMemory && table.lacksMemory && table.isWithoutSpare
        if isKnown {
            told.unseenAt = unseenAt
        } else if told.connections.isEmpty {
            told.unseenAt = [told.unseenAt, unseenAt].compactMap { $0 }.max()
        }
        for direction in [Direction.incoming, .outgoing] where !told.announced.contains(direction) {
            let announced = Expectation(packet, direction)
            if expectations.has(announced, at: told.now) { told.announced.append(direction) }
        }
    }

    /// Takes them for its own. The tables of this engine have to be empty.
    ///
    /// - Parameters:
    ///   - told: what another engine has told.
    ///   - packet: of which packet.
    ///   - isInForce: whether this engine's policy is the one by which the other has judged. Otherwise each connection's opening is
    ///     judged again, as after a reload, and the schedules are as this engine has them.
    public mutating func assume(_ told: Circumstances, of packet: PacketIdentity, isInForce: Bool) {
        clock = told.clock
        graceEnds = clock.graceEnds(hot.timeouts)
        unseenAt = told.unseenAt
        if isInForce { activeSchedules = told.activeSchedules }
        generation = isInForce ? told.generation : told.generation &+ 1
        hostAddresses = HostAddresses(
            local: Set(told.own), broadcast: Set(told.broadcasts), linkLocal: Set(told.linkLocal))
        listeningPorts = ListeningPorts(told)
        reversePaths = ReversePaths(told.routes)
        unitMarks = UnitMarks(told.unitMarks, policy.units)
        for (place, connection) in told.connections.enumerated() {
            let connection = connection.withRules(below: isInForce ? policy.rules.count : 0)
            guard let i = try? table.insert(connection, at: told.now), told.acknowledgements.indices.contains(place)
            else { continue }
            table.assumeACKs(told.acknowledgements[place], of: i)
        }
        if let block = told.block { blocked = BlockedSources([block], seed: (0, 0)) }
        // A larger bound, or none, has room.
        if told.lacksMemory, let bound = policy.document.engine.limits.memory, bound <= told.memoryLimit ?? .max {
            table.assumeNoMemory()
        }
        assume(told.cookies, of: packet, at: told.now)
        for connection in told.forgotten { table.assumeForgotten(connection) }
        for kind in told.full { shared.fill(kind) }
        for computer in told.computers { shared.assume(computer) }
        for standing in told.rates { shared.rates.assume(standing) }
        for direction in told.announced { expectations.expect(Expectation(packet, direction), at: told.now) }
    }
}

extension ListeningPorts {
    fileprivate init(_ told: Circumstances) {
        self.init()
        for port in told.listeningTCP { insert(tcp: port) }
        for port in told.listeningUDP { insert(udp: port) }
        knowsTCP = told.knowsListeningTCP
    }
}

extension Expectation {
    fileprivate init(_ packet: PacketIdentity, _ direction: Direction) {
        self.init(
            source: packet.source, destination: packet.destination, port: packet.destinationPort,
            version: packet.version, direction: direction)
    }
}

extension Connection {
    /// The same, without what was decided by rules that are not there.
    fileprivate func withRules(below count: Int) -> Connection {
        var c = self
        func isThere(_ rule: Int32) -> Bool { rule < count && rule >= -1 }
        for side in [Side.low, .high]
        where !isThere(c[decisionOf: side].rule) || !isThere(c[decisionOf: side].logOnlyRule) {
            c[decisionOf: side] = CachedRuleDecision()
        }
        if !isThere(c.refusal.rule) {
            c.refusal.rule = -1
            c.generation = 0
        }
        return c
    }
}

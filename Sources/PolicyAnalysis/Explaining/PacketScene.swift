// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
package import FirewallEngine
package import FirewallPolicy
package import PacketWire
import PolicyFile

/// A packet and what is so when it comes: enough for an engine of its own to judge it, by any policy.
package struct PacketScene: Sendable {
    /// From the network header on.
    package var bytes: [UInt8]
    package var metadata: PacketMetadata
    /// The name of the packet's interface; nil: none is known.
    package var interface: String?
    /// Of a forwarded packet, the name of the other one.
    private var otherInterface: String?
    /// Those of which it is, if a process of this host has sent it.
    private var senderUnits: Set<String> = []
    /// Seconds since 1970.
    package var unixTime: Int64
    /// That is the time at which schedules are looked at, also where the agent tells of the present.
    package var isAtSaidTime = false
    /// Fragments of the same datagram that came before.
    package var earlierFragments: [[UInt8]] = []
    /// A packet whose connection is known, whatever the rules say of it.
    private var supposed: (bytes: [UInt8], metadata: PacketMetadata)?
    /// Addresses of this host.
    package var localAddresses: Set<IPAddress> = []
    /// What the running agent has told of the present; nil: nothing is known but the packet.
    package var present: Present?

    /// The present on the engine's clock: a day after the agent began, so that its cold start is over.
    private static let now = Instant(nanoseconds: 10 * 86_400 * 1_000_000_000)
    private static let dayBefore = Instant(nanoseconds: 9 * 86_400 * 1_000_000_000)
    /// The index that stands for the interface where the agent tells none.
    private static let index: UInt32 = 2
    private static let otherIndex: UInt32 = 3

    package init(bytes: [UInt8], metadata: PacketMetadata, interface: String?, unixTime: Int64) {
        self.bytes = bytes
        self.metadata = metadata
        self.interface = interface
        self.unixTime = unixTime
    }

    package init(_ words: PacketWords, now: Int64) {
        self.init(
            bytes: words.bytes,
            metadata: words.metadata(
                interface: words.interface == nil ? 0 : Self.index,
                other: words.otherInterface == nil ? 0 : Self.otherIndex),
            interface: words.interface, unixTime: words.unixTime ?? now)
        otherInterface = words.otherInterface
        senderUnits = words.sender?.units ?? []
        isAtSaidTime = words.unixTime != nil
        if let quoted = words.quoted { supposed = (quoted.bytes, quoted.metadata(interface: Self.index)) }
    }

    /// Who it is from and to; nil for what is no IP packet.
    package var identity: PacketIdentity? {
        unsafe bytes.withUnsafeBytes { unsafe PacketIdentity($0.bytes, metadata) }
    }

    /// Has the packet come at this moment, by the interface of its name.
    package mutating func put(_ present: Present) {
        self.present = present
        func index(_ name: String?) -> UInt32 { present.interfaces.first { $0.name == name }?.index ?? 0 }
        let (own, other) = (index(interface), index(otherInterface))
        if metadata.direction == .incoming { metadata.inInterface = own } else { metadata.outInterface = own }
        guard otherInterface != nil else { return }
        if metadata.direction == .incoming { metadata.outInterface = other } else { metadata.inInterface = other }
    }

    /// Judges the packet by a policy, and gives the steps that the engine took.
    package func judge(_ policy: Policy) -> Explanation { judge(by: OnePacketPolicy(policy)) }

    /// The same by a policy that many packets are judged by, each alone.
    func judge(by policy: OnePacketPolicy) -> Explanation {
        let judging = policy.policy
        var engine = engine(judging)
        let clock = Self.clock
        let schedules = judging.scheduleActivity(
            SystemTimeZones.zones(of: judging.document), unixTime: unixTime)
        if let present {
            var told = present.circumstances(schedules: isAtSaidTime ? schedules : nil)
            told.connections += supposedConnections(told.clock, at: told.now)
            engine.assume(told, of: present.packet, isInForce: present.policyEpoch == judging.epoch)
        } else if supposed != nil, let identity {
            var told = Circumstances(now: Self.now, clock: clock)
            told.activeSchedules = schedules
            told.own = Array(localAddresses)
            told.connections = supposedConnections(clock, at: Self.now)
            engine.assume(told, of: identity, isInForce: true)
        } else {
            engine.hostAddresses = HostAddresses(local: localAddresses)
        }
        engine.steps = []
        var metadata = metadata
        metadata.mark |= engine.mark(ofUnits: senderUnits)
        let now = present?.circumstances.now ?? Self.now
        for earlier in earlierFragments {
            _ = unsafe earlier.withUnsafeBytes { engine.inspect(unsafe $0.bytes, metadata, at: now) }
        }
        engine.steps = []
        _ = unsafe bytes.withUnsafeBytes { engine.inspect(unsafe $0.bytes, metadata, at: now) }
        let names = Dictionary(interfaces.map { ($0.index, $0.name) }) { first, _ in first }
        return Explanation(judging, engine.steps ?? [], interfaces: names)
    }

    /// Judges packets one after another, as an engine that has seen nothing else, and gives the steps of each.
    package static func judge(_ packets: [PacketWords], now: Int64, by policy: OnePacketPolicy) -> [Explanation] {
        let scenes = packets.map { PacketScene($0, now: now) }
        guard let first = scenes.first else { return [] }
        var engine = first.engine(policy.policy)
        let names = Dictionary(first.interfaces.map { ($0.index, $0.name) }) { first, _ in first }
        return scenes.map { scene in
            engine.steps = []
            var metadata = scene.metadata
            metadata.mark |= engine.mark(ofUnits: scene.senderUnits)
            _ = unsafe scene.bytes.withUnsafeBytes {
                engine.inspect(unsafe $0.bytes, metadata, at: Self.now)
            }
            return Explanation(policy.policy, engine.steps ?? [], interfaces: names)
        }
    }

    private static let clock = EngineClock(agentStarted: dayBefore, kernelBooted: Instant(nanoseconds: 0))

    /// One that has seen nothing, at the scene's time and with its interfaces.
    private func engine(_ policy: Policy) -> Engine {
        let document = policy.document
        let shared = SharedLimits(tables: document.engine.limits, computers: document.stateful.limits, seed: (1, 2))
        var engine = Engine(policy: policy, clock: Self.clock, seed: (3, 4), shared: shared, workers: 1)
        let schedules = policy.scheduleActivity(SystemTimeZones.zones(of: document), unixTime: unixTime)
        engine.setActiveSchedules(schedules, at: Self.now)
        for known in interfaces { engine.learnInterface(known.index, name: known.name, isLoopback: known.isLoopback) }
        return engine
    }

    /// The connection of the packet that is supposed to be known, as an engine has it that refuses nothing.
    private func supposedConnections(_ clock: EngineClock, at now: Instant) -> [Connection] {
        guard let supposed, let policy = try? Policy(PolicyDocument.refusingNothing.forOnePacket, epoch: 1) else {
            return []
        }
        let limits = policy.document.engine.limits
        let shared = SharedLimits(tables: limits, computers: policy.document.stateful.limits, seed: (1, 2))
        var engine = Engine(policy: policy, clock: clock, seed: (3, 4), shared: shared, workers: 1)
        for known in interfaces { engine.learnInterface(known.index, name: known.name, isLoopback: known.isLoopback) }
        var told = Circumstances(now: now, clock: clock)
        unsafe supposed.bytes.withUnsafeBytes {
            _ = engine.inspect(unsafe $0.bytes, supposed.metadata, at: now)
            guard let identity = PacketIdentity(unsafe $0.bytes, supposed.metadata) else { return }
            engine.tell(of: identity, into: &told)
        }
        return told.connections
    }

    /// Those that the engine has to know.
    private var interfaces: [SceneReport.Interface] {
        if let present { return present.interfaces }
        return [(Self.index, interface), (Self.otherIndex, otherInterface)].compactMap { index, name in
            name.map { SceneReport.Interface(index: index, name: $0, isLoopback: $0 == "lo") }
        }
    }
}

/// A policy in an engine for a packet or two: tables that are large take time to make.
package struct OnePacketPolicy: Sendable {
    let policy: Policy

    package init(_ policy: Policy) {
        self.policy = (try? Policy(policy.document.forOnePacket, epoch: policy.epoch)) ?? policy
    }
}

extension PolicyDocument {
    /// By which any exchange can be known that there may be.
    fileprivate static var refusingNothing: PolicyDocument {
        var document = PolicyDocument()
        document.interfaces.ignore = []
        document.stateful.udpAdmit = .allow
        document.engine.sanity.denyReserved = false
        document.engine.sanity.denyBogon = false
        document.engine.sanity.deny6to4Bogon = false
        document.engine.sanity.denyReservedAddresses = false
        document.engine.sanity.blockSameSourceDestination = false
        return document
    }

    /// With tables no larger than a packet or two need.
    fileprivate var forOnePacket: PolicyDocument {
        var document = self
        document.engine.limits.tcp = min(document.engine.limits.tcp, 64)
        document.engine.limits.udp = min(document.engine.limits.udp, 64)
        document.engine.limits.icmp = min(document.engine.limits.icmp, 64)
        document.engine.limits.fragmentedDatagrams = min(document.engine.limits.fragmentedDatagrams, 64)
        return document
    }
}

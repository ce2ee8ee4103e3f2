// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyFile
import TestSupport
import Testing

/// What became of one packet.
enum Fate: Equatable {
    case pass
    case drop(DropReason)
    /// Refused, and passed all the same: tap mode or a failure setting.
    case passReporting(DropReason)
    /// A fragment that waits for its datagram's first one.
    case hold
    /// An ICMP error that other workers have to be asked about.
    case ask

    init(_ decision: Decision) {
        switch decision.verdict {
        case .pass: self = decision.reason.map { .passReporting($0) } ?? .pass
        case .drop: self = decision.reason.map { .drop($0) } ?? .pass
        case .hold: self = .hold
        case .askOtherWorkers: self = .ask
        }
    }
}

/// One worker's engine with a policy written in YAML and a clock that is stepped by hand. After every packet it checks
/// what must always hold: one outcome, one event for each drop that no setting silences, no count lost.
///
/// Interfaces: `lo` 1 (ignored by default), `eth0` 2, `eth1` 3, `eth2` 4. The agent began long ago unless `startsNow`.
final class EngineUnderTest {
    var engine: Engine
    var clock: ManualClock
    private(set) var policy: Policy
    /// All events so far.
    private(set) var events: [Event] = []
    /// The bytes that came with an event, by its index in `events`.
    private(set) var eventBytes: [Int: [UInt8]] = [:]
    /// Held fragments that were settled, in that order.
    private(set) var released: [Fate] = []
    private(set) var lastDecision = Decision.pass
    /// The answer to the last packet, and its bytes.
    private(set) var lastAnswer: (answer: Answer, bytes: [UInt8])?
    /// Asked before the engine, as the rule before the queue's does.
    var program: FastPathLab?
    /// Judges each packet too, told of the present alone.
    var mirror: Mirror?
    private var sent: UInt64 = 0
    private var settled: UInt64 = 0
    private var written = [UInt64](repeating: 0, count: DropReason.count)

    /// `eth0` leads out, `eth1` to one network, `eth2` nowhere.
    static let routes: [ReversePaths.Route] = [
        ("::ffff:0:0", "::ffff:ffff:ffff", 2), ("203.0.113.0", "203.0.113.255", 3), ("::", .last, 2),
        ("fd00:3::", "fd00:3:ffff:ffff:ffff:ffff:ffff:ffff", 3),
    ].map { (first: IPAddress, last: IPAddress, interface: UInt32) in
        ReversePaths.Route(table: 254, first: first, last: last, interface: interface)
    }

    static let interfaceNames: [(index: UInt32, name: String)] = [(1, "lo"), (2, "eth0"), (3, "eth1"), (4, "eth2")]

    convenience init(
        _ yaml: String = "", shared: SharedLimits? = nil, workers: Int = 1, startsNow: Bool = false,
        clock: ManualClock = ManualClock(), ownUser: UInt32? = nil
    ) throws {
        try self.init(
            EngineUnderTest.policy(yaml, epoch: 1), shared: shared, workers: workers, startsNow: startsNow,
            clock: clock, ownUser: ownUser)
    }

    init(
        _ policy: Policy, shared: SharedLimits? = nil, workers: Int = 1, startsNow: Bool = false,
        clock: ManualClock = ManualClock(), ownUser: UInt32? = nil
    ) throws {
        self.policy = policy
        self.clock = clock
        let began = startsNow ? clock.now : Instant(nanoseconds: 0)
        engine = Engine(
            policy: policy, clock: EngineClock(agentStarted: began, kernelBooted: Instant(nanoseconds: 0)),
            seed: (1, 2), shared: shared ?? EngineUnderTest.limits(of: policy), workers: workers, ownUser: ownUser)
        engine.setInterfaces(EngineUnderTest.interfaces(policy))
        engine.canAnswer = true
        engine.hostAddresses = HostAddresses(
            local: [.host, .host6, "fe80::10"], broadcast: ["192.0.2.255"],
            linkLocal: [LinkAddress("fe80::10", on: 2)])
        engine.reversePaths = ReversePaths(EngineUnderTest.routes)
    }

    /// The policy of a text without its version line; table limits are small, and scans nobody's concern, unless the text speaks
    /// of them.
    static func policy(_ yaml: String, epoch: UInt32) throws -> Policy {
        let quiet =
            "port-scan: false, os-fingerprint: false, null-scan: false, synfin-scan: false, xmas-scan: false"
        let more = yaml.contains("reconnaissance") ? "" : "\nreconnaissance: { detect: { \(quiet) } }\n"
        let text = Array(("version: 1\n" + yaml + more).utf8)
        return try Policy(withSmallTables(PolicyFile.parse([("test.yaml", text)], for: .replay).get()), epoch: epoch)
    }

    static func withSmallTables(_ document: PolicyDocument) -> PolicyDocument {
        var document = document
        if document.engine.limits == TableLimits() {
            document.engine.limits.tcp = 2_000
            document.engine.limits.udp = 500
            document.engine.limits.icmp = 100
            document.engine.limits.fragmentedDatagrams = 100
        }
        return document
    }

    static func limits(of policy: Policy) -> SharedLimits {
        let shared = SharedLimits(
            tables: policy.document.engine.limits, computers: policy.document.stateful.limits, seed: (3, 4))
        shared.setMemory(
            limit: policy.document.engine.limits.memory, fixed: Engine.fixedMemory(policy.document, workers: 1))
        return shared
    }

    static func interfaces(_ policy: Policy) -> InterfaceTable {
        var table = InterfaceTable()
        for (index, name) in interfaceNames {
            table[index] = KnownInterface(traits: policy.traits(ofInterface: name), isLoopback: name == "lo")
        }
        return table
    }

    /// Puts another policy in force, as the agent does.
    func reloads(_ yaml: String, activeSchedules: UInt64 = 0) throws {
        let old = policy
        policy = try EngineUnderTest.policy(yaml, epoch: old.epoch + 1)
        engine.adopt(policy, interfaces: EngineUnderTest.interfaces(policy), activeSchedules: activeSchedules)
        if policy.tracksMore(than: old) { engine.beginColdStart(at: clock.now) }
    }

    func waits(_ span: Instant.Span) {
        clock.advance(by: span)
        engine.tidy(at: clock.now)
        program?.carryOut(&engine, at: clock.now)
        settle()
        collect(#_sourceLocation)
    }
}

extension EngineUnderTest {
    /// A packet from outside for this host.
    @discardableResult
    func receives(
        _ packet: PacketBuilder, on interface: UInt32 = 2, hook: Hook = .prerouting,
        at location: SourceLocation = #_sourceLocation, _ change: (inout PacketMetadata) -> Void = { _ in }
    ) -> Fate {
        inspect(packet, .incoming, hook, in: interface, out: 0, at: location, change)
    }

    /// A packet of this host's own.
    @discardableResult
    func sends(
        _ packet: PacketBuilder, on interface: UInt32 = 2, hook: Hook = .output,
        at location: SourceLocation = #_sourceLocation, _ change: (inout PacketMetadata) -> Void = { _ in }
    ) -> Fate {
        inspect(packet, .outgoing, hook, in: 0, out: interface, at: location, change)
    }

    /// A packet on its way through this host.
    @discardableResult
    func forwards(
        _ packet: PacketBuilder, from entry: UInt32, to exit: UInt32,
        at location: SourceLocation = #_sourceLocation, _ change: (inout PacketMetadata) -> Void = { _ in }
    ) -> Fate {
        inspect(packet, .incoming, .forward, in: entry, out: exit, at: location, change)
    }

    private func inspect(
        _ packet: PacketBuilder, _ direction: Direction, _ hook: Hook, in entry: UInt32, out exit: UInt32,
        at location: SourceLocation, _ change: (inout PacketMetadata) -> Void
    ) -> Fate {
        var metadata = PacketMetadata()
        metadata.direction = direction
        metadata.hook = packet.isFrame ? .none : hook
        metadata.inInterface = entry
        metadata.outInterface = exit
        metadata.fullLength = UInt32(packet.bytes.count)
        metadata.etherType = packet.etherType
        change(&metadata)
        return inspect(packet.bytes, metadata, isFrame: packet.isFrame, at: location)
    }

    /// Any bytes under any circumstances.
    @discardableResult
    func inspect(
        _ bytes: [UInt8], _ metadata: PacketMetadata, isFrame: Bool = false, relation: ErrorRelation = .notAsked,
        at location: SourceLocation = #_sourceLocation
    ) -> Fate {
        let now = clock.now
        if let program, !isFrame, program.passes(bytes, metadata) {
            lastDecision = .pass
            return .pass
        }
        defer { program?.carryOut(&engine, at: now) }
        let foretold = isFrame || relation != .notAsked ? nil : mirror?.foretell(bytes, metadata, by: self)
        if mirror != nil { engine.steps = [] }
        lastDecision =
            isFrame
            ? unsafe engine.inspectFrame(bytes.span.bytes, metadata, at: now)
            : unsafe engine.inspect(bytes.span.bytes, metadata, at: now, relation: relation)
        let fate = Fate(lastDecision)
        takeAnswer(location)
        if let foretold, fate != .ask { mirror?.compare(foretold, with: self, engine.steps?.lastRefusal) }
        sent += 1
        if fate != .hold, fate != .ask { settled += 1 }
        if fate == .ask { sent -= 1 }
        collect(location)
        settle(location)
        return fate
    }

    /// Settles what was held and is decided now.
    func settle(_ location: SourceLocation = #_sourceLocation) {
        while let decision = engine.takeRelease(at: clock.now) {
            settled += 1
            released.append(Fate(decision))
            collect(location)
        }
        #expect(Int(sent - settled) == engine.heldCount, "settled or held, never both", sourceLocation: location)
    }

    private func takeAnswer(_ location: SourceLocation) {
        let answers = engine.answers
        #expect(answers.waiting.count <= 1, "one answer at most", sourceLocation: location)
        lastAnswer = answers.waiting.first.map { answer in
            let start = Int(answer.offset)
            return (answer, Array(answers.bytes[start..<start + Int(answer.length)]))
        }
        engine.answers.removeAll()
    }

    private func takeOutbox() {
        for event in engine.outbox.events {
            let bytes = engine.outbox.bytes(of: event)
            if !bytes.isEmpty { eventBytes[events.count] = Array(bytes) }
            events.append(event)
            if event.action == .deny { written[Int(event.reason.rawValue)] += 1 }
        }
        engine.outbox.removeAll()
    }

    /// Takes the events out of the outbox, with the ends of connections, and checks the accounts.
    private func collect(_ location: SourceLocation) {
        let before = events.count
        repeat {
            takeOutbox()
            engine.reportEnds(at: clock.now)
        } while !engine.outbox.events.isEmpty
        #expect(events[before...].count { $0.isRefusal } <= 1, "one reason each", sourceLocation: location)
        let counters = engine.counters
        let dropped = counters.dropped.reduce(0, +)
        #expect(counters.inspected == counters.passed + dropped, "one outcome each", sourceLocation: location)
        #expect(counters.inspected == settled, sourceLocation: location)
        for reason in DropReason.allCases {
            let index = Int(reason.rawValue)
            #expect(
                counters.dropped[index] == written[index] + counters.silenced[index] + counters.merged[index],
                "\(reason) dropped and neither written, silenced nor merged", sourceLocation: location)
        }
    }
}

extension Event {
    /// Whether it tells of a packet that was refused, dropped or not.
    var isRefusal: Bool { action == .deny || action == .tapDeny || action == .failOpen }
}

extension EngineUnderTest {
    var lastReason: DropReason? { lastDecision.reason }
    var lastEvent: Event? { events.last }

    /// The name of the rule that an event names.
    func rule(of event: Event?) -> String? {
        guard let event, event.rule >= 0 else { return nil }
        return policy.rules[Int(event.rule)].name
    }

    /// The name of the Deny rule that an event says has to be turned.
    func remedyRule(of event: Event) -> String? {
        event.remedyRule < 0 ? nil : policy.rules[Int(event.remedyRule)].name
    }

    /// How many events tell of this reason.
    func events(of reason: DropReason) -> Int { events.count { $0.reason == reason } }

    var connections: Int { engine.census.total }

    /// The only connection there is.
    func onlyConnection() throws -> Connection {
        var list: [Connection] = []
        #expect(engine.connections(from: 0, atMost: 2, into: &list) == nil)
        try #require(list.count == 1)
        return list[0]
    }
}

extension IPAddress {
    static let host: IPAddress = "192.0.2.10"
    static let peer: IPAddress = "198.51.100.7"
    static let other: IPAddress = "203.0.113.99"
    static let host6: IPAddress = "fd00:0:0:1::10"
    static let last: IPAddress = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    static let peer6: IPAddress = "fd00:0:0:2::7"
}

extension PacketBuilder {
    static let toHost = PacketBuilder.ipv4(from: .peer, to: .host)
    static let fromHost = PacketBuilder.ipv4(from: .host, to: .peer)
    static let toHost6 = PacketBuilder.ipv6(from: .peer6, to: .host6)
    static let fromHost6 = PacketBuilder.ipv6(from: .host6, to: .peer6)

    /// A SYN with the options that every stack sends.
    func syn(_ source: UInt16, _ destination: UInt16, seq: UInt32 = 1_000) -> PacketBuilder {
        tcp(source, destination, .syn, seq: seq, options: [.mss(1460), .sackPermitted, .windowScale(7)])
    }
}

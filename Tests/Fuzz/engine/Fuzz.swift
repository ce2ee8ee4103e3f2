// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport

/// The whole engine: a sequence of packets as `EngineInput` says. It must not trap, give each packet exactly one outcome, keep
/// its accounts and its limits, and let go of everything that it held.
@c(LLVMFuzzerTestOneInput)
func fuzzEngine(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var run = EngineRun()
    let input = UnsafeRawBufferPointer(start: start, count: count)
    var rest = RawSpan(_unsafeBytes: input)
    while rest.byteCount >= EngineInput.headLength {
        let head = (0..<EngineInput.headLength).map { rest.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
        rest = rest.extracting(EngineInput.headLength...)
        let length = min(Int(head[2]) << 8 | Int(head[3]), rest.byteCount)
        run.judge(rest.extracting(0..<length), circumstances: head[0], after: head[1])
        rest = rest.extracting(length...)
    }
    run.finish()
    return 0
}

/// One engine with what is expected of it.
struct EngineRun: ~Copyable {
    private var engine: Engine
    private let shared: SharedLimits
    private var now = Instant(nanoseconds: 1_000_000_000_000)
    private var held: Set<UInt32> = []
    private var settled: UInt64 = 0
    private var written = [UInt64](repeating: 0, count: DropReason.count)
    private var policy = 0

    init() {
        let policy = FuzzPolicies.both[0]
        shared = SharedLimits(
            tables: policy.document.engine.limits, computers: policy.document.stateful.limits, seed: (1, 2))
        engine = Engine(
            policy: policy, clock: EngineClock(agentStarted: now, kernelBooted: Instant(nanoseconds: 0)), seed: (3, 4),
            shared: shared, workers: 2, ownUser: 997)
        engine.canAnswer = true
        engine.setInterfaces(EngineRun.interfaces(policy))
        engine.hostAddresses = HostAddresses(local: ["198.18.0.2"])
    }

    private static func interfaces(_ policy: Policy) -> InterfaceTable {
        var table = InterfaceTable()
        for (index, name) in [(UInt32(1), "lo"), (2, "eth0"), (3, "eth1")] {
            table[index] = KnownInterface(traits: policy.traits(ofInterface: name), isLoopback: name == "lo")
        }
        return table
    }

    mutating func judge(_ packet: RawSpan, circumstances c: UInt8, after exponent: UInt8) {
        typealias Bits = EngineInput.Circumstances
        if exponent > 0 { now = now + .milliseconds(1 << Int64(min(exponent, 24))) }
        if c & Bits.reload != 0 { reload() }
        let number = c & Bits.hook
        var m = PacketMetadata()
        m.hook = [.prerouting, .input, .forward, .output, .postrouting, .none, .unknown, .none][Int(number)]
        m.direction = c & Bits.otherInterface == 0 ? .incoming : .outgoing
        m.inInterface = c & Bits.otherInterface == 0 ? 2 : 3
        m.outInterface = c & Bits.otherInterface == 0 ? 3 : 2
        m.isSegmentationOffload = c & Bits.segmentationOffload != 0
        m.checksumNotReady = c & Bits.checksumNotReady != 0
        m.fullLength = UInt32(packet.byteCount) << (c & Bits.cut == 0 ? 0 : 1)
        m.sourceMAC = MACAddress(bits: UInt64(exponent & 1))
        var decision =
            number == EngineInput.frame
            ? engine.inspectFrame(packet, m, at: now) : engine.inspect(packet, m, at: now)
        if decision.verdict == .askOtherWorkers, number != EngineInput.frame {
            let quoted = Engine.quotedPacket(packet, m)
            let relation = quoted.map { engine.relation(of: $0, at: now) } ?? .unrelated
            decision = engine.inspect(packet, m, at: now, relation: relation == .related ? .related : .unrelated)
            require(decision.verdict != .askOtherWorkers, "asked twice")
        }
        note(decision)
        checkAnswer(to: m, decision, isFrame: number == EngineInput.frame)
        if exponent > 0 { engine.tidy(at: now) }
        release()
    }

    private mutating func reload() {
        policy = 1 - policy
        let next = FuzzPolicies.both[policy]
        shared.update(tables: next.document.engine.limits, computers: next.document.stateful.limits)
        engine.adopt(next, interfaces: EngineRun.interfaces(next), activeSchedules: 0)
    }

    private mutating func note(_ decision: Decision) {
        switch decision.verdict {
        case .pass, .drop: settled += 1
        case .hold: require(held.insert(decision.ticket).inserted, "a ticket twice")
        case .askOtherWorkers: break
        }
        require(decision.verdict != .drop || decision.reason != nil, "a drop without a reason")
        check()
    }

    private mutating func release() {
        while let decision = engine.takeRelease(at: now) {
            require(held.remove(decision.ticket) != nil, "released and not held")
            settled += 1
            check()
        }
        require(engine.heldCount == held.count, "held packets")
    }

    private mutating func check() {
        for event in engine.outbox.events where event.action == .deny { written[Int(event.reason.rawValue)] += 1 }
        engine.outbox.removeAll()
        let counters = engine.counters
        require(counters.inspected == settled, "inspected")
        require(counters.inspected == counters.passed + counters.dropped.reduce(0, +), "outcomes")
        for index in written.indices {
            let accounted = written[index] + counters.silenced[index] + counters.merged[index]
            require(counters.dropped[index] == accounted, "accounts of \(index)")
        }
        for kind in TrackedProtocol.allCases {
            require(shared.total(of: kind) <= shared.limit(of: kind), "limit of \(kind)")
        }
        require(engine.census.total <= 12, "table")
    }

    /// A packet that is dropped gets one answer at most: a sound packet, no longer than itself unless it stays on this host, and
    /// never to several computers.
    private mutating func checkAnswer(to packet: PacketMetadata, _ decision: Decision, isFrame: Bool) {
        defer { engine.answers.removeAll() }
        guard let answer = engine.answers.waiting.first else { return }
        require(engine.answers.waiting.count == 1, "several answers")
        require(decision.verdict == .drop && !isFrame && packet.hook != .none, "an answer to what passes")
        let bytes = Array(engine.answers.bytes[Int(answer.offset)..<Int(answer.offset) + Int(answer.length)])
        if packet.hook == .prerouting || packet.hook == .input || packet.hook == .forward {
            require(bytes.count <= packet.fullLength, "an answer that is longer")
        }
        var headers = PacketHeaders()
        do {
            let etherType: UInt16 = answer.network == .ipv4 ? 0x0800 : 0x86dd
            let traits = PacketTraits(fullLength: UInt32(bytes.count), isSegmentationOffload: false, isCapture: false)
            try headers.decodePacket(bytes.span.bytes, etherType: etherType, traits)
        } catch {
            fatalError("an answer that is malformed: \(error)")
        }
        require(headers.network == answer.network && headers.destination == answer.destination, "to somebody else")
        require(headers.destination.high >> 56 != 0xff && headers.destination != .zero, "to several")
        if answer.source != .zero {
            require(TransportChecksum.isValid(bytes.span.bytes, headers), "a checksum that is wrong")
        }
        require(
            answer.reply == .reset ? headers.tcp.flags.contains(.rst) : headers.icmp.isError,
            "another answer than it says")
    }

    /// Nothing is held for longer than `fragment-hold`, and everything ends.
    mutating func finish() {
        now = now + .seconds(2)
        release()
        require(held.isEmpty, "still held")
        now = now + .hours(4)
        for _ in 0..<4 { engine.tidy(at: now) }
        require(engine.census.total == 0, "connections that never end")
        for kind in TrackedProtocol.allCases { require(shared.total(of: kind) == 0, "total of \(kind)") }
        require(shared.computersCounted == 0, "computers")
    }

    private func require(_ condition: Bool, _ what: String) {
        if !condition { fatalError(what) }
    }
}

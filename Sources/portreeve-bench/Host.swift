// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport

/// An engine with a clock, fed with bytes, as a worker feeds it: the outbox is emptied after each batch.
struct Host: ~Copyable {
    private var engine: Engine
    private var now = Instant(nanoseconds: 1_000_000_000_000)
    private var sinceBatch = 0
    private var events = 0
    /// Who takes the events; nobody: they are counted.
    var queue: EventQueue?

    init(_ document: PolicyDocument) {
        guard let policy = try? Policy(document, epoch: 1) else {
            fatalError("the benchmark's policy does not compile")
        }
        let shared = SharedLimits(
            tables: document.engine.limits, computers: document.stateful.limits, seed: (5, 6))
        engine = Engine(
            policy: policy,
            clock: EngineClock(
                agentStarted: Instant(nanoseconds: .min / 4), kernelBooted: Instant(nanoseconds: .min / 4)),
            seed: (7, 8), shared: shared, workers: 1)
        engine.canAnswer = true
        engine.hostAddresses = HostAddresses(local: ["198.19.0.1", "fd00::2"], broadcast: ["198.19.0.255"])
        guard document.stateful.synFlood.usesCookies else { return }
        var ports = ListeningPorts()
        ports.insert(tcp: 80)
        engine.listeningPorts = ports
        engine.hasSYNCookies = true
    }

    /// Judges one packet of the given direction.
    @inline(__always)
    mutating func judge(_ bytes: [UInt8], _ metadata: PacketMetadata) -> Verdict {
        let decision = unsafe engine.inspect(bytes.span.bytes, metadata, at: now)
        sinceBatch += 1
        if sinceBatch == 32 { endBatch() }
        return decision.verdict
    }

    private mutating func endBatch() {
        sinceBatch = 0
        now = now + .microseconds(100)
        while engine.takeRelease(at: now) != nil {}
        engine.tidy(at: now)
        takeEvents()
        engine.answers.removeAll()
        while engine.hasMoreEnds {
            engine.reportEnds(at: now)
            takeEvents()
        }
    }

    private mutating func takeEvents() {
        events += engine.outbox.events.count
        queue?.append(engine.outbox.events, bytes: engine.outbox.bytes)
        engine.outbox.removeAll()
    }

    /// Bytes of data that were copied, and packets judged.
    var bytesKept: UInt64 { engine.counters.bytesKept }
    var judged: UInt64 { max(1, engine.counters.inspected) }

    /// Sets the time, for who paces by a clock.
    mutating func begin(at now: Instant) { self.now = max(self.now, now) }

    /// Events so far.
    mutating func drain() -> Int {
        endBatch()
        return events
    }

    /// Lets time pass, so that what is over is collected.
    mutating func pass(_ span: Instant.Span) {
        now = now + span
        for _ in 0..<1000 { engine.tidy(at: now) }
    }

    /// Opens this many TCP connections with complete handshakes, from as many addresses and ports as that takes.
    mutating func openConnections(_ count: Int) {
        for number in 0..<count {
            for (bytes, metadata) in Segments.handshake(number) { _ = judge(bytes, metadata) }
        }
    }
}

extension PacketMetadata {
    init(_ hook: Hook, _ bytes: [UInt8]) {
        self.init()
        self.hook = hook
        fullLength = UInt32(bytes.count)
        etherType = 0x0800
    }
}

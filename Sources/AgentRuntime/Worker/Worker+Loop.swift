// SPDX-License-Identifier: GPL-3.0-or-later

import AgentMetrics
import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import Locking
import NetfilterQueue
import PacketWire
import Synchronization

extension Worker {
    /// The thread's body: claims the queues, says so, and judges packets until the agent stops.
    func run() {
        do {
            var open: [OpenQueue] = []
            for queue in queues { open.append(try OpenQueue(queue)) }
            let wakers = try open.map { try $0.socket.makeWaker() }
            let table = try? QueueTable.read()
            for (each, waker) in zip(open, wakers) {
                each.queue.note(each.socket.counters())
                each.queue.note(table?.row(of: each.queue.number))
                each.queue.waker.withLock { $0 = waker }
            }
            report(opened: wakers[0])
            awaitBegin()
            try judge(open)
            if leavesQueue.load(ordering: .relaxed) { for each in open { each.socket.leaveAtEnd() } }
        } catch {
            report(failed: "\(error)")
        }
    }

    private func judge(_ open: [OpenQueue]) throws(QueueError) {
        var turn = Turn()
        if open.count == 1 { try judge(only: open, &turn) } else { try judge(open, &turn) }
    }

    /// One queue: to sleep and to receive is one system call.
    private func judge(only open: [OpenQueue], _ turn: inout Turn) throws(QueueError) {
        while !isStopping.load(ordering: .relaxed) {
            _ = try takeTurn(open[0], of: open, &turn, timeoutMilliseconds: pause(turn))
            countNow(open, &turn)
        }
    }

    /// The established queue first: after each batch of another one it is looked at again, and another one has its turn when
    /// this is empty, or after some full batches. So what goes on waits for one batch of a flood at most, and no flood of what
    /// looks established keeps openings out.
    private func judge(_ open: [OpenQueue], _ turn: inout Turn) throws(QueueError) {
        let readiness = QueueReadiness(open.map { $0.socket.descriptor }, busyPoll: main.configuration)
        var inRow = 0
        var next = 1
        while !isStopping.load(ordering: .relaxed) {
            let count = try takeTurn(open[0], of: open, &turn, timeoutMilliseconds: 0)
            if count == QueueSocket.batch && inRow < Worker.batchesInRow {
                inRow += 1
                continue
            }
            let ready = readiness.await(timeoutMilliseconds: count == QueueSocket.batch ? 0 : pause(turn))
            inRow = 0
            for _ in 1..<open.count {
                let place = next
                next = next + 1 == open.count ? 1 : next + 1
                guard ready & 1 << UInt32(place) != 0 else { continue }
                _ = try takeTurn(open[place], of: open, &turn, timeoutMilliseconds: 0)
                break
            }
            countNow(open, &turn)
        }
    }

    /// Full batches of what is established after which others have a turn.
    private static let batchesInRow = 4

    private func pause(_ turn: borrowing Turn) -> Int32 { turn.held.isEmpty ? Worker.idleTurn : Worker.heldTurn }

    /// A batch of one queue, judged and settled, and with it what was held of any. Returns how many packets it had.
    private func takeTurn(
        _ open: OpenQueue, of all: [OpenQueue], _ turn: inout Turn, timeoutMilliseconds: Int32
    ) throws(QueueError) -> Int {
        let count = try open.socket.receive(timeoutMilliseconds: timeoutMilliseconds)
        turns.add(1, ordering: .relaxed)
        let now = Clocks.monotonic()
        let upkeep = turn.isDue(now)
        if count > 0 || !turn.held.isEmpty || upkeep { serve(open, &turn, at: now, upkeep: upkeep) }
        open.socket.flush()
        if turn.hasReleased {
            turn.hasReleased = false
            for other in all where other !== open { other.socket.flush() }
        }
        if count > 0 { turn.latency.add(count, waited: (Clocks.monotonic() - now).nanoseconds) }
        sendAnswers(&turn)
        return count
    }

    private func countNow(_ open: [OpenQueue], _ turn: inout Turn) {
        guard turn.isCountingDue(Clocks.monotonic()) else { return }
        for each in open { each.queue.note(each.socket.counters()) }
        latency.withLock { $0 = turn.latency }
    }

    /// How long a quiet worker sleeps: the time in which it notices a stop without being woken, and tidies up.
    private static let idleTurn: Int32 = 250
    /// While fragments are held, their time must be looked at.
    private static let heldTurn: Int32 = 20

    /// One batch under the engine's lock; then, without it, what other workers have to be asked.
    private func serve(_ open: OpenQueue, _ turn: inout Turn, at now: Instant, upkeep: Bool) {
        engine.withLock { engine in
            let before = engine.counters.verdicts
            let held = turn.held.count
            judge(&open.socket, &engine, &turn, at: now)
            if turn.held.count > held { turn.holder = open }
            if open.socket.takeOverflow() && open.queue.configuration.failsOpen {
                engine.notePassedUnseen(at: now)
                open.queue.overflows.add(1, ordering: .relaxed)
            }
            let between = engine.counters.verdicts
            open.count(before, between)
            release(&engine, &turn, at: now)
            turn.holder?.count(between, engine.counters.verdicts)
            if upkeep {
                engine.tidy(at: now)
                unsafe engine.releaseUnused { unsafe Worker.giveBack($0) }
            }
            handOver(&engine, at: now)
            turn.take(&engine.answers)
            if engine.hasFastPathChanges { tellKernel(&engine, &turn, at: now) }
        }
        if turn.asked > 0 { answer(open, &turn, at: now) }
    }

    private func judge(_ socket: inout QueueSocket, _ engine: inout Engine, _ turn: inout Turn, at now: Instant) {
        let number = socket.configuration.number
        while let packet = socket.next() { judge(packet, of: number, &engine, &turn, at: now) }
    }

    /// Lets the kernel have the whole pages among unused memory.
    private static func giveBack(_ memory: UnsafeMutableRawBufferPointer) {
        guard let start = memory.baseAddress else { return }
        let page = sysconf(Int32(_SC_PAGESIZE))
        let (first, end) = (UInt(bitPattern: start), UInt(bitPattern: start) + UInt(memory.count))
        let aligned = (first + UInt(page) - 1) / UInt(page) * UInt(page)
        guard aligned < end else { return }
        _ = unsafe madvise(UnsafeMutableRawPointer(bitPattern: aligned), Int(end - aligned), Int32(MADV_DONTNEED))
    }

    private func judge(
        _ packet: consuming QueuedPacket, of number: UInt16, _ engine: inout Engine, _ turn: inout Turn, at now: Instant
    ) {
        let attributes = packet.attributes
        learnInterfaces(attributes, &engine)
        var metadata = PacketMetadata(attributes, queue: number)
        // What no network of this host's has goes by the default route, most likely as before.
        if metadata.hook == .output, attributes.mark & marks.translated != 0,
            let interface = packet.withBytes({ interface(towardsDestinationOf: $0) })
        {
            metadata.outInterface = interface
        }
        let decision = packet.withBytes { engine.inspect($0, metadata, at: now) }
        switch decision.verdict {
        case .pass: settlePassed(packet, decision.offloads)
        case .drop: packet.settle(.drop)
        case .hold:
            heldEver.add(1, ordering: .relaxed)
            _ = turn.held.hold(packet, ticket: decision.ticket)
        case .askOtherWorkers:
            turn.ask(packet, metadata)
        }
    }

    private func interface(towardsDestinationOf packet: RawSpan) -> UInt32? {
        networks.withLock { $0.interface(towardsDestinationOf: packet) }
    }

    /// A packet that offloads its flow takes the bit of its direction along, in the place of what else is there of our
    /// bits; the rules save it at the next hook. One that does not takes none along: whoever may set marks could offload a flow
    /// of his own.
    private func settlePassed(_ packet: consuming QueuedPacket, _ offloads: Direction? = nil) {
        let mark = packet.attributes.mark
        guard let direction = offloads, mayOffload.load(ordering: .relaxed) else {
            return packet.settle(.accept, mark: mark & marks.offload == 0 ? nil : mark & ~marks.offload)
        }
        let bit = direction == .incoming ? marks.incomingOffload : marks.outgoingOffload
        packet.settle(.accept, mark: mark & ~marks.mask | bit)
    }

    private func settle(_ packet: consuming QueuedPacket, _ verdict: Verdict) {
        if verdict == .pass { settlePassed(packet) } else { packet.settle(.drop) }
    }

    /// Settles the held fragments whose datagram is decided, or whose time is over.
    private func release(_ engine: inout Engine, _ turn: inout Turn, at now: Instant) {
        guard !turn.held.isEmpty else { return }
        while let decision = engine.takeRelease(at: now) {
            guard let packet = turn.held.take(ticket: decision.ticket) else { continue }
            settle(packet, decision.verdict)
            turn.hasReleased = true
        }
    }

    /// ICMP errors about connections that this worker does not know: asks the others, one lock at a time, then
    /// concludes.
    private func answer(_ open: OpenQueue, _ turn: inout Turn, at now: Instant) {
        for place in 0..<turn.asked {
            guard let packet = turn.takeAsked(place) else { continue }
            let metadata = turn.metadata(place)
            let relation = packet.withBytes { relationAmongOthers($0, metadata, at: now) }
            let decision = engine.withLock { engine in
                let before = engine.counters.verdicts
                let decision = packet.withBytes { engine.inspect($0, metadata, at: now, relation: relation) }
                open.count(before, engine.counters.verdicts)
                handOver(&engine, at: now)
                return decision
            }
            settle(packet, decision.verdict)
        }
        turn.asked = 0
    }

    private func relationAmongOthers(_ bytes: RawSpan, _ metadata: PacketMetadata, at now: Instant) -> ErrorRelation {
        guard let quoted = Engine.quotedPacket(bytes, metadata) else { return .unrelated }
        for other in peers.withLock({ $0 }) where other !== self {
            if other.engine.withLock({ $0.relation(of: quoted, at: now) }) == .related { return .related }
        }
        return .unrelated
    }

    /// Gives the batch's events to the writer, and the ends of connections.
    func handOver(_ engine: inout Engine, at now: Instant) {
        handOver(&engine)
        guard engine.hasEnds else { return }
        repeat {
            engine.reportEnds(at: now)
            handOver(&engine)
        } while engine.hasMoreEnds
        events.append(
            count: engine.takeLostEnds(), of: .connectionClosed, .notice, PacketMetadata(), at: now)
    }

    /// Tells the end of all connections, after the thread's last verdict.
    func endConnections(as ending: ConnectionEnding) {
        let now = Clocks.monotonic()
        engine.withLock { engine in
            var index: ConnectionIndex? = 0
            while let from = index {
                index = engine.endAll(as: ending, from: from, atMost: Worker.endedAtOnce)
                handOver(&engine, at: now)
            }
        }
    }

    private static let endedAtOnce = 4096

    private func handOver(_ engine: inout Engine) {
        guard !engine.outbox.events.isEmpty else { return }
        events.append(engine.outbox.events, bytes: engine.outbox.bytes)
        engine.outbox.removeAll()
    }

    /// An interface that came up a moment ago is asked of the kernel at its first packet.
    private func learnInterfaces(_ attributes: PacketAttributes, _ engine: inout Engine) {
        if attributes.entrance != 0 && engine.interfaces[attributes.entrance] == nil {
            learn(attributes.entrance, &engine)
        }
        if attributes.exit != 0 && engine.interfaces[attributes.exit] == nil {
            learn(attributes.exit, &engine)
        }
    }

    private func learn(_ index: UInt32, _ engine: inout Engine) {
        let name = LocalNetwork.name(ofInterface: index) ?? ""
        engine.learnInterface(index, name: name, isLoopback: name == "lo")
    }
}

extension PacketMetadata {
    init(_ a: PacketAttributes, queue: UInt16) {
        self.init()
        hook = Hook(rawValue: a.hook) ?? .unknown
        self.queue = queue
        inInterface = a.entrance
        outInterface = a.exit
        physicalInInterface = a.physicalInInterface
        physicalOutInterface = a.physicalOutInterface
        mark = a.mark
        fullLength = a.fullLength
        etherType = a.etherType
        sourceMAC = MACAddress(bits: a.sourceMAC)
        destinationMAC = MACAddress(bits: a.destinationMAC)
        vlan = a.vlanProtocol == 0 ? PacketHeaders.noVLAN : a.vlanControl & 0xfff
        isSegmentationOffload = a.isSegmentationOffload
        checksumNotReady = a.checksumNotReady
        checksumNotVerified = a.checksumNotVerified
        senderUID = a.senderUID
        senderGID = a.senderGID
        arrival = a.timestamp
    }
}

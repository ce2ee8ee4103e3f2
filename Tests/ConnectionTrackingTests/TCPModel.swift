// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport

@testable import ConnectionTracking

/// A path between two modelled endpoints with the tracker somewhere on it: segments are lost, delayed, overtaken and
/// duplicated on either side of it.
struct TCPModel {
    struct Leg {
        var loss: Double
        var duplication: Double
        var delay: Int64
        /// Up to this much more; segments overtake each other by it.
        var jitter: Int64

        init(_ random: inout SeededRandom) {
            loss = [0, 0, 0.01, 0.1].randomElement(using: &random) ?? 0
            duplication = [0, 0, 0.02, 0.1].randomElement(using: &random) ?? 0
            delay = Int64.random(in: 10...60_000, using: &random)
            jitter = [0, 100, 5_000, 100_000].randomElement(using: &random) ?? 0
        }
    }

    /// What a run has shown.
    struct Report {
        var segments = 0
        var connections = 0
        var established = 0
        var resets = 0
        var reopened = 0
        var forged = 0
        var phases: Set<TCPPhase> = []
        /// The segment that was refused first, in words; `nil` if none was.
        var failure: String?

        mutating func add(_ other: Report) {
            segments += other.segments
            connections += other.connections
            established += other.established
            resets += other.resets
            reopened += other.reopened
            forged += other.forged
            phases.formUnion(other.phases)
            failure = failure ?? other.failure
        }
    }

    private enum Event {
        case leaves(Party, TCPFields)
        case passes(Party, TCPFields)
        case arrives(Party, TCPFields)
        case timer(Party)
        case connect(Party)
        case forged(Party, TCPFields)
    }

    let seed: UInt64
    private var random: SeededRandom
    private var client: TCPModelEndpoint
    private var server: TCPModelEndpoint
    private var legs: [Leg] = []
    private var queue = ModelQueue<Event>()
    private var now: Int64 = 0
    private var state: TCPState?
    private var posture = AntiEvasion()
    private var report = Report()
    private var connectionsLeft = 0
    private let historyLength = 40
    private var history: [(time: Int64, party: Party, segment: TCPFields, phase: TCPPhase?)] = []
    /// The tracker misses everything before this, and takes the connection over then.
    private var startsAt: Int64 = 0
    private var missedSYNs: Set<UInt32> = []
    private var answeredSYNs: Set<UInt32> = []
    private var isHaunted = false
    private var simultaneous = false
    private var forgeries = 0
    private let clientSide: Side

    init(seed: UInt64, forging: Bool = false) {
        self.seed = seed
        random = SeededRandom(seed: seed)
        client = TCPModelEndpoint(TCPModelTraits(&random), isServer: false, seed: random.next())
        server = TCPModelEndpoint(TCPModelTraits(&random), isServer: true, seed: random.next())
        for _ in 0..<4 { legs.append(Leg(&random)) }
        clientSide = Bool.random(using: &random) ? .low : .high
        connectionsLeft = Int.random(in: 1...3, using: &random)
        simultaneous = Int.random(in: 0..<6, using: &random) == 0
        if !simultaneous, !forging, Int.random(in: 0..<6, using: &random) == 0 {
            startsAt = Int64.random(in: 0...2_000_000, using: &random)
        }
        forgeries = forging ? 200 : 0
        setUpClocks()
    }

    private mutating func setUpClocks() {
        // Time stamps are judged strictly only where the path keeps them within the window of a second.
        if Bool.random(using: &random) { posture.invalidTimestamps = .deny }
        if simultaneous {
            // A SYN+ACK that is lost before the tracker makes crossed SYNs look like a split handshake.
            posture.splitHandshake = .allow
            client.traits.fastOpen = false
            server.traits.fastOpen = false
        }
    }

    mutating func run() -> Report {
        queue.add(.connect(.client), at: 0)
        if simultaneous { queue.add(.connect(.server), at: Int64.random(in: 0...120_000, using: &random)) }
        for _ in 0..<forgeries { scheduleForgery() }
        var steps = 0
        while report.failure == nil, !isHaunted, steps < 2_500, let (time, event) = queue.next(), time < 400_000_000 {
            now = time
            steps += 1
            handle(event)
        }
        return report
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .connect(let party): connect(party)
        case .timer(let party): wake(party)
        case .leaves(let party, let s): travel(s, from: party, leg: party == .client ? 0 : 2) { .passes(party, $0) }
        case .passes(let party, let s): observe(s, from: party)
        case .arrives(let party, let s): deliver(s, to: party)
        case .forged(let party, let s): forge(s, from: party)
        }
    }
}

// MARK: - Endpoints

extension TCPModel {
    private subscript(party: Party) -> TCPModelEndpoint {
        get { party == .client ? client : server }
        _modify { if party == .client { yield &client } else { yield &server } }
    }

    private mutating func connect(_ party: Party) {
        guard self[party].mode == .closed || self[party].mode == .listen || self[party].mode == .timeWait else {
            return
        }
        report.connections += 1
        self[party].connect(at: now)
        flush(party)
    }

    /// A server that has closed may answer a late duplicate of a SYN anew; the client may then be in a connection with the
    /// first answer, the second or a third, and segments of all of them are about. Few combinations are worth a place in
    /// the state, so a run ends here.
    private mutating func noteAnswer(to s: TCPFields) {
        guard TCPTracker.isOpening(s), server.mode == .listen || server.mode == .timeWait else { return }
        isHaunted = isHaunted || !answeredSYNs.insert(s.sequence).inserted
    }

    private mutating func deliver(_ s: TCPFields, to party: Party) {
        if party == .server { noteAnswer(to: s) }
        self[party].receive(s, at: now)
        flush(party)
    }

    private mutating func wake(_ party: Party) {
        if let deadline = self[party].nextDeadline, deadline <= now { self[party].tick(at: now) }
        flush(party)
    }

    private mutating func flush(_ party: Party) {
        let segments = self[party].output
        self[party].output.removeAll(keepingCapacity: true)
        for segment in segments { queue.add(.leaves(party, segment), at: now) }
        if let deadline = self[party].nextDeadline { queue.add(.timer(party), at: max(deadline, now + 1)) }
        if party == .client, client.mode == .closed, connectionsLeft > 1 {
            connectionsLeft -= 1
            queue.add(.connect(.client), at: now + Int64.random(in: 0...3_000_000, using: &random))
        }
    }
}

// MARK: - Path

extension TCPModel {
    private mutating func travel(_ s: TCPFields, from party: Party, leg index: Int, _ event: (TCPFields) -> Event) {
        let leg = legs[index]
        if Double.random(in: 0..<1, using: &random) < leg.loss { return }
        let copies = Double.random(in: 0..<1, using: &random) < leg.duplication ? 2 : 1
        for _ in 0..<copies {
            queue.add(event(s), at: now + leg.delay + Int64.random(in: 0...leg.jitter, using: &random))
        }
    }

    private mutating func observe(_ s: TCPFields, from party: Party) {
        report.segments += 1
        if s.flags.contains(.rst) { report.resets += 1 }
        if now < startsAt, TCPTracker.isOpening(s) { missedSYNs.insert(s.sequence) }
        if now >= startsAt, !judge(s, from: party) { return }
        travel(s, from: party, leg: party == .client ? 1 : 3) { .arrives(party.peer, $0) }
    }

    private func side(_ party: Party) -> Side { party == .client ? clientSide : clientSide.opposite }

    /// Whether the segment goes on.
    private mutating func judge(_ s: TCPFields, from party: Party) -> Bool {
        let instant = Instant(nanoseconds: now * 1_000)
        note(s, from: party)
        guard var known = state else {
            // A duplicate of a SYN, after a handshake that was missed, would be taken for the beginning.
            if missedSYNs.contains(s.sequence), TCPTracker.isOpening(s) { return true }
            state =
                TCPTracker.isOpening(s)
                ? TCPTracker.open(s, from: side(party), at: instant)
                : TCPTracker.adopt(s, from: side(party), opener: clientSide, at: instant)
            return true
        }
        let before = known
        let step = TCPTracker.step(&known, s, from: side(party), at: instant, posture, unseenBytes: 0)
        state = known
        report.phases.insert(known.phase)
        if step.reopened { report.reopened += 1 }
        if known.phase == .established, before.phase != .established { report.established += 1 }
        if let refusal = step.refusal, !isExpected(refusal, of: s, from: party, before) {
            report.failure = "seed \(seed): \(refusal) in \(before.phase)\n\(recentHistory)\n\(before)"
        }
        return step.refusal == nil
    }

    /// Some refusals are right although the segments are honest, and do no harm. A RST outside its receiver's window is
    /// discarded there as well. A side that has reset the connection says nothing more: what its RST has overtaken, or the
    /// path has doubled, cannot always be told from that. And while a SYN waits for its answer, SYN+ACKs for an earlier one
    /// are dropped alone, and so is data of a connection that was never seen.
    private func isExpected(_ refusal: TCPRefusal, of s: TCPFields, from party: Party, _ before: TCPState) -> Bool {
        if s.flags.contains(.rst) { return self[party.peer].ignoresReset(s) }
        if before.phase == .synSent, s.flags.contains(.syn) || !before.hasWindows { return refusal == .invalidACK }
        return refusal == .packetOnClosedConnection && before[side(party)].marks.contains(.reset)
    }

    private mutating func note(_ s: TCPFields, from party: Party) {
        if history.count == 2 * historyLength { history.removeFirst(historyLength) }
        history.append((now, party, s, state?.phase))
    }

    private var recentHistory: String {
        let lines = history.suffix(historyLength).map { entry in
            let s = entry.segment
            return "\(entry.time) \(entry.party) flags \(s.flags.rawValue) seq \(s.sequence) ack \(s.acknowledgement)"
                + " data \(s.dataLength) win \(s.window) sack \(s.sackHighest)"
                + " \(entry.phase.map { "\($0)" } ?? "unknown")"
        }
        return lines.joined(separator: "\n")
    }
}

// MARK: - Forgeries

extension TCPModel {
    private mutating func scheduleForgery() {
        let party: Party = Bool.random(using: &random) ? .client : .server
        var s = TCPFields()
        let flags: [TCPFlags] = [.ack, [.ack, .psh], [.fin, .ack], .rst, [.rst, .ack], [.syn, .ack]]
        s.flags = flags.randomElement(using: &random) ?? .ack
        s.sequence = UInt32.random(in: 0...UInt32.max, using: &random)
        s.acknowledgement = UInt32.random(in: 0...UInt32.max, using: &random)
        s.window = UInt16.random(in: 0...UInt16.max, using: &random)
        s.dataLength = s.flags.contains(.psh) ? 1_000 : 0
        queue.add(.forged(party, s), at: Int64.random(in: 0...3_000_000, using: &random))
    }

    /// A segment of somebody who knows the addresses and ports but sees nothing. What the tracker refuses does not arrive;
    /// what passes must not have changed the phase.
    private mutating func forge(_ s: TCPFields, from party: Party) {
        guard now >= startsAt, var known = state else { return }
        report.forged += 1
        let before = known
        note(s, from: party)
        let step = TCPTracker.step(&known, s, from: side(party), at: Instant(nanoseconds: now * 1_000), posture)
        if step.refusal != nil ? known != before : known.phase != before.phase {
            report.failure = "seed \(seed): forged segment changed \(before) to \(known)\n\(recentHistory)"
        }
        guard step.refusal == nil else { return }
        state = known
        travel(s, from: party, leg: party == .client ? 1 : 3) { .arrives(party.peer, $0) }
    }
}

/// Events in the order of their times, and of their arrival where those are equal.
struct ModelQueue<Event> {
    private var heap: [(time: Int64, order: Int, event: Event)] = []
    private var count = 0

    mutating func add(_ event: Event, at time: Int64) {
        heap.append((time, count, event))
        count += 1
        var child = heap.count - 1
        while child > 0, isBefore(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func next() -> (Int64, Event)? {
        guard let first = heap.first else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, least) {
                least = child
            }
            if least == parent { return (first.time, first.event) }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    private func isBefore(_ a: Int, _ b: Int) -> Bool {
        (heap[a].time, heap[a].order) < (heap[b].time, heap[b].order)
    }
}

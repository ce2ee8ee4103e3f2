// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport

@testable import ConnectionTracking

/// A path between two modelled endpoints with the tracker somewhere on it: segments are lost, delayed, overtaken and
/// duplicated on either side of it.
struct TCPModel {
    struct Leg {
        var loss = 0.0
        var duplication = 0.0
        var delay: Int64 = 10_000
        /// Up to this much more; segments overtake each other by it.
        var jitter: Int64 = 0

        init() {}

        init(_ random: inout SeededRandom) {
            loss = [0, 0, 0.01, 0.1].randomElement(using: &random) ?? 0
            duplication = [0, 0, 0.02, 0.1].randomElement(using: &random) ?? 0
            delay = Int64.random(in: 10...60_000, using: &random)
            jitter = [0, 100, 5_000, 100_000].randomElement(using: &random) ?? 0
        }
    }

    /// A segment, when it left its sender, and the connection that it belongs to there.
    struct Sent {
        var fields: TCPFields
        var time: Int64
        var initial: UInt32
    }

    /// What a run has shown.
    struct Report {
        var segments = 0
        var connections = 0
        var established = 0
        /// Of these, how many ends opened to each other.
        var crossed = 0
        /// Connections that the tracker met in their midst.
        var takenOver = 0
        /// Those of them of which both sides have agreed.
        var agreed = 0
        var resets = 0
        var reopened = 0
        var forged = 0
        /// Forgeries that no receiver could take for genuine, and that were refused.
        var refused = 0
        /// Honest segments whose refusal was right.
        var excused = 0
        /// Runs that ended early.
        var haunted = 0
        var phases: Set<TCPPhase> = []
        /// The segment that was judged wrongly first, in words; `nil` if none was.
        var failure: String?

        mutating func add(_ other: Report) {
            segments += other.segments
            connections += other.connections
            established += other.established
            crossed += other.crossed
            takenOver += other.takenOver
            agreed += other.agreed
            resets += other.resets
            reopened += other.reopened
            forged += other.forged
            refused += other.refused
            excused += other.excused
            haunted += other.haunted
            phases.formUnion(other.phases)
            failure = failure ?? other.failure
        }
    }

    enum Event {
        case leaves(Party, Sent)
        case passes(Party, Sent)
        case arrives(Party, TCPFields)
        case timer(Party)
        case connect(Party)
        case forged(Party, TCPForgery)
    }

    let seed: UInt64
    var random: SeededRandom
    var client: TCPModelEndpoint
    var server: TCPModelEndpoint
    var legs: [Leg] = []
    var queue = ModelQueue<Event>()
    /// In microseconds.
    var now: Int64 = 0
    var state: TCPState?
    var posture = AntiEvasion()
    var report = Report()
    var connectionsLeft = 1
    /// The tracker misses everything before this, and takes the connection over then.
    var startsAt: Int64 = 0
    var missedSYNs: Set<UInt32> = []
    var answeredSYNs: [Party: Set<UInt32>] = [:]
    /// When the last RST left that the tracker has seen of each side.
    var resetLeft: [Party: Int64] = [:]
    /// The initial sequence numbers of each side's connections, in order.
    var initials: [Party: [UInt32]] = [:]
    /// Which crossings of a leg lose their segment, the first in the lowest bit; for runs that leave nothing to chance.
    var plannedLosses: UInt64 = 0
    var isHaunted = false
    let isSimultaneous: Bool
    let clientSide: Side
    var history: [(time: Int64, party: Party, segment: TCPFields, phase: TCPPhase?)] = []

    init(seed: UInt64, forging: Bool = false, takingOver: Bool = false) {
        self.seed = seed
        random = SeededRandom(seed: seed)
        isSimultaneous = Int.random(in: 0..<6, using: &random) == 0
        client = TCPModelEndpoint(TCPModelTraits(&random), isServer: false, seed: random.next())
        server = TCPModelEndpoint(TCPModelTraits(&random), isServer: true, seed: random.next())
        for _ in 0..<4 { legs.append(Leg(&random)) }
        clientSide = Bool.random(using: &random) ? .low : .high
        connectionsLeft = Int.random(in: 1...3, using: &random)
        if takingOver || (!isSimultaneous && !forging && Int.random(in: 0..<6, using: &random) == 0) {
            startsAt = Int64.random(in: 0...2_000_000, using: &random)
        }
        // Time stamps are judged strictly only where the path keeps them within the window of a second.
        if Bool.random(using: &random) { posture.invalidTimestamps = .deny }
        if isSimultaneous { setUpCrossing() }
        if forging { for _ in 0..<200 { scheduleForgery() } }
    }

    /// Two ends that open to each other at once over a path that loses exactly these of its crossings; the server's SYN
    /// leaves so much later.
    init(losing plannedLosses: UInt64, serverAfter lead: Int64, takingCrossedSYNACK: Bool) {
        seed = plannedLosses
        random = SeededRandom(seed: seed)
        isSimultaneous = true
        var traits = TCPModelTraits()
        traits.takesCrossedSYNACK = takingCrossedSYNACK
        client = TCPModelEndpoint(traits, isServer: false, seed: random.next())
        traits.closesFirst = false
        server = TCPModelEndpoint(traits, isServer: false, seed: random.next())
        legs = Array(repeating: Leg(), count: 4)
        clientSide = .low
        self.plannedLosses = plannedLosses
        queue.add(.connect(.server), at: lead)
    }

    private mutating func setUpCrossing() {
        client.traits.fastOpen = false
        server.traits.fastOpen = false
        // A SYN that is doubled behind the tracker is answered like one that splits the handshake.
        if legs[1].duplication > 0 || legs[3].duplication > 0 { posture.splitHandshake = .allow }
        queue.add(.connect(.server), at: Int64.random(in: 0...120_000, using: &random))
    }

    mutating func run() -> Report {
        queue.add(.connect(.client), at: 0)
        var steps = 0
        while report.failure == nil, !isHaunted, steps < 2_500, let (time, event) = queue.next(), time < 400_000_000 {
            now = time
            steps += 1
            handle(event)
        }
        if isHaunted { report.haunted = 1 }
        return report
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .connect(let party): connect(party)
        case .timer(let party): wake(party)
        case .leaves(let party, let s): travel(s, leg: party == .client ? 0 : 2) { .passes(party, $0) }
        case .passes(let party, let s): observe(s, from: party)
        case .arrives(let party, let s): deliver(s, to: party)
        case .forged(let party, let forgery): forge(forgery, from: party)
        }
    }
}

// MARK: - Endpoints

extension TCPModel {
    subscript(party: Party) -> TCPModelEndpoint {
        get { party == .client ? client : server }
        _modify { if party == .client { yield &client } else { yield &server } }
    }

    private mutating func connect(_ party: Party) {
        guard [.closed, .listen, .timeWait].contains(self[party].mode) else { return }
        // A server opens only what was never opened to it.
        if party == .server, server.hasConnected { return }
        report.connections += 1
        self[party].connect(at: now)
        flush(party)
    }

    /// An end that has closed may answer a late duplicate of a SYN anew; the other may then be in a connection with the
    /// first answer, the second or a third, and segments of all of them are about. Few combinations are worth a place in
    /// the state, so a run ends here.
    private mutating func noteAnswer(to s: TCPFields, by party: Party) {
        guard TCPTracker.isOpening(s), [.listen, .timeWait, .synSent].contains(self[party].mode) else { return }
        isHaunted = isHaunted || !answeredSYNs[party, default: []].insert(s.sequence).inserted
    }

    private mutating func deliver(_ s: TCPFields, to party: Party) {
        noteAnswer(to: s, by: party)
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
        if initials[party]?.last != self[party].initial { initials[party, default: []].append(self[party].initial) }
        for segment in segments {
            let sent = Sent(fields: segment, time: now, initial: self[party].initial)
            queue.add(.leaves(party, sent), at: now)
        }
        if let deadline = self[party].nextDeadline { queue.add(.timer(party), at: max(deadline, now + 1)) }
        if party == .client, client.mode == .closed, connectionsLeft > 1 { connectAgain() }
    }

    private mutating func connectAgain() {
        connectionsLeft -= 1
        queue.add(.connect(.client), at: now + Int64.random(in: 0...3_000_000, using: &random))
    }
}

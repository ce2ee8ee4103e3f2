// SPDX-License-Identifier: GPL-3.0-or-later

internal import CPathShim
internal import PacketWire

/// Makes the probes of a scan: so many at a time, paced, each once, the silent ones again at the end.
///
/// With a reflector all its listeners are open before the first probe leaves. Lack of something on this host is waited out a
/// few times; if it lasts, the scan ends there, for it would lack it for every probe.
final class Scanner {
    let poller: Poller
    private let options: ScanOptions
    private let context: ProbeContext
    let channel: ControlChannel?
    private let pacer: Pacer
    private let signals: SignalSource?
    private let progress: (ScanProgress) -> Void

    /// Still to be made, the next one last.
    private var connections: [Launch] = []
    private var datagrams: [Launch] = []
    private var connectionsInFlight = 0
    private var datagramsInFlight = 0
    private var outcomes: [Int: ProbeOutcome] = [:]
    private var total = 0
    private var began = Instant(nanoseconds: 0)
    private var notBefore = Instant(nanoseconds: 0)
    private var longest = Instant.Span.zero
    private var isRepeating = false
    var interruption: ScanInterruption?

    private struct Launch {
        var job: ProbeJob
        var attempt = 0
        /// How often this host could not send it.
        var failures = 0
    }

    /// How often a lack is waited out, the first time for 100 ms.
    private static let patience = 4
    private static let datagramsAtOnce = 1_024

    init(
        _ poller: Poller, _ options: ScanOptions, channel: ControlChannel?, session: (number: UInt64, key: SecretKey)?,
        signals: SignalSource? = nil, progress: @escaping (ScanProgress) -> Void = { _ in }
    ) {
        self.poller = poller
        self.options = options
        self.channel = channel
        self.progress = progress
        context = ProbeContext(poller, ports: LocalPorts(options.sourcePorts), session: session)
        pacer = Pacer(perSecond: options.datagramsPerSecond)
        _ = path_raise_descriptor_limit()
        self.signals = signals
    }

    /// Probes, and asks the reflector what it saw.
    func run(_ jobs: [ProbeJob]) throws(SystemFault) -> ScanResult {
        began = Poller.now
        let before = counters()
        try pass(jobs.map { Launch(job: $0) })
        for attempt in 1..<options.retries + 1 where interruption == nil {
            // A long silence is not kept twice: the lease might not last.
            let silent = jobs.filter {
                $0.deadlines.rest == .zero && outcomes[$0.number]?.finding.category.isSilence ?? false
            }
            guard !silent.isEmpty else { break }
            isRepeating = true
            try pass(silent.map { Launch(job: $0, attempt: attempt) })
        }
        var result = ScanResult()
        result.outcomes = jobs.map { job in
            outcomes[job.number]
                ?? ProbeOutcome(job: job, finding: ProbeFinding(.skipped, .notReached), local: nil, attempt: 0)
        }
        result.retries = options.retries
        result.session = context.session?.number
        collect(into: &result, before)
        if options.isLocating, interruption == nil {
            let locator = Locator(context) { [unowned self] in
                signals?.received != nil || channel?.fault != nil
            }
            result.locations = try locator.locate(result.outcomes)
        }
        result.interruption = interruption
        result.duration = Poller.now - began
        return result
    }

    private func pass(_ launches: [Launch]) throws(SystemFault) {
        var launches = launches
        if !options.isOrdered {
            var order = SeededOrder(seed: options.seed)
            launches.shuffle(using: &order)
        }
        connections = launches.reversed().filter { $0.job.transport == .tcp }
        datagrams = launches.reversed().filter { $0.job.transport == .udp }
        total = launches.count
        longest = launches.map { $0.job.deadlines.total($0.job.transport) }.max() ?? .zero
        let passBegan = Poller.now
        while left > 0 {
            let next = launch(at: Poller.now)
            report(since: passBegan)
            // Those that could not even be sent are done already.
            guard left > 0 else { break }
            try poller.turn(until: next)
            if signals?.received != nil { interrupt(.bySignal) }
            if let fault = channel?.fault { interrupt(.controlLost(fault.description)) }
        }
        report(since: passBegan)
    }

    /// Probes of this pass that are not done.
    private var left: Int { connections.count + datagrams.count + connectionsInFlight + datagramsInFlight }

    /// Whether what is in flight still counts.
    private var isWaitedFor: Bool { if case .localResource? = interruption { true } else { interruption == nil } }

    /// What is in flight ends by itself; nothing more is launched. A second reason changes nothing.
    private func interrupt(_ reason: ScanInterruption) {
        guard interruption == nil else { return }
        interruption = reason
        (connections, datagrams) = ([], [])
        // Ctrl-C asks for what is known, now; and without a reflector what is in flight would be called blocked.
        if !isWaitedFor { (connectionsInFlight, datagramsInFlight) = (0, 0) }
    }

    /// Sends what may be sent; returns when to look again, if not for what is in flight.
    private func launch(at now: Instant) -> Instant? {
        while now >= notBefore, connectionsInFlight < options.parallel, let next = connections.popLast() {
            start(next, at: now)
        }
        while now >= notBefore, !datagrams.isEmpty {
            guard datagramsInFlight < Self.datagramsAtOnce else { break }
            let slot = pacer.take(at: now)
            guard slot <= now else { return slot }
            if let next = datagrams.popLast() { start(next, at: now) }
        }
        return now < notBefore ? notBefore : nil
    }

    private func start(_ launch: Launch, at now: Instant) {
        let finished: (ProbeOutcome) -> Void = { [unowned self] in self.finish(launch, $0) }
        if launch.job.transport == .tcp {
            connectionsInFlight += 1
            TCPProbe(
                launch.job, attempt: launch.attempt * UDPProbe.numbersOfAttempt, in: context, finished: finished
            ).start(at: now)
        } else {
            datagramsInFlight += 1
            UDPProbe(launch.job, attempt: launch.attempt, in: context, pacer, finished: finished).start(at: now)
        }
    }

    private func finish(_ launch: Launch, _ outcome: ProbeOutcome) {
        guard isWaitedFor else { return }
        if launch.job.transport == .tcp { connectionsInFlight -= 1 } else { datagramsInFlight -= 1 }
        var outcome = outcome
        outcome.attempt = launch.attempt
        if outcome.finding.category == .localResource, interruption == nil { return lack(launch, outcome) }
        if let earlier = outcomes[launch.job.number], earlier.saysMore(than: outcome) {
            outcomes[launch.job.number]?.attempt = launch.attempt
            outcomes[launch.job.number]?.earlier += outcome.local.map { [$0] } ?? []
        } else {
            outcome.earlier = outcomes[launch.job.number]?.origins ?? []
            outcomes[launch.job.number] = outcome
        }
    }

    /// This host lacks something: a little later it may be there, when others are done with it.
    private func lack(_ launch: Launch, _ outcome: ProbeOutcome) {
        var again = launch
        again.failures += 1
        guard again.failures < Self.patience else {
            outcomes[launch.job.number] = outcome
            return interrupt(.localResource(outcome.finding.evidence.fault ?? SystemFault(0)))
        }
        notBefore = Poller.now + .milliseconds(50 << Int64(again.failures))
        if launch.job.transport == .tcp { connections.append(again) } else { datagrams.append(again) }
    }

    private func report(since passBegan: Instant) {
        let done = total - left
        let elapsed = (Poller.now - passBegan).nanoseconds
        let left = done > 0 ? Int64(Double(elapsed) / Double(done) * Double(total - done)) : longest.nanoseconds
        progress(
            ScanProgress(
                done: done, total: total, left: Instant.Span(nanoseconds: max(0, left)), isRepeating: isRepeating))
    }
}

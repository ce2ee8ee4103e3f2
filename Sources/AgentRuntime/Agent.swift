// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import Locking
import Logging
import NetfilterQueue
import PacketWire
import Synchronization

/// The agent as a whole: policy, workers, the event writer, the control socket. `run` is the main thread: signals, and
/// housekeeping once a second.
package final class Agent: Sendable {
    let options: AgentOptions
    let policies: PolicyStore
    let workers: [Worker]
    let shared: SharedLimits
    let log: EventLog
    let logger: Logger
    let manager: ServiceManager?
    let startedAt: Instant
    /// What housekeeping saw last, so that workers are told of changes only.
    let network = Guarded(LocalNetwork())
    let control = Guarded<ControlServer?>(nil)
    let metrics = Guarded(MetricsServers())
    /// What tells a queue that no rule feeds from one that is quiet, and where the next look at each worker's connections
    /// begins.
    let feeding: Guarded<QueueFeeding>
    let feedingPages: Guarded<[ConnectionIndex]>
    private let writer = Guarded<pthread_t?>(nil)
    /// What was reported of each queue's losses so far.
    let reported: Guarded<[QueueCounters]>
    /// What of it the next run can read.
    let writtenLosses = Guarded<[UInt16: KernelLosses]>([:])
    /// From then on their standing still is no news to the watchdog.
    let haveWorkersEnded = Atomic<Bool>(false)
    /// Whether the service manager keeps the queues' sockets.
    let areSocketsKept = Atomic<Bool>(false)
    /// Held while a policy is loaded and given out, so that two reloads do not mix.
    let reloading = Guarded(())
    let stateKeeping = Guarded(StateKeeping(due: Instant(nanoseconds: 0)))
    /// As it was last told.
    let eventFileTrouble = Guarded<String?>(nil)
    /// Connections that the kernel will give to one worker or another; nil while there are none.
    let unclaimed = Guarded<UnclaimedConnections?>(nil)
    let offload = Guarded(OffloadStanding.unused)
    /// The marks of offloaded flows are to be cleared once more.
    let isOffloadStale = Atomic<Bool>(false)
    /// Complaints that `status` repeats until they are over.
    let warnings = Guarded<[String]>([])

    /// Loads the policy and says whether it is good.
    package static func check(_ options: AgentOptions) throws(AgentError) {
        _ = try PolicyStore.load(options.policyPath, epoch: 1)
    }

    /// Prints what went wrong on standard error, in the form of the agent's log.
    package static func report(_ error: any Error) {
        var logger = Logger(label: "portreeved") { _ in AgentLog() }
        logger.logLevel = .info
        logger.error("\(error)")
    }

    /// Runs until SIGTERM or SIGINT; throws what keeps it from starting or made it end.
    package static func run(_ options: AgentOptions) throws(AgentError) {
        let signals = Signals()
        let agent = try Agent(options)
        try agent.start()
        let ending = agent.attend(signals)
        agent.stop(isPlanned: ending == nil)
        if let ending { throw ending }
    }

    private init(_ options: AgentOptions) throws(AgentError) {
        self.options = options
        logger = Logger(label: "portreeved") { _ in AgentLog() }
        manager = ServiceManager()
        startedAt = Clocks.monotonic()
        policies = try PolicyStore(path: options.policyPath)
        let policy = policies.current
        var random = SystemRandomNumberGenerator()
        shared = SharedLimits(
            tables: policy.document.engine.limits, computers: policy.document.stateful.limits,
            seed: (random.next(), random.next()))
        let numbers = options.queues ?? policy.document.queue.numbers
        log = EventLog(workers: numbers.count, settings: policy.document.events, host: HostName.current)
        do { try log.open() } catch { throw AgentError("\(error)") }
        log.register(PolicyNames(policy), settings: policy.document.events)
        let inherited = Agent.inheritedSockets(numbers, manager, logger)
        workers = Agent.makeWorkers(policy, numbers, shared, log, startedAt, manager, inherited)
        reported = Guarded(Array(repeating: QueueCounters(), count: numbers.count))
        feeding = Guarded(QueueFeeding(queues: numbers.count))
        feedingPages = Guarded(Array(repeating: 0, count: numbers.count))
    }

    private static func makeWorkers(
        _ policy: Policy, _ numbers: ClosedRange<UInt16>, _ shared: SharedLimits, _ log: EventLog, _ startedAt: Instant,
        _ manager: ServiceManager?, _ inherited: [UInt16: Int32]
    ) -> [Worker] {
        let clock = EngineClock(agentStarted: startedAt, kernelBooted: Instant(nanoseconds: 0))
        var random = SystemRandomNumberGenerator()
        let seed = (random.next(), random.next())
        let workers = zip(numbers, log.queues).map { number, events in
            Worker(
                QueueConfiguration(number: number, policy.document),
                marks: MarkLayout(mask: policy.document.queue.markMask),
                engine: Engine(
                    policy: policy, clock: clock, seed: seed, shared: shared, workers: numbers.count),
                events: events, manager: manager, inherited: inherited[number])
        }
        for worker in workers { worker.peers.withLock { $0 = workers } }
        return workers
    }

    private func start() throws(AgentError) {
        keepHouse()
        startWriter()
        let control = try openControl()
        self.control.withLock { $0 = control }
        for worker in workers {
            _ = Thread.start(name: "queue \(worker.number)") {
                worker.run()
                worker.reportEnded()
            }
        }
        do {
            try awaitQueues()
        } catch {
            stop(isPlanned: false)
            throw error
        }
        reportTakeovers()
        updateKeptSockets()
        restoreConnections()
        resumeOffload(policies.current)
        for worker in workers { worker.begin() }
        startWatchdog()
        tellReady()
        logger.notice("ready: \(describeQueues()), policy \(options.policyPath), \(policies.current.document.mode)")
    }

    /// Ready means: every queue is bound.
    private func awaitQueues() throws(AgentError) {
        var problems: [String] = []
        for worker in workers {
            while case .starting = worker.standing.withLock({ $0 }) { usleep(1000) }
            if case .failed(let why) = worker.standing.withLock({ $0 }) { problems.append(why) }
        }
        guard problems.isEmpty else { throw AgentError(problems.joined(separator: "\n")) }
    }

    /// - Parameter isPlanned: somebody asked for it, and may start the agent again at once.
    private func stop(isPlanned: Bool) {
        tellStopping()
        let areKept = isPlanned ? handSocketsOver() : areSocketsKept.load(ordering: .relaxed)
        for worker in workers { worker.stop(leavingQueue: areKept) }
        for worker in workers {
            while case .running = worker.standing.withLock({ $0 }) { usleep(1000) }
        }
        haveWorkersEnded.store(true, ordering: .relaxed)
        if isPlanned { handConnectionsOver() }
        log.stop()
        if let thread = writer.withLock({ $0 }) { Thread.join(thread) }
        reportLostEvents()
        stopMetrics()
        control.withLock { $0 }?.stop()
    }

    private func startWriter() {
        let log = self.log
        let thread = Thread.start(name: "events") {
            log.run { LogClock(now: Clocks.monotonic(), offset: Instant.Span(nanoseconds: Clocks.calendarOffset())) }
        }
        writer.withLock { $0 = thread }
    }

    func describeQueues() -> String {
        workers.count == 1
            ? "queue \(workers[0].number)" : "queues \(workers[0].number)-\(workers[workers.count - 1].number)"
    }
}

extension QueueConfiguration {
    init(number: UInt16, _ d: PolicyDocument) {
        self.init(number: number)
        length = d.queue.length
        if case .bytes(let n) = d.queue.copy { copyBytes = n }
        if let spin = d.queue.busyPoll { busyPollMicroseconds = UInt32(clamping: spin.nanoseconds / 1000) }
        let open = d.failure.engine == .open || d.mode == .tap
        failsOpen = open
        failureVerdict = open ? .accept : .drop
    }
}

extension PolicyNames {
    init(_ policy: Policy) {
        self.init(epoch: policy.epoch, mode: policy.document.mode, rules: policy.rules)
    }
}

/// This host's name, for the records.
enum HostName {
    static var current: String? {
        var buffer = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&buffer, buffer.count - 1) == 0 else { return nil }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import KernelRules
import Locking
import Logging
import NetfilterQueue
import PacketWire
import PolicyFile
import Synchronization

/// What the threads of the agent share: the policy, the workers, the event log, and what the main thread, the housekeeper,
/// wants known. Everything else is the main thread's alone (`Housekeeper`).
package final class Agent: Sendable {
    let options: AgentOptions
    let policies: PolicyStore
    let workers: [Worker]
    let layout: QueueLayout
    /// Why what can be sent in floods has no queues of its own although the policy says so.
    let queueTrouble: String?
    let shared: SharedLimits
    let log: EventLog
    let logger: Logger
    let manager: ServiceManager?
    /// Nil where its sockets are not to be had.
    let frames: FrameWatch?
    let answers = AnswerSockets()
    /// As the kernel names the owner of its sockets.
    let ownUser = SocketOwner.ofThisProcess
    let startedAt: Instant
    /// What other threads want the main one to do.
    let errands = Errands()
    /// Set once workers stop: the watchdog then expects no progress.
    let haveWorkersEnded = Atomic<Bool>(false)
    /// Connections that the kernel will give to one worker or another; nil while there are none.
    let unclaimed = Guarded<UnclaimedConnections?>(nil)
    let fastPath = Guarded(FastPathStanding.off)
    /// The sources that are blocked.
    let blocks = Guarded<[BlockReport]>([])
    /// SYNs to flooded listeners that passed before the queue, ever.
    let openingsInKernel = Atomic<UInt64>(0)
    /// What the housekeeper complains of, until it is over.
    let complaints = Guarded<[String]>([])
    /// Says what each policy that comes into force changes.
    let changes: PolicyChanges
    /// Whether the rules in place feed the queues with all that the policy is about: 1, 0, or -1 where it is not known.
    let areRulesComplete = Atomic<Int>(-1)

    /// Loads the policy and says whether it is good.
    package static func check(_ options: AgentOptions) throws(AgentError) {
        do {
            _ = try PolicyStore.compile(try PolicyFile.load(options.policyPath), epoch: 1)
        } catch let error as AgentError {
            throw error
        } catch {
            throw AgentError("\(error)")
        }
    }

    /// Says what a start would have for a policy: nil the one on the disk, otherwise why it would be the last that was in
    /// force.
    ///
    /// - Throws: why there would be none.
    package static func rehearse(_ options: AgentOptions) throws(AgentError) -> String? {
        let sessions = SessionGuard(present: nil, established: SSHServers.here().sessions)
        var scratch = Array("/tmp/portreeved-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&scratch) != nil else { throw AgentError("no temporary directory") }
        defer { unsafe rmdir(scratch) }
        let directory = String(decoding: scratch.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return try StartingPolicy(options.keeper, guarding: sessions, scratch: directory).fallback
    }

    /// Prints what went wrong on standard error, in the form of the agent's log.
    package static func report(_ error: any Error) {
        var logger = Logger(label: "portreeved") { _ in AgentLog() }
        logger.logLevel = .info
        logger.error("\(error)")
    }

    /// Runs until SIGTERM or SIGINT; throws what keeps it from starting or made it end, and leaves word of it.
    package static func run(_ options: AgentOptions) throws(AgentError) {
        do {
            try countStart(options)
            try live(options)
            StartCount(path: options.startsPath).forget()
        } catch {
            // What made it end again and again is there already.
            if !error.givesUp || FailureNote(in: options.policyDirectory) == nil {
                FailureNote(at: Clocks.calendarSeconds(), text: error.description).leave(in: options.policyDirectory)
            }
            throw error
        }
    }

    /// Without a service manager nobody starts it again.
    private static func countStart(_ options: AgentOptions) throws(AgentError) {
        guard ServiceManager() != nil, StartCount(path: options.startsPath).isTooMany() else { return }
        throw AgentError(
            "ended unexpectedly \(StartCount.limit) times within \(StartCount.window) s, and is not started again by "
                + "itself; \"systemctl start portreeved\" tries again", givesUp: true)
    }

    private static func live(_ options: AgentOptions) throws(AgentError) {
        let signals = Signals()
        let sessions = SessionGuard(present: nil, established: SSHServers.here().sessions)
        let start = try StartingPolicy(options.keeper, guarding: sessions)
        let housekeeper = try Housekeeper(Agent(options, start), start)
        try housekeeper.start()
        let ending = housekeeper.attend(signals)
        housekeeper.stop(isPlanned: ending == nil)
        if let ending { throw ending }
    }

    private init(_ options: AgentOptions, _ start: StartingPolicy) throws(AgentError) {
        self.options = options
        logger = Logger(label: "portreeved") { _ in AgentLog() }
        manager = ServiceManager()
        startedAt = Clocks.monotonic()
        policies = PolicyStore(path: options.policyPath, start)
        let policy = policies.current
        var random = SystemRandomNumberGenerator()
        let sockets = InheritedSocket.all()
        let (layout, inherited, trouble) = try Agent.claimable(
            policy.document, options, sockets.filter { !FrameSockets.isOne($0) }, manager, logger)
        self.layout = layout
        queueTrouble = trouble
        shared = SharedLimits(
            tables: policy.document.engine.limits, computers: policy.document.stateful.limits,
            seed: (random.next(), random.next()), workers: layout.width)
        shared.setMemory(
            limit: policy.document.engine.limits.memory,
            fixed: Engine.fixedMemory(policy.document, workers: layout.width))
        // The last queue is the frame guard's.
        log = EventLog(
            workers: layout.width + 1, document: policy.document, host: HostName.current,
            flowSeed: (random.next(), random.next()), spoolDirectory: options.policyDirectory)
        do { try log.open() } catch { throw AgentError("\(error)") }
        log.register(PolicyNames(policy), policy.document)
        changes = PolicyChanges(log, logger)
        switch FrameSockets.open(sockets.filter(FrameSockets.isOne)) {
        case .success(let opened): frames = FrameWatch(opened, policy, log.queues[layout.width])
        case .failure(let error):
            frames = nil
            logger.notice("no frame guard: what the kernel discards before any hook is not told of (\(error))")
        }
        if let error = answers.giveUpRight() {
            logger.notice("the right to open raw sockets (CAP_NET_RAW) could not be given up: \(error)")
        }
        answers.setMark(MarkLayout(mask: policy.document.queue.markMask).ownTraffic)
        workers = Agent.makeWorkers(
            policy, layout, shared, log, startedAt, manager, inherited, answers: answers, ownUser: ownUser)
    }

    /// The queues that this process can have, and those of them that the run before left. Where another program has one of
    /// those for floods, and nobody has said that it must be that one, the agent does without.
    private static func claimable(
        _ document: PolicyDocument, _ options: AgentOptions, _ sockets: [InheritedSocket], _ manager: ServiceManager?,
        _ logger: Logger
    ) throws(AgentError) -> (QueueLayout, [UInt16: Int32], String?) {
        let layout = document.queue.layout(of: options.queues ?? document.queue.numbers)
        let inherited = InheritedSocket.ofQueues(layout, among: sockets, manager, logger)
        guard let floods = layout.floods, let table = try? QueueTable.read() else { return (layout, inherited, nil) }
        let taken = floods.first { number in inherited[number] == nil && table.row(of: number) != nil }
        guard let taken else { return (layout, inherited, nil) }
        let held = QueueError(held: taken)
        guard document.queue.floodNumbers == .following else { throw AgentError("\(held)") }
        for (number, socket) in inherited where floods.contains(number) {
            close(socket)
            if let kind = layout.kind(of: number...number) { manager?.forget(name: InheritedSocket.name(kind, number)) }
        }
        return (
            QueueLayout(together: layout.established),
            inherited.filter { layout.established.contains($0.key) },
            "\(held): openings, fragments and datagrams have no queues of their own until queue.flood-numbers names free ones"
        )
    }

    private static func makeWorkers(
        _ policy: Policy, _ layout: QueueLayout, _ shared: SharedLimits, _ log: EventLog, _ startedAt: Instant,
        _ manager: ServiceManager?, _ inherited: [UInt16: Int32], answers: AnswerSockets, ownUser: UInt32?
    ) -> [Worker] {
        let clock = EngineClock(agentStarted: startedAt, kernelBooted: Instant(nanoseconds: 0))
        var random = SystemRandomNumberGenerator()
        let seed = (random.next(), random.next())
        let unitMarks =
            policy.units.isEmpty
            ? nil : KernelRuleset.read(layout, isLegacy: false)?.unitMarks(for: policy.document)
        // The one behind them is the frame guard's.
        let workers = log.queues.prefix(layout.width).enumerated().map { place, events in
            var engine = Engine(
                policy: policy, clock: clock, seed: seed, shared: shared, workers: layout.width, ownUser: ownUser)
            if let unitMarks { engine.setUnitMarks(unitMarks) }
            engine.canAnswer = answers.trouble == nil && ownUser != nil
            return Worker(
                layout.ranges.map { kind, numbers in
                    let number = numbers.lowerBound + UInt16(place)
                    return WorkerQueue(
                        kind, QueueConfiguration(number: number, policy.document), manager: manager,
                        inherited: inherited[number])
                },
                marks: MarkLayout(mask: policy.document.queue.markMask),
                engine: engine, events: events, answers: answers)
        }
        for worker in workers { worker.peers.withLock { $0 = workers } }
        return workers
    }

    /// What the tables may take by a policy, and what it fixes of that.
    func setMemory(_ document: PolicyDocument) {
        shared.setMemory(
            limit: document.engine.limits.memory, fixed: Engine.fixedMemory(document, workers: layout.width))
    }

    /// Of all workers, ascending by worker and kind.
    var queues: [WorkerQueue] { workers.flatMap(\.queues) }

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
        self.init(
            epoch: policy.epoch, mode: policy.document.mode, rules: policy.rules,
            values: PolicyFile.values(of: policy.document))
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

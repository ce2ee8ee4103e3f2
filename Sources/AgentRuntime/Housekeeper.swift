// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import EventLog
import FirewallPolicy
import Glibc
import Locking
import Logging
import NetfilterQueue
import PacketWire
import PolicyFile
import Synchronization

/// The main thread: starts and stops the others, takes signals and errands, and looks after the house once a second.
///
/// What it alone reads and changes is here, without locks; the compiler lets no other thread have it, for it is not
/// `Sendable`. Whoever wants something changed sends it as an errand.
final class Housekeeper {
    let agent: Agent
    /// What was seen last, so that workers are told of changes only.
    var network = LocalNetwork()
    /// What tells a queue that no rule feeds from one that is quiet.
    var feeding: QueueFeeding
    var losses: LossReports
    /// Whether the service manager keeps the queues' sockets.
    var areSocketsKept = false
    var stateKeeping = StateKeeping(due: Instant(nanoseconds: 0))
    let keeper: PolicyKeeper
    /// The policy that the agent started with, until that is done.
    private var startingPolicy: StartingPolicy?
    /// Why the policy in force is not kept; nil where it is.
    var keepingTrouble: String?
    /// The policy in force is on trial.
    var pending: PendingPolicy?
    /// When to give back what the last reload has left free.
    var memoryDue: Instant?
    /// As it was last told.
    var outputTroubles: [String: String] = [:]
    var offload = Offload()
    var fastPath = FastPathUse()
    var openListeners = OpenListeners()
    /// Complaints that `status` repeats until they are over.
    var warnings: [String] = []
    var remarks = Remarks()
    /// Why SYN cookies are not used although the policy says so.
    var cookieComplaint: String?
    var routes = RouteWatch()
    /// Discarded frames that found no room, ever, and of how many the log tells.
    var framesLost: UInt64 = 0
    var framesLostTold: UInt64 = 0
    var framesTellingDue = Instant(nanoseconds: 0)
    var rules = RulesWatch()
    var metrics = MetricsServers()
    /// Of the file of users, as it was read last.
    var usersStamp = ""
    var blocks = BlockBook()
    var lists = ListWatch()
    let listFiles = FileStamps()
    var ruleCounting = RuleCounting()
    private var control: ControlServer?
    private var writer: pthread_t?
    private var frameGuard: pthread_t?

    init(_ agent: Agent, _ start: StartingPolicy) {
        self.agent = agent
        keeper = agent.options.keeper
        startingPolicy = start
        feeding = QueueFeeding(queues: agent.workers.count)
        losses = LossReports(queues: agent.queues.count)
    }

    var options: AgentOptions { agent.options }
    var policies: PolicyStore { agent.policies }
    var workers: [Worker] { agent.workers }
    var log: EventLog { agent.log }
    var logger: Logger { agent.logger }
    var manager: ServiceManager? { agent.manager }

    func start() throws(AgentError) {
        keepHouse()
        followSenders()
        startWriter()
        control = try agent.openControl()
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
        restoreBlocks()
        restoreRuleCounts()
        resumeOffload(policies.current)
        for worker in workers { worker.begin() }
        if let frames = agent.frames { frameGuard = Thread.start(name: "frames") { frames.run() } }
        agent.startWatchdog()
        keepStartingPolicy()
        FailureNote.remove(in: options.policyDirectory)
        tellReady()
        logger.notice(
            "ready: \(agent.describeQueues()), policy \(options.policyPath), \(policies.current.document.mode)")
    }

    /// Once it is in force; or, where it is the one that was kept, says so.
    private func keepStartingPolicy() {
        guard let start = startingPolicy else { return }
        startingPolicy = nil
        if let trouble = start.trouble { note(keepingFailed: trouble) }
        if let why = start.fallback { report(fallback: why) } else { keep(start.copy, start.policy.epoch) }
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

    /// The main thread's loop. Returns what ended the agent, or nil after SIGTERM.
    func attend(_ signals: Signals) -> AgentError? {
        while true {
            switch signals.next() {
            case .terminate:
                logger.notice("ending: SIGTERM or SIGINT")
                return nil
            case .reload: reloadBySignal()
            case .none: break
            }
            agent.errands.run(by: self)
            endTrial()
            if let dead = deadWorker() ?? lostQueue() { return dead }
            keepHouse()
            refreshState()
            refreshRuleCounts()
        }
    }

    private func keepHouse() {
        refreshNetwork()
        refreshUsers()
        let policy = policies.current
        refreshSchedules(policy)
        refreshListeningPorts()
        refreshSYNCookies(policy)
        refreshRoutes(policy)
        refreshOffload()
        refreshFastPath(policy)
        refreshOpenListeners(policy)
        reportLosses()
        reportLostFrames()
        reportOutputs()
        refreshRules(policy)
        refreshWarnings(policy)
        refreshMetrics(policy)
        refreshUnclaimed()
        refreshRemarks(policy)
        refreshBlocks(policy)
        refreshLists(policy)
        giveMemoryBack()
        agent.complaints.withLock {
            $0 = warnings + remarks.lines + metrics.complaints + [keepingTrouble, lists.complaint].compactMap(\.self)
        }
    }

    /// Workers and outputs let go of a policy with the next thing that they do, at the latest within a second.
    private func giveMemoryBack() {
        guard let due = memoryDue, Clocks.monotonic() >= due else { return }
        memoryDue = nil
        ResidentMemory.giveBack()
    }

    /// - Parameter isPlanned: somebody asked for it, and may start the agent again at once.
    func stop(isPlanned: Bool) {
        tellStopping()
        agent.errands.close()
        let areKept = isPlanned ? handSocketsOver() : areSocketsKept
        for worker in workers { worker.stop(leavingQueue: areKept) }
        agent.frames?.stop()
        for worker in workers {
            while case .running = worker.standing.withLock({ $0 }) { usleep(1000) }
        }
        agent.haveWorkersEnded.store(true, ordering: .relaxed)
        endFastPath(.off)
        if isPlanned { handConnectionsOver() }
        keepRuleCounts()
        if let frameGuard { Thread.join(frameGuard) }
        log.stop()
        if let writer { Thread.join(writer) }
        reportLostEvents()
        metrics.stop()
        control?.stop()
    }

    private func startWriter() {
        let log = self.log
        let clock: @Sendable () -> LogClock = {
            LogClock(now: Clocks.monotonic(), offset: Instant.Span(nanoseconds: Clocks.calendarOffset()))
        }
        writer = Thread.start(name: "events") {
            log.run(clock) { name, body in Thread.start(name: name, body) != nil }
        }
    }
}

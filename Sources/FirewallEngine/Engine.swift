// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
public import FirewallPolicy
public import PacketWire

/// The firewall's judgement: bytes and what the kernel says about them in, a `Decision` out, and an `Event` for every
/// drop. `inspect` is the function to read first.
///
/// One engine belongs to one worker and is passed `inout`; nothing in it is shared but the totals in `SharedLimits`. It
/// reads no clock, opens no file and allocates nothing per packet: tables are rigid, and events go to an outbox that the
/// worker empties after each batch.
///
/// Invariants:
/// - Every inspected packet leaves through `conclude` exactly once (held fragments when they are released).
/// - `counters.dropped[r]` is the number of packets dropped for reason `r`; each of them either has an event in the
///   outbox, or is counted in `counters.silenced[r]`, or, if the outbox was full, in `counters.merged[r]`.
/// - `generation` changes whenever a cached rule decision may have become wrong: policy, schedules, interfaces.
public struct Engine: ~Copyable {
    var policy: Policy
    /// The settings that the packet path reads, copied out of the policy at reload.
    var hot: HotSettings
    var generation: UInt32 = 1 { didSet { setFastPathEpoch() } }
    /// Of which policy a generation was.
    public internal(set) var epochs = PolicyEpochs()
    var table: ConnectionTable
    var fragments: FragmentTracker
    /// Fragments that wait for their datagram's first one, by ticket.
    var held: HeldFragments
    public internal(set) var interfaces = InterfaceTable()
    public var hostAddresses = HostAddresses()
    public var reversePaths = ReversePaths()
    public var listeningPorts = ListeningPorts()
    var ownGroupPackets: OwnGroupPackets
    /// The FTP control connections that are read, and the connections that they have announced.
    var controls: FTPControls
    var expectations: Expectations
    /// ACKs to flooded listeners that wait for this host's word.
    var pendingACKs: PendingACKs
    /// SYNs that passed without an entry, by computer.
    var unansweredSYNs: UnansweredSYNs
    /// Whether this host answers SYNs by cookies when its own queue of them is full.
    public var hasSYNCookies = false {
        didSet { prepareCookies() }
    }
    /// What connections have sent, to compare with what they send again.
    var sent: SentBytes
    /// Who explores this host.
    var scans: ReconnaissanceWatch
    /// Whose packets are dropped.
    var blocked = BlockedSources()
    var activeSchedules: UInt64 = 0
    /// How units are known.
    var unitMarks: UnitMarks
    let shared: SharedLimits
    /// Connections of the run before that may be this worker's; nil where there are none.
    public var unclaimed: UnclaimedConnections?
    /// Until this instant packets of connections older than the agent are admitted (docs/policy.md, cold start).
    var graceEnds: Instant
    /// When packets may last have passed unseen: a full queue fails open, rules were not there, or a policy left them untracked.
    var unseenAt: Instant?
    var clock: EngineClock
    /// Whether other workers own connections that an ICMP error may quote.
    let hasOtherWorkers: Bool
    /// The agent's own user, as the kernel names owners of sockets; nil: nobody's traffic is taken for the agent's.
    let ownUser: UInt32?
    public var counters = EngineCounters()
    /// By the rules' index in the policy (`Engine+RuleCounts`).
    var ruleCounts: [RuleCount] = []
    /// By the same index, up to the last rule with a rate (`Engine+Rates`).
    var ruleRates: [RuleRate] = []
    public var outbox = Outbox()
    /// Whether somebody sends what is in `answers`. Off, as in a replay, nothing is put there.
    public var canAnswer = false
    public var answers = Answers()
    var answerBudget: AnswerBudget
    /// The steps of the packets inspected since this was emptied, each recorded by the function that took it (`Step`). nil, as
    /// in the agent: none are recorded.
    public var steps: [Step]?

    /// - Parameters:
    ///   - policy: the policy in force, until `adopt`.
    ///   - clock: when the agent and the kernel began, on the clock of `inspect`'s instants.
    ///   - seed: of the connection table's keyed hash; random in the agent, fixed in replay.
    ///   - shared: the totals over all workers.
    ///   - workers: how many engines judge the packets of this host, this one included.
    ///   - ownUser: the agent's own user, as the kernel names owners of sockets.
    public init(
        policy: Policy, clock: EngineClock, seed: (UInt64, UInt64), shared: SharedLimits, workers: Int,
        ownUser: UInt32? = nil
    ) {
        self.policy = policy
        self.clock = clock
        self.shared = shared
        hasOtherWorkers = workers > 1
        self.ownUser = ownUser
        hot = HotSettings(policy)
        unitMarks = UnitMarks(policy.document.unitMarks, policy.units)
        graceEnds = clock.graceEnds(hot.timeouts)
        table = ConnectionTable(
            capacity: Engine.capacity(policy.document.engine.limits), timeouts: hot.timeouts, seed: seed, shared: shared
        )
        fragments = FragmentTracker(
            limit: Engine.fragmentedDatagrams(policy.document.engine.limits, workers: workers),
            timeouts: hot.timeouts, seed: seed)
        held = HeldFragments()
        ownGroupPackets = OwnGroupPackets(seed: seed)
        controls = FTPControls(seed: seed)
        expectations = Expectations(seed: seed)
        pendingACKs = PendingACKs(seed: seed)
        unansweredSYNs = UnansweredSYNs(seed: seed)
        sent = SentBytes(workers: workers, seed: seed)
        scans = ReconnaissanceWatch(seed: seed)
        answerBudget = AnswerBudget(workers: workers, seed: seed)
        epochs.begin(policy.epoch, at: generation)
        preparePayload()
        prepareCookies()
        prepareLog()
        prepareRates()
        carryCounts(to: policy.rules.count, keeping: [])
    }

    /// The connections that one worker can hold: all of them, for nothing says that they spread evenly. Memory is
    /// touched only when used.
    public static func capacity(_ limits: TableLimits) -> Int {
        Int(limits.tcp) + Int(limits.udp) + Int(limits.icmp)
    }

    /// The fragmented datagrams of one worker: an equal share, so that a flood of fragments at one queue takes nothing from
    /// the others; at least one.
    static func fragmentedDatagrams(_ limits: TableLimits, workers: Int) -> Int {
        max(1, Int(limits.fragmentedDatagrams) / max(1, workers))
    }
}

/// When things began, on the engine's clock.
public struct EngineClock: Sendable, BitwiseCopyable {
    public var agentStarted: Instant
    public var kernelBooted: Instant

    public init(agentStarted: Instant, kernelBooted: Instant) {
        self.agentStarted = agentStarted
        self.kernelBooted = kernelBooted
    }

    func graceEnds(_ t: Timeouts) -> Instant {
        max(agentStarted + t.coldStart, kernelBooted + t.bootStart)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import NetfilterQueue
import PacketWire

extension StatusReport {
    init(_ snapshot: AgentSnapshot) {
        self.init(agent: AgentIdentity(version: snapshot.version, processIdentifier: getpid()))
        uptimeSeconds = UInt64(snapshot.uptime.nanoseconds / 1_000_000_000)
        mode = snapshot.document.mode
        failure = snapshot.document.failure
        policy = PolicyStatus(snapshot.policy)
        policy.copy = snapshot.policyCopy
        queues = snapshot.workers.flatMap { worker in worker.queues.map { QueueStatus($0, of: worker) } }
            .sorted { $0.number < $1.number }
        reasons = snapshot.reasons.filter { $0.dropped > 0 || $0.wouldDrop > 0 }
        outputs = snapshot.outputs.map(OutputStatus.init)
        connections = ConnectionCounts(snapshot)
        fastPath = FastPathStatus(snapshot)
        floods = FloodStatus(snapshot)
        answers = AnswerStatus(snapshot)
        blockedSources = UInt64(snapshot.blockedSources)
        hooks = HookCount.all(of: snapshot.workers)
        if snapshot.workers.contains(where: { $0.counters.fragments > 0 }) {
            fragmentsVisible = true
        } else if snapshot.document.queue.family == .ip,
            hooks.contains(where: { $0.hook == .input || $0.hook == .forward })
        {
            fragmentsVisible = false
        }
        warnings = snapshot.complaints
    }
}

extension FastPathStatus {
    init(_ snapshot: AgentSnapshot) {
        self.init()
        switch snapshot.fastPath {
        case .off: state = .off
        case .active: state = .active
        case .unavailable(let reason): (state, why) = (.unavailable, reason)
        }
        for worker in snapshot.workers {
            flows &+= worker.fastPath.flows
            bypassed &+= worker.fastPath.bypassed
            admitted &+= worker.fastPath.admitted
            full &+= worker.fastPath.full
            packets &+= worker.fastPath.packets
            bytes &+= worker.fastPath.bytes
        }
    }
}

extension FloodStatus {
    init(_ snapshot: AgentSnapshot) {
        self.init()
        listeners = snapshot.flooded.map {
            FloodedListenerStatus(
                listener: $0.version == 6 ? "[\($0.address)]:\($0.port)" : "\($0.address):\($0.port)",
                halfOpen: UInt64($0.halfOpen), passed: UInt64($0.passed))
        }
        inKernel = snapshot.openingsInKernel
        for worker in snapshot.workers {
            admittedStateless &+= worker.counters.admittedStateless
            opened &+= worker.counters.openedByCookies
        }
    }
}

extension AnswerStatus {
    init(_ snapshot: AgentSnapshot) {
        self.init()
        for worker in snapshot.workers {
            let counters = worker.counters
            reset &+= counters.answers[Int(Reply.reset.rawValue)]
            unreachable &+= counters.answers[Int(Reply.unreachable.rawValue)]
            prohibited &+= counters.answers[Int(Reply.prohibited.rawValue)]
            withheld &+= counters.answersWithheld
            unanswerable &+= counters.unanswerable
        }
        unsent = snapshot.unsentAnswers
    }
}

extension PolicyStatus {
    fileprivate init(_ standing: PolicyStore.Standing) {
        self.init()
        files = standing.policy.document.files
        epoch = standing.policy.epoch
        ruleCount = UInt32(standing.policy.document.rules.count)
        builtIn = standing.policy.document.engine.builtInRules
        loadedAt = standing.loadedAt
        lastReloadError = standing.lastReloadError
        fallback = standing.fallback
        takenBackIn = standing.takenBackAt.map { max(0, $0 - PendingPolicy.now) }
    }
}

extension QueueStatus {
    fileprivate init(_ queue: QueueSnapshot, of worker: WorkerSnapshot) {
        self.init(number: queue.number, kind: queue.kind)
        packets = queue.tally.judged
        passed = queue.tally.passed
        dropped = packets &- passed
        // Fragments have a queue of their own, or come to the only one.
        held = queue.kind == .fragments || worker.queues.count == 1 ? worker.heldEver : 0
        queuedNow = UInt64(queue.losses.kernel?.waiting ?? 0)
        kernelQueueDrops = UInt64(queue.losses.kernel?.droppedQueueFull ?? 0)
        kernelSocketDrops = UInt64(queue.losses.droppedSocketFull)
        refusedVerdicts = queue.losses.refusedVerdicts
        overflows = queue.overflows
    }
}

extension OutputStatus {
    fileprivate init(_ report: OutputReport) {
        self.init(name: report.name, format: report.format, target: report.target)
        let total = report.accounting.total
        received = total.received
        written = total.written
        pending = total.pending
        lost = total.lost
        records = total.records
        merged = report.coarse
        trouble = report.complaint
    }
}

extension HookCount {
    fileprivate static func all(of workers: [WorkerSnapshot]) -> [HookCount] {
        let hooks: [Hook] = [.prerouting, .input, .forward, .output, .postrouting]
        return hooks.compactMap { hook in
            let packets = workers.reduce(0) { $0 &+ $1.counters.hooks[Int(hook.rawValue)] }
            return packets > 0 ? HookCount(hook: hook, packets: packets) : nil
        }
    }
}

extension ConnectionCounts {
    fileprivate init(_ snapshot: AgentSnapshot) {
        self.init()
        for stage in ConnectionStage.allCases where stage.isTCP && snapshot.connections(in: stage) > 0 {
            tcpStates.append(StateCount(state: stage.name, count: snapshot.connections(in: stage)))
        }
        tcp = snapshot.entries.tcp
        udp = snapshot.entries.udp
        icmp = snapshot.entries.icmp
        refused = snapshot.connections(in: .refused)
        let limits = snapshot.document.engine.limits
        tcpLimit = UInt64(limits.tcp)
        udpLimit = UInt64(limits.udp)
        icmpLimit = UInt64(limits.icmp)
        fragmentedDatagramsLimit = UInt64(limits.fragmentedDatagrams)
    }
}

extension ConnectionStage {
    fileprivate var isTCP: Bool { rawValue <= ConnectionStage.closed.rawValue }
}

extension EngineSettings {
    /// The built-in rules in a few words.
    fileprivate var builtInRules: [String] {
        let names: [String] =
            switch dhcpAndDNS {
            case .client: ["DHCP and DNS client"]
            case .dnsOnly: ["DNS client"]
            case .off: []
            }
        return names + (pathMTU ? ["path MTU"] : [])
    }
}

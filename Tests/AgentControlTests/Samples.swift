// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire

@testable import AgentControl

/// Reports with every field set to something else than its initial value.
enum Samples {
    static let identity = AgentIdentity(version: "1.2.3", processIdentifier: 4711)

    static let block: BlockRequest = {
        var block = BlockRequest(address: IPAddress(high: 0x2001_0db8 << 32, low: 7), seconds: 3_600)
        block.why = "tries passwords; \"ticket\" 12, ünicode"
        block.program = BlockAuthor(program: "fail2ban/sshd")
        block.sessions = ["198.51.100.7 40112 192.0.2.10 22"]
        return block
    }()

    static let rules: RulePage = {
        var rule = RuleReport(
            name: "Web", place: "policy.yaml:12", action: .forceAllow, priority: 3, direction: .incoming,
            isEnabled: true, since: 1_795_252_502_000_000)
        (rule.packets, rule.bytes, rule.first, rule.last) = (3, 1 << 40, 1_795_252_502_123_456, 1_795_252_503_000_000)
        (rule.until, rule.isOver) = ("2027-01-31T18:00:00", true)
        let unused = RuleReport(
            name: "Path MTU", place: nil, action: .deny, priority: 0, direction: .outgoing, isEnabled: false, since: 1)
        return RulePage(epoch: 7, rows: [rule, unused], next: 2)
    }()
    static let blocked = BlockReport(
        address: IPAddress(v4: 0xc633_6409), author: .reconnaissance, since: 1_795_000_000, until: 1_795_000_600,
        why: "port scan")
    static let lostAtRestart: BlockReport = {
        var report = blocked
        report.isKept = false
        return report
    }()

    static let status: StatusReport = {
        var report = StatusReport(agent: identity)
        report.uptimeSeconds = 86_401
        report.mode = .tap
        report.failure.engine = .open
        report.failure.sanity = .open
        report.policy.files = ["/etc/portreeve/policy.yaml", "/etc/portreeve/policy.d/10-web.yaml"]
        report.policy.epoch = 7
        report.policy.ruleCount = 12
        report.policy.builtIn = ["DHCP and DNS client", "path MTU"]
        report.policy.loadedAt = 1_795_000_000
        report.policy.lastReloadError = "policy.yaml:3:7: unknown key \"actoin\"\n  actoin: deny\n  ^"
        report.policy.fallback = "policy.yaml:3:7: unknown key \"actoin\"\n  actoin: deny\n  ^"
        report.policy.takenBackIn = 42
        report.policy.copy = "/var/lib/portreeve/policy.kept"
        report.queues = [queue(0), queue(3)]
        report.reasons = [count(.outOfConnection), count(.nullIP)]
        report.outputs = [output("file", trouble: nil), output("other", trouble: "nobody reads the FIFO /x")]
        report.connections = connections
        report.blockedSources = 17
        report.hooks = [HookCount(hook: .prerouting, packets: 90), HookCount(hook: .output, packets: 91)]
        report.fragmentsVisible = false
        report.warnings = ["queue 3 is fed by no rule: run portreeve iptables --check"]
        return report
    }()

    private static func output(_ name: String, trouble: String?) -> OutputStatus {
        var output = OutputStatus(name: name, format: "json", target: "/var/log/portreeve/\(name).jsonl")
        (output.received, output.written, output.pending, output.lost, output.records) = (100, 90, 7, 3, 50)
        output.trouble = trouble
        return output
    }

    private static func queue(_ number: UInt16) -> QueueStatus {
        var queue = QueueStatus(number: number)
        queue.packets = 1000
        queue.passed = 900
        queue.dropped = 98
        queue.held = 2
        queue.queuedNow = 5
        queue.kernelQueueDrops = 6
        queue.kernelSocketDrops = 7
        queue.refusedVerdicts = 8
        queue.overflows = 9
        return queue
    }

    private static func count(_ reason: DropReason) -> ReasonCount {
        var count = ReasonCount(reason: reason)
        count.dropped = 100
        count.wouldDrop = 5
        count.written = 60
        count.pending = 10
        count.silenced = 20
        count.lost = 10
        return count
    }

    private static let connections: ConnectionCounts = {
        var counts = ConnectionCounts()
        counts.tcpStates = [StateCount(state: "ESTABLISHED", count: 40), StateCount(state: "TIME_WAIT", count: 2)]
        counts.tcp = 42
        counts.udp = 17
        counts.icmp = 3
        counts.refused = 4
        counts.fragmentedDatagrams = 5
        counts.tcpLimit = 1_000_000
        counts.udpLimit = 1_000_001
        counts.icmpLimit = 10_000
        counts.fragmentedDatagramsLimit = 1_000
        return counts
    }()

    static func connection(
        source: IPAddress = IPAddress(v4: 0xc633_6409), destination: IPAddress = IPAddress(v4: 0xc000_020a)
    ) -> ConnectionReport {
        var report = ConnectionReport(
            protocolNumber: 6, source: source, destination: destination, direction: .outgoing, state: "SYN_SENT")
        report.sourcePortOrIdentifier = 40112
        report.destinationPort = 443
        report.age = .seconds(61)
        report.idle = .milliseconds(250)
        report.packets = 12
        report.interface = "eth0"
        report.refusal = .outOfAllowedPolicy
        report.rule = DecidingRule(name: "No telnet", place: "policy.yaml:9", epoch: 4, standing: .earlier)
        report.queue = 2
        return report
    }

    static let connectionIPv6: ConnectionReport = {
        var report = connection(
            source: IPAddress(high: 0xfd00_0000_0000_0000, low: 1), destination: IPAddress(v4: 0xc000_0201))
        report.isIPv6 = true
        report.refusal = nil
        report.rule = nil
        return report
    }()

    static let key = ConnectionKey(
        lowAddress: IPAddress(v4: 0xc000_020a), highAddress: IPAddress(v4: 0xc633_6409), lowPortOrIdentifier: 443,
        highPortOrIdentifier: 40112, protocolNumber: 6, version: 4, queryType: 0)

    static let sceneQuery: SceneQuery = {
        let packet = PacketIdentity(
            version: 4, source: IPAddress(v4: 0xc633_6409), destination: IPAddress(v4: 0xc000_020a), sourcePort: 40112,
            destinationPort: 443, keys: [key])
        return SceneQuery(packet: packet, interface: "eth0")
    }()

    /// Of an agent that began an hour ago.
    static let circumstances: Circumstances = {
        let now = Instant(nanoseconds: 7_200_000_000_000)
        let clock = EngineClock(
            agentStarted: Instant(nanoseconds: 3_600_000_000_000), kernelBooted: Instant(nanoseconds: 0))
        var told = Circumstances(now: now, clock: clock)
        var connection = Connection(
            key: key, opener: .high, openingDirection: .incoming, at: Instant(nanoseconds: 7_000_000_000_000),
            openingInterface: 2)
        connection.tcp.phase = .closed
        connection.generation = 9
        connection.decisionOfHigh.rule = 3
        told.connections = [connection]
        told.acknowledgements = [ConnectionACKs(numbers: Array(1...18))].compactMap { $0 }
        told.forgotten = [connection]
        told.unseenAt = Instant(nanoseconds: 5_000_000_000_000)
        told.generation = 9
        told.activeSchedules = .max
        told.full = [.udp]
        told.lacksMemory = true
        told.memoryLimit = 1 << 30
        told.block = SourceBlock(
            BlockedAddress(IPAddress(v4: 0xc633_6409), version: 4), until: Instant(nanoseconds: 7_300_000_000_000),
            isOfScanner: true)
        told.cookies.hasSYNCookies = true
        told.cookies.halfOpen = 7
        told.cookies.listeners = ListenerLoads.Mode.allCases.map { mode in
            ListenerStanding(
                address: IPAddress(v4: 0xc000_020a), port: 443, version: 4, mode: mode, isUnseen: mode == .lingering,
                halfOpen: 3)
        }
        told.cookies.waiting = told.connections.first.map {
            WaitingACK(connection: $0, acknowledged: .max, lastAcknowledged: 1)
        }
        told.cookies.lacksRoomToWait = true
        told.cookies.unanswered = UnansweredSYNs.Standing(count: 5, isCounted: true)
        told.rates = [
            RateStanding(
                rule: .max, source: IPAddress(v4: 0xc633_6409), version: 4,
                full: Instant(nanoseconds: 1 << 50), digest: 0xfedc_ba98_7654_3211)
        ]
        told.computers = [
            ComputerStanding(
                address: IPAddress(v4: 0xc633_6409), version: 4, incoming: 1, outgoing: 2, halfOpen: UInt32.max)
        ]
        told.announced = [.outgoing]
        told.own = [IPAddress(v4: 0xc000_020a)]
        told.linkLocal = [LinkAddress(IPAddress(high: 0xfe80 << 48, low: 1), on: 2)]
        told.broadcasts = [IPAddress(v4: 0xc000_02ff)]
        told.listeningTCP = [443]
        told.listeningUDP = [53, 123]
        told.knowsListeningTCP = true
        told.routes = [
            ReversePaths.Route(table: 254, first: IPAddress(v4: 0), last: IPAddress(v4: .max), interface: 2)
        ]
        return told
    }()

    static let scene: SceneReport = {
        var report = SceneReport(policyEpoch: 4, policyPath: "/etc/portreeve/policy.yaml", circumstances)
        report.interfaces = [SceneReport.Interface(index: 2, name: "eth0", isLoopback: false)]
        return report
    }()

    static let reload: ReloadRequest = {
        var request = ReloadRequest()
        request.isForced = true
        request.confirmSeconds = 60
        request.caller = "terminal 0 login - ssh -"
        request.sessions = ["198.51.100.7 40112 192.0.2.10 22"]
        return request
    }()

    static let keep: KeepRequest = {
        var request = KeepRequest()
        request.caller = "terminal 0 login - ssh -"
        request.isForced = true
        return request
    }()

    static let trial: ReloadReport = {
        var report = ReloadReport(accepted: true, epoch: 3, files: ["a.yaml"], diagnostics: [])
        report.shutsOut = true
        report.takenBackIn = 60
        report.earlierEpoch = 2
        return report
    }()

    static let query: ConnectionQuery = {
        var query = ConnectionQuery()
        query.after = 1 << 40
        query.limit = 10
        query.filter.protocolNumber = 17
        query.filter.addresses = AddressRange(
            first: IPAddress(v4: 0xc633_6400), last: IPAddress(v4: 0xc633_64ff))
        query.filter.port = 53
        query.filter.state = "UDP"
        query.filter.direction = .incoming
        query.filter.refusedOnly = true
        return query
    }()
}

// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
public import PacketWire

/// A policy as its files say it: checked, defaults filled in, not yet compiled. `PolicyFile` makes it, `Policy` is made
/// of it, the canonical printer prints it. The initial values are the defaults of POLICY.md.
public struct PolicyDocument: Sendable {
    public var mode = Mode.inline
    public var failure = FailureSettings()
    public var interfaces = InterfaceSettings()
    public var addressLists: [NamedList<[AddressRange]>] = []
    public var portLists: [NamedList<[PortRange]>] = []
    public var macLists: [NamedList<[MACAddress]>] = []
    public var schedules: [Schedule] = []
    public var rules: [Rule] = []
    public var unmatched = UnmatchedSettings()
    public var stateful = StatefulSettings()
    public var engine = EngineSettings()
    public var reconnaissance = ReconnaissanceSettings()
    public var events = EventSettings()
    public var queue = QueueSettings()
    public var metrics = MetricsSettings()
    /// The files it was read from, in order.
    public var files: [String] = []

    public init() {}
}

extension PolicyDocument {
    /// Whether fragments are refused, by either of the settings that can say so.
    public var refusesFragments: Bool { stateful.fragmentsDenied || engine.antiEvasion.fragments.drops }

    /// Whether connections are logged: all of a protocol, or those that a rule admits.
    public var keepsConnectionLog: Bool {
        !events.newConnections.isEmpty || !events.closedConnections.isEmpty
            || rules.contains { $0.log && $0.action.admits && $0.isEnabled }
    }

    /// Whether anything that is refused is answered.
    public var answers: Bool {
        unmatched.reply != .none || rules.contains { $0.reply != .none && $0.isEnabled }
    }

    /// The directions in which a rule offloads flows to the kernel.
    public var offloadedDirections: Set<Direction> {
        Set(rules.filter { $0.offload && $0.isEnabled }.map(\.direction))
    }

    /// Those of them in which that takes connection marks. Beside the program of the fast path there may be none: it takes flows of TCP
    /// and UDP of which the policy wants nothing seen that it does not see.
    public func directionsOffloadedByMarks(besideProgram: Bool) -> Set<Direction> {
        guard besideProgram else { return offloadedDirections }
        return Set(rules.filter { $0.offload && $0.isEnabled && !isForProgram($0) }.map(\.direction))
    }

    private func isForProgram(_ rule: Rule) -> Bool {
        guard let protocols = rule.protocols, !protocols.isInverted else { return false }
        let sanity = engine.sanity
        let seesChecksums = !sanity.verifyTCPChecksum && engine.antiEvasion.checksum == .allow
        let seesSources = !sanity.denyOwnSource && !sanity.denyReversePath && !sanity.denyBroadcastSource
        let isKind =
            switch protocols.value {
            case .tcpAndUDP, .number(IPProtocol.tcp): seesChecksums
            case .number(IPProtocol.udp): true
            case .number: false
            }
        return isKind && seesSources
            && !rules.contains { other in
                other.isEnabled && other.direction == rule.direction
                    && (other.source.macs != nil || other.destination.macs != nil
                        || (other.direction == .outgoing && other.interfaces != nil))
            }
    }
}

public enum Mode: UInt8, Sendable, BitwiseCopyable { case inline, tap }

public enum FailureMode: UInt8, Sendable, BitwiseCopyable { case closed, open }

/// `failure`: what happens when the agent cannot decide.
public struct FailureSettings: Hashable, Sendable, BitwiseCopyable {
    public var engine = FailureMode.closed
    public var sanity = FailureMode.closed
    public init() {}
}

/// What becomes of a packet that no rule decides about.
public enum UnmatchedDecision: UInt8, Sendable, BitwiseCopyable {
    /// It is refused if an Allow rule of its direction exists, else it passes.
    case byRules
    /// It passes, also beside Allow rules.
    case allow
    /// It is refused as if an Allow rule existed.
    case deny
}

/// `default` of the policy file.
public struct UnmatchedSettings: Hashable, Sendable, BitwiseCopyable {
    public var incoming = UnmatchedDecision.byRules
    public var outgoing = UnmatchedDecision.byRules
    /// How what is refused because no rule admits it is answered, in both directions.
    public var reply = Reply.none
    public init() {}
}

public struct InterfaceSettings: Hashable, Sendable {
    /// Names or globs.
    public var ignore = ["lo"]
    public var inside: [String] = []
    public init() {}
}

/// A list of the policy, or a literal (then `name` is nil). `values` are sorted and disjoint for ranges.
public struct NamedList<Values: Sendable>: Sendable {
    public var name: String?
    public var values: Values
    /// For the printer, where the list was written with the names of others or of services: these, and the values that were
    /// written as such.
    public var written: (names: [String], literals: Values)?
    /// The file of `addresses-file`, for the printer.
    public var file: String?
    public var position: SourcePosition
    public init(name: String?, values: Values, file: String? = nil, position: SourcePosition) {
        self.name = name
        self.values = values
        self.file = file
        self.position = position
    }
}

/// Times of the week in which a rule holds.
public struct Schedule: Sendable {
    public var name: String
    public var timeZone: TimeZoneName
    /// By day, Monday first: minutes since midnight, half-open, sorted and disjoint. 24:00 is 1440.
    public var weekly: [[Range<Int>]]
    /// From when on it holds no more: the schedule is that of rules with `until`, and of no name.
    public var end: RuleEnd?
    /// The schedule whose hours it has, where such a rule names one.
    public var hoursOf: String?
    public var position: SourcePosition
    public init(name: String, timeZone: TimeZoneName, weekly: [[Range<Int>]], position: SourcePosition) {
        self.name = name
        self.timeZone = timeZone
        self.weekly = weekly
        self.position = position
    }
}

public enum TimeZoneName: Hashable, Sendable {
    case local
    /// IANA name such as Europe/Berlin, or UTC.
    case named(String)
}

/// What admits an unsolicited incoming datagram.
public enum Admission: UInt8, Sendable, BitwiseCopyable {
    /// Only a Force Allow rule.
    case forceAllow
    /// Whatever the rules let pass.
    case allow
}

/// `stateful` of the policy file.
public struct StatefulSettings: Hashable, Sendable {
    public var fragmentsDenied = false
    public var tcpEnabled = true
    public var tcpLog = true
    public var congestionFlagsDenied = false
    public var limits = ComputerLimits()
    public var ackStorm = ACKStormSettings()
    public var synFlood = SYNFloodSettings()
    public var udpEnabled = true
    public var udpLog = true
    public var udpAdmit = Admission.forceAllow
    public var icmpEnabled = true
    public var icmpLog = true
    public var icmpAdmit = Admission.forceAllow
    public var ftp = FTPSettings()
    public init() {}
}

/// `stateful.tcp.ack-storm` of the policy file.
public struct ACKStormSettings: Hashable, Sendable, BitwiseCopyable {
    /// The most equal acknowledgements of one side in a row; nil is off.
    public var threshold: UInt32?
    public var dropsConnection = false
    public init() {}
}

/// `stateful.tcp.syn-flood` of the policy file.
public struct SYNFloodSettings: Hashable, Sendable, BitwiseCopyable {
    /// Above the threshold no entry is kept for a SYN, and this host's own SYN cookies answer.
    public var usesCookies = false
    /// Half-open connections to one listener that have an entry, of each worker.
    public var threshold: UInt32 = 1000
    public init() {}
}

/// `stateful.ftp` of the policy file. Incoming is a control connection that was opened to this host, which is the server.
public struct FTPSettings: Hashable, Sendable {
    /// The ports of servers whose connections are read, at most sixteen.
    public var controlPorts: [UInt16] = [21]
    public var admitsIncomingActive = false
    public var admitsOutgoingActive = false
    public var admitsIncomingPassive = false
    public var admitsOutgoingPassive = false
    public init() {}
}

public enum BuiltInDHCPAndDNS: UInt8, Sendable, BitwiseCopyable { case client, dnsOnly, off }

/// `engine` of the policy file.
public struct EngineSettings: Hashable, Sendable {
    public var dhcpAndDNS = BuiltInDHCPAndDNS.client
    public var pathMTU = true
    public var timeouts = Timeouts()
    public var limits = TableLimits()
    public var sanity = SanitySettings()
    public var antiEvasion = AntiEvasion.normal
    public var fastPath = FastPathMode.off
    public init() {}
}

/// `engine.fast-path` of the policy file: whether plain segments of established connections pass in the kernel.
public enum FastPathMode: Hashable, Sendable {
    case off
    /// Where the kernel takes the program; else all packets come to the queue, and nothing is wrong.
    case auto
    /// The same; but where it cannot be had, rules are not applied, and the agent complains.
    case on

    /// Where the program and its maps have their names: the top of a file system of the type bpf.
    public static let directory = "/run/portreeve-fast-path"
}

/// `engine.sanity` of the policy file: stage V and the fragment minima.
public struct SanitySettings: Hashable, Sendable, BitwiseCopyable {
    public var allowNullIP = true
    public var blockIPv6 = false
    public var blockSameSourceDestination = true
    public var dropZeroPayload = true
    public var verifyTCPChecksum = false
    public var minimumFragmentSize: UInt32 = 120
    public var minimumFragmentOffset: UInt32 = 60
    public var denyRoutingHeader0 = true
    public var denyReserved = true
    public var denyBogon = true
    public var denySiteLocal = false
    public var deny6to4Bogon = true
    public var denySmallFragments = true
    /// 240/4 but for the limited broadcast, as source or destination.
    public var denyReservedAddresses = true
    public var denyDFFragments = false
    public var denySourceRouting = true
    public var denyRecordRoute = false
    public var denyOwnSource = false
    public var denyLinkLocal = false
    public var denyReversePath = false
    public var denyBroadcastSource = false
    public init() {}
}

/// `reconnaissance` of the policy file.
public struct ReconnaissanceSettings: Hashable, Sendable {
    public var detectsPortScan = true
    public var detectsOSFingerprint = true
    public var detectsNullScan = true
    public var detectsSYNFINScan = true
    public var detectsXmasScan = true
    /// Sources of which nothing is told: an address list; nil is nobody.
    public var ignored: Criterion<Int>?
    /// How long scanners are blocked; nil is off.
    public var block: Instant.Span?
    public init() {}
}

/// `events` of the policy file.
public struct EventSettings: Hashable, Sendable {
    public var path = "/var/log/portreeve/events.jsonl"
    public var format = EventFormat.json
    public var rotation = EventRotation()
    /// How much may be written of events one by one; nil is without a bound.
    public var budget: EventBudget? = EventBudget()
    /// Receivers beside the file.
    public var syslog: [SyslogSettings] = []
    /// nil is off.
    public var capture: CaptureSettings?
    public var fold = Instant.Span.seconds(1)
    /// Reason numbers (docs/reasons.md) that are counted and not written.
    public var ignore: [UInt16] = []
    /// Of which a notice is written for each that opens, and for each that ends.
    public var newConnections: TrackedProtocols = []
    public var closedConnections: TrackedProtocols = []
    public init() {}
}

/// The forms in which events can be written.
public enum EventFormat: String, Sendable, CaseIterable {
    /// JSON lines with the keys of Suricata's EVE log.
    case json
    /// ArcSight's Common Event Format.
    case cef
    /// QRadar's Log Event Extended Format 2.0.
    case leef
    /// JSON lines of the Elastic Common Schema.
    case ecs
    /// JSON lines of the Open Cybersecurity Schema Framework 1.5.
    case ocsf
}

/// How event files follow one another.
public struct EventRotation: Hashable, Sendable, BitwiseCopyable {
    /// Bytes that one file holds at most, but for a single longer line; nil leaves its end to others.
    public var size: UInt64?
    /// How many files stay beside the one that is written.
    public var keep: UInt32
    public init(size: UInt64? = 256 << 20, keep: UInt32 = 8) {
        self.size = size
        self.keep = keep
    }
}

/// What an output may be given in a time: beyond it, records become coarser, and no count is lost.
public struct EventBudget: Hashable, Sendable, BitwiseCopyable {
    public var bytes: UInt64
    public var window: Instant.Span
    public init(bytes: UInt64 = 20 << 20, window: Instant.Span = .minutes(1)) {
        self.bytes = bytes
        self.window = window
    }
}

public enum CopyRange: Hashable, Sendable {
    case full
    case bytes(UInt32)
}

/// What a queue carries.
public enum QueueFamily: UInt8, Sendable, BitwiseCopyable {
    case ip
    /// Frames that pass through a bridge.
    case bridge
}

/// `queue` of the policy file.
public struct QueueSettings: Hashable, Sendable {
    /// Queue numbers, one worker each.
    public var numbers: ClosedRange<UInt16> = 0...0
    public var floodNumbers = FloodNumbers.following
    public var family = QueueFamily.ip
    public var length: UInt32 = 8192
    public var copy = CopyRange.full
    /// nil is off.
    public var busyPoll: Instant.Span?
    public var markMask: UInt32 = 0xff00_0000
    public init() {}
}

/// `metrics` of the policy file.
public struct MetricsSettings: Hashable, Sendable, BitwiseCopyable {
    /// Beside the Unix socket, which is always there; nil is off.
    public var listen: LoopbackEndpoint?
    public init() {}
}

/// An address of this host that no other host can reach, and a TCP port.
public struct LoopbackEndpoint: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    public let address: IPAddress
    public let port: UInt16

    /// Nil unless the address is in 127.0.0.0/8 or ::1.
    public init?(address: IPAddress, port: UInt16) {
        guard address.isMappedV4 ? address.v4 >> 24 == 127 : address == IPAddress(high: 0, low: 1) else { return nil }
        self.address = address
        self.port = port
    }

    public var description: String { address.isMappedV4 ? "\(address):\(port)" : "[\(address)]:\(port)" }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// What the packet path reads of a policy's settings, flat and without references.
struct HotSettings: Sendable, BitwiseCopyable {
    let isTap: Bool
    let engineFailsOpen: Bool
    let sanityFailsOpen: Bool
    let judgesForwarded: Bool
    let tcpEnabled: Bool
    let udpEnabled: Bool
    let icmpEnabled: Bool
    let udpAdmitsAllowed: Bool
    let icmpAdmitsAllowed: Bool
    let limits: ComputerLimits
    let synFlood: SYNFloodSettings
    let timeouts: Timeouts
    let sanity: SanitySettings
    let fragments: FragmentSettings
    /// Whether any setting asks where a packet may come from.
    let examinesOrigin: Bool
    /// Where a row and a switch elsewhere say different things, the stricter one holds.
    let posture: AntiEvasion
    let congestionDenied: Bool
    let verifiesChecksum: Bool
    /// The most equal acknowledgements in a row; `.max` where they are not counted.
    let ackStormThreshold: UInt32
    let dropsStormyConnections: Bool
    /// What is told of who explores this host.
    let detects: ScanKinds
    let watchesScans: Bool
    let blocksScanners: Bool
    let ftp: FTPAdmission
    let comparesRetransmits: Bool
    /// Whether anything reads the data of segments.
    let readsPayload: Bool
    let examinesFlags: PerDirection<Bool>
    let examinesICMP: PerDirection<Bool>
    let examinesSourceMAC: PerDirection<Bool>
    let examinesDestinationMAC: PerDirection<Bool>
    /// Outgoing rules look at who sends.
    let examinesSender: Bool
    /// Rules look at what the program in the kernel does not see of a packet.
    let hidesFromProgram: PerDirection<Bool>
    /// Reasons whose events a setting of the policy silences (rules silence their own).
    let silenced: ReasonSet
    /// Whether the bytes of refused packets are kept with their events.
    let capturesRefused: Bool
    /// How what no rule admits is answered.
    let replyToUnmatched: Reply
    /// Whether anything is.
    let answers: Bool
    /// The bit of the packet mark that the agent's own sockets set; 0 where there is none.
    let ownTrafficMark: UInt32
    /// The connections whose opening and whose end is told.
    let openingsLogged: TrackedProtocols
    let closingsLogged: TrackedProtocols
    /// Rules want what they admit logged.
    let hasLoggingRules: Bool
    /// Rules say how many openings of one source they admit in a time.
    let hasRates: Bool
    /// Whether connections are logged at all.
    let keepsLog: Bool
    let policyEpoch: UInt32

    init(_ policy: Policy) {
        let d = policy.document
        isTap = d.mode == .tap
        engineFailsOpen = d.failure.engine == .open
        sanityFailsOpen = d.failure.sanity == .open
        judgesForwarded = !d.interfaces.inside.isEmpty
        tcpEnabled = d.stateful.tcpEnabled
        udpEnabled = d.stateful.udpEnabled
        icmpEnabled = d.stateful.icmpEnabled
        udpAdmitsAllowed = d.stateful.udpAdmit == .allow
        icmpAdmitsAllowed = d.stateful.icmpAdmit == .allow
        limits = d.stateful.limits
        synFlood = d.stateful.tcpEnabled ? d.stateful.synFlood : SYNFloodSettings()
        timeouts = d.engine.timeouts
        sanity = d.engine.sanity
        examinesOrigin = sanity.denyOwnSource || sanity.denyReversePath || sanity.denyBroadcastSource
        posture = d.engine.antiEvasion
        congestionDenied = d.stateful.congestionFlagsDenied
        verifiesChecksum = d.engine.sanity.verifyTCPChecksum
        ackStormThreshold = d.stateful.tcpEnabled ? d.stateful.ackStorm.threshold ?? .max : .max
        dropsStormyConnections = d.stateful.ackStorm.dropsConnection
        detects = ScanKinds(d.reconnaissance)
        watchesScans = !detects.isEmpty
        blocksScanners = d.reconnaissance.block != nil
        ftp = FTPAdmission(d.stateful.ftp, isTracked: d.stateful.tcpEnabled)
        comparesRetransmits = d.stateful.tcpEnabled && d.engine.antiEvasion.evasiveRetransmit != .allow
        readsPayload = ftp.isOn || comparesRetransmits
        fragments = HotSettings.fragmentSettings(d)
        examinesFlags = PerDirection { policy.examinesFlags($0) }
        examinesICMP = PerDirection { policy.examinesICMP($0) }
        examinesSourceMAC = PerDirection { policy.examinesSourceMAC($0) }
        examinesDestinationMAC = PerDirection { policy.examinesDestinationMAC($0) }
        examinesSender = policy.examinesSender
        hidesFromProgram = PerDirection {
            policy.examinesSourceMAC($0) || policy.examinesDestinationMAC($0)
                || ($0 == .outgoing && policy.examinesInterface($0))
        }
        silenced = HotSettings.silencedReasons(d)
        capturesRefused = d.events.capture != nil
        replyToUnmatched = d.unmatched.reply
        answers = d.answers
        ownTrafficMark = MarkLayout(mask: d.queue.markMask).ownTraffic
        openingsLogged = d.events.newConnections
        closingsLogged = d.events.closedConnections
        hasLoggingRules = policy.rules.contains { $0.log && ($0.action == .allow || $0.action == .forceAllow) }
        hasRates = policy.rules.contains { $0.rate != nil && $0.isEnabled }
        keepsLog = !openingsLogged.isEmpty || !closingsLogged.isEmpty || hasLoggingRules
        policyEpoch = policy.epoch
    }

    private static func silencedReasons(_ d: PolicyDocument) -> ReasonSet {
        var set = ReasonSet()
        for number in d.events.ignore {
            if let reason = DropReason(number: number) { set.insert(reason) }
        }
        for reason in DropReason.allCases where reason.isOfStatefulTCP && !d.stateful.tcpLog { set.insert(reason) }
        if !d.stateful.udpLog { set.insert(.unsolicitedUDP) }
        if !d.stateful.icmpLog { set.insert(.unsolicitedICMP) }
        return set
    }

    private static func fragmentSettings(_ d: PolicyDocument) -> FragmentSettings {
        var s = FragmentSettings()
        s.row = d.engine.antiEvasion.fragments
        s.isDenied = d.stateful.fragmentsDenied
        s.minimumSize = d.engine.sanity.minimumFragmentSize
        s.minimumOffset = d.engine.sanity.minimumFragmentOffset
        s.dontFragmentDenied = d.engine.sanity.denyDFFragments
        s.smallIPv6Denied = d.engine.sanity.denySmallFragments
        return s
    }
}

extension PostureAction {
    /// The stricter of the two; a drop with an event is stricter than a silent one's equal, so `denySilent` stays.
    func stricter(than other: PostureAction) -> PostureAction {
        if drops { return self }
        return rawValue >= other.rawValue ? self : other
    }
}

/// One value for each direction.
struct PerDirection<Value: Sendable & BitwiseCopyable>: Sendable, BitwiseCopyable {
    let incoming: Value
    let outgoing: Value

    init(_ make: (Direction) -> Value) {
        incoming = make(.incoming)
        outgoing = make(.outgoing)
    }

    subscript(direction: Direction) -> Value { direction == .incoming ? incoming : outgoing }
}

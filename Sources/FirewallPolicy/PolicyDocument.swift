// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import PacketWire

/// A policy as its files say it: checked, defaults filled in, not yet compiled. `PolicyFile` makes it, `Policy` is made
/// of it, the canonical printer prints it. The initial values are the defaults of POLICY.md.
package struct PolicyDocument: Sendable {
    package var mode = Mode.inline
    package var failure = FailureSettings()
    package var interfaces = InterfaceSettings()
    package var addressLists: [NamedList<[AddressRange]>] = []
    package var portLists: [NamedList<[PortRange]>] = []
    package var macLists: [NamedList<[MACAddress]>] = []
    package var schedules: [Schedule] = []
    package var rules: [Rule] = []
    package var stateful = StatefulSettings()
    package var engine = EngineSettings()
    package var reconnaissance = ReconnaissanceSettings()
    package var events = EventSettings()
    package var queue = QueueSettings()
    package var metrics = MetricsSettings()
    /// The files it was read from, in order.
    package var files: [String] = []

    package init() {}
}

package enum Mode: UInt8, Sendable, BitwiseCopyable { case inline, tap }

package enum FailureMode: UInt8, Sendable, BitwiseCopyable { case closed, open }

/// `failure`: what happens when the agent cannot decide.
package struct FailureSettings: Hashable, Sendable, BitwiseCopyable {
    package var engine = FailureMode.closed
    package var sanity = FailureMode.closed
    package init() {}
}

package struct InterfaceSettings: Hashable, Sendable {
    /// Names or globs.
    package var ignore = ["lo"]
    package var inside: [String] = []
    package init() {}
}

/// A list of the policy, or a literal (then `name` is nil). `values` are sorted and disjoint for ranges.
package struct NamedList<Values: Sendable>: Sendable {
    package var name: String?
    package var values: Values
    /// The file of `addresses-file`, for the printer.
    package var file: String?
    package var position: SourcePosition
    package init(name: String?, values: Values, file: String? = nil, position: SourcePosition) {
        self.name = name
        self.values = values
        self.file = file
        self.position = position
    }
}

/// Times of the week in which a rule holds.
package struct Schedule: Sendable {
    package var name: String
    package var timeZone: TimeZoneName
    /// By day, Monday first: minutes since midnight, half-open, sorted and disjoint. 24:00 is 1440.
    package var weekly: [[Range<Int>]]
    package var position: SourcePosition
    package init(name: String, timeZone: TimeZoneName, weekly: [[Range<Int>]], position: SourcePosition) {
        self.name = name
        self.timeZone = timeZone
        self.weekly = weekly
        self.position = position
    }
}

package enum TimeZoneName: Hashable, Sendable {
    case local
    /// IANA name such as Europe/Berlin, or UTC.
    case named(String)
}

/// What admits an unsolicited incoming datagram.
package enum Admission: UInt8, Sendable, BitwiseCopyable {
    /// Only a Force Allow rule.
    case forceAllow
    /// Whatever the rules let pass.
    case allow
}

/// `stateful` of the policy file.
package struct StatefulSettings: Hashable, Sendable {
    package var fragmentsDenied = false
    package var tcpEnabled = true
    package var tcpLog = true
    package var congestionFlagsDenied = false
    package var limits = ComputerLimits()
    package var udpEnabled = true
    package var udpLog = true
    package var udpAdmit = Admission.forceAllow
    package var icmpEnabled = true
    package var icmpLog = true
    package var icmpAdmit = Admission.forceAllow
    package init() {}
}

package enum BuiltInDHCPAndDNS: UInt8, Sendable, BitwiseCopyable { case client, dnsOnly, off }

/// `engine` of the policy file.
package struct EngineSettings: Hashable, Sendable {
    package var dhcpAndDNS = BuiltInDHCPAndDNS.client
    package var pathMTU = true
    package var timeouts = Timeouts()
    package var limits = TableLimits()
    package var sanity = SanitySettings()
    package var antiEvasion = AntiEvasion.normal
    package init() {}
}

/// `engine.sanity` of the policy file: stage V and the fragment minima.
package struct SanitySettings: Hashable, Sendable, BitwiseCopyable {
    package var allowNullIP = true
    package var blockIPv6 = false
    package var blockSameSourceDestination = true
    package var dropZeroPayload = true
    package var verifyTCPChecksum = false
    package var minimumFragmentSize: UInt32 = 120
    package var minimumFragmentOffset: UInt32 = 60
    package var denyRoutingHeader0 = true
    package var denyReserved = true
    package var denyBogon = true
    package var denySiteLocal = false
    package var deny6to4Bogon = true
    package var denySmallFragments = true
    package init() {}
}

/// `reconnaissance` of the policy file. Only its being off is available in this version.
package struct ReconnaissanceSettings: Hashable, Sendable, BitwiseCopyable {
    package init() {}
}

/// `events` of the policy file.
package struct EventSettings: Hashable, Sendable {
    package var path = "/var/log/portreeve/events.jsonl"
    package var fold = Instant.Span.seconds(1)
    /// Reason numbers (REASONS.md) that are counted and not written.
    package var ignore: [UInt16] = []
    package init() {}
}

package enum CopyRange: Hashable, Sendable {
    case full
    case bytes(UInt32)
}

/// `queue` of the policy file.
package struct QueueSettings: Hashable, Sendable {
    /// Queue numbers, one worker each.
    package var numbers: ClosedRange<UInt16> = 0...0
    package var length: UInt32 = 8192
    package var copy = CopyRange.full
    /// nil is off.
    package var busyPoll: Instant.Span?
    package var markMask: UInt32 = 0xff00_0000
    package init() {}
}

/// `metrics` of the policy file. Only its being off is available in this version.
package struct MetricsSettings: Hashable, Sendable, BitwiseCopyable {
    package init() {}
}

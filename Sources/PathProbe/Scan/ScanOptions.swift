// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// How a scan goes about its probes.
package struct ScanOptions: Sendable {
    /// TCP probes at a time.
    package var parallel = 64
    /// First datagrams and their copies in a second.
    package var datagramsPerSecond = 50
    /// How often a silent probe is repeated after all others were made, 0 to 3.
    package var retries = 1
    /// The order of the probes: the same seed gives the same.
    package var seed: UInt64 = 0
    /// Whether the order is that of the ports.
    package var isOrdered = false
    package var sourcePorts: ClosedRange<UInt16>?
    /// Whether the hop is looked for that blocks a failing probe.
    package var isLocating = false

    package init() {}
}

/// Why a scan did not do all of its probes.
package enum ScanInterruption: Hashable, Sendable {
    case bySignal
    /// This host lacks something that every probe needs.
    case localResource(SystemFault)
    case controlLost(String)
}

/// What a scan found.
package struct ScanResult: Sendable {
    /// In the order of their numbers.
    package var outcomes: [ProbeOutcome] = []
    /// What the reflector saw, by the probes' numbers; empty where there is none.
    package var records: [WitnessRecord] = []
    package var strangers: [Stranger] = []
    /// Changes at the reflector while the probes went out.
    package var counters: ReflectorCounters?
    package var session: UInt64?
    /// How often a silent probe was repeated at most.
    package var retries = 0
    /// What the reflector's host saw of the openings of connections; nil where it could not look.
    package var sightings: [OpeningSighting]?
    /// Whether it saw all of them.
    package var areSightingsComplete = false
    /// What the agent there did to the probes, where the scan may know.
    package var drops: [AgentDrop] = []
    /// Whether that agent was asked.
    package var isFarAgentAsked = false
    /// Whether the agent of this host was; who runs the scan asks it.
    package var isOwnAgentAsked = false
    /// Where failing probes were blocked, by their numbers.
    package var locations: [Int: HopLocation] = [:]
    package var interruption: ScanInterruption?
    package var duration = Instant.Span.zero

    package init() {}
}

/// How far a scan is.
package struct ScanProgress: Sendable {
    package var done: Int
    package var total: Int
    /// At the pace so far, and no shorter than what is in flight may take.
    package var left: Instant.Span
    package var isRepeating: Bool
}

/// SplitMix64 (Steele, Lea, Flood 2014): a seed gives one order.
struct SeededOrder: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallEngine
package import FirewallPolicy
package import PacketWire
import PolicyFile

/// A packet and what is so when it comes: enough for an engine of its own to judge it, by any policy.
package struct PacketScene: Sendable {
    /// From the network header on.
    package var bytes: [UInt8]
    package var metadata: PacketMetadata
    /// The name of the packet's interface; nil: none is known.
    package var interface: String?
    /// Seconds since 1970.
    package var unixTime: Int64
    /// Addresses of this host.
    package var localAddresses: Set<IPAddress> = []
    /// The connection as the agent knows it, with its times on the clock of `now`.
    package var record: Connection?
    /// Connections older than the agent are still admitted.
    package var isInColdStart = false

    /// The present on the engine's clock: a day after the agent began, so that its cold start is over.
    package static let now = Instant(nanoseconds: 10 * 86_400 * 1_000_000_000)
    private static let dayBefore = Instant(nanoseconds: 9 * 86_400 * 1_000_000_000)
    /// The index that stands for the interface.
    package static let index: UInt32 = 2

    package init(bytes: [UInt8], metadata: PacketMetadata, interface: String?, unixTime: Int64) {
        self.bytes = bytes
        self.metadata = metadata
        self.interface = interface
        self.unixTime = unixTime
    }

    package init(_ words: PacketWords, now: Int64) {
        self.init(
            bytes: words.bytes, metadata: words.metadata(interface: words.interface == nil ? 0 : Self.index),
            interface: words.interface, unixTime: words.unixTime ?? now)
    }

    /// Judges the packet by a policy, and gives the steps that the engine took.
    package func judge(_ policy: Policy) -> Explanation {
        var document = policy.document
        // One packet needs no more, and tables that are large take time to make.
        document.engine.limits.tcp = min(document.engine.limits.tcp, 64)
        document.engine.limits.udp = min(document.engine.limits.udp, 64)
        document.engine.limits.icmp = min(document.engine.limits.icmp, 64)
        document.engine.limits.fragmentedDatagrams = min(document.engine.limits.fragmentedDatagrams, 64)
        let shared = SharedLimits(tables: document.engine.limits, computers: document.stateful.limits, seed: (1, 2))
        let clock = EngineClock(
            agentStarted: isInColdStart ? Self.now : Self.dayBefore, kernelBooted: Instant(nanoseconds: 0))
        let judging = (try? Policy(document, epoch: policy.epoch)) ?? policy
        var engine = Engine(policy: judging, clock: clock, seed: (3, 4), shared: shared, workers: 1)
        engine.hostAddresses = HostAddresses(local: localAddresses)
        engine.setActiveSchedules(
            judging.scheduleActivity(SystemTimeZones.zones(of: document), unixTime: unixTime), at: Self.now)
        if let interface { engine.learnInterface(Self.index, name: interface, isLoopback: interface == "lo") }
        if let record { _ = engine.restore(record, at: Self.now) }
        engine.steps = []
        _ = unsafe bytes.withUnsafeBytes { bytes in engine.inspect(unsafe bytes.bytes, metadata, at: Self.now) }
        return Explanation(judging, engine.steps ?? [], interfaces: interface.map { [Self.index: $0] } ?? [:])
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
public import FirewallPolicy
public import PacketWire

/// Stage V for the frame guard: why the kernel discarded a frame before any hook. Nothing can be done about such a frame; it is
/// told of by the same decoding and the same check as a packet of a queue.
public struct DiscardedFrames: Sendable {
    private var hot: HotSettings
    private var interfaces: InterfaceTable
    /// Frames that a setting keeps from being told of, for each reason.
    public private(set) var silenced = [UInt64](repeating: 0, count: DropReason.count)

    public init(_ policy: Policy, interfaces: InterfaceTable) {
        hot = HotSettings(policy)
        self.interfaces = interfaces
    }

    /// Follows another policy, or other interfaces.
    public mutating func adopt(_ policy: Policy, interfaces: InterfaceTable) {
        hot = HotSettings(policy)
        self.interfaces = interfaces
    }

    /// Judges a frame.
    ///
    /// - Parameters:
    ///   - bytes: from the network header on, as far as they were copied.
    ///   - metadata: of no hook, with the interface by which it came and its EtherType.
    ///   - now: the clock of events.
    /// - Returns: what is to be told of it; nil where nothing is wrong with it, its interface is ignored, or a setting silences
    ///   it.
    public mutating func event(of bytes: RawSpan, _ metadata: PacketMetadata, at now: Instant) -> Event? {
        let interface = interfaces[metadata.inInterface] ?? .unknown
        guard !interface.traits.isIgnored else { return nil }
        var p = Inspection(metadata, at: now)
        p.isLoopback = interface.isLoopback
        guard let finding = finding(&p, bytes) else { return nil }
        guard !hot.silenced.contains(finding.reason) else {
            silenced[Int(finding.reason.rawValue)] &+= 1
            return nil
        }
        var event = Event(
            reason: finding.reason, action: .observed, instant: now, metadata: metadata, headers: p.headers)
        event.policyEpoch = hot.policyEpoch
        event.cause = finding.cause
        event.note = finding.note
        return event
    }

    /// No remedy is named: the kernel discards it, whatever the policy says.
    private mutating func finding(_ p: inout Inspection, _ bytes: RawSpan) -> Finding? {
        defer { p.headers.sourceMAC = p.metadata.sourceMAC }
        do {
            try p.headers.decodePacket(bytes, etherType: p.metadata.etherType, PacketTraits(p.metadata))
        } catch {
            return Finding(DropReason(error), .malformed)
        }
        if p.headers.network == .ipv4, !IPv4Checksum.isValid(bytes, p.headers) {
            return Finding(.invalidChecksum, .headerChecksum, note: .ipHeader)
        }
        guard p.headers.network == .ipv6, p.headers.source.high >> 56 == 0xff || isOfLoopback(&p) else { return nil }
        return SanityCheck.finding(&p, bytes, &hot)
    }

    /// From or to ::1 by something else than the loopback (RFC 4291 section 2.5.3).
    private func isOfLoopback(_ p: inout Inspection) -> Bool {
        let loopback = IPAddress(high: 0, low: 1)
        return p.headers.source == loopback || p.headers.destination == loopback
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import PacketWire
import TestSupport
import Testing

/// A packet that has to raise a reason, and the nearest one that must not.
struct ReasonCase: Sendable, CustomTestStringConvertible {
    let reason: DropReason
    let what: String
    var policy: String
    var direction = Direction.incoming
    /// The rule that the event has to name.
    var rule: String?
    var action = EventAction.deny
    /// What becomes of the packet that must not raise the reason.
    var spared = Fate.pass
    var scene: @Sendable (EngineUnderTest) throws -> Void = { _ in }
    let raises: @Sendable (EngineUnderTest) throws -> Fate
    let spares: @Sendable (EngineUnderTest) throws -> Fate

    var testDescription: String { "\(reason.row.number) \(reason.row.slug): \(what)" }

    init(
        _ reason: DropReason, _ what: String, _ policy: String = "",
        scene: @escaping @Sendable (EngineUnderTest) throws -> Void = { _ in },
        raises: @escaping @Sendable (EngineUnderTest) throws -> Fate,
        spares: @escaping @Sendable (EngineUnderTest) throws -> Fate
    ) {
        self.reason = reason
        self.what = what
        self.policy = policy
        self.scene = scene
        self.raises = raises
        self.spares = spares
    }

    /// One incoming packet against another, for what is seen in the packet alone.
    init(_ reason: DropReason, _ what: String, _ policy: String, _ bad: PacketBuilder, but good: PacketBuilder) {
        self.init(reason, what, policy, raises: { $0.receives(bad) }, spares: { $0.receives(good) })
    }

    /// As above, where rules are all there is.
    init(_ reason: DropReason, _ what: String, _ bad: PacketBuilder, but good: PacketBuilder) {
        self.init(reason, what, ReasonCase.stateless, bad, but: good)
    }

    func with(_ change: (inout ReasonCase) -> Void) -> ReasonCase {
        var copy = self
        change(&copy)
        return copy
    }

    /// Rules are all there is, and there is none.
    static let stateless = "stateful: { tcp: { enabled: false }, udp: { enabled: false }, icmp: { enabled: false } }"

    static let all =
        headers + addresses + payloads + fragments + rules + flags + sequences + connections + payloadsRead
}

extension EngineUnderTest {
    /// An Ethernet frame, or what is left of one.
    @discardableResult
    func receives(frame bytes: [UInt8], at location: SourceLocation = #_sourceLocation) -> Fate {
        var metadata = PacketMetadata()
        metadata.hook = .none
        metadata.fullLength = UInt32(bytes.count)
        return inspect(bytes, metadata, isFrame: true, at: location)
    }

    /// What the copy range left of a packet.
    @discardableResult
    func receives(
        _ packet: PacketBuilder, cutTo count: Int, from length: Int? = nil,
        at location: SourceLocation = #_sourceLocation
    ) -> Fate {
        var metadata = PacketMetadata()
        metadata.inInterface = 2
        metadata.fullLength = UInt32(length ?? packet.bytes.count)
        return inspect(packet.cut(to: count), metadata, at: location)
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
import FirewallPolicy
public import PacketWire

/// Which flows pass in the kernel. The program there knows a flow's windows and nothing of rules, so a direction may go there
/// only where the next plain segment cannot be decided otherwise than this one: by a generation of policy, schedules and
/// interfaces. What changes the generation sends every flow back to the queue.
extension Engine {
    /// How long flows pass without a sign of life of the worker, which gives four a second.
    private static var lease: Instant.Span { .milliseconds(1500) }

    /// Begins to use these maps. The places' generations go on from `generation`; those of runs before should be others.
    public mutating func attachFastPath(_ memory: FastPathMemory, generation: UInt32, at now: Instant) {
        table.detachFastPath(at: now)
        table.attachFastPath(memory, generation: generation)
        setFastPathEpoch()
        table.setFastPathLease(until: now + Self.lease)
    }

    /// Every flow comes to the queue from now on, and its windows are known here.
    public mutating func detachFastPath(at now: Instant) {
        table.setFastPathLease(until: Instant(nanoseconds: 0))
        table.detachFastPath(at: now)
    }

    public var fastPath: FastPathPlaces { table.fastPath }

    public var fastPathCounts: FastPathCounts { table.fastPath.counts }

    /// What keeps a connection of this engine from there; nil where there is no fast path.
    public func fastPathObstacle(of c: Connection) -> FastPathObstacle? {
        guard table.fastPath.isOn else { return nil }
        let obstacle = FastPathObstacle(rawValue: c.fastPathObstacle) ?? .unasked
        return obstacle == .none && (c.fastPlace < 0 || c.generation != generation) ? .unasked : obstacle
    }

    public var hasFastPathChanges: Bool { !table.fastPath.changes.isEmpty }

    /// The kernel was told of the changes.
    public mutating func removeFastPathChanges() { table.removeFastPathChanges() }

    /// The kernel has no room for this flow.
    public mutating func refuseFastPath(_ key: ConnectionKey, at now: Instant) {
        guard !table.refuseBypass(key, at: now), let index = table.find(key, at: now) else { return }
        table.refuseFastPath(index, at: now)
    }

    mutating func setFastPathEpoch() {
        table.setFastPathEpoch(generation, timestampWindow: hot.posture.pawsWindow)
    }

    mutating func renewFastPathLease(at now: Instant) {
        if table.fastPath.isOn { table.setFastPathLease(until: now + Self.lease) }
    }

    /// Judges a segment of a connection whose others may pass in the kernel; then says whether those that follow may.
    mutating func judgeBesideFastPath(
        _ p: inout Inspection, _ i: ConnectionIndex, _ packet: KeyedPacket, _ bytes: RawSpan
    ) -> Finding? {
        let finding = judgeKnownTCP(&p, i, packet.sender, bytes)
        guard !p.leavesNoTrace, table.holds(packet.key, at: i) else { return finding }
        guard table.isSteady(i) else {
            table.leaveFastPath(i, at: p.now)
            table[i].fastPathObstacle = FastPathObstacle.unsteady.rawValue
            return finding
        }
        table.writeBack(i)
        guard finding == nil, p.headers.tcp.isPlain, !p.headers.fragment.isFragment else { return finding }
        openFastPath(&p, i, packet.sender, unless: fastPathObstacle(&p, i, packet.sender))
        return nil
    }

    /// Judges a datagram of a pair of endpoints whose others may pass in the kernel; then says whether those that follow may. Not of one
    /// question with its answers: it is over before the kernel has heard of it.
    mutating func judgeUDPBesideFastPath(
        _ p: inout Inspection, _ i: ConnectionIndex, _ packet: KeyedPacket
    ) -> Finding? {
        let finding = judgeKnownUDP(&p, i, packet)
        guard finding == nil, !p.leavesNoTrace, table.holds(packet.key, at: i), !p.headers.fragment.isFragment else {
            return finding
        }
        let obstacle = table[i].udp.isStream ? fastPathObstacle(&p, i, packet.sender) : .unsteady
        openFastPath(&p, i, packet.sender, unless: obstacle)
        return nil
    }

    /// Judges a query or reply of an exchange whose others may pass in the kernel; then says whether those that follow may. Only
    /// echoes, and only where one side asks and was answered.
    mutating func judgeQueryBesideFastPath(
        _ p: inout Inspection, _ i: ConnectionIndex, _ packet: KeyedPacket, isReply: Bool
    ) -> Finding? {
        let finding = judgeKnownQuery(&p, i, packet, isReply: isReply)
        guard finding == nil, !p.leavesNoTrace, table.holds(packet.key, at: i), !p.headers.fragment.isFragment else {
            return finding
        }
        let isEcho = packet.key.isOfEcho && p.headers.icmp.code == 0
        let obstacle: FastPathObstacle =
            !isEcho ? .kind : table[i].isAnsweredEcho ? fastPathObstacle(&p, i, packet.sender) : .unsteady
        openFastPath(&p, i, packet.sender, unless: obstacle)
        return nil
    }

    /// Lets the next packets of this side pass in the kernel, where nothing keeps them from there.
    private mutating func openFastPath(
        _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side, unless obstacle: FastPathObstacle
    ) {
        var obstacle = obstacle
        if obstacle == .none, !table.openFastPath(i, side, interface: interfaceForProgram(&p), at: p.now) {
            obstacle = .room
        }
        table[i].fastPathObstacle = obstacle.rawValue
    }

    /// By which the program will see the packets that follow come; 0 for those that this host sends.
    func interfaceForProgram(_ p: inout Inspection) -> UInt32 {
        p.metadata.hook == .output ? 0 : p.metadata.inInterface
    }

    /// What keeps the next plain segment, or the next datagram, of this side from being decided as this one was.
    private mutating func fastPathObstacle(
        _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side
    ) -> FastPathObstacle {
        let isSegment = p.headers.transport == .tcp
        let standing = table.standing(of: i)
        if table.isBypassed(i, at: p.now) { return .bypassed }
        if p.isLoopback { return .loopback }
        if p.isOwnTraffic || standing.isOwnTraffic { return .ownTraffic }
        if standing.refusal.isRefused || standing.generation != generation { return .refused }
        if isSegment {
            if hot.verifiesChecksum || hot.posture.checksum != .allow { return .checksums }
            if hot.comparesRetransmits || isControlOfFTP(i) { return .payload }
        } else if hostAddresses.isToGroup(&p.headers) {
            return .group
        }
        if hot.examinesOrigin { return .origin }
        if isSegment, hot.ackStormThreshold != .max { return .acknowledgements }
        if hot.hidesFromProgram[p.direction] { return .unseenByProgram }
        if !isSegment, hot.examinesSender, p.direction == .outgoing, p.metadata.hook != .forward,
            side == table[i].opener
        {
            return .sender
        }
        // Where rules look at types of ICMP, nothing is kept of what they said, and this packet's type is that of those that follow.
        let isAskedAnew = p.headers.transport == .icmp && hot.examinesICMP[p.direction]
        let decision = table.decision(of: i, for: side)
        guard
            isAskedAnew
                || (decision.generation == generation && decision.direction == p.direction
                    && decision.interface == p.interface),
            (isAskedAnew ? p.ruling.logOnlyRule : decision.logOnlyRule) < 0
        else { return .rule }
        switch isAskedAnew ? p.ruling.outcome : RuleOutcome(rawValue: decision.outcome) ?? .undetermined {
        case .allow, .forceAllow, .noMatch: break
        default: return .rule
        }
        return isSegment && hot.examinesFlags[p.direction] && decision.flagsSeen & Self.plainFlags != Self.plainFlags
            ? .flags : .none
    }

    /// ACK with PSH and without, in `CachedRuleDecision.flagsSeen`.
    private static var plainFlags: UInt64 {
        1 << UInt64(TCPFlags.ack.rawValue) | 1 << UInt64(TCPFlags([.ack, .psh]).rawValue)
    }
}

extension TCPFields {
    /// ACK with PSH or without: what the program in the kernel looks at.
    var isPlain: Bool { flags.subtracting(.psh) == .ack }
}

// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
package import FirewallPolicy
import Glibc
import PacketWire
import PolicyFile

/// What a policy would do with an administrator's session and with the next one like it. The engine itself is asked, with a
/// packet of each direction.
package struct SessionTrial {
    private let policy: Policy
    private let activeSchedules: UInt64

    /// - Throws: what keeps the policy from being compiled.
    package init(_ document: PolicyDocument) throws(PolicyError) {
        var document = document
        // One session needs no more; how many there may be in all is no question of this one.
        document.engine.limits.tcp = min(document.engine.limits.tcp, 8)
        document.engine.limits.udp = 1
        document.engine.limits.icmp = 1
        document.engine.limits.fragmentedDatagrams = 1
        policy = try Policy(document, epoch: 1)
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        activeSchedules = policy.scheduleActivity(
            SystemTimeZones.zones(of: document), unixTime: Int64(time.tv_sec))
    }

    /// Why the policy would drop the session's packets, as an agent that begins to judge meets them, or keep a new session
    /// like it out; nil where both pass.
    package func refusal(of session: SSHSession) -> String? {
        let began = Instant(nanoseconds: 1)
        let limits = policy.document.engine.limits
        let shared = SharedLimits(tables: limits, computers: policy.document.stateful.limits, seed: (1, 2))
        var engine = Engine(
            policy: policy, clock: EngineClock(agentStarted: began, kernelBooted: Instant(nanoseconds: .min / 2)),
            seed: (3, 4), shared: shared, workers: 1)
        engine.setActiveSchedules(activeSchedules, at: began)
        if let arrival = LocalAddress.all().first(where: { $0.address == session.server }) {
            engine.learnInterface(Self.interface, name: arrival.interface, isLoopback: arrival.isLoopback)
        }
        let packets = [
            ("its incoming packets", session.segment(.incoming)), ("its outgoing packets", session.segment(.outgoing)),
            ("the next one like it", session.segment(.incoming, opens: true)),
        ]
        for (name, packet) in packets {
            let decision = judge(packet, &engine, at: began)
            guard decision.verdict != .pass, let reason = decision.reason else { continue }
            let rule = decision.rule >= 0 ? " (\(policy.rules[Int(decision.rule)].name))" : ""
            return "\(name): \(reason.row.name)\(rule)"
        }
        return nil
    }

    /// The index that stands for the interface of the session.
    private static let interface: UInt32 = 1

    private func judge(
        _ packet: (direction: Direction, bytes: [UInt8]), _ engine: inout Engine, at now: Instant
    ) -> Decision {
        var metadata = PacketMetadata()
        metadata.hook = packet.direction == .incoming ? .input : .output
        metadata.inInterface = packet.direction == .incoming ? Self.interface : 0
        metadata.outInterface = packet.direction == .incoming ? 0 : Self.interface
        // The sums are left out.
        metadata.checksumNotReady = true
        metadata.fullLength = UInt32(packet.bytes.count)
        return unsafe packet.bytes.withUnsafeBytes { bytes in engine.inspect(unsafe bytes.bytes, metadata, at: now) }
    }
}

extension SSHSession {
    /// A segment of the session, or the one that opens a session from another port: IPv4 (RFC 791 section 3.1) or IPv6
    /// (RFC 8200 section 3), then TCP (RFC 9293 section 3.1).
    fileprivate func segment(_ direction: Direction, opens: Bool = false) -> (direction: Direction, bytes: [UInt8]) {
        let isIncoming = direction == .incoming
        let (from, to) = isIncoming ? (client, server) : (server, client)
        let port = opens ? clientPort ^ 1 : clientPort
        let ports = isIncoming ? [port, serverPort] : [serverPort, port]
        let acknowledgement: [UInt8] = opens ? [0, 0, 0, 0] : [0, 0, 0, 1]
        let segment =
            ports.flatMap(\.bytes) + [0, 0, 0, 1] + acknowledgement + [
                0x50, opens ? 0x02 : 0x10, 0x01, 0xf6, 0, 0, 0, 0,
            ]
        guard server.isMappedV4 else {
            let header = [0x60, 0, 0, 0] + UInt16(segment.count).bytes + [IPProtocol.tcp, 64]
            return (direction, header + [from.high, from.low, to.high, to.low].flatMap(\.bytes) + segment)
        }
        let header = [0x45, 0] + UInt16(20 + segment.count).bytes + [0, 1, 0x40, 0, 64, IPProtocol.tcp, 0, 0]
        return (direction, header + from.v4.bytes + to.v4.bytes + segment)
    }
}

extension FixedWidthInteger {
    /// In network byte order.
    fileprivate var bytes: [UInt8] {
        stride(from: bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> Self($0)) }
    }
}

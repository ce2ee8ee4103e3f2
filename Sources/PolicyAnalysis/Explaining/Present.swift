// SPDX-License-Identifier: GPL-3.0-or-later

package import AgentControl
import ConnectionTracking
package import FirewallEngine
package import FirewallPolicy
package import PacketWire

/// What a running agent has told of the moment at which a packet is judged.
package struct Present: Sendable {
    package let packet: PacketIdentity
    package let circumstances: Circumstances
    package let interfaces: [SceneReport.Interface]
    /// Of the policy in force, by which the agent judges.
    package let policyEpoch: UInt32

    /// - Throws: where the agent told what cannot be.
    package init(_ report: SceneReport, of packet: PacketIdentity) throws(ControlFailure) {
        self.packet = packet
        circumstances = try report.circumstances()
        interfaces = report.interfaces
        policyEpoch = report.policyEpoch
    }

    /// The same at another time of the calendar: where other schedules hold then, nothing that was decided before does.
    func circumstances(schedules: UInt64?) -> Circumstances {
        guard let schedules, schedules != circumstances.activeSchedules else { return circumstances }
        var other = circumstances
        other.activeSchedules = schedules
        other.generation &+= 1
        return other
    }

    /// The numbers of the next segment of the packet's own connection, as its sender would choose them; nil where none is known.
    package func nextNumbers(from source: IPAddress, _ port: UInt16) -> (sequence: UInt32, acknowledgement: UInt32)? {
        guard let c = circumstances.connections.first(where: { $0.key == packet.keys.first }) else { return nil }
        let isLow = c.key.lowAddress == source && c.key.lowPortOrIdentifier == port
        return c.tcp.next(from: isLow ? .low : .high)
    }

    /// What is to be known of the agent, in sentences.
    package func lines(_ policy: Policy) -> [String] {
        var lines = ["agent: policy epoch \(policyEpoch), \(policy.document.files.joined(separator: ", "))"]
        let timeouts = policy.document.engine.timeouts
        let grace = circumstances.graceLeft(timeouts)
        if grace > .zero {
            lines.append(
                "agent: connections older than itself are admitted for \(Self.seconds(grace)) more (cold start)")
        }
        if let unseenAt = circumstances.unseenAt {
            let left = unseenAt + timeouts.coldStart - circumstances.now
            if left > .zero {
                lines.append(
                    "agent: packets may have passed unseen; connections may have moved on, for \(Self.seconds(left)) more"
                )
            }
        }
        return lines
    }

    private static func seconds(_ span: Instant.Span) -> String {
        "\((span.nanoseconds + 999_999_999) / 1_000_000_000) s"
    }

    /// What the agent knows that bears on this packet and was not asked of it.
    package func gaps(_ policy: Policy, _ explanation: Explanation) -> [String] {
        guard let headers = explanation.headers else { return [] }
        var gaps: [String] = []
        if headers.fragment.isFragment { gaps.append("what the agent has seen of this datagram's other fragments") }
        guard headers.transport == .tcp, headers.tcp.dataLength > 0, !circumstances.connections.isEmpty else {
            return gaps
        }
        let settings = policy.document
        if settings.engine.antiEvasion.evasiveRetransmit != .allow {
            gaps.append("whether its data differ from what was sent before (engine.anti-evasion.evasive-retransmit)")
        }
        let ports = settings.stateful.ftp.controlPorts
        if ports.contains(packet.sourcePort) || ports.contains(packet.destinationPort) {
            gaps.append("the beginning of an FTP command that it may continue (stateful.ftp)")
        }
        return gaps
    }
}

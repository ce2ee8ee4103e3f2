// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallEngine
import Glibc
import PacketWire
import PolicyAnalysis

/// Watches what the kernel does to the packets of a flow that the agent lets pass.
///
/// The tracepoint says why a packet was thrown away, in which function and in whose context, and not whose packet it was. The agent
/// says how many packets of the flow it let by. What was thrown away by the thread that gives verdicts, of the flow's protocol,
/// while packets of the flow passed, is told as such, and beside it how sure that is.
struct FlowWatch {
    private let control: ControlOptions
    private let scene: PacketScene
    private let packet: PacketIdentity
    private let number: UInt8
    private let seconds: Int
    private var atFirst: UInt64?
    private var passed: UInt64 = 0
    private var drops: [KernelDrop: UInt64] = [:]

    /// Between two looks; after the first find one more follows, for what comes together.
    private static let pause = 200_000_000

    /// - Parameters:
    ///   - control: where the agent is.
    ///   - scene: a packet of the flow.
    ///   - protocolNumber: its protocol.
    ///   - seconds: how long to watch at most.
    init?(_ control: ControlOptions, _ scene: PacketScene, protocolNumber: UInt8, seconds: Int) {
        guard let packet = scene.identity else { return nil }
        (self.control, self.scene, self.packet, self.seconds) = (control, scene, packet, seconds)
        number = protocolNumber
    }

    /// What was seen, in sentences.
    mutating func run() throws -> [String] {
        let trace: KernelTrace
        do {
            trace = try KernelTrace(etherType: packet.version == 6 ? 0x86dd : 0x0800)
        } catch {
            throw fail("what the kernel does cannot be watched: \(error.text)", status: .untraced)
        }
        // The instance of the trace is to go whatever ends this.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, signal) }
        unsafe sigprocmask(SIG_BLOCK, &signals, nil)
        let end = ContinuousClock.now + .seconds(seconds)
        var isFound = false
        while ContinuousClock.now < end {
            try look(trace)
            if isFound { break }
            isFound = passed > 0 && !drops.isEmpty
            var pause = timespec(tv_sec: 0, tv_nsec: Self.pause)
            if unsafe sigtimedwait(&signals, nil, &pause) > 0 { break }
        }
        return lines
    }

    private mutating func look(_ trace: KernelTrace) throws {
        for drop in trace.drops() where drop.isOfWorker && drop.mayBe(number) { drops[drop, default: 0] += 1 }
        let query = SceneQuery(packet: packet, interface: scene.interface)
        guard case .scene(let report) = try control.ask(.scene(query)) else { throw control.unexpected() }
        let connections = (try? report.circumstances().connections) ?? []
        let known = connections.first { $0.key == packet.keys.first }
        let count = known.map { packetsOfSender($0) } ?? 0
        if let first = atFirst { passed = max(passed, count > first ? count - first : 0) } else { atFirst = count }
    }

    private func packetsOfSender(_ c: Connection) -> UInt64 {
        let isLow = c.key.lowAddress == packet.source && c.key.lowPortOrIdentifier == sourcePort
        return (isLow ? c.trafficOfLow : c.trafficOfHigh).packets
    }

    /// As the connection's key has it.
    private var sourcePort: UInt16 {
        packet.sourcePort != 0 ? packet.sourcePort : packet.keys.first?.lowPortOrIdentifier ?? 0
    }

    private var lines: [String] {
        guard passed > 0 else {
            return ["kernel: no packet of this flow passed the agent while it was watched (\(seconds) s at most)"]
        }
        let packets = "\(passed) packet\(passed == 1 ? "" : "s") of this flow passed the agent"
        guard !drops.isEmpty else { return ["kernel: \(packets), and the kernel threw none of them away"] }
        let total = drops.values.reduce(0, +)
        var lines = drops.sorted { ($1.value, $0.key.reason) < ($0.value, $1.key.reason) }.map { drop, count in
            "kernel: threw away \(count) in \(drop.function): \(drop.reason)\(drop.meaning.map { ", \($0)" } ?? "")"
        }
        lines.append(
            total <= passed
                ? "  \(packets) meanwhile; the tracepoint does not say whose packet it is, by protocol and time it is of this flow"
                : "  \(packets) meanwhile; the tracepoint does not say whose packets those are, and some are of other flows"
        )
        return lines
    }
}

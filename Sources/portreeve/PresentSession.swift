// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import PolicyFile

/// The SSH session in which this program runs, and what a policy would do with it and with the next one like it.
struct PresentSession {
    let client: IPAddress
    let clientPort: UInt16
    let server: IPAddress
    let serverPort: UInt16

    /// Nil where this is no SSH session. `sudo` takes the variable away, so the processes above are looked at too.
    static var here: PresentSession? {
        var process = getpid()
        for _ in 0..<64 where process > 1 {
            if let session = ofProcess(process) { return session }
            process = parent(of: process)
        }
        return nil
    }

    private static func ofProcess(_ process: pid_t) -> PresentSession? {
        let variables = readText("/proc/\(process)/environ")?.split(separator: "\0") ?? []
        let name = "SSH_CONNECTION="
        return variables.first { $0.hasPrefix(name) }.flatMap { PresentSession(String($0.dropFirst(name.count))) }
    }

    /// The fourth field of /proc/PID/stat, after the name in parentheses; 0 where there is none.
    private static func parent(of process: pid_t) -> pid_t {
        guard let stat = readText("/proc/\(process)/stat"), let end = stat.lastIndex(of: ")") else { return 0 }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        return fields.count > 1 ? pid_t(fields[1]) ?? 0 : 0
    }

    /// "198.51.100.7 40112 192.0.2.10 22"
    init?(_ text: String) {
        let words = text.split(separator: " ")
        // A link-local address may have its zone behind it.
        let addresses = words.map { $0.prefix { $0 != "%" } }
        guard words.count == 4, let client = IPAddress(parsing: addresses[0]), let clientPort = UInt16(words[1]),
            let server = IPAddress(parsing: addresses[2]), let serverPort = UInt16(words[3])
        else { return nil }
        (self.client, self.clientPort, self.server, self.serverPort) = (client, clientPort, server, serverPort)
    }

    var text: String { "\(client) port \(clientPort) to \(server) port \(serverPort)" }
}

extension PresentSession {
    /// Why the policy would drop the session's packets, as the agent that begins to judge meets them, or keep a new session
    /// like it out; nil where both pass. The engine itself is asked, with a packet of each direction.
    func refusal(by document: PolicyDocument) -> String? {
        guard let policy = try? Policy(document, epoch: 1) else { return "the policy cannot be compiled" }
        let began = Instant(nanoseconds: 1)
        let shared = SharedLimits(
            tables: document.engine.limits, computers: document.stateful.limits, seed: (1, 2))
        var engine = Engine(
            policy: policy, clock: EngineClock(agentStarted: began, kernelBooted: Instant(nanoseconds: .min / 2)),
            seed: (3, 4), shared: shared, workers: 1)
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        engine.setActiveSchedules(
            policy.scheduleActivity(SystemTimeZones.zones(of: document), unixTime: Int64(time.tv_sec)),
            at: began)
        if let arrival = InterfaceAddress.all().first(where: { $0.address == server }) {
            engine.learnInterface(Self.interface, name: arrival.interface, isLoopback: arrival.isLoopback)
        }
        let packets = [
            ("its incoming packets", segment(.incoming)), ("its outgoing packets", segment(.outgoing)),
            ("the next one like it", segment(.incoming, opens: true)),
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

    /// A segment of the session, or the one that opens a session from another port: IPv4 (RFC 791 section 3.1) or IPv6
    /// (RFC 8200 section 3), then TCP (RFC 9293 section 3.1).
    private func segment(_ direction: Direction, opens: Bool = false) -> (direction: Direction, bytes: [UInt8]) {
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

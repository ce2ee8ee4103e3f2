// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketFilterRules
import PacketWire

/// After rules were put in place: whether the agent answers and their packets reach it.
///
/// A packet is sent to find out: a datagram to a group, with no hop to live, so that the kernel shows it to the rules and
/// never to the network (RFC 1112 section 6.1).
struct AppliedCheck {
    let control: ControlOptions
    let queues: QueueLayout
    let policy: Policy

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// How long the agent has to answer and a packet to reach it.
    private static let patience: Int64 = 5

    /// The packets that the agent had judged before the rules were there.
    func packetsJudged() throws(Failure) -> UInt64 {
        let report = try status()
        let read = Set(report.queues.map(\.number))
        let fed = queues.numbers
        guard fed.allSatisfy(read.contains) else {
            let numbers = report.queues.map { "\($0.number)" }.joined(separator: ", ")
            let wanted = fed.map { "\($0)" }.joined(separator: ", ")
            throw Failure(
                description: "the agent reads queue \(numbers), and the rules feed queue \(wanted): restart the agent, "
                    + "or set queue.flood-numbers")
        }
        return report.queues.reduce(0) { $0 &+ $1.packets }
    }

    /// - Throws: `Failure`, which says what the agent did not do.
    /// - Returns: Whether a packet was seen to arrive; false where no interface could carry one.
    func run(since before: UInt64) throws(Failure) -> Bool {
        let deadline = PendingRollBack.now + Self.patience
        let probe = Probe(policy)
        repeat {
            if try packetsJudged() > before { return true }
            guard probe.send() else { return false }
            usleep(50_000)
        } while PendingRollBack.now <= deadline
        throw Failure(description: "the agent answers, but no packet reached its queues within \(Self.patience) s")
    }

    private func status() throws(Failure) -> StatusReport {
        do {
            let reply = try ControlClient(path: control.path, timeoutSeconds: Self.patience).request(.status)
            guard case .status(let report) = reply else {
                throw Failure(description: "the agent at \(control.path) gave the answer to another question")
            }
            return report
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(description: "\(error)")
        }
    }
}

/// The datagram that the rules must see.
private struct Probe {
    private let from: LocalAddress?

    /// Chooses an interface whose packets are judged.
    init(_ policy: Policy) {
        from = LocalAddress.all().first {
            !$0.isIPv6 && $0.carriesMulticast && !$0.isLoopback && !policy.traits(ofInterface: $0.interface).isIgnored
        }
    }

    /// False where there is no interface to send from.
    func send() -> Bool {
        guard let from else { return false }
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var source = in_addr(s_addr: from.address.v4.bigEndian)
        var zero: UInt8 = 0
        let level = Int32(IPPROTO_IP)
        unsafe setsockopt(descriptor, level, IP_MULTICAST_IF, &source, socklen_t(MemoryLayout<in_addr>.size))
        unsafe setsockopt(descriptor, level, IP_MULTICAST_TTL, &zero, 1)
        unsafe setsockopt(descriptor, level, IP_MULTICAST_LOOP, &zero, 1)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = RulesTrial.port.bigEndian
        address.sin_addr.s_addr = RulesTrial.group.v4.bigEndian
        let length = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe sendto(descriptor, &zero, 1, Int32(MSG_DONTWAIT), address, length)
            }
        }
        return true
    }
}

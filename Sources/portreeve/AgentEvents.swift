// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import EventReader
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import PathProbe
import PolicyFile

/// What an agent writes to its events file from now on, as the path tester asks for it: by the endpoints of the packets, with the
/// places of the rules.
final class AgentEvents: DropSource {
    let settling: Instant.Span
    private let side: AgentDrop.Side
    private let places: [String: String]
    private var reader: LineReader
    private var found: [AgentDrop] = []
    /// Why no more could be read; nil where all was.
    private(set) var fault: ReadError?

    /// How many events are kept; a scan's probes cause a few each.
    private static let limit = 1 << 20

    /// What stands in the file by now is of earlier times.
    init(
        file: String, _ side: AgentDrop.Side, settling: Instant.Span = .seconds(1), places: [String: String] = [:]
    ) throws(ReadError) {
        reader = try LineReader(path: file, isFromEnd: true)
        self.side = side
        self.settling = settling
        self.places = places
    }

    func drops() -> [AgentDrop] {
        do throws(ReadError) {
            while found.count < Self.limit, let line = try reader.next() {
                if let event = LoggedEvent(line: line), let drop = drop(event) { found.append(drop) }
            }
        } catch {
            fault = error
        }
        return found
    }

    /// Nil for an event that is not of packets between two ports.
    private func drop(_ event: LoggedEvent) -> AgentDrop? {
        guard let transport = Transport(rawValue: event.protocolName.lowercased()), let source = event.source?.probed,
            let destination = event.destination?.probed
        else { return nil }
        return AgentDrop(
            side, transport, from: source, to: destination, direction: event.direction, action: event.action,
            reason: event.reason, rule: event.rule, place: event.rule.flatMap { places[$0] },
            count: Int(clamping: event.count))
    }
}

extension LoggedEvent.Endpoint {
    fileprivate var probed: PathProbe.Endpoint? {
        guard let port = port.flatMap({ UInt16(exactly: $0) }) else { return nil }
        return PathProbe.Endpoint(address, isIPv6: isIPv6, port: port)
    }
}

// MARK: - The agent on this host

extension AgentEvents {
    /// Why the agent of this host is not asked.
    enum Absence: Error {
        /// There is none.
        case notRunning
        /// It is there, and cannot be asked.
        case silent(String)
    }

    /// The agent behind a control socket: it says which policy is in force, and that says where its events go and where its rules
    /// stand.
    convenience init(_ control: ControlOptions, _ side: AgentDrop.Side) throws(Absence) {
        let document = try Self.policy(control)
        var places: [String: String] = [:]
        for rule in document.rules { places[rule.name] = "\(rule.position.file):\(rule.position.line)" }
        do throws(ReadError) {
            try self.init(file: document.events.path, side, settling: document.events.fold, places: places)
        } catch {
            throw .silent("its events cannot be read: \(error)")
        }
    }

    private static func policy(_ control: ControlOptions) throws(Absence) -> PolicyDocument {
        // Without an agent a scan needs nothing for asking it.
        guard unsafe access(control.path, F_OK) == 0 || errno != ENOENT else { throw .notRunning }
        let reply: ControlReply
        do throws(ControlError) {
            reply = try ControlClient(path: control.path, timeoutSeconds: 5).request(.status)
        } catch {
            if case .notRunning = error { throw .notRunning }
            throw .silent("\(error)")
        }
        guard case .status(let report) = reply else { throw .silent("it gave the answer to another question") }
        guard let path = report.policy.files.first,
            let document = control.copyInForce(of: path, epoch: report.policy.epoch)?.read().document
        else { throw .silent("its policy in force cannot be read: run this as root") }
        return document
    }
}

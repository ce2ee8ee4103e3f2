// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import Locking
import PacketWire

extension Agent {
    /// One page of the connections: at most this many entries are looked at under a worker's lock.
    private static let entriesPerPage = 512

    /// A position is the worker's place in the high half and the table's index in the low one. After the workers come the
    /// connections that none of them has claimed.
    func connections(_ query: ConnectionQuery) -> ConnectionPage {
        let place = Int(query.after >> 32)
        let index = ConnectionIndex(truncatingIfNeeded: query.after & 0x7fff_ffff)
        let count = min(Agent.entriesPerPage, query.limit)
        var found: [Connection] = []
        var next: ConnectionIndex?
        var queue: UInt16?
        var epochs = PolicyEpochs()
        var obstacles: [FastPathObstacle?] = []
        if place < workers.count {
            queue = workers[place].number
            (next, epochs) = workers[place].engine.withLock { engine in
                let next = engine.connections(from: index, atMost: count, into: &found)
                obstacles = found.map { engine.fastPathObstacle(of: $0) }
                return (next, engine.epochs)
            }
        } else if place == workers.count, let unclaimed = unclaimed.withLock({ $0 }) {
            next = unclaimed.connections(from: index, atMost: count, into: &found)
        }
        let deciding = DecidingRules(epochs, policies.rules, inForce: policies.current.epoch)
        let rows = found.enumerated().map { place, connection in
            var row = ConnectionReport(connection, queue: queue)
            if place < obstacles.count {
                row.fastPath = obstacles[place].map { $0 == .none ? "yes" : "no: \($0.text)" }
            }
            deciding.name(in: &row, for: connection)
            return row
        }.filter { query.filter.admits($0) }
        if let next { return ConnectionPage(rows: rows, next: UInt64(place) << 32 | UInt64(UInt32(bitPattern: next))) }
        return ConnectionPage(rows: rows, next: place < workers.count ? UInt64(place + 1) << 32 : nil)
    }
}

extension ConnectionReport {
    fileprivate init(_ c: Connection, queue: UInt16?) {
        self.init(
            protocolNumber: c.key.protocolNumber, source: c.key.address(of: c.opener),
            destination: c.key.address(of: c.opener.opposite), direction: c.openingDirection, state: c.stage.name)
        isIPv6 = c.key.version == 6
        sourcePortOrIdentifier = c.key.portOrIdentifier(of: c.opener)
        destinationPort = c.key.protocolNumber == IPProtocol.icmp ? 0 : c.key.portOrIdentifier(of: c.opener.opposite)
        idle = max(.zero, Clocks.monotonic() - c.lastSeen)
        age = max(.zero, Clocks.monotonic() - c.openedAt)
        packets = c.trafficOfLow.packets &+ c.trafficOfHigh.packets
        interface = LocalNetwork.name(ofInterface: c.openingInterface) ?? ""
        self.queue = queue
        if c.refusal.isRefused { refusal = DropReason(rawValue: c.refusal.reason) }
    }
}

/// Finds the rule that admitted or refused a connection: the one that its policy had, whatever is in force since.
private struct DecidingRules {
    private let epochs: PolicyEpochs
    private let history: RuleHistory
    /// The policy in force.
    private let inForce: UInt32
    private let namesInForce: Set<String>

    init(_ epochs: PolicyEpochs, _ history: RuleHistory, inForce: UInt32) {
        self.epochs = epochs
        self.history = history
        self.inForce = inForce
        namesInForce = history.names(epoch: inForce)
    }

    func name(in row: inout ConnectionReport, for c: Connection) {
        let (rule, generation) =
            c.refusal.isRefused
            ? (c.refusal.rule, c.generation)
            : (c[decisionOf: c.opener].rule, c[decisionOf: c.opener].generation)
        // Nothing decided since the restart, or no rule did.
        guard rule >= 0, generation > 0 else { return }
        let epoch = epochs[generation: generation]
        guard let epoch, let entry = history.rule(rule, epoch: epoch) else {
            row.rule = DecidingRule(name: nil, place: nil, epoch: epoch, standing: .gone)
            return
        }
        let standing: DecidingRule.Standing =
            epoch == inForce ? .inForce : namesInForce.contains(entry.name) ? .earlier : .gone
        row.rule = DecidingRule(name: entry.name, place: entry.place, epoch: epoch, standing: standing)
    }
}

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
        if place < workers.count {
            queue = workers[place].number
            next = workers[place].engine.withLock { $0.connections(from: index, atMost: count, into: &found) }
        } else if place == workers.count, let unclaimed = unclaimed.withLock({ $0 }) {
            next = unclaimed.connections(from: index, atMost: count, into: &found)
        }
        let rows = found.map { row($0, queue: queue) }.filter { query.filter.admits($0) }
        if let next { return ConnectionPage(rows: rows, next: UInt64(place) << 32 | UInt64(UInt32(bitPattern: next))) }
        return ConnectionPage(rows: rows, next: place < workers.count ? UInt64(place + 1) << 32 : nil)
    }

    private func row(_ c: Connection, queue: UInt16?) -> ConnectionReport {
        var row = ConnectionReport(
            protocolNumber: c.key.protocolNumber, source: c.key.address(of: c.opener),
            destination: c.key.address(of: c.opener.opposite), direction: c.openingDirection, state: c.stage.name)
        row.isIPv6 = c.key.version == 6
        row.sourcePortOrIdentifier = c.key.portOrIdentifier(of: c.opener)
        row.destinationPort =
            c.key.protocolNumber == IPProtocol.icmp ? 0 : c.key.portOrIdentifier(of: c.opener.opposite)
        row.idle = max(.zero, Clocks.monotonic() - c.lastSeen)
        row.age = max(.zero, Clocks.monotonic() - c.openedAt)
        row.packets = c.trafficOfLow.packets &+ c.trafficOfHigh.packets
        row.interface = LocalNetwork.name(ofInterface: c.openingInterface) ?? ""
        row.queue = queue
        let policy = policies.current
        var rule = c[decisionOf: c.opener].rule
        if c.refusal.isRefused {
            row.refusal = DropReason(rawValue: c.refusal.reason)
            rule = c.refusal.rule
        }
        if rule >= 0 && Int(rule) < policy.rules.count { row.rule = policy.rules[Int(rule)].name }
        return row
    }
}

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

    /// A position is the worker's place in the high half and the table's index in the low one.
    func connections(_ query: ConnectionQuery) -> ConnectionPage {
        var place = Int(query.after >> 32)
        var index = ConnectionIndex(truncatingIfNeeded: query.after & 0x7fff_ffff)
        guard place < workers.count else { return ConnectionPage(rows: [], next: nil) }
        var found: [Connection] = []
        workers[place].engine.withLock { engine in
            for _ in 0..<min(Agent.entriesPerPage, query.limit) {
                guard let i = engine.connection(from: index, into: &found) else {
                    index = -1
                    return
                }
                index = i &+ 1
            }
        }
        let rows = found.map { row($0, queue: workers[place].number) }.filter { query.filter.admits($0) }
        if index < 0 {
            place += 1
            index = 0
        }
        let next = place < workers.count ? UInt64(place) << 32 | UInt64(UInt32(bitPattern: index)) : nil
        return ConnectionPage(rows: rows, next: next)
    }

    private func row(_ c: Connection, queue: UInt16) -> ConnectionReport {
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

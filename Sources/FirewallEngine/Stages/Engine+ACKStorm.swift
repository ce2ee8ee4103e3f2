// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// Two hosts that answer each other's acknowledgements without end (`ACKRun`): asked only where the policy sets a threshold.
extension Engine {
    /// Refuses the pure acknowledgement that makes one more equal one than the threshold admits. That the other side gets no
    /// answer ends the storm; the connection goes on, unless the policy has it dropped.
    mutating func ackStorm(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side, _ bytes: RawSpan) -> Finding? {
        guard countACKs(&p, i, side) > hot.ackStormThreshold, p.isSubject(to: .ackStorm) else { return nil }
        let finding = Finding(.maximumACKRetransmit, .ackStorm)
        if hot.dropsStormyConnections, !p.leavesNoTrace, overrides(finding) == nil, !table[i].tcp.phase.isOver {
            explain(&p, finding, bytes)
            table.close(i, at: p.now)
        }
        return finding
    }

    private mutating func countACKs(_ p: inout Inspection, _ i: ConnectionIndex, _ side: Side) -> UInt32 {
        if p.isDisbelieved { return 0 }
        let span = hot.timeouts.ackStorm
        if p.isRehearsal {
            return p.equalACKs ?? table.tryACK(i, p.headers.tcp, from: side, at: p.now, within: span)
        }
        let count = table.takeACK(i, p.headers.tcp, from: side, at: p.now, within: span)
        p.equalACKs = count
        return count
    }
}

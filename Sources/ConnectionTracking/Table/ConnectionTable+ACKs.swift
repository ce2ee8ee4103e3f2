// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// The pure acknowledgements of TCP connections, counted where a policy bounds them (`ACKRun`).
extension ConnectionTable {
    /// Reserves the memory for them, or gives it back: when a policy comes into force, never for a packet.
    public mutating func countACKs(_ isWanted: Bool) {
        guard isWanted != countsACKs else { return }
        countsACKs = isWanted
        acknowledgements = []
        defer { repay() }
        guard isWanted else { return }
        acknowledgements.reserveCapacity(capacity)
        acknowledgements.append(contentsOf: repeatElement(ConnectionACKs(), count: entries.count))
    }

    /// What was counted of a connection; of none where nothing is counted.
    public func acknowledgements(of index: ConnectionIndex) -> ConnectionACKs {
        countsACKs ? acknowledgements[Int(index)] : ConnectionACKs()
    }

    /// Goes on from what another table has counted.
    public mutating func assumeACKs(_ counted: ConnectionACKs, of index: ConnectionIndex) {
        if countsACKs { acknowledgements[Int(index)] = counted }
    }

    /// Takes in a segment that `side` sent, before its step.
    ///
    /// - Returns: how many equal pure acknowledgements there are with it in a row that answer nothing, each within `span` of
    ///   the one before; 0 where it is none.
    public mutating func takeACK(
        _ index: ConnectionIndex, _ s: TCPFields, from side: Side, at now: Instant, within span: Instant.Span
    ) -> UInt32 {
        let state = entries[Int(index)].connection.tcp
        return acknowledgements[Int(index)].take(s, from: side, of: state, at: now, within: span)
    }

    /// What `takeACK` would say; takes nothing in.
    public mutating func tryACK(
        _ index: ConnectionIndex, _ s: TCPFields, from side: Side, at now: Instant, within span: Instant.Span
    ) -> UInt32 {
        var acknowledgements = acknowledgements[Int(index)]
        return acknowledgements.take(
            s, from: side, of: entries[Int(index)].connection.tcp, at: now, within: span)
    }

    /// Ends a connection as a RST of each side would, without one: what brings anything new is of a closed connection.
    public mutating func close(_ index: ConnectionIndex, at now: Instant) {
        entries[Int(index)].connection.tcp.close()
        entries[Int(index)].connection.lastSeen = now
        recordChange(of: index)
    }
}

extension TCPState {
    fileprivate mutating func close() {
        phase = .closed
        low.marks.insert(.reset)
        high.marks.insert(.reset)
    }
}

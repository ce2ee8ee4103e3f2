// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
import FirewallPolicy
public import PacketWire

extension Engine {
    /// Takes in a connection of the run before; its opening is judged by this engine's policy at its next packet. False
    /// where its time is over or the table has no room.
    public mutating func restore(_ connection: Connection, at now: Instant) -> Bool {
        let span = hot.timeouts.span(of: connection.stage)
        guard now - connection.lastSeen < span else {
            noteEnd(of: connection, as: .idle)
            return false
        }
        guard table.find(connection.key, at: now) == nil else { return false }
        var restored = connection
        restored.generation = 0
        restored.refusal.rule = -1
        guard (try? table.insert(restored, at: now)) != nil else {
            noteEnd(of: connection, as: .limit)
            return false
        }
        return true
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallPolicy
import PacketWire

/// Criteria of a listing, ANDed; nil takes everything.
package struct ConnectionFilter: Hashable, Sendable {
    /// IANA number.
    package var protocolNumber: UInt8?
    /// Either side is among these.
    package var addresses: AddressRange?
    /// Either side has this port.
    package var port: UInt16?
    /// As `ConnectionReport.state`.
    package var state: String?
    package var direction: Direction?
    package var refusedOnly = false

    package init() {}

    /// Whether the listing shows it.
    package func admits(_ connection: ConnectionReport) -> Bool {
        if let protocolNumber, connection.protocolNumber != protocolNumber { return false }
        if let direction, connection.direction != direction { return false }
        if refusedOnly, connection.refusal == nil { return false }
        if let port, connection.sourcePortOrIdentifier != port, connection.destinationPort != port { return false }
        if let addresses, !addresses.contains(connection.source), !addresses.contains(connection.destination) {
            return false
        }
        if let state, connection.state != state { return false }
        return true
    }
}

extension AddressRange {
    fileprivate func contains(_ address: IPAddress) -> Bool { first <= address && address <= last }
}

// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallEngine
package import PacketWire

/// One connection as `portreeve connections` shows it. Source is the opener's side.
package struct ConnectionReport: Hashable, Sendable {
    package var isIPv6 = false
    /// IANA number.
    package var protocolNumber: UInt8
    package var source: IPAddress
    package var destination: IPAddress
    /// Ports; for ICMP queries the identifier as the source's and 0 as the destination's.
    package var sourcePortOrIdentifier: UInt16 = 0
    package var destinationPort: UInt16 = 0
    /// Of the opening packet.
    package var direction: Direction
    /// The tracker's name of the state, such as `ESTABLISHED`, in capitals.
    package var state: String
    /// Since the opening, and since the last packet.
    package var age = Instant.Span.zero
    package var idle = Instant.Span.zero
    /// Both directions; 0 where the tracker does not count.
    package var packets: UInt64 = 0
    /// Of the opening packet; empty where unknown.
    package var interface = ""
    /// Why it was refused; nil for an admitted connection.
    package var refusal: DropReason?
    /// What admitted or refused it; nil where no rule did.
    package var rule: DecidingRule?
    /// Number of the worker's queue; nil while no worker has seen a packet of it since the restart.
    package var queue: UInt16?
    /// "yes" where its plain segments pass in the kernel, otherwise why not; nil where there is no fast path.
    package var fastPath: String?

    package init(
        protocolNumber: UInt8, source: IPAddress, destination: IPAddress, direction: Direction, state: String
    ) {
        self.protocolNumber = protocolNumber
        self.source = source
        self.destination = destination
        self.direction = direction
        self.state = state
    }
}

/// The rule that admitted or refused a connection, as it stood in the policy of then.
package struct DecidingRule: Hashable, Sendable {
    package enum Standing: String, CaseIterable, Sendable {
        /// Its policy is in force.
        case inForce = "in-force"
        /// The policy in force has a rule of this name; it has not been asked about the connection.
        case earlier
        /// The policy in force has no rule of this name.
        case gone
    }

    /// Nil where the agent has forgotten the names of its policy.
    package var name: String?
    /// File and line, or "built-in".
    package var place: String?
    /// Of its policy; nil where that is forgotten too.
    package var epoch: UInt32?
    package var standing: Standing

    package init(name: String?, place: String?, epoch: UInt32?, standing: Standing) {
        self.name = name
        self.place = place
        self.epoch = epoch
        self.standing = standing
    }
}

/// Which connections to list, and from where on.
package struct ConnectionQuery: Hashable, Sendable {
    package var filter = ConnectionFilter()
    /// `ConnectionPage.next` of the page before; 0 begins.
    package var after: UInt64 = 0
    /// Rows wanted at most, 1 … `ControlProtocol.rowLimit`.
    package var limit = ControlProtocol.rowLimit

    package init() {}
}

/// A part of the list. A page may be empty although more follow: the agent looks through a bounded piece of its tables at
/// a time, so that no worker waits for a listing.
package struct ConnectionPage: Hashable, Sendable {
    package var rows: [ConnectionReport]
    /// Where the next page begins, in the agent's own numbering; nil at the end.
    package var next: UInt64?

    package init(rows: [ConnectionReport], next: UInt64?) {
        self.rows = rows
        self.next = next
    }
}

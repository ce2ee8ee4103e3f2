// SPDX-License-Identifier: GPL-3.0-or-later

/// What keeps a direction of a connection from passing in the kernel, where its segments would be held against the same windows.
public enum FastPathObstacle: UInt8, Sendable, CaseIterable {
    /// None that the last packet has shown.
    case none
    /// No packet has been looked at for it yet.
    case unasked
    /// It opens or closes, was taken over in mid-stream, or bytes are on their way that were not seen; of datagrams, no more than a
    /// question and its answers were exchanged; of echoes, no answer came.
    case unsteady
    /// Each packet is seen twice.
    case loopback
    /// The agent's own.
    case ownTraffic
    /// Refused, and passed all the same.
    case refused
    /// A rule lets it by without its state, or tells of each packet.
    case rule
    /// Rules of this direction look at what the program does not see: MAC addresses, or the outgoing interface.
    case unseenByProgram
    /// Rules of this direction look at flags, and have not been asked about those of plain segments.
    case flags
    /// The policy has every checksum verified.
    case checksums
    /// The policy has its bytes read: commands of FTP, or what is sent again.
    case payload
    /// The policy has each packet's source held against what may change: this host's addresses, or its routes.
    case origin
    /// Sent to a multicast or broadcast address, where datagrams of more than one sender may claim to be of it.
    case group
    /// The policy bounds acknowledgements in a row, which the program does not count.
    case acknowledgements
    /// A query of ICMP that is no echo.
    case kind
    /// A Bypass rule with `offload` has the kernel pass the other direction's packets, and nothing is known of them.
    case bypassed
    /// All places are taken, or the one that it has left may not be left by every processor yet.
    case room
    /// Rules look at who sends, and datagrams of the same endpoints may be of others.
    case sender

    /// In a few words, for an administrator.
    public var text: String {
        switch self {
        case .none: "none"
        case .unasked: "no packet since"
        case .unsteady: "not steady"
        case .loopback: "loopback"
        case .ownTraffic: "the agent's own"
        case .refused: "refused"
        case .rule: "its rule needs its packets"
        case .unseenByProgram: "rules look at MAC addresses or the outgoing interface"
        case .flags: "rules look at flags"
        case .checksums: "checksums are verified"
        case .payload: "its bytes are read"
        case .origin: "sources are held against routes and own addresses"
        case .group: "sent to a group"
        case .acknowledgements: "acknowledgements are counted"
        case .kind: "no echo"
        case .room: "no room"
        case .bypassed: "a rule offloads its other direction"
        case .sender: "rules look at who sends"
        }
    }
}

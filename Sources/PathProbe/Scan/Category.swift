// SPDX-License-Identifier: GPL-3.0-or-later

/// What became of a probe: the eight categories of Firebind's Reflector under its names, `open`, and what is no verdict on the
/// path.
package enum Category: String, Sendable, CaseIterable {
    case open
    case handshakeInit = "handshake_init"
    case handshakeTimeout = "handshake_timeout"
    case handshakeRefused = "handshake_refused"
    case payloadSend = "payload_send"
    case payloadRefused = "payload_refused"
    case payloadTimeout = "payload_timeout"
    case payloadMismatch = "payload_mismatch"
    case payloadError = "payload_error"
    /// This host could not send the probe. Says nothing about the path.
    case localResource = "local_resource"
    /// Not probed: the reflector cannot listen there, or the scan was ended before.
    case skipped

    /// As the vendor writes it.
    package var title: String {
        switch self {
        case .open: "Open"
        case .handshakeInit: "Handshake Connection Initiation Failure"
        case .handshakeTimeout: "Handshake Connection Timed Out"
        case .handshakeRefused: "Handshake Connection Refused"
        case .payloadSend: "Payload Send Failure"
        case .payloadRefused: "Payload Receive Refused"
        case .payloadTimeout: "Payload Receive Time Out"
        case .payloadMismatch: "Payload Receive Mismatch"
        case .payloadError: "Payload Receive Error"
        case .localResource: "Local Resource"
        case .skipped: "Skipped"
        }
    }

    /// Firescan's result code.
    package var code: Int {
        switch self {
        case .open: 12_110
        case .handshakeInit: 12_150
        case .handshakeTimeout: 12_151
        case .handshakeRefused: 12_152
        case .payloadSend: 12_154
        case .payloadTimeout: 12_155
        case .payloadRefused: 12_156
        case .payloadMismatch: 12_157
        case .payloadError: 12_158
        case .localResource: 12_112
        case .skipped: 12_020
        }
    }

    /// Whether the vendor has it for the protocol: a datagram shakes no hands.
    package func applies(to transport: Transport) -> Bool {
        switch self {
        case .handshakeInit, .handshakeTimeout, .handshakeRefused: transport == .tcp
        default: true
        }
    }

    /// Whether nothing came back, so that a repetition may tell more.
    package var isSilence: Bool { self == .handshakeTimeout || self == .payloadTimeout }
    /// Whether something was found out about the path.
    package var isVerdict: Bool { self != .localResource && self != .skipped }
}

/// What exactly was seen.
package enum Detail: Hashable, Sendable {
    /// `open`: the answer came that only the reflector can make; the script was played to its end; there was a handshake, and
    /// no reflector to say more;
    /// something answered a datagram, and it is not known what.
    case answered, played, connected, replied

    // Before a packet left.
    case fault(SystemFault)
    case noRoute, unreachableRoute, blackholeRoute, familyUnsupported, networkDown, localPolicy
    /// This host's own packet filter refused, or nobody answered for the next hop's address.
    case localReject, neighbourUnresolved

    // While the handshake was awaited, or a datagram's answer.
    case reset
    case portUnreachable(byTarget: Bool)
    case filtered, unreachable, hopsExceeded
    case unexpected(SystemFault)
    case segmentsSent(Int)
    case copiesSent(Int)

    // After the handshake.
    case resetWhileSending, resetWhileReceiving
    case softError
    case unacknowledged, acknowledged, stalled
    case mismatch(offset: Int)
    case wrongSource
    case truncatedByEnd, truncatedByReset, truncatedByTime
    case closed

    /// `skipped`: the reflector's reason, or that the scan was ended.
    case refusedByReflector(String)
    case notReached

    /// The word that scripts and tests compare.
    package var text: String {
        switch self {
        case .answered: "answered"
        case .played: "played"
        case .connected: "connected"
        case .replied: "replied"
        case .fault(let fault): fault.name
        case .noRoute: "no_route"
        case .unreachableRoute: "unreachable_route"
        case .blackholeRoute: "blackhole_route"
        case .familyUnsupported: "family_unsupported"
        case .networkDown: "network_down"
        case .localPolicy: "local_policy"
        case .localReject: "local_reject"
        case .neighbourUnresolved: "neighbour_unresolved"
        case .reset: "rst"
        case .portUnreachable(let byTarget): byTarget ? "icmp_port_target" : "icmp_port"
        case .filtered: "icmp_filtered"
        case .unreachable: "icmp_unreachable"
        case .hopsExceeded: "ttl_exceeded"
        case .unexpected(let fault): "errno_\(fault.name)"
        case .segmentsSent(let count): "syn_sent=\(count)"
        case .copiesSent(let count): "copies=\(count)"
        case .resetWhileSending: "rst at=send"
        case .resetWhileReceiving: "rst at=recv"
        case .softError: "icmp_soft"
        case .unacknowledged: "unacked"
        case .acknowledged: "acked"
        case .stalled: "stalled"
        case .mismatch(let offset): "offset=\(offset)"
        case .wrongSource: "wrong_source"
        case .truncatedByEnd: "truncated_fin"
        case .truncatedByReset: "truncated_rst"
        case .truncatedByTime: "truncated_timeout"
        case .closed: "closed"
        case .refusedByReflector(let reason): "reflector_\(reason)"
        case .notReached: "not_reached"
        }
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

internal import Glibc

/// From what the kernel reports to a category and a detail: the table, and nothing else. `isOwn` says whether an address is
/// one of this host's.
enum Classifier {
    typealias Verdict = (category: Category, detail: Detail)

    /// Before a packet left: making, binding or connecting a socket failed. Lack of something here says nothing about the
    /// path.
    static func local(_ fault: SystemFault, _ transport: Transport) -> Verdict {
        if isResource(fault) { return (.localResource, .fault(fault)) }
        return (transport == .tcp ? .handshakeInit : .payloadSend, refusal(fault) ?? .fault(fault))
    }

    static func isResource(_ fault: SystemFault) -> Bool {
        [EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL, EADDRINUSE].contains(fault.number)
    }

    /// Why this host does not send there.
    private static func refusal(_ fault: SystemFault) -> Detail? {
        switch fault.number {
        case ENETUNREACH: .noRoute
        case EHOSTUNREACH: .unreachableRoute
        case EINVAL: .blackholeRoute
        case EAFNOSUPPORT: .familyUnsupported
        case ENETDOWN: .networkDown
        case EPERM, EACCES: .localPolicy
        default: nil
        }
    }

    /// An error that arrived while the handshake was awaited.
    static func handshake(
        _ fault: SystemFault, _ icmp: ICMPEvidence?, target: Endpoint, isOwn: (Endpoint) -> Bool
    ) -> Verdict {
        if fault.number == ETIMEDOUT { return (.handshakeTimeout, .segmentsSent(0)) }
        // A reset that answers a SYN is ECONNREFUSED: this one came after the handshake, before anybody looked.
        if fault.number == ECONNRESET { return (.payloadRefused, .resetWhileSending) }
        guard let icmp else {
            return (.handshakeRefused, fault.number == ECONNREFUSED ? .reset : .unexpected(fault))
        }
        if let own = own(icmp, target: target, isOwn) { return (.handshakeInit, own) }
        return (.handshakeRefused, message(icmp, fault, target: target))
    }

    /// An error of a datagram that was sent.
    static func datagram(
        _ fault: SystemFault, _ icmp: ICMPEvidence?, target: Endpoint, isOwn: (Endpoint) -> Bool
    ) -> Verdict {
        guard let icmp else { return (.payloadError, .unexpected(fault)) }
        if let own = own(icmp, target: target, isOwn) { return (.payloadSend, own) }
        return (.payloadRefused, message(icmp, fault, target: target))
    }

    /// A message of this host itself: its packet filter, or its search for a neighbour. That a target is this host too says
    /// nothing.
    private static func own(_ icmp: ICMPEvidence, target: Endpoint, _ isOwn: (Endpoint) -> Bool) -> Detail? {
        guard let offender = icmp.offender, isOwn(offender), offender.address != target.address else { return nil }
        let isNeighbour = icmp.version == 4 ? icmp.type == 3 && icmp.code == 1 : icmp.type == 1 && icmp.code == 3
        return isNeighbour ? .neighbourUnresolved : .localReject
    }

    private static func message(_ icmp: ICMPEvidence, _ fault: SystemFault, target: Endpoint) -> Detail {
        if icmp.isPortUnreachable { return .portUnreachable(byTarget: icmp.offender?.address == target.address) }
        if icmp.isFiltering { return .filtered }
        if icmp.isUnreachable { return .unreachable }
        return icmp.isTimeExceeded ? .hopsExceeded : .unexpected(fault)
    }

    /// A failed call while a payload was sent, which came from no other host.
    static func sending(_ fault: SystemFault, _ transport: Transport) -> Verdict {
        if transport == .udp {
            if isResource(fault) { return (.localResource, .fault(fault)) }
            return (.payloadSend, refusal(fault) ?? .fault(fault))
        }
        return (.payloadSend, fault.number == EPERM || fault.number == EACCES ? .localPolicy : .fault(fault))
    }

    /// The first error after the handshake; nil for one that is no result. `isSending`: bytes were still to go out.
    static func established(_ fault: SystemFault, isSending: Bool, hasAnswer: Bool) -> Verdict? {
        switch fault.number {
        case ECONNRESET, EPIPE:
            if hasAnswer { return (.payloadError, .truncatedByReset) }
            return (.payloadRefused, isSending ? .resetWhileSending : .resetWhileReceiving)
        case EHOSTUNREACH, ENETUNREACH, EACCES, ENOPROTOOPT, ECONNREFUSED, EPROTO: return (.payloadRefused, .softError)
        case ETIMEDOUT: return nil
        default: return (.payloadError, .unexpected(fault))
        }
    }

    /// Nothing more came in time.
    static func deadline(unsent: Int, hasAnswer: Bool, isAcknowledged: Bool) -> Verdict {
        if unsent > 0 { return (.payloadSend, .stalled) }
        if hasAnswer { return (.payloadError, .truncatedByTime) }
        return (.payloadTimeout, isAcknowledged ? .acknowledged : .unacknowledged)
    }

    /// The other end closed.
    static func end(hasAnswer: Bool) -> Verdict { (.payloadError, hasAnswer ? .truncatedByEnd : .closed) }
}

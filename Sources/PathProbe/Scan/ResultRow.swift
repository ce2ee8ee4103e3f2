// SPDX-License-Identifier: GPL-3.0-or-later

internal import AgentControl

/// One kind of result: a category with a detail, over which protocols it can come, and what it is a sign of. The manual page
/// and `portreeve scan --categories` are made of these, and a live test provokes each of them.
package struct ResultRow: Sendable {
    package var category: Category
    /// As results have it; numbers and errno's symbols stand as N, K and NAME.
    package var detail: String
    package var transports: [Transport]
    package var meaning: String

    private init(_ category: Category, _ detail: String, _ transports: [Transport], _ meaning: String) {
        self.category = category
        self.detail = detail
        self.transports = transports
        self.meaning = meaning
    }

    package var json: String {
        let value: JSONValue = [
            "category": .text(category.rawValue), "title": .text(category.title), "code": .count(category.code),
            "detail": .text(detail), "protocols": .list(transports.map { .text($0.rawValue) }),
            "meaning": .text(meaning),
        ]
        return value.printed
    }

    package static let all: [ResultRow] = open + handshake + datagrams + payload + noVerdict

    private static let open: [ResultRow] = [
        ResultRow(.open, "answered", "the answer came that only the reflector can make"),
        ResultRow(.open, "played", "each message of a payload sequence came as it was sent, both ways"),
        ResultRow(.open, "connected", [.tcp], "a handshake was completed; without a reflector it is not known by whom"),
        ResultRow(.open, "replied", [.udp], "a datagram came back; without a reflector it is not known from what"),
    ]

    private static let handshake: [ResultRow] = [
        ResultRow(.handshakeInit, "no_route", [.tcp], "this host has no route there"),
        ResultRow(.handshakeInit, "unreachable_route", [.tcp], "a route of this host says unreachable"),
        ResultRow(
            .handshakeInit, "blackhole_route", [.tcp], "a route of this host drops, or the address cannot be sent to"),
        ResultRow(.handshakeInit, "family_unsupported", [.tcp], "this host does not have the family of the address"),
        ResultRow(.handshakeInit, "network_down", [.tcp], "this host's network is down"),
        ResultRow(.handshakeInit, "local_policy", [.tcp], "a prohibiting route, or a policy of this host, forbids it"),
        ResultRow(.handshakeInit, "local_reject", [.tcp], "this host's own packet filter rejects it"),
        ResultRow(.handshakeInit, "neighbour_unresolved", [.tcp], "nobody answers for the address of the next hop"),
        ResultRow(.handshakeRefused, "rst", [.tcp], "a reset, by the target or something before it"),
        ResultRow(.handshakeRefused, "icmp_port", [.tcp], "port unreachable, said by a device on the way"),
        ResultRow(.handshakeRefused, "icmp_port_target", [.tcp], "port unreachable, said in the target's name"),
        ResultRow(.handshakeRefused, "icmp_filtered", [.tcp], "administratively prohibited, said by a device"),
        ResultRow(.handshakeRefused, "icmp_unreachable", [.tcp], "unreachable, said by a device: routing, or a filter"),
        ResultRow(.handshakeRefused, "ttl_exceeded", [.tcp], "too many hops, said by a device: a routing loop"),
        ResultRow(.handshakeRefused, "errno_NAME", [.tcp], "another error while the handshake was awaited"),
        ResultRow(.handshakeTimeout, "syn_sent=N", [.tcp], "nothing came back to N SYNs"),
    ]

    private static let datagrams: [ResultRow] = [
        ResultRow(.payloadSend, "no_route", [.udp], "this host has no route there"),
        ResultRow(.payloadSend, "unreachable_route", [.udp], "a route of this host says unreachable"),
        ResultRow(
            .payloadSend, "blackhole_route", [.udp], "a route of this host drops, or the address cannot be sent to"),
        ResultRow(.payloadSend, "family_unsupported", [.udp], "this host does not have the family of the address"),
        ResultRow(.payloadSend, "network_down", [.udp], "this host's network is down"),
        ResultRow(.payloadSend, "neighbour_unresolved", [.udp], "nobody answers for the address of the next hop"),
        ResultRow(.payloadRefused, "icmp_port", [.udp], "port unreachable, said by a device on the way"),
        ResultRow(.payloadRefused, "icmp_port_target", [.udp], "port unreachable, said in the target's name"),
        ResultRow(.payloadRefused, "icmp_filtered", [.udp], "administratively prohibited, said by a device"),
        ResultRow(.payloadRefused, "icmp_unreachable", [.udp], "unreachable, said by a device: routing, or a filter"),
        ResultRow(.payloadRefused, "ttl_exceeded", [.udp], "too many hops, said by a device: a routing loop"),
        ResultRow(.payloadRefused, "errno_NAME", [.udp], "another ICMP error"),
        ResultRow(
            .payloadTimeout, "copies=N", [.udp], "nothing came back to N datagrams: dropped, lost, or refused silently"),
        ResultRow(.payloadMismatch, "wrong_source", [.udp], "the right answer, from another address or port"),
    ]

    private static let payload: [ResultRow] = [
        ResultRow(.payloadSend, "local_policy", "a policy or packet filter of this host forbids sending"),
        ResultRow(.payloadSend, "NAME", "this host failed to send"),
        ResultRow(.payloadSend, "stalled", [.tcp], "the other end took the connection, and then no more bytes"),
        ResultRow(.payloadRefused, "rst at=send", [.tcp], "a reset while the payload was being sent"),
        ResultRow(.payloadRefused, "rst at=recv", [.tcp], "a reset when the payload had been sent"),
        ResultRow(.payloadRefused, "icmp_soft", [.tcp], "an ICMP error about what followed the handshake"),
        ResultRow(.payloadTimeout, "unacked", [.tcp], "the payload was not acknowledged"),
        ResultRow(.payloadTimeout, "acked", [.tcp], "the payload was acknowledged, and not answered"),
        ResultRow(.payloadMismatch, "offset=K", "other bytes, from the K-th on"),
        ResultRow(.payloadError, "closed", [.tcp], "the connection was closed without a byte"),
        ResultRow(.payloadError, "truncated_fin", [.tcp], "a part of the answer, then the end"),
        ResultRow(.payloadError, "truncated_rst", [.tcp], "a part of the answer, then a reset"),
        ResultRow(.payloadError, "truncated_timeout", [.tcp], "a part of the answer, then nothing"),
        ResultRow(.payloadError, "errno_NAME", "another error while the answer was awaited"),
    ]

    private static let noVerdict: [ResultRow] = [
        ResultRow(.localResource, "NAME", "this host lacks descriptors, memory, ports or the address to send from"),
        ResultRow(.skipped, "reflector_NAME", "the reflector cannot listen on this port"),
        ResultRow(.skipped, "not_reached", "the scan ended before"),
    ]
}

extension ResultRow {
    private init(_ category: Category, _ detail: String, _ meaning: String) {
        self.init(category, detail, [.tcp, .udp], meaning)
    }
}

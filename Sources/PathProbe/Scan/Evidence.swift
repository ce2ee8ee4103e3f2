// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// An ICMP message that spoke of a probe.
package struct ICMPEvidence: Hashable, Sendable {
    /// 4 or 6.
    package var version: Int
    package var type: UInt8
    package var code: UInt8
    /// Who sent it.
    package var offender: Endpoint?
    /// What would fit, where it says that a packet was too large (RFC 1191 section 4, RFC 4443 section 3.2).
    package var mtu: UInt32?

    package init(version: Int, type: UInt8, code: UInt8, offender: Endpoint?) {
        self.version = version
        self.type = type
        self.code = code
        self.offender = offender
    }

    /// What a packet filter sends to say that it is one, or a router by order of its administrator (RFC 1812 section
    /// 5.2.7.1, RFC 4443 section 3.1).
    var isFiltering: Bool {
        version == 4 ? type == 3 && [9, 10, 13].contains(code) : type == 1 && [1, 5, 6].contains(code)
    }

    var isPortUnreachable: Bool { version == 4 ? type == 3 && code == 3 : type == 1 && code == 4 }
    var isUnreachable: Bool { version == 4 ? type == 3 : type == 1 }
    var isTimeExceeded: Bool { version == 4 ? type == 11 : type == 3 }
}

/// What a finding rests on.
package struct Evidence: Hashable, Sendable {
    package enum Phase: String, Sendable { case local, connect, payload }

    package var phase = Phase.local
    /// The first errno value that was seen.
    package var fault: SystemFault?
    package var icmp: ICMPEvidence?
    /// What this host's own link takes, where a packet was too large for it.
    package var linkMTU: UInt32?
    /// How long a connection was silent after its handshake, on purpose.
    package var silence: Instant.Span?
    /// SYNs, or datagrams, that were sent.
    package var sent = 0
    package var bytesSent = 0
    /// Bytes of the payload that the other end's TCP acknowledged.
    package var bytesAcknowledged = 0
    package var bytesReceived = 0
    package var retransmissions = 0
    /// Of a mismatch: what came, 256 bytes at most.
    package var firstBytes: [UInt8] = []
    /// What probably answered, by its first bytes.
    package var guess: String?
    /// Where an answer came from, if not from the target.
    package var from: Endpoint?
    /// An ICMP error came first, and then the answer.
    package var isFlapping = false
    /// What its SYN offered.
    package var offered: OfferedOpening?
    package var handshake: Instant.Span?
    package var answer: Instant.Span?
    package var duration = Instant.Span.zero

    package init() {}
}

/// A verdict on one probe from the client's side.
package struct ProbeFinding: Hashable, Sendable {
    package var category: Category
    package var detail: Detail
    package var evidence: Evidence

    package init(_ category: Category, _ detail: Detail, _ evidence: Evidence = Evidence()) {
        self.category = category
        self.detail = detail
        self.evidence = evidence
    }
}

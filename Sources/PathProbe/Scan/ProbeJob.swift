// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// One probe: where it goes and what it says.
package struct ProbeJob: Sendable {
    package enum Payload: Hashable, Sendable {
        /// Of so many bytes, with the session's key.
        case keyed(length: Int)
        case script(PayloadScript)
        /// Bytes that the reflector answers with as many others, which only it can make (32 at most).
        case bytes([UInt8])
        /// No reflector is there: a handshake, or a datagram of so many bytes that only an ICMP error can answer.
        case none(length: Int)
    }

    /// Unique in its scan; the reflector's records are in this order.
    package var number: Int
    package var transport: Transport
    package var target: Endpoint
    /// The address to send from; the kernel's choice where it is nil.
    package var source: Endpoint?
    package var payload: Payload
    package var deadlines: ProbeDeadlines
    /// How many routers it may pass, and one more; the kernel's choice where it is nil.
    package var hopLimit: UInt8?
    /// Whether nobody on the way may take its datagrams apart, nor the answers to them.
    package var isWhole = false
    /// DSCP and ECN of its packets; of connections the kernel sets ECN by itself.
    package var trafficClass: UInt8 = 0

    package init(
        number: Int, _ transport: Transport, to target: Endpoint, from source: Endpoint? = nil, _ payload: Payload,
        _ deadlines: ProbeDeadlines
    ) {
        self.number = number
        self.transport = transport
        self.target = target
        self.source = source
        self.payload = payload
        self.deadlines = deadlines
    }
}

/// How long each phase of a probe may take.
package struct ProbeDeadlines: Hashable, Sendable {
    package var connect: Instant.Span
    package var send: Instant.Span
    package var receive: Instant.Span
    /// How long a connection stays silent once its handshake is done, before it says anything.
    package var rest = Instant.Span.zero

    /// `-i MS`: for connecting and for receiving, as in Firescan; two fifths of it for sending.
    package init(_ span: Instant.Span) {
        connect = span
        send = Instant.Span(nanoseconds: span.nanoseconds / 5 * 2)
        receive = span
    }

    /// What a probe takes at most.
    package func total(_ transport: Transport) -> Instant.Span {
        guard transport == .tcp else { return receive }
        return Instant.Span(
            nanoseconds: connect.nanoseconds + rest.nanoseconds + send.nanoseconds + receive.nanoseconds)
    }
}

/// What a probe left behind.
package struct ProbeOutcome: Sendable {
    package var job: ProbeJob
    package var finding: ProbeFinding
    /// Address and port that it was sent from.
    package var local: Endpoint?
    /// 0 for the first; higher ones repeat what nothing came back from.
    package var attempt: Int
    /// Addresses and ports of all its attempts.
    package var earlier: [Endpoint] = []
    package var origins: [Endpoint] { earlier + (local.map { [$0] } ?? []) }

    package init(job: ProbeJob, finding: ProbeFinding, local: Endpoint?, attempt: Int) {
        self.job = job
        self.finding = finding
        self.local = local
        self.attempt = attempt
    }

    /// Whether a repetition that met silence again tells nothing new: a handshake that was completed once was not always
    /// dropped.
    func saysMore(than repetition: ProbeOutcome) -> Bool {
        guard repetition.finding.category.isSilence else { return false }
        return finding.category != .handshakeTimeout || repetition.finding.category == .handshakeTimeout
    }
}

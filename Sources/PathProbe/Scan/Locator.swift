// SPDX-License-Identifier: GPL-3.0-or-later

internal import PacketWire

/// Up to where a failing probe comes, by probes of rising time to live (RFC 1812 section 5.3.1, RFC 8200 section 3).
package enum HopLocation: Hashable, Sendable {
    /// A router on the way, or the target, counted from 1.
    package struct Hop: Hashable, Sendable {
        package var number: Int
        /// Nil where it never says.
        package var address: Endpoint?

        var text: String { "hop \(number)" + (address.map { " (\($0.host))" } ?? "") }
    }

    /// The hop that answered last, nil where none did, and the first that did not.
    case between(Hop?, Hop)
    /// The refusal came already from a probe that went no further than this hop, and not from its router as such.
    case refusedAt(Hop, isTarget: Bool)
    /// TCP tells hops only before the handshake is done.
    case unknown
    /// More probes failed than are looked at.
    case leftOut

    package var text: String {
        switch self {
        case .between(let last?, let next):
            "\(last.text) answered last, \(next.text) did not: dropped by the one after its look at the hop limit, or by "
                + "what comes next"
        case .between(nil, let next): "not even \(next.text) answered"
        case .refusedAt(let hop, isTarget: true): "refused at \(hop.text), where the target is"
        case .refusedAt(let hop, isTarget: false): "refused at \(hop.text), before the target"
        case .unknown: "hop unknown: TCP tells it only before the handshake is done"
        case .leftOut: "hop not looked for: \(Locator.most) failing probes are looked at"
        }
    }
}

/// Looks for the hop that blocks, after a scan: for each failing probe the same again with every hop limit at once, and once more
/// for a port that is open, to know the way. Routers send few ICMP errors in a second, so one port has its turn after the other.
final class Locator {
    /// Failing probes that are looked at.
    static let most = 16
    /// Longer than it takes TCP to send a lost SYN again (RFC 6298 section 2.1).
    private static let patience = Instant.Span.milliseconds(2_500)
    private static let farthest = 30
    private static let farthestUnknown = 12

    private let context: ProbeContext
    private let pacer = Pacer(perSecond: 1_000)
    private var ways: [Endpoint: Way] = [:]
    private let isEnded: () -> Bool

    /// The routers to a target, by their numbers, and how far it is.
    private struct Way {
        var routers: [Int: Endpoint] = [:]
        var distance: Int?
    }

    init(_ context: ProbeContext, isEnded: @escaping () -> Bool) {
        self.context = context
        self.isEnded = isEnded
    }

    /// By the numbers of the probes.
    func locate(_ outcomes: [ProbeOutcome]) throws(SystemFault) -> [Int: HopLocation] {
        var found: [Int: HopLocation] = [:]
        var looked = 0
        for outcome in outcomes where outcome.finding.category != .open && outcome.finding.category.isVerdict {
            guard outcome.finding.evidence.phase != .local, !outcome.job.isWhole, !isEnded() else { continue }
            let isBefore = outcome.job.transport == .udp || outcome.finding.evidence.phase == .connect
            guard isBefore else {
                found[outcome.job.number] = .unknown
                continue
            }
            guard looked < Self.most else {
                found[outcome.job.number] = .leftOut
                continue
            }
            looked += 1
            let way = try way(to: outcome.job.target, outcomes)
            found[outcome.job.number] = try locate(outcome.job, way)
        }
        return found
    }

    private func locate(_ job: ProbeJob, _ way: Way) throws(SystemFault) -> HopLocation? {
        let results = try probe(job, upTo: way.distance ?? Self.farthestUnknown)
        var last: HopLocation.Hop?
        for (number, finding) in results.sorted(by: { $0.key < $1.key }) {
            if finding.detail == .hopsExceeded {
                last = HopLocation.Hop(number: number, address: finding.evidence.icmp?.offender)
            } else if finding.category == .handshakeRefused || finding.category == .payloadRefused {
                let address = finding.evidence.icmp?.offender ?? address(of: number, job.target, way)
                return .refusedAt(
                    HopLocation.Hop(number: number, address: address), isTarget: number == way.distance)
            } else if finding.category == .open {
                // It passes now.
                return nil
            }
        }
        let next = (last?.number ?? 0) + 1
        return .between(last, HopLocation.Hop(number: next, address: address(of: next, job.target, way)))
    }

    private func address(of number: Int, _ target: Endpoint, _ way: Way) -> Endpoint? {
        number == way.distance ? target.with(port: 0) : way.routers[number]
    }

    /// As a port that is open shows it; nothing is known of a target without one.
    private func way(to target: Endpoint, _ outcomes: [ProbeOutcome]) throws(SystemFault) -> Way {
        let host = target.with(port: 0)
        if let known = ways[host] { return known }
        var way = Way()
        let open = outcomes.first {
            $0.finding.category == .open && $0.job.transport == .tcp && $0.job.target.with(port: 0) == host
        }
        if let open {
            for (number, finding) in try probe(open.job, upTo: Self.farthest) {
                if finding.detail == .hopsExceeded { way.routers[number] = finding.evidence.icmp?.offender }
                if finding.category == .open { way.distance = min(way.distance ?? number, number) }
            }
        }
        ways[host] = way
        return way
    }

    /// The probe's opening with each hop limit; by hop limit.
    private func probe(_ job: ProbeJob, upTo limit: Int) throws(SystemFault) -> [Int: ProbeFinding] {
        var results: [Int: ProbeFinding] = [:]
        for hops in 1...limit {
            var job = job
            job.payload = .none(length: 0)
            job.hopLimit = UInt8(hops)
            job.deadlines = ProbeDeadlines(Self.patience)
            let finished: (ProbeOutcome) -> Void = { results[hops] = $0.finding }
            if job.transport == .tcp {
                TCPProbe(job, attempt: 0, in: context, finished: finished).start(at: Poller.now)
            } else {
                UDPProbe(job, attempt: 0, in: context, pacer, finished: finished).start(at: Poller.now)
            }
        }
        let end = Poller.now + Self.patience + .seconds(2)
        while results.count < limit, Poller.now < end, !isEnded() { try context.poller.turn(until: end) }
        return results
    }
}

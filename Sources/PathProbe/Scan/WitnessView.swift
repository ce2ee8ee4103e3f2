// SPDX-License-Identifier: GPL-3.0-or-later

internal import PacketWire

/// What the reflector says about one probe.
package enum WitnessView: Hashable, Sendable {
    /// There is no reflector, or it could not be asked.
    case absent
    /// No connection was accepted and no datagram received that could be the probe's.
    case nothing
    case seen(WitnessRecord)
    /// Something without the payload came from the probe's own address and port, or, where that is not certain, something
    /// alone at its port.
    case stranger(Stranger, isCertain: Bool)
}

extension ScanResult {
    /// Views of all outcomes, in their order.
    package var witnesses: [WitnessView] {
        guard !records.isEmpty else { return outcomes.map { _ in .absent } }
        var byPort: [StrangerKey: [Stranger]] = [:]
        for stranger in strangers {
            byPort[StrangerKey(transport: stranger.transport, port: stranger.port), default: []].append(stranger)
        }
        return outcomes.map { outcome in
            guard outcome.finding.category.isVerdict, records.indices.contains(outcome.job.number) else {
                return .absent
            }
            let record = records[outcome.job.number]
            if record.marks.contains(.arrived) { return .seen(record) }
            let key = StrangerKey(transport: outcome.job.transport, port: outcome.job.target.port)
            let candidates = byPort[key] ?? []
            if let own = candidates.first(where: { $0.peer == outcome.local }) {
                return .stranger(own, isCertain: true)
            }
            return candidates.count == 1 ? .stranger(candidates[0], isCertain: false) : .nothing
        }
    }

    private struct StrangerKey: Hashable {
        var transport: Transport
        var port: UInt16
    }

    /// What the reflector's host saw of the probe's SYNs, the last attempt's first. Behind a translation the port alone tells,
    /// where nobody else knocked at it.
    package func opening(of outcome: ProbeOutcome) -> OpeningView {
        guard outcome.job.transport == .tcp, outcome.finding.category.isVerdict, let sightings,
            !outcome.origins.isEmpty, outcome.finding.evidence.phase != .local
        else { return .unknown }
        let knocks = sightings.filter {
            $0.port == outcome.job.target.port && $0.peer.isIPv6 == outcome.job.target.isIPv6
        }
        for origin in outcome.origins.reversed() {
            let own = knocks.first { $0.peer.address == origin.address && $0.peer.port == origin.port }
            if let own { return .seen(own) }
        }
        guard let one = knocks.first else { return areSightingsComplete ? .notSeen : .unknown }
        // Anybody may knock: only an address from which a proven probe of this scan came is a translation's.
        guard knocks.allSatisfy({ provenAddresses.contains($0.peer.address) }) else { return .unknown }
        return knocks.count <= outcome.origins.count ? .seen(one) : .unknown
    }

    private var provenAddresses: Set<IPAddress> {
        Set(records.filter { $0.marks.contains(.proven) }.compactMap { $0.peer?.address })
    }

    /// Whether the silence of a probe may be the reflector's fault rather than the path's.
    package func isUnreliable(_ outcome: ProbeOutcome) -> Bool {
        guard let counters, counters.isOverloaded else { return false }
        return outcome.finding.category.isSilence
    }
}

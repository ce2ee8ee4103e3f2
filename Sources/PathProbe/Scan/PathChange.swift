// SPDX-License-Identifier: GPL-3.0-or-later

internal import AgentControl

/// What a device on the way has made of a probe, as the client's kernel sent it and the reflector's host saw it.
package enum PathChange: Hashable, Sendable {
    /// The sender's address, or its port, is another there.
    case source(Endpoint, Endpoint)
    /// The largest segment that the SYN offers (RFC 9293 section 3.7.1).
    case segmentSize(UInt16, UInt16)
    case removed(Feature)
    /// The differentiated services field (RFC 2474).
    case dscp(UInt8, UInt8)
    /// A datagram was sent as one whose ends take part in ECN, and arrived as one whose do not (RFC 3168 section 5).
    case ecnCleared
    /// A handshake was completed, and none of its SYNs reached the reflector's host.
    case handshakeByAnother

    /// What a SYN offers beside its numbers.
    package enum Feature: String, CaseIterable, Sendable {
        case windowScale = "window scale"
        case selectiveAcknowledgements = "selective acknowledgements"
        case timestamps = "time stamps"
        case explicitCongestionNotification = "ECN"
    }

    package var text: String {
        switch self {
        case .source(let sent, let seen):
            sent.address == seen.address
                ? "source port \(sent.port) translated to \(seen.port)"
                : "source \(sent.host) translated to \(seen.host)"
        case .segmentSize(let sent, let seen):
            seen < sent ? "MSS clamped from \(sent) to \(seen)" : "MSS raised from \(sent) to \(seen)"
        case .removed(let feature): "\(feature.rawValue) removed from the SYN"
        case .dscp(let sent, let seen): "DSCP changed from \(sent) to \(seen)"
        case .ecnCleared: "ECN field cleared"
        case .handshakeByAnother: "the handshake was completed by something on the way"
        }
    }
}

/// What the kernel of this host offers in the SYNs of its connections; nil where it cannot be known.
package struct OfferedOpening: Hashable, Sendable {
    package var maximumSegmentSize: UInt16?
    package var features: [PathChange.Feature: Bool] = [:]
    package var dscp: UInt8 = 0

    package init() {}

    /// By the settings of this network namespace.
    static var ofThisHost: OfferedOpening {
        var offered = OfferedOpening()
        for (feature, setting) in settings {
            guard let value = KernelSetting.number("net/ipv4/\(setting)") else { continue }
            switch feature {
            // 1 asks for it, 0 and 2 do not; what further values mean differs between kernels.
            case .explicitCongestionNotification: offered.features[feature] = value > 2 ? nil : value == 1
            default: offered.features[feature] = value != 0
            }
        }
        return offered
    }

    private static let settings: [(PathChange.Feature, String)] = [
        (.windowScale, "tcp_window_scaling"), (.selectiveAcknowledgements, "tcp_sack"), (.timestamps, "tcp_timestamps"),
        (.explicitCongestionNotification, "tcp_ecn"),
    ]

    /// What is otherwise in the header that arrived. What was not offered and is there says nothing: a route may ask for it.
    func changes(to header: OpeningHeader) -> [PathChange] {
        var changes: [PathChange] = []
        let seen = header.maximumSegmentSize
        if let sent = maximumSegmentSize, sent != seen { changes.append(.segmentSize(sent, seen)) }
        for feature in PathChange.Feature.allCases where features[feature] == true && !header.has(feature) {
            changes.append(.removed(feature))
        }
        if header.dscp != dscp { changes.append(.dscp(dscp, header.dscp)) }
        return changes
    }
}

extension OpeningHeader {
    fileprivate func has(_ feature: PathChange.Feature) -> Bool {
        switch feature {
        case .windowScale: hasWindowScale
        case .selectiveAcknowledgements: hasSACK
        case .timestamps: hasTimestamps
        case .explicitCongestionNotification: offersECN
        }
    }
}

extension ProbeOutcome {
    /// What became of the probe on its way, as far as the reflector's host saw it.
    func changes(_ witness: WitnessView, _ opening: OpeningView) -> [PathChange] {
        var changes: [PathChange] = []
        // The reflector may speak of another attempt than the last one.
        if let local, let peer = peer(witness, opening), !origins.contains(peer) {
            changes.append(.source(local, peer))
        }
        if case .seen(let record) = witness, let seen = record.trafficClass {
            let sent = job.trafficClass
            if seen >> 2 != sent >> 2 { changes.append(.dscp(sent >> 2, seen >> 2)) }
            // What a router marks for congestion is no change of that kind.
            if sent & 3 != 0, seen & 3 == 0 { changes.append(.ecnCleared) }
        }
        switch opening {
        case .seen(let sighting): changes += offered?.changes(to: sighting.header) ?? []
        case .notSeen where finding.evidence.phase == .payload: changes.append(.handshakeByAnother)
        case .notSeen, .unknown: break
        }
        return changes
    }

    /// A SYN that is sent again asks for ECN no more (RFC 3168 section 6.1.1.1): nothing follows from one that came without.
    private var offered: OfferedOpening? {
        var offered = finding.evidence.offered
        if finding.evidence.retransmissions > 0 { offered?.features[.explicitCongestionNotification] = nil }
        return offered
    }

    /// The sender as it arrived.
    private func peer(_ witness: WitnessView, _ opening: OpeningView) -> Endpoint? {
        if case .seen(let record) = witness, let peer = record.peer { return peer }
        if case .seen(let sighting) = opening { return sighting.peer }
        return nil
    }
}

extension ScanReport {
    /// What devices on the way change, with how many probes show it. A port that is translated to this one and that one is one change.
    package var changes: [(text: String, probes: Int)] {
        var order: [String] = []
        var counts: [String: Int] = [:]
        for line in lines {
            for change in line.changes {
                var text = change.text
                if case .source(let sent, let seen) = change, sent.address == seen.address {
                    text = "source port translated"
                }
                if counts.updateValue((counts[text] ?? 0) + 1, forKey: text) == nil { order.append(text) }
            }
        }
        return order.map { ($0, counts[$0] ?? 0) }
    }
}

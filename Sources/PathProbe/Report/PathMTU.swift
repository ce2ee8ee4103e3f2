// SPDX-License-Identifier: GPL-3.0-or-later

/// The largest packet that reaches the other end whole, and the largest answer that comes back so, as far as the sizes tell that were
/// tried.
package struct PathMTU: Hashable, Sendable {
    /// What is known of one way.
    package enum Bound: Hashable, Sendable {
        /// All that were sent came through, up to this size.
        case atLeast(Int)
        /// Somebody said what fits, and who.
        case told(Int, by: String)
        /// Up to the first came through, and from the second on nothing does, of which nobody says anything.
        case silent(Int, below: Int)
        case unknown
    }

    package var target: String
    package var there: Bound
    package var back: Bound

    package var text: String {
        switch there {
        case .unknown: "path MTU: not known: no packet came through"
        default: "path MTU there: \(Self.text(there)); back: \(Self.text(back))"
        }
    }

    private static func text(_ bound: Bound) -> String {
        switch bound {
        case .atLeast(let size): "at least \(size)"
        case .told(let size, let who): "\(size), says \(who)"
        case .silent(let size, let next): "\(size) or a little more, and \(next) vanishes without a word: a black hole"
        case .unknown: "not known"
        }
    }

    /// Sizes of packets that are tried: the least that every link has (RFC 791, RFC 8200 section 5), Ethernet's and what tunnels leave of
    /// it, and those of larger frames.
    package static func sizes(isIPv6: Bool) -> [Int] {
        let common =
            [Int](stride(from: 1_280, through: 1_400, by: 20)) + [Int](stride(from: 1_404, through: 1_500, by: 4))
        return (isIPv6 ? [] : [576]) + common + [4_000, 8_000, 9_000]
    }

    /// Bytes of a datagram's data in a packet of this size.
    package static func payload(of size: Int, isIPv6: Bool) -> Int { size - (isIPv6 ? 48 : 28) }
}

extension ScanReport {
    /// Of each target at which sizes were tried.
    package var pathMTUs: [PathMTU] {
        var order: [String] = []
        var lines: [String: [Line]] = [:]
        for line in self.lines where line.test.packetSize != nil {
            let target = line.outcome.job.target.host
            if lines[target] == nil { order.append(target) }
            lines[target, default: []].append(line)
        }
        return order.map { target in
            let tried = (lines[target] ?? []).map { Try($0) }.sorted { $0.size < $1.size }
            return PathMTU(target: target, there: Self.there(tried), back: Self.back(tried))
        }
    }

    /// What became of one size.
    private struct Try {
        var size: Int
        var hasArrived: Bool
        var isAnswered: Bool
        var told: (mtu: Int, by: String)?

        init(_ line: Line) {
            let evidence = line.outcome.finding.evidence
            size = line.test.packetSize ?? 0
            isAnswered = line.outcome.finding.category == .open
            if case .seen(let record) = line.witness {
                hasArrived = record.marks.contains(.proven)
            } else {
                hasArrived = isAnswered
            }
            if let mtu = evidence.icmp?.mtu, let offender = evidence.icmp?.offender {
                told = (Int(mtu), offender.host)
            } else if evidence.fault?.name == "EMSGSIZE" {
                told = (0, "this host's own link")
            }
        }
    }

    private static func there(_ tried: [Try]) -> PathMTU.Bound {
        guard let largest = tried.last(where: \.hasArrived)?.size else { return .unknown }
        guard let next = tried.first(where: { $0.size > largest }) else { return .atLeast(largest) }
        guard let told = next.told else { return .silent(largest, below: next.size) }
        return told.mtu >= largest && told.mtu < next.size ? .told(told.mtu, by: told.by) : .told(largest, by: told.by)
    }

    /// Of the answers nobody tells this host why they do not come.
    private static func back(_ tried: [Try]) -> PathMTU.Bound {
        let arrived = tried.filter(\.hasArrived)
        guard let largest = arrived.last(where: \.isAnswered)?.size else { return .unknown }
        guard let next = arrived.first(where: { $0.size > largest }) else { return .atLeast(largest) }
        return .silent(largest, below: next.size)
    }
}

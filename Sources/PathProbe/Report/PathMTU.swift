// SPDX-License-Identifier: GPL-3.0-or-later

internal import AgentControl

/// The largest packet that reaches the other end whole, and the largest answer that comes back so, as far as the sizes tell that were
/// tried.
package struct PathMTU: Hashable, Sendable {
    /// What is known of one way.
    package enum Bound: Hashable, Sendable {
        /// All that were sent came through, up to this size.
        case atLeast(Int)
        /// Somebody said what fits, and who.
        case told(Int, by: String)
        /// Up to the first came through; somebody said of the second that it is too large, and not what would fit.
        case refused(Int, below: Int, by: String)
        /// Up to the first came through; from the second on nothing did, and nobody said why.
        case silent(Int, below: Int)
        /// The same of answers: nobody tells this host why one does not come.
        case missing(Int, below: Int)
        /// Smaller ones were lost as well, or one size alone: what the way takes cannot be told from loss.
        case uncertain(Int)
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
        case .refused(let size, let next, let who): "\(range(size, next)), larger ones are refused by \(who)"
        case .silent(let size, let next): "\(range(size, next)), larger ones vanish without a word: a black hole"
        case .missing(let size, let next): "\(range(size, next)), larger answers do not come"
        case .uncertain(let size): "at least \(size); packets are lost, so that more cannot be said"
        case .unknown: "not known"
        }
    }

    private static func range(_ size: Int, _ next: Int) -> String { "\(size) to \(next - 1)" }

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
        /// What would fit, 0 where that was not said, and who said it.
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
            guard evidence.fault?.name == "EMSGSIZE" else { return }
            if let icmp = evidence.icmp, let offender = icmp.offender {
                told = (Int(icmp.mtu ?? 0), offender.host)
            } else {
                told = (Int(evidence.linkMTU ?? 0), "this host's own link")
            }
        }
    }

    private static func there(_ tried: [Try]) -> PathMTU.Bound {
        guard let largest = tried.last(where: \.hasArrived)?.size else { return .unknown }
        let larger = tried.filter { $0.size > largest }
        guard let next = larger.first else { return .atLeast(largest) }
        // A router may say so of some packets only.
        let told = larger.compactMap(\.told)
        if let fitting = told.first(where: { (largest..<next.size).contains($0.mtu) }) {
            return .told(fitting.mtu, by: fitting.by)
        }
        if let refusal = next.told { return .refused(largest, below: next.size, by: refusal.by) }
        let isLossy = tried.contains { $0.size < largest && !$0.hasArrived } || larger.count < 2
        return isLossy ? .uncertain(largest) : .silent(largest, below: next.size)
    }

    private static func back(_ tried: [Try]) -> PathMTU.Bound {
        let arrived = tried.filter(\.hasArrived)
        guard let largest = arrived.last(where: \.isAnswered)?.size else { return .unknown }
        let larger = arrived.filter { $0.size > largest }
        guard let next = larger.first else { return .atLeast(largest) }
        let isLossy = arrived.contains { $0.size < largest && !$0.isAnswered } || larger.count < 2
        return isLossy ? .uncertain(largest) : .missing(largest, below: next.size)
    }

    /// The same as a JSON text for each target.
    package var pathMTULines: [String] {
        pathMTUs.map { found in
            let value: JSONValue = ["v": .integer(1), "target": .text(found.target), "path_mtu": .text(found.text)]
            return value.printed
        }
    }
}

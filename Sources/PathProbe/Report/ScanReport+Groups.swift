// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

extension ScanReport {
    /// Ports to which the same happened, as one line.
    package struct Group: Hashable, Sendable {
        package var target: String
        package var transport: Transport
        package var category: Category
        package var details: [String]
        package var ports: PortSet
        package var conclusion: String
        package var isUnreliable: Bool
        /// Where it ended, why and by whom; nil where that is no question.
        package var answer: ScanAnswer?
        /// How it was repeated; nil where it was not.
        package var retry: String?
        package var location: HopLocation?
        /// Nil where nothing was expected or nothing can be said.
        package var isAsExpected: Bool?
        package var expectation: Expectation?
    }

    /// What was found, in the order of targets, protocols and first ports. Packets of given sizes are for `pathMTUs`.
    package var groups: [Group] {
        struct Key: Hashable {
            var target: Endpoint
            var transport: Transport
            var category: Category
            var conclusion: String
            var isUnreliable: Bool
            var answer: ScanAnswer?
            var retry: String?
            var location: HopLocation?
            var isAsExpected: Bool?
            var expectation: Expectation?
        }
        var order: [Key] = []
        var members: [Key: (ports: [UInt16], details: Set<String>)] = [:]
        for line in lines where line.test.packetSize == nil {
            let job = line.outcome.job
            let key = Key(
                target: job.target.with(port: 0), transport: job.transport, category: line.outcome.finding.category,
                conclusion: line.conclusion, isUnreliable: line.isUnreliable, answer: line.answer, retry: line.retry,
                location: line.location,
                isAsExpected: line.isAsExpected,
                expectation: line.test.expectation)
            if members[key] == nil { order.append(key) }
            members[key, default: ([], [])].ports.append(job.target.port)
            members[key, default: ([], [])].details.insert(line.outcome.finding.detail.text)
        }
        return order.map { key in
            let (ports, details) = members[key] ?? ([], [])
            return Group(
                target: key.target.host, transport: key.transport, category: key.category, details: details.sorted(),
                ports: PortSet(ports: ports), conclusion: key.conclusion, isUnreliable: key.isUnreliable,
                answer: key.answer, retry: key.retry, location: key.location,
                isAsExpected: key.isAsExpected, expectation: key.expectation)
        }
    }

    /// Counts of the categories found, in their order.
    package var counts: [(category: Category, count: Int)] {
        Category.allCases.compactMap { category in
            let count = lines.count { $0.outcome.finding.category == category }
            return count > 0 ? (category, count) : nil
        }
    }

    /// Smallest, middle and greatest time of handshakes, or of answers; nil without any.
    package func times(
        _ time: (Evidence) -> Instant.Span?
    ) -> (least: Instant.Span, middle: Instant.Span, most: Instant.Span)? {
        let times = lines.compactMap { time($0.outcome.finding.evidence) }.sorted()
        guard let least = times.first, let most = times.last else { return nil }
        return (least, times[times.count / 2], most)
    }
}

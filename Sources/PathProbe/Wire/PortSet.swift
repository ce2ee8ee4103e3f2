// SPDX-License-Identifier: GPL-3.0-or-later

/// Ports in the grammar of Firescan: `1-1024,3389`. Order and repetition do not matter; the text that comes back is ascending,
/// with neighbours joined.
package struct PortSet: Hashable, Sendable {
    /// Ascending, disjoint, no two of them adjacent.
    package private(set) var ranges: [ClosedRange<UInt16>] = []

    package init() {}

    package init(_ ranges: [ClosedRange<UInt16>]) {
        for range in ranges.sorted(by: { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }) {
            if let last = self.ranges.last, Int(range.lowerBound) <= Int(last.upperBound) + 1 {
                self.ranges[self.ranges.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                self.ranges.append(range)
            }
        }
    }

    package init(ports: some Sequence<UInt16>) { self.init(ports.map { $0...$0 }) }

    /// Why a text is no list of ports.
    package struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        package var found: String
        package var description: String { "found \(found), expected ports 1 to 65535 such as 80,443,8000-8099" }
    }

    package init(parsing text: some StringProtocol) throws(Fault) {
        guard !text.isEmpty else { throw Fault(found: "no port") }
        var ranges: [ClosedRange<UInt16>] = []
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            ranges.append(try Self.range(item))
        }
        self.init(ranges)
    }

    private static func range(_ item: some StringProtocol) throws(Fault) -> ClosedRange<UInt16> {
        let ends = item.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let first = try port(ends[0], item)
        let last = ends.count == 2 ? try port(ends[1], item) : first
        guard first <= last else { throw Fault(found: "\"\(item.prefix(20))\", which descends") }
        return first...last
    }

    private static func port(_ digits: some StringProtocol, _ item: some StringProtocol) throws(Fault) -> UInt16 {
        let isNumber = !digits.isEmpty && digits.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        guard isNumber, let port = UInt16(digits), port > 0 else { throw Fault(found: "\"\(item.prefix(20))\"") }
        return port
    }

    package var isEmpty: Bool { ranges.isEmpty }
    package var count: Int { ranges.reduce(0) { $0 + $1.count } }
    package var ports: [UInt16] { ranges.flatMap { Array($0) } }

    package func contains(_ port: UInt16) -> Bool { index(of: port) != nil }

    /// Where the port stands among all of them.
    package func index(of port: UInt16) -> Int? {
        var before = 0
        for range in ranges {
            if range.contains(port) { return before + Int(port - range.lowerBound) }
            before += range.count
        }
        return nil
    }
}

extension PortSet: CustomStringConvertible {
    package var description: String {
        ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
    }
}

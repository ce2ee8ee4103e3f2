// SPDX-License-Identifier: GPL-3.0-or-later

/// Finds the regions whose bounds meet those of another one, among a hundred thousand: a tree of bounds that hold one another. Regions
/// that are bounded in different fields have trees of their own, or those that are wide would make every bound wide.
struct RegionIndex {
    private struct Node {
        var bounds: Bounds
        /// The least place below it.
        var first: Int32
        /// Of its members in `order`; of a leaf these are looked at one by one.
        var members: Range<Int32>
        /// Where its second child is, the first one follows it; 0: a leaf.
        var second: Int32 = 0
    }

    private static let leafSize = 8
    private var nodes: [Node] = []
    private var roots: [Int] = []
    /// The places of the regions as the leaves have them, and the bounds of each.
    private var order: [Int32] = []
    private var ordered: [Bounds] = []

    /// Of regions in the order in which they are asked.
    init(_ bounds: [Bounds]) {
        guard !bounds.isEmpty else { return }
        let groups = Dictionary(grouping: bounds.indices, by: { bounds[$0].shape })
        order.reserveCapacity(bounds.count)
        for (_, members) in groups.sorted(by: { $0.key < $1.key }) {
            let start = order.count
            order += members.map { Int32($0) }
            roots.append(nodes.count)
            build(start..<order.count, bounds)
        }
        ordered = order.map { bounds[Int($0)] }
    }

    private mutating func build(_ range: Range<Int>, _ bounds: [Bounds]) {
        var whole = bounds[Int(order[range.lowerBound])]
        for place in order[range] { whole.widen(bounds[Int(place)]) }
        let index = nodes.count
        nodes.append(
            Node(
                bounds: whole, first: order[range].min() ?? 0,
                members: Int32(range.lowerBound)..<Int32(range.upperBound)))
        guard range.count > Self.leafSize, let field = widest(range, bounds) else { return }
        order[range].sort { bounds[Int($0)][field].middle < bounds[Int($1)][field].middle }
        let middle = range.lowerBound + range.count / 2
        build(range.lowerBound..<middle, bounds)
        nodes[index].second = Int32(nodes.count)
        build(middle..<range.upperBound, bounds)
    }

    /// The field in which the members are spread most, for what the field can be; nil: in none.
    private func widest(_ range: Range<Int>, _ bounds: [Bounds]) -> Bounds.Field? {
        var best: (field: Bounds.Field, spread: Double)?
        for field in Bounds.Field.allCases {
            var (least, most, top) = (UInt64.max, UInt64(0), UInt64(1))
            for place in order[range] {
                let middle = bounds[Int(place)][field].middle
                (least, most) = (min(least, middle), max(most, middle))
                top = max(top, bounds[Int(place)][field].last)
            }
            let spread = Double(most - least) / Double(top)
            if spread > best?.spread ?? 0 { best = (field, spread) }
        }
        return best?.field
    }

    /// Visits the places before `limit` of those whose bounds are as wanted, in no order, until `visit` says that it is enough. `fits`: what
    /// bounds have to be; those that hold others fit where any of these does.
    func search(before limit: Int, _ fits: (Bounds) -> Bool, _ visit: (Int) -> Bool) {
        var stack = roots
        while let index = stack.popLast() {
            guard Int(nodes[index].first) < limit, fits(nodes[index].bounds) else { continue }
            if nodes[index].second != 0 {
                stack.append(Int(nodes[index].second))
                stack.append(index + 1)
                continue
            }
            for member in nodes[index].members where order[Int(member)] < limit && fits(ordered[Int(member)]) {
                if visit(Int(order[Int(member)])) { return }
            }
        }
    }
}

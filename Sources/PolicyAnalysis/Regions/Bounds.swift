// SPDX-License-Identifier: GPL-3.0-or-later

/// The least and greatest numbers of a region's most telling fields: most pairs of rules are told apart by these alone. Of IPv6
/// addresses these are the first 64 bits: regions may be apart and their bounds not, never the other way round.
struct Bounds {
    struct Range {
        var first: UInt64
        var last: UInt64

        func overlaps(_ other: Range) -> Bool { first <= other.last && other.first <= last }
        func contains(_ other: Range) -> Bool { first <= other.first && other.last <= last }

        mutating func widen(_ other: Range) {
            first = min(first, other.first)
            last = max(last, other.last)
        }

        var middle: UInt64 { first + (last - first) / 2 }
    }

    /// The fields that most rules differ in.
    enum Field: Int, CaseIterable { case destination, source, destinationPort, sourcePort }

    private var source: Range
    private var destination: Range
    private var destinationPort: Range
    private var sourcePort: Range

    init(_ region: Region) {
        func ends(_ dimension: Dimension, _ shift: UInt128) -> Range {
            guard let set = region[dimension], let first = set.first, let last = set.last else {
                return Range(first: 0, last: .max)
            }
            return Range(
                first: UInt64(truncatingIfNeeded: first >> shift), last: UInt64(truncatingIfNeeded: last >> shift))
        }
        let shift: UInt128 = region.kind.isIPv6 ? 64 : 0
        source = ends(.source, shift)
        destination = ends(.destination, shift)
        destinationPort = ends(.destinationPort, 0)
        sourcePort = ends(.sourcePort, 0)
    }

    subscript(field: Field) -> Range {
        switch field {
        case .destination: destination
        case .source: source
        case .destinationPort: destinationPort
        case .sourcePort: sourcePort
        }
    }

    func overlap(_ other: Bounds) -> Bool {
        destinationPort.overlaps(other.destinationPort) && destination.overlaps(other.destination)
            && source.overlaps(other.source) && sourcePort.overlaps(other.sourcePort)
    }

    /// A region that is part of another one has bounds within that one's.
    func contain(_ other: Bounds) -> Bool {
        destinationPort.contains(other.destinationPort) && destination.contains(other.destination)
            && source.contains(other.source) && sourcePort.contains(other.sourcePort)
    }

    mutating func widen(_ other: Bounds) {
        source.widen(other.source)
        destination.widen(other.destination)
        destinationPort.widen(other.destinationPort)
        sourcePort.widen(other.sourcePort)
    }

    /// In which of its fields it is bounded at all, as bits.
    var shape: Int {
        Field.allCases.reduce(0) { self[$1].last == .max ? $0 : $0 | 1 << $1.rawValue }
    }
}

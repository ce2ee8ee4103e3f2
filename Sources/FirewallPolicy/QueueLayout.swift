// SPDX-License-Identifier: GPL-3.0-or-later

/// What comes to a queue. What can be sent in floods from anywhere has queues of its own, so that it fills those and not the
/// queue of what goes on; each kind its own, since together they would starve each other.
public enum QueueKind: UInt8, CaseIterable, Sendable, BitwiseCopyable {
    /// Everything else: the segments of connections, SYN+ACK and RST, ICMP, and what this host itself sends.
    case established
    /// TCP segments that open a connection: SYN without ACK and RST.
    case openings
    case fragments
    /// Datagrams that come from computers to which this host has sent none of late.
    case datagrams

    public var word: String {
        switch self {
        case .established: "established"
        case .openings: "openings"
        case .fragments: "fragments"
        case .datagrams: "datagrams"
        }
    }

    public init?(word: String) {
        guard let kind = Self.allCases.first(where: { $0.word == word }) else { return nil }
        self = kind
    }

    /// Those that have a range of their own, in the order of their ranges.
    public static let floods: [QueueKind] = [.openings, .fragments, .datagrams]
}

/// `queue.flood-numbers` of the policy file: where the ranges of openings, fragments and datagrams begin.
public enum FloodNumbers: Hashable, Sendable {
    /// Behind `queue.numbers`.
    case following
    case from(UInt16)
    /// Everything comes to `queue.numbers`.
    case off
}

/// The numbers of all queues. The ranges are of one size: the kernel's hash then gives the packets of one pair of addresses the
/// same place in each, and one worker reads the queues of one place.
public struct QueueLayout: Hashable, Sendable {
    public let established: ClosedRange<UInt16>
    /// The first number of the openings' range; the others follow it. Nil where all come to `established`.
    private let first: UInt16?

    /// Nil where the numbers go beyond 65,535, or the ranges overlap.
    public init?(_ established: ClosedRange<UInt16>, _ numbers: FloodNumbers) {
        self.established = established
        let begin: Int
        switch numbers {
        case .off:
            first = nil
            return
        case .following: begin = Int(established.upperBound) + 1
        case .from(let number): begin = Int(number)
        }
        let last = begin + QueueKind.floods.count * established.count - 1
        guard last <= Int(UInt16.max), last < Int(established.lowerBound) || begin > Int(established.upperBound)
        else { return nil }
        first = UInt16(begin)
    }

    /// Everything in one range.
    public init(together established: ClosedRange<UInt16>) {
        self.established = established
        first = nil
    }

    public var separatesFloods: Bool { first != nil }

    /// The three ranges as one; nil where there are none.
    public var floods: ClosedRange<UInt16>? {
        first.map { $0...($0 + UInt16(QueueKind.floods.count * width - 1)) }
    }

    /// Workers, and queues of each kind.
    public var width: Int { established.count }

    /// Nil for a kind that has none of its own.
    public subscript(kind: QueueKind) -> ClosedRange<UInt16>? {
        guard kind != .established else { return established }
        guard let begin = first, let place = QueueKind.floods.firstIndex(of: kind) else { return nil }
        let first = begin + UInt16(place * width)
        return first...(first + UInt16(width - 1))
    }

    /// All ranges, that of what is established first.
    public var ranges: [(kind: QueueKind, numbers: ClosedRange<UInt16>)] {
        QueueKind.allCases.compactMap { kind in self[kind].map { (kind, $0) } }
    }

    public var numbers: [UInt16] { ranges.flatMap { Array($0.numbers) } }

    public func overlaps(_ queues: ClosedRange<UInt16>) -> Bool { ranges.contains { $0.numbers.overlaps(queues) } }

    /// The kind whose range contains all of these.
    public func kind(of queues: ClosedRange<UInt16>) -> QueueKind? {
        ranges.first { $0.numbers.lowerBound <= queues.lowerBound && queues.upperBound <= $0.numbers.upperBound }?.kind
    }

    /// These queues' places in their range as numbers of `established`: what the same workers read. Others as they are.
    public func workers(of queues: ClosedRange<UInt16>) -> ClosedRange<UInt16> {
        guard let kind = kind(of: queues), let range = self[kind] else { return queues }
        let first = established.lowerBound + (queues.lowerBound - range.lowerBound)
        return first...(first + (queues.upperBound - queues.lowerBound))
    }
}

extension QueueSettings {
    /// A bridge's frames all come to `numbers`.
    public var layout: QueueLayout {
        family == .bridge ? QueueLayout(together: numbers) : layout(of: numbers)
    }

    /// With other numbers than the policy's. Where the ranges have no room behind them all come to these.
    public func layout(of numbers: ClosedRange<UInt16>) -> QueueLayout {
        guard family == .ip else { return QueueLayout(together: numbers) }
        return QueueLayout(numbers, floodNumbers) ?? QueueLayout(together: numbers)
    }
}

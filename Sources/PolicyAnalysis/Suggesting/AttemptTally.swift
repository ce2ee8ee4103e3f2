// SPDX-License-Identifier: GPL-3.0-or-later

/// How a thing that was tried turned out, as far as is known; what comes later is the better sign that it was wanted.
package enum AttemptOutcome: UInt8, Comparable, Sendable, CaseIterable {
    /// Nobody answered.
    case silent
    /// Refused by a reset or by "port unreachable".
    case refused
    /// Answered, and then left alone by who had asked: nothing was wanted of it.
    case halfOpen
    /// The agent knew of no socket that listens there.
    case nobodyListens
    /// The firewall was in the way, or nothing needs to answer.
    case unknown
    /// A socket listens there.
    case listening
    /// The handshake was completed, and nothing was said.
    case completed
    /// Both sides spoke.
    case used

    package static func < (a: AttemptOutcome, b: AttemptOutcome) -> Bool { a.rawValue < b.rawValue }

    /// Something that is there was asked, or it is not known that nothing is.
    package var isWanted: Bool { self >= .unknown }
}

/// What was seen of one attempt, however often it was made. Sums do not depend on the order in which things were seen.
package struct AttemptTally: Sendable {
    /// Of the opener.
    package private(set) var packets: UInt64 = 0
    /// At least: records of events may stand for several.
    package private(set) var openings: UInt64 = 0
    /// Of the side that was asked.
    package private(set) var answers: UInt64 = 0
    /// Microseconds since 1970.
    package private(set) var first = Int64.max
    package private(set) var last = Int64.min
    private var best = AttemptOutcome.silent
    /// In events of tap mode answers show, and their lack too.
    private var wasTapped = false
    private var wasReset = false
    private var periods = Periods()

    /// Takes in so many packets of the opener.
    mutating func add(packets count: UInt64, openings: UInt64, first: Int64, last: Int64) {
        packets = packets.added(count)
        self.openings = self.openings.added(openings)
        self.first = min(self.first, first)
        self.last = max(self.last, last)
        periods.add(first)
        periods.add(last)
    }

    mutating func addAnswers(_ count: UInt64, isReset: Bool) {
        answers = answers.added(isReset ? 0 : count)
        if isReset { wasReset = true }
    }

    mutating func note(_ outcome: AttemptOutcome) { best = max(best, outcome) }

    mutating func noteTapped() { wasTapped = true }

    /// An opening, its acknowledgement and one thing more.
    private static let leastOfExchange: UInt64 = 3

    func outcome(of service: Attempt.Service) -> AttemptOutcome {
        guard wasTapped, case .tcp = service else { return answers > 0 ? .used : best }
        if answers > 0 {
            let isExchange = packets / max(1, openings) >= Self.leastOfExchange
            return max(best == .listening ? .silent : best, isExchange ? .used : .halfOpen)
        }
        if wasReset { return best >= .completed ? best : .refused }
        return best == .unknown ? .silent : best
    }

    /// It was made again and again: in three stretches of five minutes at least, as monitoring does and no scan.
    var isPersistent: Bool { periods.count >= 3 }
}

/// The first three stretches of five minutes in which something was seen, whatever the order.
private struct Periods: Sendable {
    private var numbers: [Int64] = []
    private static let length: Int64 = 5 * 60 * 1_000_000

    var count: Int { numbers.count }

    mutating func add(_ time: Int64) {
        let number = time / Self.length
        guard !numbers.contains(number) else { return }
        if numbers.count == 3 {
            guard let last = numbers.max(), number < last, let place = numbers.firstIndex(of: last) else { return }
            numbers[place] = number
        } else {
            numbers.append(number)
        }
    }
}

extension UInt64 {
    /// Counts come from files that anybody may have written.
    func added(_ other: UInt64) -> UInt64 {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? .max : sum
    }
}

// SPDX-License-Identifier: GPL-3.0-or-later

/// The time that a report is about, in steps that a person can tell apart on a chart. Microseconds since 1970.
package struct ReportPeriod: Sendable, Hashable {
    package let start: Int64
    package let end: Int64
    /// Length of one step.
    package let step: Int64
    /// Where the first step begins: a whole number of steps since 1970, so that an hour's step begins with the hour.
    private let origin: Int64

    /// Steps at most.
    package static let mostSteps = 100
    private static let minute: Int64 = 60_000_000
    /// Minutes of the steps that are used: those that divide a day, then days.
    private static let lengths: [Int64] = [
        1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 7_200, 14_400, 43_200, 144_000, 1_440_000,
    ]

    /// `end` is not before `start`.
    package init(start: Int64, end: Int64) {
        self.start = start
        self.end = max(start, end)
        let length = self.end - start
        let fitting = ReportPeriod.lengths.first {
            length / ($0 * ReportPeriod.minute) < Int64(ReportPeriod.mostSteps) - 1
        }
        step = (fitting ?? (length / Int64(ReportPeriod.mostSteps - 2) / ReportPeriod.minute + 1)) * ReportPeriod.minute
        let beyond = start % step
        origin = start - (beyond < 0 ? beyond + step : beyond)
    }

    package var count: Int { Int((end - origin) / step) + 1 }

    /// Where a step begins.
    package func beginning(of index: Int) -> Int64 { origin + Int64(index) * step }

    /// The step of a time; one outside of the period belongs to its first or last.
    package func index(of time: Int64) -> Int {
        Int((min(max(time, start), end) - origin) / step)
    }
}

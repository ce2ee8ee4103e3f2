// SPDX-License-Identifier: GPL-3.0-or-later

/// A length of time as options take it: a whole number with its unit, "90s", "15m", "2h" or "1d".
enum LengthOfTime {
    private static let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]

    /// In seconds; nil for anything else, or for one beyond ten thousand years or so.
    static func seconds(_ text: String) -> Int64? {
        guard let unit = text.last.flatMap({ units[$0] }), let count = UInt32(text.dropLast()) else { return nil }
        return Int64(count) * unit
    }
}

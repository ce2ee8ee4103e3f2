// SPDX-License-Identifier: GPL-3.0-or-later

/// Something that the analysis has said and that is not so, with the seed that repeats it.
package struct Disproof: Error, CustomStringConvertible {
    package let description: String

    init(_ what: String, seed: UInt64) { description = "seed \(seed): \(what)" }
}

/// What was asked, for the record.
package struct ProofCounts: Sendable {
    package var policies = 0
    /// Packets that the classifier was asked about, one by one.
    package var packets = 0
    /// Witnesses that an engine has judged.
    package var witnesses = 0
    package var pairs = 0
    /// Changes that a lint proposes, and that were made.
    package var proposals = 0

    package init() {}
}

// SPDX-License-Identifier: GPL-3.0-or-later

/// Something about the rules that feed the queues.
package struct Finding: Hashable, Sendable {
    package enum Severity: String, CaseIterable, Sendable {
        /// The firewall does not do what its policy says.
        case refusal
        /// Some packets pass without being judged; the others are judged rightly.
        case gap
        /// It does, though the rules in place are not those that the policy asks for.
        case misfit
        /// It does, but something is worth knowing.
        case advice
    }

    package var severity: Severity
    /// What is wrong, and what follows of it.
    package var text: String
    /// The rules that it is about, as their programs print them.
    package var lines: [String]
    package var cure: String

    init(_ severity: Severity, _ text: String, _ lines: [String] = [], cure: String) {
        self.severity = severity
        self.text = text
        self.lines = lines
        self.cure = cure
    }
}

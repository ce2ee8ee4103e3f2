// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

extension PolicyFile {
    /// A number for each rule of a document, the same as long as what the rule decides about is written the same way, over releases
    /// too: its action, direction, priority and criteria, without its name, its place and what is told of it.
    package static func fingerprints(of document: PolicyDocument) -> [UInt64] {
        let printer = CanonicalPrinter(document: document, complete: false)
        return document.rules.map { rule in
            var hash = FNV1a()
            for line in printer.decisionLines(of: rule) { hash.absorb(line) }
            return hash.value
        }
    }
}

/// Fowler, Noll and Vo's hash of 64 bits (RFC 9923).
private struct FNV1a {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func absorb(_ text: String) {
        for byte in text.utf8 { absorb(byte) }
        absorb(UInt8(ascii: "\n"))
    }

    private mutating func absorb(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
}
